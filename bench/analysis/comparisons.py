"""Whether models can be told apart, always paired: the same seeds, the same test images. Pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.hits import Hits
from bench.analysis.intervals import LEVEL, combined, equivalent_df, p_values, t_quantiles
from bench.analysis.spread import SeedSpread

ALPHA = 0.05
"""Error rate of a test, and of all tests together where they are adjusted (Holm)."""
POWER = 0.8
"""How often the smallest detectable difference would be found."""
SMALLEST_DIFFERENCE = 0.005
"""Differences below half a point of accuracy count as ties even where they are certain."""
_ROUNDING = 1e-9
_UPPER = (1 + LEVEL) / 2

Numbers = NDArray[np.float64]
Counts = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Compared:
    """Every unordered pair of rows, in the order of `numpy.triu_indices(rows, 1)`; NaN without a common seed."""

    difference: Numbers
    """Accuracy of the first minus the second on common seeds and images, fractions."""
    low: Numbers
    """Lower ends of the 95 % intervals."""
    high: Numbers
    """Upper ends."""
    p: Numbers
    """Two-sided p-values of no difference."""
    detectable: Numbers
    """Smallest true differences that would have been found 80 % of the time at 5 %."""
    seeds: NDArray[np.int16]
    """Common seeds."""
    pooled: bool
    """Whether there are pairs with one common seed and they have the spread over seeds of the other rows."""


def mcnemar(only_first: Counts, only_second: Counts) -> Numbers:
    """Exact two-sided p-values that two classifiers are right equally often (McNemar 1947, Psychometrika 12:153).

    Elementwise, of the numbers of images that only one of the two gets right. Under the hypothesis each such image is
    either's with probability 1/2: a binomial test, the same as `scipy.stats.binomtest`.
    """
    from scipy.special import betainc

    fewer, n = np.minimum(only_first, only_second).astype(np.int64), (only_first + only_second).astype(np.int64)
    # A million pairs hold far fewer distinct (n, fewer), and the tail is what takes time.
    base = int(n.max(initial=0)) + 1
    codes, where = np.unique((n * base + fewer).ravel(), return_inverse=True)
    n, fewer = codes // base, codes % base
    tail = betainc(np.maximum(n - fewer, 1), fewer + 1, 0.5)
    found = np.where(2 * fewer == n, 1.0, np.minimum(1.0, 2 * tail))
    return np.asarray(found[where].reshape(np.shape(only_first)))


def one_seed_interval(only_first: Counts, only_second: Counts, images: int, p: Numbers) -> tuple[Numbers, Numbers]:
    """95 % intervals of the differences between two paired proportions, elementwise; test-set uncertainty only.

    Wald's with one image added to either side (Bonett & Price 2012, J. Educ. Behav. Stat. 37:479), which holds its
    level where the plain one does not. Where the exact test does not reject (`p`), the interval is extended to 0, so
    that it leaves 0 out if and only if the test rejects; an interval and a test of different kinds may disagree
    (Fay & Lumbard 2021, Stat. Med. 40:1147).
    """
    n = images + 2
    first, second = (only_first + 1) / n, (only_second + 1) / n
    middle = first - second
    half = NormalDist().inv_cdf(_UPPER) * np.sqrt((first + second - middle**2) / n)
    low, high = np.maximum(middle - half, -1.0), np.minimum(middle + half, 1.0)
    accepted = p >= ALPHA
    return np.where(accepted, np.minimum(low, 0.0), low), np.where(accepted, np.maximum(high, 0.0), high)


def one_seed_detectable(discordant: Counts, images: int) -> Numbers:
    """Smallest differences that McNemar's test finds with `POWER`, elementwise, from images only one gets right.

    Connor (1987, Biometrics 43:207) solved for the difference, ψ being the share of such images:
    √n·δ = z·√ψ + z′·√(ψ − δ²); one image more, since the exact test takes whole steps. ψ is estimated with one image
    added to either side, as in `one_seed_interval`.
    """
    z, power = NormalDist().inv_cdf(_UPPER), NormalDist().inv_cdf(POWER)
    root = np.sqrt(max(images - z**2 + power**2, 0.0))
    share = (discordant + 2) / (images + 2)
    return np.asarray(np.sqrt(share) * (z * np.sqrt(images) + power * root) / (images + power**2) + 1 / images)


def holm(p: NDArray[Any]) -> Numbers:
    """p-values [..., tests] adjusted for being several, in place (Holm 1979, Scand. J. Stat. 6:65); NaN is no test."""
    order = np.argsort(p, axis=-1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=-1).astype(np.float64)
    tests = (~np.isnan(ranked)).sum(axis=-1, keepdims=True)
    ranked *= tests - np.arange(p.shape[-1])
    # NaN sorts last, so it spreads to nothing before it.
    adjusted = np.minimum(np.maximum.accumulate(ranked, axis=-1), 1.0)
    found = np.empty_like(adjusted)
    np.put_along_axis(found, order, adjusted, axis=-1)
    return found


def told_apart(difference: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.bool_]:
    """Which differences count: their interval leaves 0 out, and they are not under half a point."""
    beyond = (low > 0) | (high < 0)
    return np.asarray(beyond & (np.abs(difference) > SMALLEST_DIFFERENCE - _ROUNDING))


def compare(hits: Hits) -> Compared:
    """All pairs of rows at once, on the seeds and images that both have.

    On several common seeds the mean difference with the standard error and Student's t of `intervals.combined`, as
    `intervals.hierarchical` gives it for the pair alone. On one, where other rows have several, their spread over
    seeds stands for that of the pair; where none has, the exact McNemar test, which knows of the test set's luck only.
    """
    sums = _sums(hits)
    pairs, n = len(sums.seeds), hits.images
    difference, low, high, p, detectable = (np.full(pairs, np.nan) for _ in range(5))
    several, one = sums.seeds > 1, sums.seeds == 1
    spread = hits.spread if one.any() else None
    by_t = [(several, _bootstrapped(sums.of(several), n))]
    if spread is not None:
        by_t.append((one, _pooled(sums.of(one), n, spread)))
    for there, (mean, se, df) in by_t:
        half = t_quantiles(_UPPER, df)
        difference[there], low[there], high[there] = mean, mean - half * se, mean + half * se
        p[there] = p_values(mean, se, df)
        detectable[there] = (half + t_quantiles(POWER, df)) * se
    if one.any() and spread is None:
        gap, discordant = sums.gap[one], sums.discordant[one]
        only_first, only_second = (discordant + gap) // 2, (discordant - gap) // 2
        difference[one], p[one] = gap / n, mcnemar(only_first, only_second)
        low[one], high[one] = one_seed_interval(only_first, only_second, n, p[one])
        detectable[one] = one_seed_detectable(discordant, n)
    return Compared(difference, low, high, p, detectable, sums.seeds.astype(np.int16), spread is not None)


@dataclass(frozen=True, eq=False)
class _Sums:
    """What the comparison of a pair needs to know of its images, int64 [pairs]; d is one's hit minus the other's.

    Whole numbers, so that nothing is lost where two rows are nearly the same.
    """

    seeds: Counts
    """Common seeds."""
    gap: Counts
    """Σ d over images and seeds."""
    squared_gaps: Counts
    """Σ over seeds of the square of Σ d over images."""
    discordant: Counts
    """Σ d² over images and seeds."""
    by_image: Counts
    """Σ over images of the square of Σ d over seeds."""

    def of(self, chosen: NDArray[np.bool_]) -> _Sums:
        """The same of some pairs."""
        return _Sums(
            self.seeds[chosen],
            self.gap[chosen],
            self.squared_gaps[chosen],
            self.discordant[chosen],
            self.by_image[chosen],
        )


def _sums(hits: Hits) -> _Sums:
    """The sums of all pairs: squares of differences follow from how many images two runs both get right."""
    first, second = np.triu_indices(len(hits.names), 1)
    seeds, gap, squared, discordant, crossed = (np.zeros(len(first), dtype=np.int64) for _ in range(5))
    for s in range(len(hits.seeds)):
        both = hits.present[first, s] & hits.present[second, s]
        difference = (hits.right[first, s] - hits.right[second, s]) * both
        seeds += both
        gap += difference
        squared += difference**2
        for t in range(s + 1):
            shared = both & hits.present[first, t] & hits.present[second, t]
            together = hits.together(s, t)
            own = together.diagonal().astype(np.int64)
            product = own[first] + own[second]
            product -= together[first, second].astype(np.int64)
            product -= together[second, first].astype(np.int64)
            if t == s:
                discordant += product * shared
            else:
                crossed += product * shared
    return _Sums(seeds, gap, squared, discordant, discordant + 2 * crossed)


def _pooled(sums: _Sums, images: int, spread: SeedSpread) -> tuple[Numbers, Numbers, Numbers]:
    """Difference, standard error and degrees of freedom of pairs with one common seed, by the spread of other rows."""
    mean = sums.gap / images
    by_seeds, seeds = np.full(len(mean), spread.difference), np.full(len(mean), spread.difference_df + 1)
    variance, df = equivalent_df(_single(sums, images), by_seeds, seeds, images)
    return mean, np.sqrt(variance), df


def _bootstrapped(sums: _Sums, images: int) -> tuple[Numbers, Numbers, Numbers]:
    """Mean difference, standard error and degrees of freedom of pairs with at least two common seeds."""
    seeds = sums.seeds.astype(np.float64)
    spare = max(images - 1, 1) * images
    mean = sums.gap / (seeds * images)
    by_seeds = np.maximum(sums.squared_gaps - sums.gap**2 / seeds, 0.0) / (seeds * (seeds - 1) * images**2)
    by_images = np.maximum(sums.by_image / seeds**2 - images * mean**2, 0.0) / spare
    single = _single(sums, images)
    variance, df = combined(by_seeds=by_seeds, by_images=by_images, single=single, seeds=seeds, images=images)
    return mean, np.sqrt(variance), df


def _single(sums: _Sums, images: int) -> Numbers:
    """Mean over seeds of the variance that the difference of one seed alone has over images."""
    spare = max(images - 1, 1) * images
    return np.asarray(np.maximum(sums.discordant - sums.squared_gaps / images, 0.0) / (sums.seeds * spare))
