"""The 8×8 digits that scikit-learn ships: 1,797 images that need no download (Alpaydin & Kaynak 1998)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.examples import Example, Source, Split
from bench.data.splits import stratified_holdout

TEST_FRACTION = 0.2
TEST_SEED = 0


def digits_identity() -> str:
    """SHA-256 of the packaged file, found without importing scikit-learn."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        return "unknown"
    packaged = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    return hashlib.sha256(packaged.read_bytes()).hexdigest() if packaged.is_file() else "unknown"


def open_digits() -> Source:
    """The digits, values 0..16 scaled to 0..255, with a fixed stratified fifth as the test split."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    rest, held_out = stratified_holdout(labels, TEST_FRACTION, TEST_SEED)
    whole = Split(labels, partial(_walk, pixels))
    return Source(
        name="digits",
        classes=[str(c) for c in bunch.target_names],
        train=whole.only(rest),
        test=whole.only(held_out),
        flip=False,
    )


def _walk(pixels: NDArray[Any]) -> Iterator[Example]:
    from PIL import Image

    for i, array in enumerate(pixels):
        yield Example(f"digits[{i}]", partial(Image.fromarray, array))
