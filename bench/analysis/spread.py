"""How much another seed changes an accuracy, and a difference, told by all rows of a board that have several seeds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.intervals import Estimate, equivalent_df

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class SeedSpread:
    """Variances over seeds at one train size, pooled over the rows: what a row of a single seed cannot tell itself."""

    accuracy: float
    """Of one seed's true accuracy: fractions, squared."""
    accuracy_df: float
    """Its degrees of freedom. All rows share the subsets of a seed, so they are those of the seeds alone."""
    difference: float
    """Of the true difference of two rows that share one seed."""
    difference_df: float
    """Its degrees of freedom."""

    def around(self, value: float, images: int) -> Estimate:
        """An accuracy measured with one seed on so many images, as an estimate of the accuracy over all seeds."""
        by_images = value * (1 - value) / max(images - 1, 1)
        variance, df = equivalent_df(
            np.array(by_images), np.array(self.accuracy), np.array(self.accuracy_df + 1), images
        )
        return Estimate(mean=value, se=float(np.sqrt(variance)), df=float(df))


def seed_spread(
    right: NDArray[np.integer[Any]], packed: NDArray[np.uint8], present: NDArray[np.bool_], images: int
) -> SeedSpread | None:
    """What the rows with several seeds tell of the luck of a single one; None where there is no such row.

    The arguments are those of `hits.Hits`, `right` being the images that each run gets right, [rows, seeds].

    Rows are taken to spread alike. What luck with the images adds to the spread of measured accuracies is taken off:
    half of the images that a row gets right with one seed and not with another. The difference of two rows has twice
    the variance that is left within rows once what a seed does to all of them is taken out too, by least squares (a
    two-way layout with empty cells); a single row cannot tell the two from each other, and nothing is taken out then.
    """
    several = present.sum(axis=1) > 1
    if not several.any():
        return None
    right, packed, present = right[several], packed[several], present[several]
    own, common, own_df, common_df = _layout(right / images, present)
    luck = _luck_of_images(right, packed, present, images)
    seeds_df = float((present.sum(axis=0) > 0).sum() - 1)
    accuracy = max(own / own_df - luck, 0.0)
    left_df = own_df - common_df
    if len(present) == 1 or left_df < 1:
        return SeedSpread(accuracy, seeds_df, 2 * accuracy, seeds_df)
    return SeedSpread(accuracy, seeds_df, 2 * max((own - common) / left_df - luck, 0.0), left_df)


def _layout(values: Floats, present: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Sums of squares within rows, in all and as far as seeds explain them, and the degrees of freedom of both."""
    there = present.astype(np.float64)
    runs = there.sum(axis=1, keepdims=True)
    means = (values * there).sum(axis=1, keepdims=True) / runs
    within = (values - means) * there
    by_seed = within.sum(axis=0)
    normal = np.diag(there.sum(axis=0)) - (there / runs).T @ there
    effects = np.linalg.pinv(normal, hermitian=True) @ by_seed
    rank = int(np.linalg.matrix_rank(normal, hermitian=True))
    return float((within**2).sum()), float(effects @ by_seed), float(there.sum() - len(there)), float(rank)


def _luck_of_images(
    right: NDArray[np.integer[Any]], packed: NDArray[np.uint8], present: NDArray[np.bool_], images: int
) -> float:
    """Variance of a run's measured accuracy, given its true one, that the row's other seeds do not share."""
    found, pairs = 0.0, 0
    for s, t in combinations(range(present.shape[1]), 2):
        both = present[:, s] & present[:, t]
        other = np.unpackbits(packed[both, s] ^ packed[both, t], axis=-1).sum(axis=-1) / images
        gap = (right[both, s] - right[both, t]) / images
        found += float((other - gap**2).sum()) / 2 / max(images - 1, 1)
        pairs += int(both.sum())
    return found / pairs
