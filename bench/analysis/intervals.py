"""How sure an accuracy is: Wilson for one seed, a hierarchical bootstrap for several. Pure functions of arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""Coverage of every interval on a board."""
DRAWS = 1000
"""Bootstrap resamples, where single draws are kept: a share of them is known to 1.6 points."""
BOOTSTRAP_SEED = 20_240_607
"""Fixed, so that equal records give equal boards."""
_NODES = 4097
_CHUNK_VALUES = 4_000_000

Floats = NDArray[np.floating[Any]]
Resampled = NDArray[np.float32]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and test images with its uncertainty."""

    mean: float
    """The plain mean."""
    se: float
    """Its standard error."""
    df: float
    """Degrees of freedom of the standard error; few where the seeds, which are few, make most of it."""

    def interval(self) -> tuple[float, float]:
        """Mean ± Student's t quantile times the standard error, at `LEVEL`."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.df, (1 + LEVEL) / 2)) * self.se
        return self.mean - half, self.mean + half

    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the true mean is 0."""
        return float(p_values(np.array(self.mean), np.array(self.se), np.array(self.df)))


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Score interval of a proportion at `LEVEL` (Wilson 1927, JASA 22:209).

    It covers only which images the test set happens to hold, not the luck of training. Raises ValueError for
    no image at all.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is not a proportion")
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    p, denominator = successes / n, 1 + z * z / n
    middle = (p + z * z / (2 * n)) / denominator
    half = z / denominator * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def hierarchical(scores: NDArray[Any]) -> Estimate:
    """Mean over seeds and test images with the standard error of the hierarchical bootstrap.

    `scores` is bool or float [seeds, images]: whether each seed's run gets each image right, or the difference of
    two such. Raises ValueError below two seeds. See `combined` for the method.
    """
    seeds, images = scores.shape
    if seeds < 2:
        raise ValueError("one seed says nothing about the spread over seeds; use wilson()")
    values = scores.astype(np.float64)
    spare = max(images - 1, 1) * images
    by_image, by_seed = values.mean(axis=0), values.mean(axis=1)
    variance, df = combined(
        by_seeds=np.array(by_seed.var(ddof=1) / seeds),
        by_images=np.array(((by_image - by_image.mean()) ** 2).sum() / spare),
        single=np.array(((values - by_seed[:, None]) ** 2).sum() / (seeds * spare)),
        seeds=np.array(seeds),
        images=images,
    )
    return Estimate(mean=float(by_seed.mean()), se=math.sqrt(variance), df=float(df))


def combined(
    *, by_seeds: Floats, by_images: Floats, single: Floats, seeds: NDArray[Any], images: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variance of the hierarchical bootstrap and its degrees of freedom, elementwise for many means at once.

    All are arrays of one shape, variances of a mean over `seeds` seeds and `images` images: `by_seeds` from the
    spread of the seeds' own means; `by_images` from the spread over images of what the seeds have on average;
    `single` is the mean over seeds of the variance that one seed alone has over images.

    Seeds and images are drawn independently, since every seed sees the same images: the pigeonhole bootstrap (Owen
    2007, Ann. Appl. Stat. 1:386). Its variance over infinitely many draws has a closed form, so none is drawn here:
    by_images + (S − 1)/S · (by_seeds + neither), where `neither` is the luck that belongs to neither seeds nor images
    alone. It needs two corrections: drawing S of S seeds shows only (S − 1)/S of their variance, and `neither`, which
    is in by_seeds and in by_images too, is counted three times (Owen's factor of 3). What is left is unbiased:
    by_images − neither + by_seeds.

    The degrees of freedom returned are those at which t has the quantile of `weighted_quantiles`.
    """
    neither = np.maximum(single - by_images, 0.0) / (seeds - 1)
    return equivalent_df(np.maximum(by_images - neither, 0.0), by_seeds, seeds, images)


