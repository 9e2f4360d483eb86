"""Published accuracies beside ours: a small curated table, and how far its order agrees with a board's.

The figures are external: self-reported, by other recipes and in part with other data. They never take part in a rank.
`published.csv` beside this file holds them, each as its source gives it: torchvision's weight metadata, timm's table of
results, or the paper.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

DATASET = "ImageNet-1k"
"""What every published figure is measured on."""
LEAST = 4
"""Models that two orders must have in common before a correlation says anything."""
_EXACT = 8
"""Models up to which every permutation is looked at: 8! = 40,320."""
_DRAWS = 20_000
_LEAST_FOR_INTERVAL = 10
"""Models from which the normal approximation behind an interval is of use (Bonett & Wright 2000 study 10 and more)."""
_Z95 = 1.959964
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Published:
    """One published result on ImageNet-1k."""

    model: str
    """The project's name of the model."""
    year: int
    """Year of the architecture's paper."""
    top1_percent: float
    """Accuracy on the validation split, in percent, with as many digits as the source gives."""
    img_size: int
    """Side of the test image in pixels."""
    extra_data: str
    """Data used beyond ImageNet-1k; empty for none."""
    params_m: float
    """Parameters in millions, with the head of 1,000 classes."""
    gmacs: float | None
    """Multiply-accumulates for one image in thousand millions, as the source gives them; None where it does not."""
    recipe: str
    """How it was trained, in a few words."""
    source: str
    """Who reports it."""
    url: str
    """Where."""


@dataclass(frozen=True)
class Correlation:
    """A rank correlation of two orders."""

    value: float
    """From −1 to 1."""
    p: float
    """Two-sided p-value of no association, by permutation."""
    low: float | None
    """Lower end of its 95 % interval over models; None where there are too few for one, or the orders are the same."""
    high: float | None
    """Upper end."""


@dataclass(frozen=True)
class Agreement:
    """How far two orders of the same models agree."""

    models: int
    """Models in both."""
    kendall: Correlation | None
    """Kendall's τ-b; None for fewer than `LEAST` models, or where all of one side are tied."""
    spearman: Correlation | None
    """Spearman's ρ, likewise."""
    exact: bool
    """Whether p comes from every permutation, not from a sample of them."""


@cache
def published() -> tuple[Published, ...]:
    """Every published figure, those of one model together."""
    text = files("bench.analysis").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(_published(line) for line in csv.DictReader(io.StringIO(text)))


def _published(line: dict[str, str]) -> Published:
    return Published(
        model=line["model"],
        year=int(line["year"]),
        top1_percent=float(line["top1_percent"]),
        img_size=int(line["img_size"]),
        extra_data=line["extra_data"],
        params_m=float(line["params_m"]),
        gmacs=float(line["gmacs"]) if line["gmacs"] else None,
        recipe=line["recipe"],
        source=line["source"],
        url=line["url"],
    )


def best_published(model: str) -> float | None:
    """The highest figure of a model that used no extra data, in percent: every model by the best of its recipes."""
    return max((p.top1_percent for p in published() if p.model == model and not p.extra_data), default=None)


def rank_agreement(ours: Sequence[float], theirs: Sequence[float]) -> Agreement:
    """Agreement of two scores of the same models, in the same order; on both sides more is better, ties are allowed.

    Kendall's τ-b (Kendall 1945, Biometrika 33:239) and Spearman's ρ on mid-ranks. p is the share of the permutations
    of one side whose correlation is at least as far from 0. Intervals: Fisher's z with the standard errors of Bonett &
    Wright (2000), Psychometrika 65:23. Models are not a sample of anything, so an interval only says how much hangs on
    which models were taken. Raises ValueError where the two differ in length.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} scores on one side, {len(theirs)} on the other.")
    n = len(ours)
    first, second = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if n < LEAST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Agreement(n, None, None, n <= _EXACT)
    orders = _orders(n)
    tau, rho = _kendall(first, second, orders), _spearman(first, second, orders)
    return Agreement(
        models=n,
        kendall=_correlation(tau, n, math.sqrt(0.437 / (n - 4)) if n > 4 else math.inf),
        spearman=_correlation(rho, n, math.sqrt((1 + rho[0] ** 2 / 2) / (n - 3))),
        exact=n <= _EXACT,
    )


def least_p(models: int) -> float:
    """The smallest two-sided p that any two orders of so many models, without ties, can reach: 2 / n!."""
    return 2 / math.factorial(models)


def _orders(n: int) -> NDArray[np.int64]:
    """Permutations of n places, int64 [permutations, n], the identity first: all of them, or a fixed sample."""
    if n <= _EXACT:
        return np.array(list(permutations(range(n))), dtype=np.int64)
    drawn = np.random.default_rng(0).permuted(np.tile(np.arange(n), (_DRAWS, 1)), axis=1)
    return np.vstack([np.arange(n), drawn])


def _kendall(first: NDArray[np.float64], second: NDArray[np.float64], orders: NDArray[np.int64]) -> NDArray[np.float64]:
    """τ-b of `first` with every reordering of `second`, float64 [permutations]."""
    above, below = np.triu_indices(len(first), 1)
    one = np.sign(first[above] - first[below])
    scale = math.sqrt(float((one != 0).sum() * (np.sign(second[above] - second[below]) != 0).sum()))
    moved = second[orders]
    found: NDArray[np.float64] = np.sign(moved[:, above] - moved[:, below]) @ one / scale
    return found


def _spearman(
    first: NDArray[np.float64], second: NDArray[np.float64], orders: NDArray[np.int64]
) -> NDArray[np.float64]:
    """ρ of `first` with every reordering of `second`, float64 [permutations]."""
    from scipy.stats import rankdata

    one, other = rankdata(first), rankdata(second)
    one, other = one - one.mean(), other - other.mean()
    found: NDArray[np.float64] = other[orders] @ one / math.sqrt(float(one @ one) * float(other @ other))
    return found


def _correlation(values: NDArray[np.float64], n: int, z_error: float) -> Correlation:
    """The first of `values` is what was observed, all are what permutations give."""
    value = float(values[0])
    p = float((np.abs(values) >= abs(value) - _ROUNDING).mean())
    if n < _LEAST_FOR_INTERVAL or abs(value) > 1 - _ROUNDING:
        return Correlation(value, p, None, None)
    z = math.atanh(value)
    return Correlation(value, p, math.tanh(z - _Z95 * z_error), math.tanh(z + _Z95 * z_error))
