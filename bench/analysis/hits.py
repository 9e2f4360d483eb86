"""Which test images many runs get right, a bit per image, so that thousands of runs fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from bench.analysis.intervals import BOOTSTRAP_SEED, Resampled, resample_images, seed_deviations
from bench.analysis.spread import SeedSpread, seed_spread

_BLOCK_ROWS = 256
_CHUNK_IMAGES = 4096
"""A multiple of 8: images are packed eight to a byte."""


@dataclass(frozen=True, eq=False)
class Hits:
    """The runs of several rows at one train size."""

    names: tuple[str, ...]
    """Names of the rows."""
    seeds: tuple[int, ...]
    """Seeds that any of them has, ascending."""
    images: int
    """Test images."""
    packed: NDArray[np.uint8]
    """Whether each image is right, uint8 [rows, seeds, images / 8], as `numpy.packbits` packs them; 0 without a run."""
    present: NDArray[np.bool_]
    """Whether there is a run, bool [rows, seeds]; every row has one."""

    @cached_property
    def right(self) -> NDArray[np.int64]:
        """Images that each run gets right, int64 [rows, seeds]."""
        counts = [
            np.unpackbits(self.packed[:, k], axis=-1).sum(axis=-1, dtype=np.int64) for k in range(len(self.seeds))
        ]
        return np.stack(counts, axis=1)

    @cached_property
    def spread(self) -> SeedSpread | None:
        """The luck of a seed, as the rows with several tell it; None without any."""
        return seed_spread(self.right, self.packed, self.present, self.images)

    def together(self, first: int, second: int) -> NDArray[np.float32]:
        """Images that both of two rows get right, one with each of two seeds: whole numbers, float32 [rows, rows].

        The seeds are given by position. float32 holds whole numbers up to 2²⁴ exactly, more than there are images.
        """
        rows = len(self.names)
        found = np.zeros((rows, rows), dtype=np.float32)
        for start in range(0, self.images, _CHUNK_IMAGES):
            chunk = slice(start // 8, (start + _CHUNK_IMAGES) // 8)
            one = _unpacked(self.packed[:, first, chunk])
            # The same array twice lets numpy compute only half of the symmetric product.
            other = one if second == first else _unpacked(self.packed[:, second, chunk])
            found += one @ other.T
        return found

    def replicates(self, counts: NDArray[np.uint8]) -> Resampled:
        """Accuracy of every row in each bootstrap draw, seeds and images drawn jointly for all, float32 [rows, draws].

        `counts` is `image_counts`. Rows with the same number of seeds see the same draws of them; a single seed has the
        spread of the other rows, and where none has several it shows test-set uncertainty only.
        """
        draws = counts.shape[0]
        found = np.empty((len(self.names), draws), dtype=np.float32)
        for start in range(0, len(self.names), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            found[block] = resample_images(self._scores(block), counts)
        seeds_of = self.present.sum(axis=1)
        for seeds in np.unique(seeds_of):
            rows = np.flatnonzero(seeds_of == seeds)
            per_seed = self.right[rows][self.present[rows]].reshape(len(rows), seeds) / self.images
            if seeds == 1 and self.spread is not None:
                found[rows] += self._luck(rows, draws, self.spread)
            else:
                found[rows] += seed_deviations(per_seed, draws).astype(np.float32)
        return np.clip(found, 0.0, 1.0, out=found)

    def _luck(self, rows: NDArray[np.intp], draws: int, spread: SeedSpread) -> NDArray[np.float32]:
        """What drawing a seed anew adds to rows that have one, float32 [rows, draws].

        A row has the same luck in every order of the rows and at every train size.
        """
        streams = [np.random.default_rng((BOOTSTRAP_SEED, crc32(self.names[row].encode()))) for row in rows]
        drawn = np.stack([stream.standard_normal(draws) for stream in streams])
        return np.asarray(np.sqrt(spread.accuracy) * drawn, dtype=np.float32)

    def _scores(self, block: slice) -> NDArray[np.float32]:
        """Mean over each row's seeds of whether an image is right, float32 [rows, images]."""
        seeds = self.present[block].sum(axis=1, dtype=np.float32)
        total = sum(_unpacked(self.packed[block, k], self.images) for k in range(len(self.seeds)))
        return np.asarray(total / seeds[:, None], dtype=np.float32)


def _unpacked(packed: NDArray[Any], images: int | None = None) -> NDArray[np.float32]:
    return np.unpackbits(packed, axis=-1, count=images).astype(np.float32)