def equivalent_df(
    by_images: Floats, by_seeds: Floats, seeds: NDArray[Any], images: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of two variances, and the degrees of freedom at which t has the quantile of `weighted_quantiles`.

    Elementwise; `by_seeds` is known from `seeds` − 1 degrees of freedom.
    """
    total = by_images + by_seeds
    share = np.divide(by_seeds, total, out=np.zeros(total.shape), where=total > 0)
    inverse, quantiles = _quantile_nodes((1 + LEVEL) / 2)
    # The quantile grows with 1/df, so the nodes of the one are also those of the other.
    return np.asarray(total), np.asarray(1.0 / np.interp(weighted_quantiles(share, seeds, images), quantiles, inverse))


def weighted_quantiles(share: Floats, seeds: NDArray[Any], images: int) -> NDArray[np.float64]:
    """Standard errors on each side of an interval at `LEVEL`, where seeds make `share` of the variance; elementwise.

    From 1.96, where many images make all of it, to 4.30, where three seeds do. The variance has two parts, known from
    S − 1 and images − 1 degrees of freedom. Satterthwaite's (1946) for the sum let equal models of three seeds differ
    in up to 8 % of tests, since the seeds' part is sometimes small by luck, and then its few degrees do not count.
    Cochran & Cox (1957, Experimental Designs, 2nd ed.) weigh the two quantiles of t by the two variances. That is
    5.0 % at most, but under 3 % where the seeds' share r is small. Their weight, r, is therefore bent to
    r·(1 + (1 − r)/4 − 4·(1 − r)²/5), found by integrating over the estimates of the seeds' part: equal models of three
    seeds or more then differ in 3.4 to 5.0 % of tests whatever r is, those of two in up to 6.8 %.
    """
    upper = (1 + LEVEL) / 2
    few, many = t_quantiles(upper, seeds - 1.0), t_quantiles(upper, np.array(images - 1.0))
    weight = share * (1 + (1 - share) / 4 - 4 * (1 - share) ** 2 / 5)
    return np.asarray(many + (few - many) * weight)


def p_values(mean: Floats, se: Floats, df: Floats) -> NDArray[np.float64]:
    """Two-sided p-values, by Student's t, that true means are 0; a mean without any spread is certain."""
    from scipy.special import stdtr

    ratio = np.divide(np.abs(mean), se, out=np.where(mean == 0, 0.0, np.inf), where=se > 0)
    return np.asarray(2 * stdtr(df, -ratio))


def t_quantiles(probability: float, df: Floats) -> NDArray[np.float64]:
    """Student's t quantile at `probability` for many degrees of freedom ≥ 1, to seven digits.

    Linear in 1/df between 4,097 exact values, since an exact one for each of a million pairs takes seconds.
    """
    inverse, exact = _quantile_nodes(probability)
    return np.asarray(np.interp(1.0 / np.maximum(df, 1.0), inverse, exact))


@lru_cache(maxsize=8)
def _quantile_nodes(probability: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of 1/df from 0 to 1 and the t quantile at each."""
    from scipy.special import stdtrit

    inverse = np.linspace(0.0, 1.0, _NODES)
    exact = np.full(_NODES, NormalDist().inv_cdf(probability))
    exact[1:] = stdtrit(1.0 / inverse[1:], probability)
    return inverse, exact


def image_counts(images: int, draws: int = DRAWS) -> NDArray[np.uint8]:
    """How often each test image is in each resample, uint8 [draws, images]; every row sums to `images`."""
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    counts = np.empty((draws, images), dtype=np.uint8)
    for draw in range(draws):
        # 255 copies of one image do not occur: with 50,000 images and 1,000 draws the largest count is about 12.
        counts[draw] = np.bincount(rng.integers(0, images, images, dtype=np.int32), minlength=images)
    return counts


def resample_images(scores: NDArray[Any], counts: NDArray[np.uint8]) -> Resampled:
    """Mean score of every row under the same resamples of the test images, float32 [rows, draws].

    `scores` is bool or float [rows, images], the images in the same order for all; `counts` is `image_counts`.
    Every row sees the same draws, so that differences between rows are paired.
    """
    draws, images = counts.shape
    values = scores.astype(np.float32)
    result = np.empty((len(values), draws), dtype=np.float32)
    step = max(1, _CHUNK_VALUES // images)
    for start in range(0, draws, step):
        chunk = counts[start : start + step].astype(np.float32)
        result[:, start : start + step] = values @ chunk.T / np.float32(images)
    return result


def seed_weights(seeds: int, draws: int = DRAWS) -> NDArray[np.float64]:
    """How often each of `seeds` seeds is drawn in each resample, as fractions float64 [seeds, draws]."""
    rng = np.random.default_rng((BOOTSTRAP_SEED, seeds))
    return rng.multinomial(seeds, [1 / seeds] * seeds, size=draws).T / seeds


def seed_deviations(per_seed: Floats, draws: int = DRAWS) -> NDArray[np.float64]:
    """What drawing seeds anew adds to the mean of each row, float64 [rows, draws]; 0 for a single seed.

    `per_seed` is float [rows, seeds], the plain accuracy of each seed; all rows see the same draws. Scaled by
    √(S/(S − 1)), since S of S seeds show only (S − 1)/S of their variance. Added to means over seeds under resamples
    of the images it gives replicates with variance by_images + by_seeds: that of `combined`, with the luck that belongs
    to neither seeds nor images counted twice.
    """
    seeds = per_seed.shape[1]
    if seeds < 2:
        return np.zeros((len(per_seed), draws))
    return np.asarray(per_seed @ (seed_weights(seeds, draws) - 1 / seeds) * math.sqrt(seeds / (seeds - 1)))
