"""From encoded images to square uint8 arrays, in threads (PIL and hashlib let go of the interpreter's lock)."""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.data.examples import Example, Slice, Split

if TYPE_CHECKING:
    from PIL.Image import Image

    from bench.data.examples import Encoded

    Pixels = NDArray[np.uint8]

CHUNK = 128
PROBE = 32
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})


@dataclass(frozen=True)
class Layout:
    """What decoded images look like: [px, px, channels]."""

    px: int
    channels: int
    native: bool
    """Whether `px` is every image's own size, so that nothing is resized."""


class LayoutBroken(Exception):
    """An image does not fit the layout that the images before it fitted; `layout` fits both."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(f"needs {layout}")
        self.layout = layout


@dataclass
class Chunk:
    """Some decoded images, in order, and what is known about each."""

    rows: list[int] = field(default_factory=list)
    """Positions in the split of the images that decoded."""
    pixels: Pixels = field(default_factory=lambda: np.empty(0, dtype=np.uint8))
    """uint8 [images, px, px, channels]."""
    digests: list[bytes] = field(default_factory=list)
    """SHA-256 of each image's pixels."""
    sums: NDArray[np.int64] | int = 0
    """Sum of the pixels of each channel."""
    sums_of_squares: NDArray[np.int64] | int = 0
    """Sum of their squares, likewise."""
    encoded: list[Encoded] = field(default_factory=list)
    """What was decoded, for those who store that."""
    sizes: set[tuple[int, int]] = field(default_factory=set)
    """Widths and heights before resizing."""
    formats: set[str | None] = field(default_factory=set)
    """File formats, by PIL's names; None for images that were never files."""
    corrupt: list[str] = field(default_factory=list)
    """Names of images that did not decode."""


def probe_layout(split: Split, img_size: int) -> Layout:
    """A first guess from a few images: one square size up to `img_size` is kept, everything else is resized."""
    chunk = Chunk()
    grey = True
    for example in islice(split.walk(), PROBE):
        try:
            image = _open(example.read())
        except Exception:
            continue
        chunk.sizes.add(image.size)
        grey = grey and image.mode in _GREY_MODES
    side = square_side(chunk.sizes)
    native = side is not None and side <= img_size
    return Layout(side if native and side else img_size, 1 if grey else 3, native)


def square_side(sizes: set[tuple[int, int]]) -> int | None:
    """The side of all images where all are squares of one size, else None."""
    if len(sizes) != 1:
        return None
    width, height = next(iter(sizes))
    return width if width == height else None


