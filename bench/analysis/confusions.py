"""Which classes a model takes for which: confusion counts over seeds, the worst pairs, recall per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.rows import Row

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Confused:
    """One ordered pair of classes."""

    true: int
    """Position of the true class."""
    predicted: int
    """Position of the class named instead."""
    count: int
    """Test images, summed over seeds."""
    share: float
    """Part of the true class's images."""


def pooled_confusion(row: Row) -> Counts | None:
    """Counts int64 [true, predicted] at the row's largest train size, summed over seeds; None without a result."""
    if not row.points:
        return None
    tests = [run.test for run in row.of_size(row.points[-1].size) if run.test is not None]
    total = np.asarray(tests[0].confusion, dtype=np.int64)
    for test in tests[1:]:
        total = total + np.asarray(test.confusion, dtype=np.int64)
    return total


def by_true_class(counts: Counts) -> NDArray[np.float64]:
    """Counts as fractions of their row, float64; NaN in the rows of classes without images."""
    totals = counts.sum(axis=1, keepdims=True).astype(np.float64)
    totals[totals == 0] = np.nan
    return np.asarray(counts / totals)


def most_confused(counts: Counts, most: int) -> list[Confused]:
    """The `most` pairs that take the largest part of their true class, largest first; ties by count, then order."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    true, predicted = np.nonzero(wrong)
    count = wrong[true, predicted]
    share = count / counts.sum(axis=1)[true]
    order = np.lexsort((predicted, true, -count, -share))[:most]
    return [Confused(int(true[k]), int(predicted[k]), int(count[k]), float(share[k])) for k in order]
