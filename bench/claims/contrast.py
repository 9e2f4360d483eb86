"""Differences between arms, paired over seeds and test images: estimate, interval, p-value, smallest effect visible.

The standard error is that of the hierarchical bootstrap, in closed form (`bench.analysis.intervals.hierarchical`), with
Student's t for the few seeds. A single seed shows test-set uncertainty only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.comparisons import ALPHA, POWER
from bench.analysis.intervals import LEVEL, Estimate, hierarchical
from bench.claims.chart import Dot, Series
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
        """Smallest true mean that would have been told from 0 at 5 % in four of five such runs.

        By the noncentral t. A standard error from few seeds is more often too small than too large, so it is divided by
        its median under the truth: with three seeds the usual (t + t′)·se is found in two of three runs only.
        """
        from scipy.special import chdtri, nctdtrinc

        usual = math.sqrt(float(chdtri(self.df, 0.5)) / self.df)
        return float(nctdtrinc(self.df, 1 - POWER, self.quantile(1 - ALPHA / 2))) * self.se / usual

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

    def finding(self, name: str, *, unit: str = "points", control: bool = False) -> Finding:
        """The contrast as a number with its interval, in points of accuracy unless another unit is given.

        A part of something, `%`, has an interval within 0 and 100.
        """
        low, high = self.interval()
        if unit == "%":
            low, high = max(0.0, low), min(1.0, high)
        scale = 100.0 if unit in ("points", "%") else 1.0
        return Finding(
            name=name,
            value=scale * self.estimate,
            low=scale * low,
            high=scale * high,
            unit=unit,
            p=self.p if unit == "points" else None,
            detectable=scale * self.detectable,
            control=control,
        )

    def dot(self, label: str, *, group: str = "", control: bool = False, scale: float = 100.0) -> Dot:
        """The contrast as a mark of a chart, in points unless another scale is given."""
        low, high = self.interval()
        return Dot(label, scale * self.estimate, scale * low, scale * high, group, control)

    @property
    def words(self) -> str:
        """`+1.2 points [−0.3, +2.7]`."""
        low, high = self.interval()
        return f"{100 * self.estimate:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]".replace("-", "−")

    def _tail(self, distance: float) -> float:
        from scipy.special import stdtr

        if self.se == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(self.df, -distance / self.se))


def curve(
    label: str,
    points: Mapping[float, Contrast] | Mapping[int, Contrast],
    *,
    panel: str = "",
    control: bool = False,
    shares: bool = True,
) -> Series:
    """Contrasts by position as a curve of a chart, times 100; intervals of `shares` end at 0 and 100."""
    low, high = (0.0, 100.0) if shares else (-math.inf, math.inf)
    return Series(
        label,
        tuple(float(x) for x in points),
        tuple(100 * found.estimate for found in points.values()),
        tuple(max(low, 100 * found.low) for found in points.values()),
        tuple(min(high, 100 * found.high) for found in points.values()),
        control=control,
        panel=panel,
    )


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


def combination(evidence: Evidence, terms: Sequence[tuple[Arm, int | None, float]]) -> Contrast:
    """Σ weight · accuracy over (arm, train size, weight), paired; a size of None is the arm's largest. Raises Missing.

    Differences, differences in differences and slopes are all of this form.
    """
    found = aligned([evidence.seen(arm, size) for arm, size, _ in terms])
    scores = sum(weight * one.right.astype(np.float64) for (_, _, weight), one in zip(terms, found, strict=True))
    return contrast(np.asarray(scores))


def difference(evidence: Evidence, first: Arm, second: Arm, size: int | None = None) -> Contrast:
    """Accuracy of the first arm minus that of the second. Raises Missing."""
    return combination(evidence, [(first, size, 1.0), (second, size, -1.0)])


def difference_in_differences(
    evidence: Evidence, pair: tuple[Arm, Arm], changed: tuple[Arm, Arm], size: int | None = None
) -> Contrast:
    """How much the difference of `pair` exceeds that of `changed`: (a − b) − (c − d). Raises Missing."""
    (a, b), (c, d) = pair, changed
    return combination(evidence, [(a, size, 1.0), (b, size, -1.0), (c, size, -1.0), (d, size, 1.0)])


def gap_change(evidence: Evidence, first: Arm, second: Arm, smaller: int, larger: int) -> Contrast:
    """The difference of two arms at a smaller train size minus the same at a larger one. Raises Missing."""
    at_smaller, at_larger = [(first, smaller, 1.0), (second, smaller, -1.0)], [(first, larger, -1.0)]
    return combination(evidence, [*at_smaller, *at_larger, (second, larger, 1.0)])


def slope_difference(evidence: Evidence, first: Arm, second: Arm) -> Contrast:
    """How much faster the accuracy of the first arm rises per tenfold of training images: a difference of the two
    least-squares slopes in log10 n over the train sizes that both have. Raises Missing below two sizes."""
    sizes = sorted(set(evidence.sizes(first)) & set(evidence.sizes(second)))
    if len(sizes) < 2:
        raise Missing("a slope needs two train sizes")
    x = np.log10(sizes)
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    terms = [
        (arm, size, float(sign * w))
        for size, w in zip(sizes, weights, strict=True)
        for arm, sign in ((first, 1), (second, -1))
    ]
    return combination(evidence, terms)


def over_seeds(values: Sequence[float]) -> Contrast:
    """The mean of one number a seed, with Student's t over the seeds. Raises Missing below two seeds."""
    if len(values) < 2:
        raise Missing("one seed says nothing about the spread over seeds")
    found = np.asarray(values, dtype=np.float64)
    return Contrast(
        float(found.mean()), float(found.std(ddof=1)) / math.sqrt(len(found)), len(found) - 1.0, len(found), 0
    )


def accuracy(evidence: Evidence, arm: Arm, size: int | None = None) -> Contrast:
    """Accuracy of one arm. Raises Missing."""
    return contrast(evidence.seen(arm, size).right)


def need_seeds(found: Contrast) -> None:
    """Raise Missing where a confirmatory contrast rests on too few seeds."""
    if found.seeds < ENOUGH_SEEDS:
        raise Missing(f"a confirmatory test needs {ENOUGH_SEEDS} seeds, and there are {found.seeds}")
