"""How sure an accuracy is: Wilson for one seed, a hierarchical bootstrap for several. Pure functions of arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""Coverage of every interval on a board."""
DRAWS = 1000
"""Bootstrap resamples: the standard error they give is itself known to about 2 %."""
BOOTSTRAP_SEED = 20_240_607
"""Fixed, so that equal records give equal boards."""
_CHUNK = 100

Correct = NDArray[np.bool_]
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
        if self.mean == 0:
            return 1.0
        if self.se == 0:
            return 0.0
        from scipy.special import stdtr

        return float(2 * stdtr(self.df, -abs(self.mean) / self.se))


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


def resample_images(correct: Correct, draws: int = DRAWS) -> Resampled:
    """Accuracy of every run under the same resamples of the test images.

    `correct` is bool [runs, images]: whether a run gets an image right, images in the same order for all. Gives
    float32 [runs, draws]. Every run sees the same draws, so that differences between runs are paired.
    """
    runs, images = correct.shape
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    values = correct.astype(np.float32)
    result = np.empty((runs, draws), dtype=np.float32)
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        counts = np.empty((size, images), dtype=np.float32)
        for k in range(size):
            drawn = rng.integers(0, images, images, dtype=np.int32)
            counts[k] = np.bincount(drawn, minlength=images)
        result[:, start : start + size] = values @ counts.T / images
    return result


def seed_weights(seeds: int, draws: int = DRAWS) -> NDArray[np.float64]:
    """How often each of `seeds` seeds is drawn in each resample, as fractions float64 [seeds, draws]."""
    rng = np.random.default_rng((BOOTSTRAP_SEED, seeds))
    return rng.multinomial(seeds, [1 / seeds] * seeds, size=draws).T / seeds


def hierarchical(per_seed: NDArray[np.float64], resampled: NDArray[np.floating], images: int) -> Estimate:
    """Mean over seeds and test images with the standard error of the hierarchical bootstrap.

    `per_seed` is float [seeds], the plain value of each seed; `resampled` is float [seeds, draws], the same under
    resamples of the images (a row of `resample_images`, or the difference of two). Seeds and images are drawn
    independently, since every seed sees the same images: the pigeonhole bootstrap (Owen 2007, Ann. Appl. Stat.
    1:386), with two corrections for few seeds. Drawing S of S seeds shows only (S − 1)/S of their variance s²/S, so
    s²/S² is added. And what belongs to neither seeds nor images alone is counted three times; once is taken off,
    since taking off both falls short of the nominal coverage at three seeds. Degrees of freedom follow Satterthwaite
    (1946): S − 1 for the seeds' part, images − 1 for the rest. Raises ValueError below two seeds.
    """
    seeds = len(per_seed)
    if seeds < 2:
        raise ValueError("one seed says nothing about the spread over seeds; use wilson()")
    replicates = (resampled * seed_weights(seeds, resampled.shape[1])).sum(axis=0)
    by_seeds = float(per_seed.var(ddof=1)) / seeds
    by_images = float(resampled.mean(axis=0).var(ddof=1))
    neither = max(float(resampled.var(axis=1, ddof=1).mean()) - by_images, 0.0) / (seeds - 1)
    total = float(replicates.var(ddof=1)) + by_seeds / seeds - neither
    total = max(total, by_seeds, by_images)
    rest = total - by_seeds
    spread = by_seeds**2 / (seeds - 1) + rest**2 / max(images - 1, 1)
    df = total**2 / spread if spread > 0 else float(seeds - 1)
    return Estimate(mean=float(per_seed.mean()), se=math.sqrt(total), df=df)
