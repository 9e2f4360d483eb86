"""Learning curves of a board's rows with joint bootstrap replicates, so that whatever is computed of two is paired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Curve:
    """Accuracy of one row against training images."""

    name: str
    """Name of the row."""
    sizes: NDArray[np.int64]
    """Train sizes with a result, ascending, int64 [sizes]."""
    values: NDArray[np.float64]
    """Accuracy at each, a fraction, mean over seeds, float64 [sizes]."""
    replicates: NDArray[np.float32] | None
    """The same in each bootstrap draw, float32 [sizes, draws]: draw d is the same seeds and test images for all
    curves of a board and all sizes. A single seed has the spread of the rows with several, or shows
    test-set uncertainty only where there is none. None without predictions."""
    seeds: int
    """Seeds that all its sizes have in common."""
