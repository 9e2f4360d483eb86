"""Whether stored predictions are those of their record, and which test images they are for. Pure functions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records import RunRecord

PER_IMAGE = ("index", "label", "prediction")
"""Arrays of `predictions.npz` that say what a run answered, one value an image each."""
_ROUNDING = 1e-6


def right_answers(arrays: Mapping[str, NDArray[Any]], run: RunRecord) -> NDArray[np.bool_] | None:
    """Whether each test image is right, bool [images]; None where `arrays` lack a part or do not fit the record."""
    if run.test is None or not arrays.keys() >= set(PER_IMAGE):
        return None
    if {arrays[name].shape for name in PER_IMAGE} != {(run.test.n,)}:
        return None
    hits = np.asarray(arrays["prediction"] == arrays["label"])
    return None if abs(float(hits.mean()) - run.test.top1) > _ROUNDING else hits


def images_digest(index: NDArray[Any], label: NDArray[Any]) -> str:
    """What tells one set of test images from another: SHA-256 of which images with which labels, in which order."""
    digest = hashlib.sha256(np.ascontiguousarray(index, dtype=np.int64).tobytes())
    digest.update(np.ascontiguousarray(label, dtype=np.int64).tobytes())
    return digest.hexdigest()