def decode_split(split: Split, layout: Layout, img_size: int) -> Iterator[Chunk]:
    """All images of a split, in order, a chunk at a time; those that do not decode are named and left out.

    Raises LayoutBroken where an image does not fit `layout`.
    """
    threads = min(32, usable_cpus())
    examples = enumerate(split.walk())
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Chunk]] = deque()
        try:
            while batch := list(islice(examples, CHUNK)):
                waiting.append(pool.submit(_decode_chunk, batch, layout, img_size))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def usable_cpus() -> int:
    """Processors that this process may run on, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def to_square(image: Image, layout: Layout) -> Pixels:
    """uint8 [px, px, channels]: the central square, resized with antialiasing (bicubic) unless it has that size."""
    from PIL import Image as pil

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        image = pil.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("L" if layout.channels == 1 else "RGB")
    width, height = image.size
    if width != height:  # cropped first: PIL's box argument would let pixels beyond the border bleed in
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.size != (layout.px, layout.px):
        image = image.resize((layout.px, layout.px), pil.Resampling.BICUBIC)
    return np.asarray(image).reshape(layout.px, layout.px, layout.channels)


def read_square(encoded: Encoded, layout: Layout) -> Pixels:
    """Open, decode and bring to `layout` in one go. Raises what PIL raises for a corrupt image."""
    return to_square(_open(encoded), layout)


def difference_hashes(pixels: Pixels) -> NDArray[np.uint64]:
    """64-bit difference hash of each image in uint8 [n, s, s, c] (dHash, N. Krawetz 2013).

    Luma is averaged over 8×9 cells; each bit says whether a cell is darker than its right neighbour. All in
    whole numbers (float64 holds them exactly), so equal images have equal hashes whatever their batch.
    """
    luma = np.array([299.0, 587.0, 114.0]) if pixels.shape[-1] == 3 else np.array([1.0])
    side, channels = pixels.shape[1], pixels.shape[-1]
    bands = np.stack([_bands(image.reshape(side, -1)) for image in pixels]).astype(np.float64)
    cells = (bands.reshape(-1, 8, side, channels) @ luma) @ _overlaps(9, side).T
    bits = cells[:, :, :-1] < cells[:, :, 1:]
    return np.packbits(bits.reshape(len(pixels), 64), axis=1).view(np.uint64).ravel()


def _bands(rows: Pixels) -> NDArray[np.uint32]:
    """uint32 [8, columns]: the sum of the rows in each eighth of an image, in units of an eighth of a row.

    Added up and not multiplied as matrices: the library for that keeps processors busy that decode.
    """
    weights = _overlaps(8, len(rows))
    bands = []
    for weight in weights:
        within = np.flatnonzero(weight)
        first, last = int(within[0]), int(within[-1])
        band = rows[first : last + 1].sum(0, dtype=np.uint32) * np.uint32(8)
        for end in {first, last}:
            band -= rows[end] * np.uint32(8 - weight[end])
        bands.append(band)
    return np.stack(bands)


@cache
def _overlaps(cells: int, side: int) -> NDArray[np.float64]:
    """[cells, side]: how much of each pixel lies in each of `cells` equal parts, in units of 1/cells of a pixel."""
    low, pixel = np.arange(cells)[:, None] * side, np.arange(side)[None] * cells
    overlap = np.minimum(low + side, pixel + cells) - np.maximum(low, pixel)
    whole: NDArray[np.float64] = np.maximum(overlap, 0).astype(np.float64)
    return whole


def _decode_chunk(batch: Sequence[tuple[int, Example]], layout: Layout, img_size: int) -> Chunk:
    chunk = Chunk()
    arrays = []
    for row, example in batch:
        try:
            encoded = example.read()
            image = _open(encoded)
            _check_fits(image, layout, img_size)
            pixels = to_square(image, layout)
        except (LayoutBroken, MemoryError):
            raise
        except Exception:  # PIL's decoders raise almost anything for a broken file
            chunk.corrupt.append(example.name)
            continue
        arrays.append(pixels)
        chunk.rows.append(row)
        total, of_squares = _sums(pixels)
        chunk.sums, chunk.sums_of_squares = chunk.sums + total, chunk.sums_of_squares + of_squares
        chunk.digests.append(hashlib.sha256(pixels.tobytes()).digest())
        chunk.encoded.append(encoded)
        chunk.sizes.add(image.size)
        chunk.formats.add(image.format)
    if arrays:
        chunk.pixels = np.stack(arrays)
    return chunk


def _sums(pixels: Pixels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sum and sum of squares of each channel in uint8 [px, px, channels]; down the columns first, which is quick."""
    px, _, channels = pixels.shape
    rows = pixels.reshape(px, -1)
    columns = rows.sum(0, dtype=np.uint32), np.square(rows, dtype=np.uint16).sum(0, dtype=np.uint32)
    total, of_squares = (column.reshape(px, channels).sum(0, dtype=np.int64) for column in columns)
    return total, of_squares


def _check_fits(image: Image, layout: Layout, img_size: int) -> None:
    colour = layout.channels == 1 and image.mode not in _GREY_MODES
    resized = layout.native and image.size != (layout.px, layout.px)
    if not (colour or resized):
        return
    image.load()
    raise LayoutBroken(
        Layout(
            px=img_size if resized else layout.px,
            channels=3 if colour else layout.channels,
            native=layout.native and not resized,
        )
    )


def _open(encoded: Encoded) -> Any:
    from PIL import Image as pil

    if isinstance(encoded, bytes):
        return pil.open(io.BytesIO(encoded))
    if isinstance(encoded, Path):
        return pil.open(io.BytesIO(encoded.read_bytes()))
    if isinstance(encoded, Slice):
        return pil.open(io.BytesIO(encoded.read()))
    return encoded
