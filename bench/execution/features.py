"""Features of a frozen model: made in one pass over the images, kept in the cache, found again by what made them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from bench.protocol import content_hash
from bench.store import StoreError
from bench.training.linear import extract, features_of, state_sha256

if TYPE_CHECKING:
    from torch import nn

    from bench.data.batches import ImageData

SPLITS = ("train", "test")
FORMAT = 1
"""Version of how features are made."""


@dataclass(frozen=True)
class Features:
    """What a frozen model sees of every image, read from disk as it is needed."""

    train: NDArray[np.float32]
    """[training images, features]."""
    test: NDArray[np.float32]
    """[test images, features]."""
    weights_sha256: str
    """SHA-256 of the frozen weights."""
    extract_s: float
    """Seconds of the pass that made them; 0 where they were there."""


def features(model: nn.Module, data: ImageData, *, what: str, cache_dir: Path) -> Features:
    """The features of both splits, from the cache or made now. `what` tells apart images of one dataset that differ.

    Raises StoreError where the cache cannot be written, AttributeError for a model without features of its own.
    """
    weights, begin = state_sha256(model), time.perf_counter()
    request = {
        "format": FORMAT,
        "weights": weights,
        "data": data.info.fingerprint,
        "px": data.img_size,
        "moments": data.moments,
        "what": what,
        "device": data.device.type,
    }
    folder = cache_dir / "features" / content_hash(request)
    files = {split: folder / f"{split}.npy" for split in SPLITS}
    made = not all(path.is_file() for path in files.values())
    if made:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for split, path in files.items():
                _make(model, data, split, path)
        except OSError as error:
            raise StoreError(f"features cannot be kept in {folder}: {error.strerror or error}.") from error
    arrays = {split: np.load(path, mmap_mode="r") for split, path in files.items()}
    return Features(
        **arrays, weights_sha256=weights, extract_s=time.perf_counter() - begin if made else 0.0
    )  # fmt: skip


def _make(model: nn.Module, data: ImageData, split: str, path: Path) -> None:
    """One pass over a split, batch by batch onto disk; the file is there only when it is whole."""
    import torch

    model.eval()
    with torch.inference_mode():
        images, _ = next(data.eval_batches(split, np.zeros(1, np.int64), 1))
        width = features_of(model, images).shape[1]
    part = path.with_name(f"{path.name}.{os.getpid()}")
    out = open_memmap(part, mode="w+", dtype=np.float32, shape=(len(data.labels(split)), width))
    try:
        extract(model, data, split, out)
        out.flush()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
