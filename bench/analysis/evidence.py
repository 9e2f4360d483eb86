"""Which test image each run of a board gets right, for all runs that saw the same test images in the same order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.analysis.hits import Hits
from bench.analysis.intervals import image_counts
from bench.analysis.predictions import PER_IMAGE, images_digest, right_answers
from bench.analysis.rows import Row
from bench.records import RunRecord
from bench.store import Records


class Evidence:
    """The predictions of a board's runs at all train sizes, reduced to a bit per image."""

    def __init__(self, records: Records, rows: Sequence[Row]) -> None:
        self._packed: dict[str, NDArray[np.uint8]] = {}
        self.misaligned: set[str] = set()
        self.images = 0
        self._digests: dict[tuple[int, int], str] = {}
        images: dict[str, tuple[str, int]] = {}
        for row in rows:
            for run in row.runs:
                self._load(records, run, images)
        if images:
            shared = Counter(images.values()).most_common(1)[0][0]
            self.images = shared[1]
            self.misaligned = {run for run, found in images.items() if found != shared}
            self._packed = {run: hits for run, hits in self._packed.items() if run not in self.misaligned}

    def _load(self, records: Records, run: RunRecord, images: dict[str, tuple[str, int]]) -> None:
        """Keep a run's hits and the digest of its images, if there are predictions and they are those of its record."""
        try:
            arrays = records.predictions(run.id, PER_IMAGE)
        except KeyError:
            return
        hits = right_answers(arrays, run)
        if hits is None:
            return
        images[run.id] = self._digest(arrays["index"], arrays["label"]), len(hits)
        self._packed[run.id] = np.packbits(hits)

    def _digest(self, index: NDArray[np.generic], label: NDArray[np.generic]) -> str:
        """`images_digest`; arrays that the records share are looked at once."""
        key = id(index), id(label)
        if key not in self._digests or index.flags.writeable or label.flags.writeable:
            self._digests[key] = images_digest(index, label)
        return self._digests[key]

    @cached_property
    def counts(self) -> NDArray[np.uint8]:
        """How often each test image is in each bootstrap draw, the same for all rows and train sizes."""
        return image_counts(self.images)

    def usable(self, runs: Sequence[RunRecord]) -> dict[int, str]:
        """Run id by seed, of the runs that can be compared, by ascending seed."""
        return {run.cell.seed: run.id for run in sorted(runs, key=lambda r: r.cell.seed) if run.id in self._packed}

    def correct(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each of some runs gets each image right, bool [runs, images]."""
        packed = np.stack([self._packed[run] for run in ids])
        return np.unpackbits(packed, axis=-1, count=self.images).astype(np.bool_)

    def at(self, size: int, rows: Sequence[Row]) -> Hits | None:
        """The hits at one train size of those rows that can be compared there, in their order; None for none."""
        found = {row.name: ids for row in rows if (ids := self.usable(row.of_size(size)))}
        if not found:
            return None
        seeds = tuple(sorted({seed for ids in found.values() for seed in ids}))
        packed = np.zeros((len(found), len(seeds), (self.images + 7) // 8), dtype=np.uint8)
        present = np.zeros((len(found), len(seeds)), dtype=np.bool_)
        for k, ids in enumerate(found.values()):
            for j, seed in enumerate(seeds):
                if seed in ids:
                    packed[k, j], present[k, j] = self._packed[ids[seed]], True
        return Hits(tuple(found), seeds, self.images, packed, present)
