"""When a change of accuracy or of predictions is more than the luck of a seed: pure functions of arrays.

The baseline holds S = 10 trainings of each model, seeds 0 … S − 1; a check repeats the first m of them. An untouched
program repeats its predictions bit for bit. A harmless change (another order of random numbers, another machine's
rounding carried on through the training) is at worst like drawing the seeds anew. Hence the null hypothesis: *the m
new trainings are draws from the same distribution as the S old ones*, and the tolerance of a statistic with sample
standard deviation s over the old ones is the one-sided prediction interval for a mean of m further draws,

    t(1 − α; S − 1) · s · √(1/m + 1/S)            (Hahn & Meeker 1991, Statistical Intervals, section 4.8)

It is not paired by seed: under the null the pairs are independent, and a difference of pairs would have the variance
2/m in place of 1/m + 1/S. Where the new trainings do resemble the old ones seed by seed, it errs to the safe side.

Two statistics are judged for each model, each falling only, and on the scale of the logarithm of what is missing to 1
(which makes the long tail of bad seeds nearly symmetric; plain fractions alarm up to three times too often):

- accuracy, the mean over the seeds;
- agreement: the part of the test images on which a new training predicts the same class as an old one *of another
  seed*, mean over all such pairs. Its reference is what the old ones agree among themselves. It sees a model that
  changed its mistakes without making more of them. With agreement(i, j) ≈ μ + g_i + g_j, the leave-one-out mean of
  seed i varies by (S − 2)/(S − 1) of g_i, and a new training's mean over the old ones by all of its own; and the
  leave-one-out means share pairs. s is corrected by (S + 1)/(S − 2); its part (S + 1)/(S − 1) was found by simulation.

With M models there are 2·M tests; each is made at α = 0.05 / (2·M) (Bonferroni), so that seeds drawn anew alarm at
most once in twenty checks. tests/gates/test_calibration.py holds that by simulation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEEDS = 10
"""Trainings of each model in a baseline."""
CHECK_SEEDS = 4
"""Trainings of each model in a check: the first seeds of the baseline."""
ALARM_RATE = 0.05
"""Probability that seeds drawn anew fail the gate, over all models and both statistics together."""

Predictions = NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """One statistic of one model, before and after; fractions."""

    base: float
    """Mean over the baseline's seeds."""
    head: float
    """Mean over the check's seeds."""
    tolerance: float
    """How far `head` may fall below `base`."""
    margin: float
    """How far it may rise above it without being news."""

    @property
    def fell(self) -> bool:
        """Whether it fell by more than the luck of the seeds."""
        return self.base - self.head > self.tolerance

    @property
    def rose(self) -> bool:
        """Whether it rose by more than that: no failure, but the baseline no longer says what the code does."""
        return self.head - self.base > self.margin


def compare(
    old: NDArray[np.float64], new: NDArray[np.float64], *, tests: int, images: int, correction: float = 1.0
) -> Comparison:
    """Fractions `old` float [S] against `new` float [m], one of `tests` tests, on the scale of log(1 − fraction).

    One image is added to what is missing. The standard deviation is at least that of one image: seeds that happen
    to agree to the last image do not prove that all seeds would. Raises ValueError below three old values.
    """
    from scipy.special import stdtrit

    n = len(old)
    if n < 3:
        raise ValueError("a tolerance needs at least three seeds")
    missing = 1 - old + 1 / images
    average = float(missing.mean())
    spread = max(float(np.log(missing).std(ddof=1)) * correction, 1 / (images * average))
    width = float(stdtrit(n - 1, 1 - ALARM_RATE / tests)) * spread * float(np.sqrt(1 / len(new) + 1 / n))
    return Comparison(
        base=float(old.mean()),
        head=float(new.mean()),
        tolerance=average * float(np.expm1(width)),
        margin=-average * float(np.expm1(-width)),
    )


def compare_accuracy(old: Predictions, new: Predictions, labels: Predictions, models: int) -> Comparison:
    """Accuracy of `old` int [S, images] against `new` int [m, images], one of `models` models of the check."""
    before, after = (old == labels).mean(axis=1), (new == labels).mean(axis=1)
    return compare(before, after, tests=2 * models, images=len(labels))


def compare_agreement(old: Predictions, new: Predictions, models: int) -> Comparison:
    """Agreement among `old` int [S, images] against that of `new` int [m, images], seeds 0 … m − 1, with `old`."""
    seeds, images = old.shape
    among = np.array([[float((a == b).mean()) for b in old] for a in old])
    of_seed = (among.sum(axis=1) - 1) / (seeds - 1)
    across = np.array([np.mean([(a == b).mean() for j, b in enumerate(old) if j != k]) for k, a in enumerate(new)])
    return compare(of_seed, across, tests=2 * models, images=images, correction=(seeds + 1) / (seeds - 2))


def identical(old: Predictions, new: Predictions) -> int:
    """How many of the new trainings predict exactly what the old one of the same seed does."""
    return sum(bool((a == b).all()) for a, b in zip(old, new, strict=False))
