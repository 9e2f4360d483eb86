"""Differences between arms, paired over seeds and test images: estimate, interval, p-value, smallest effect visible.

The standard error is that of the hierarchical bootstrap, in closed form (`bench.analysis.intervals.hierarchical`), with
Student's t for the few seeds. A single seed shows test-set uncertainty only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.comparisons import ALPHA, POWER
from bench.analysis.intervals import LEVEL, Estimate, hierarchical
from bench.claims.claim import Arm, Finding, Missing
from bench.claims.evidence import Evidence, Seen

ENOUGH_SEEDS = 3
"""Seeds below which a confirmatory claim is not judged."""


@dataclass(frozen=True)
class Contrast:
    """A mean over seeds and test images, such as a difference of accuracies, as fractions."""

    estimate: float
    """The plain mean."""
    se: float
    """Its standard error."""
    df: float
    """Degrees of freedom of the standard error."""
    seeds: int
    """Seeds it is over; with one, `se` is test-set uncertainty only."""
    images: int
    """Test images it is over."""

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Estimate ± Student's t quantile times the standard error."""
        half = self.quantile((1 + level) / 2) * self.se
        return self.estimate - half, self.estimate + half

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.interval()[0]

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.interval()[1]

    @property
    def p(self) -> float:
        """Two-sided p-value of the hypothesis that the true mean is 0."""
        return 2 * min(self.p_above(0.0), self.p_below(0.0), 0.5)

    @property
    def detectable(self) -> float:
        """Smallest true mean that would have been told from 0 at 5 % in four of five such runs."""
        return (self.quantile(1 - ALPHA / 2) + self.quantile(POWER)) * self.se

    def p_above(self, limit: float) -> float:
        """One-sided p-value against the hypothesis that the true mean is at most `limit`."""
        return self._tail(self.estimate - limit)

    def p_below(self, limit: float) -> float:
        """One-sided p-value against the hypothesis that the true mean is at least `limit`."""
        return self._tail(limit - self.estimate)

    def quantile(self, probability: float) -> float:
        """Student's t quantile at the contrast's degrees of freedom."""
        from scipy.special import stdtrit

        return float(stdtrit(self.df, probability))

    def finding(self, name: str, *, control: bool = False) -> Finding:
        """The contrast in points of accuracy."""
        low, high = self.interval()
        return Finding(
            name=name,
            value=100 * self.estimate,
            low=100 * low,
            high=100 * high,
            unit="points",
            p=self.p,
            detectable=100 * self.detectable,
            control=control,
        )

    def _tail(self, distance: float) -> float:
        from scipy.special import stdtr

        if self.se == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(self.df, -distance / self.se))


def contrast(scores: NDArray[Any]) -> Contrast:
    """The mean of `scores`, float or bool [seeds, images], over both, with its uncertainty."""
    seeds, images = scores.shape
    values = scores.astype(np.float64)
    if seeds > 1:
        found = hierarchical(values)
    else:
        spread = float(values.std(ddof=1)) if images > 1 else 0.0
        found = Estimate(float(values.mean()), spread / math.sqrt(images), float(max(images - 1, 1)))
    return Contrast(found.mean, found.se, found.df, seeds, images)


def aligned(seen: Sequence[Seen]) -> list[Seen]:
    """The same on the seeds that all have. Raises Missing without one, and where test images differ."""
    common = sorted(set.intersection(*(set(one.seeds) for one in seen)))
    if not common:
        raise Missing("the arms have no seed in common")
    if any(len(one.label) != len(seen[0].label) or (one.label != seen[0].label).any() for one in seen):
        raise Missing("the arms were not tested on the same images")
    return [one.on(common) for one in seen]


def combination(evidence: Evidence, terms: Sequence[tuple[Arm, float]], size: int | None = None) -> Contrast:
    """Σ weight · accuracy over arms at one train size (their largest unless given), paired. Raises Missing."""
    found = aligned([evidence.seen(arm, size) for arm, _ in terms])
    scores = sum(weight * one.right.astype(np.float64) for (_, weight), one in zip(terms, found, strict=True))
    return contrast(np.asarray(scores))


def difference(evidence: Evidence, first: Arm, second: Arm, size: int | None = None) -> Contrast:
    """Accuracy of the first arm minus that of the second. Raises Missing."""
    return combination(evidence, [(first, 1.0), (second, -1.0)], size)


def difference_in_differences(
    evidence: Evidence, pair: tuple[Arm, Arm], changed: tuple[Arm, Arm], size: int | None = None
) -> Contrast:
    """How much the difference of `pair` exceeds that of `changed`: (a − b) − (c − d). Raises Missing."""
    (a, b), (c, d) = pair, changed
    return combination(evidence, [(a, 1.0), (b, -1.0), (c, -1.0), (d, 1.0)], size)


def gap_change(evidence: Evidence, first: Arm, second: Arm, smaller: int, larger: int) -> Contrast:
    """The difference of two arms at a smaller train size minus the same at a larger one. Raises Missing."""
    terms = [(first, smaller, 1.0), (second, smaller, -1.0), (first, larger, -1.0), (second, larger, 1.0)]
    found = aligned([evidence.seen(arm, size) for arm, size, _ in terms])
    scores = sum(weight * one.right.astype(np.float64) for (_, _, weight), one in zip(terms, found, strict=True))
    return contrast(np.asarray(scores))


def accuracy(evidence: Evidence, arm: Arm, size: int | None = None) -> Contrast:
    """Accuracy of one arm. Raises Missing."""
    return contrast(evidence.seen(arm, size).right)


def need_seeds(found: Contrast) -> None:
    """Raise Missing where a confirmatory contrast rests on too few seeds."""
    if found.seeds < ENOUGH_SEEDS:
        raise Missing(f"a confirmatory test needs {ENOUGH_SEEDS} seeds, and there are {found.seeds}")
