"""Bootstrap replicates of a few seeds: what part the seeds have in them, and how far they must be stretched for it."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.intervals import LEVEL, seed_weights, weighted_quantiles

Floats = NDArray[np.floating[Any]]
_LEAST_SHARE = 1e-3
_MANY = 10**6
_NORMAL = NormalDist().inv_cdf((1 + LEVEL) / 2)


def seeds_share(replicates: Floats, seeds: int) -> NDArray[np.float64]:
    """The part of the replicates' variance that comes from which seeds were drawn, float64 [...].

    `replicates` is float [..., draws], drawn with `intervals.seed_weights(seeds, draws)`. It is the share that a
    linear regression on those weights explains; the rest comes from the test images. 0 for a single seed.
    """
    draws = replicates.shape[-1]
    if seeds < 2 or draws <= seeds:
        return np.zeros(replicates.shape[:-1])
    centred = replicates - replicates.mean(axis=-1, keepdims=True)
    total = np.einsum("...d,...d->...", centred, centred)
    explained = ((centred @ _seed_basis(seeds, draws).astype(centred.dtype)) ** 2).sum(axis=-1)
    return np.asarray(np.divide(explained, total, out=np.zeros_like(total), where=total > 0).clip(0, 1), dtype=float)


def student_quantile(replicates: Floats, seeds: int) -> NDArray[np.float64]:
    """Standard errors on each side of a 95 % interval, float64 [...]: 1.96 or more, up to 4.3 for three seeds.

    The weighted quantile of `intervals.weighted_quantiles`, with what the seeds add to the variance as their share and
    the images taken to be many.
    """
    if seeds < 2:
        return np.full(replicates.shape[:-1], _NORMAL)
    share = seeds_share(replicates, seeds).clip(_LEAST_SHARE)
    return weighted_quantiles(share, np.array(seeds), _MANY)


def stretched(values: Floats, replicates: Floats, seeds: int) -> Floats:
    """Replicates moved away from their value until their percentiles are as wide as Student's t asks for few seeds.

    `values` is float [...], `replicates` float [..., draws]; the result is like `replicates`. Percentiles of a plain
    bootstrap of three seeds would cover the truth in about 80 % where seeds make most of the noise.
    """
    factor = (student_quantile(replicates, seeds) / _NORMAL)[..., None].astype(replicates.dtype)
    centre = values[..., None].astype(replicates.dtype)
    return np.asarray(centre + factor * (replicates - centre))


def ends(sample: Floats) -> tuple[Floats, Floats]:
    """The order statistics that enclose the middle 95 % of the last axis; infinite values are kept as such."""
    draws = sample.shape[-1]
    low = int((1 - LEVEL) / 2 * (draws - 1))
    ordered = np.partition(sample, (low, draws - 1 - low), axis=-1)
    return ordered[..., low], ordered[..., draws - 1 - low]


@lru_cache(maxsize=16)
def _seed_basis(seeds: int, draws: int) -> NDArray[np.float32]:
    """An orthonormal basis of what the drawn seeds alone can explain, float32 [draws, at most seeds − 1]."""
    weights = seed_weights(seeds, draws)
    left, sizes, _ = np.linalg.svd((weights - weights.mean(axis=1, keepdims=True)).T, full_matrices=False)
    return np.asarray(left[:, sizes > 1e-9 * sizes[0]], dtype=np.float32)
