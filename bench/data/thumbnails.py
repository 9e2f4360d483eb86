"""Small copies of single test images of a prepared dataset, read from the cache without torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.data.cache import content_folder
from bench.data.info import DataInfo
from bench.data.stream import Stream

if TYPE_CHECKING:
    from bench.data.decode import Pixels

MOST_PX = 64
"""Side of the largest thumbnail in pixels."""


def thumbnails(info: DataInfo, cache_dir: Path, indices: Sequence[int], most_px: int = MOST_PX) -> dict[int, Pixels]:
    """uint8 [px, px, channels] of some test images, all of one shape, by index.

    Images larger than `most_px` are made smaller, others stay as they are. No split is loaded as a whole. An image that
    is not in the split, or whose file has gone or changed since it was prepared, is left out. Raises UsageError where
    the prepared images are gone, OSError or ValueError where what was prepared is damaged.
    """
    folder = content_folder(info, cache_dir)
    if info.cached_px is None:
        found = _streamed(Stream(folder, "test"), indices)
    else:
        found = _resident(np.load(folder / "test_images.npy", mmap_mode="r"), indices)
    return {index: _at_most(pixels, most_px) for index, pixels in found}


def _resident(images: Pixels, indices: Sequence[int]) -> Iterator[tuple[int, Pixels]]:
    for index in indices:
        if 0 <= index < len(images):
            yield index, np.array(images[index])


def _streamed(stream: Stream, indices: Sequence[int]) -> Iterator[tuple[int, Pixels]]:
    for index in indices:
        if not 0 <= index < len(stream):
            continue
        try:
            yield index, stream[index]
        except Exception:  # PIL's decoders raise almost anything for a broken file
            continue


def _at_most(pixels: Pixels, most_px: int) -> Pixels:
    """The image, made smaller where its side is above `most_px`."""
    side, _, channels = pixels.shape
    if side <= most_px:
        return pixels
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    smaller = np.asarray(image.resize((most_px, most_px), Image.Resampling.BICUBIC))
    return smaller.reshape(most_px, most_px, channels)
