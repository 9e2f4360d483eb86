"""Whether two models can be told apart, always paired: the same seeds, the same test images. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05
"""Error rate, over all comparisons with one anchor together."""
SMALLEST_DIFFERENCE = 0.005
"""Differences below half a point of accuracy count as ties even where they are certain."""
_ROUNDING = 1e-9


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Exact two-sided p-value that two classifiers are right equally often (McNemar 1947, Psychometrika 12:153).

    Both are bool [images], whether each image is right. Under the hypothesis, of the images that only one of the
    two gets right, each is either's with probability 1/2: a binomial test, the same as `scipy.stats.binomtest`.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    n, fewer = only_first + only_second, min(only_first, only_second)
    if only_first == only_second:
        return 1.0
    log_total = math.lgamma(n + 1) - n * math.log(2)
    tail = math.fsum(math.exp(log_total - math.lgamma(k + 1) - math.lgamma(n - k + 1)) for k in range(fewer + 1))
    return min(1.0, 2 * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being several, in the same order (Holm 1979, Scand. J. Stat. 6:65)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, k in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[k]))
        adjusted[k] = largest
    return adjusted


def told_apart(differences: Sequence[float], p_values: Sequence[float]) -> list[bool]:
    """Which of several differences from one anchor count: below `ALPHA` after Holm and not under half a point.

    `differences` are fractions of accuracy.
    """
    return [
        p < ALPHA and abs(difference) > SMALLEST_DIFFERENCE - _ROUNDING
        for difference, p in zip(differences, holm(p_values), strict=True)
    ]


def shared_ranks(count: int, differs: Callable[[int, Sequence[int]], Sequence[bool]]) -> list[int]:
    """Ranks of `count` models given best first, with ties and the gaps they leave: 1, 1, 3.

    The best model without a rank is the anchor of its rank; all others without a rank that cannot be told apart
    from it share it. `differs(anchor, others)` says which of `others` can be told apart from the anchor.
    """
    ranks = [0] * count
    left = list(range(count))
    while left:
        anchor, others = left[0], left[1:]
        apart = dict(zip(others, differs(anchor, others), strict=True))
        rank = count - len(left) + 1
        for k in left:
            if not apart.get(k, False):
                ranks[k] = rank
        left = [k for k in others if apart[k]]
    return ranks
