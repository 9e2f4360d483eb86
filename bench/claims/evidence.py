"""What a rule may look at: predictions of trained arms, records of probes, and the boards of the output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.predictions import PER_IMAGE, right_answers
from bench.claims.claim import Arm, Look, Missing
from bench.data.info import DataInfo
from bench.protocol import Protocol
from bench.records import CellSpec, ProbeRecord, RunRecord
from bench.store import Records, cell_id


@dataclass(frozen=True)
class Seen:
    """What an arm's runs answered at one train size."""

    size: int
    """Training images."""
    seeds: tuple[int, ...]
    """Seeds, ascending."""
    right: NDArray[np.bool_]
    """Whether each test image is right, bool [seeds, images]."""
    prediction: NDArray[np.int64]
    """The answers, int64 [seeds, images]."""
    label: NDArray[np.int64]
    """The labels, int64 [images]."""

    @property
    def accuracy(self) -> float:
        """Mean over seeds and images."""
        return float(self.right.mean())

    def on(self, seeds: Sequence[int]) -> Seen:
        """The same of some of its seeds."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return Seen(self.size, tuple(seeds), self.right[rows], self.prediction[rows], self.label)


@dataclass(frozen=True)
class Evidence:
    """Everything that was asked for, as far as it is there."""

    protocols: Mapping[str, Protocol]
    """The protocol of each task."""
    data: Mapping[str, DataInfo]
    """The dataset of each task that was prepared."""
    cells: Mapping[tuple[Arm, int, int], CellSpec]
    """The request of each (arm with `sizes` "all", train size, seed)."""
    probes: Mapping[Look, tuple[ProbeRecord, ...]]
    """Records of each look, by seed; fewer than asked for where some were not made."""
    records: Records
    """Runs of the lab."""
    boards: Sequence[Any] = field(default_factory=tuple)
    """`Board`s of the output folder, measured by the main command."""

    def sizes(self, arm: Arm) -> tuple[int, ...]:
        """Train sizes that an arm was asked for at, ascending."""
        return tuple(sorted({size for asked, size, _ in self.cells if asked == arm.whole}))

    def largest(self, arm: Arm) -> int:
        """The largest train size of an arm. Raises Missing where it was never asked for."""
        sizes = self.sizes(arm)
        if not sizes:
            raise Missing(f"{arm.words} was not asked for")
        return sizes[-1]

    def run(self, arm: Arm, size: int, seed: int) -> RunRecord:
        """One good run. Raises Missing with its failure where there is none."""
        cell = self.cells.get((arm.whole, size, seed))
        found = self._runs.get(cell_id(cell)) if cell is not None else None
        if found is None:
            raise Missing(f"{arm.words} has no run at n = {size:,} with seed {seed}")
        if found.status != "ok":
            why = found.failure.line if found.failure is not None else "no reason is known"
            raise Missing(f"{arm.words} failed at n = {size:,} with seed {seed}: {why}")
        return found

    def seen(self, arm: Arm, size: int | None = None) -> Seen:
        """What an arm's runs answered, at its largest train size unless one is given. Raises Missing.

        Read once, however many rules look at it.
        """
        key = arm.whole, self.largest(arm) if size is None else size
        if key not in self._seen:
            self._seen[key] = self._read(*key)
        return self._seen[key]

    def found(self, look: Look) -> tuple[ProbeRecord, ...]:
        """The good records of a look, by seed. Raises Missing where there is none, with the reason of the first."""
        records = self.probes.get(look, ())
        good = tuple(record for record in records if record.status == "ok")
        if good:
            return good
        why = next((r.failure.message for r in records if r.failure is not None), "it was not made")
        raise Missing(f"{look.probe} of {look.model}: {why}")

    def values(self, look: Look) -> Mapping[str, Any]:
        """What the first record of a look found. Raises Missing."""
        return self.found(look)[0].values

    def arrays(self, record: ProbeRecord) -> dict[str, NDArray[np.generic]]:
        """The arrays of a probe's record. Raises Missing where they are gone."""
        try:
            return self.records.probe_arrays(record.id)
        except KeyError as error:
            raise Missing(f"the arrays of {record.spec.probe} of {record.spec.model} are gone") from error

    def _read(self, arm: Arm, size: int) -> Seen:
        seeds = tuple(sorted(s for asked, n, s in self.cells if asked == arm.whole and n == size))
        if not seeds:
            raise Missing(f"{arm.words} was not asked for at n = {size:,}")
        rows = []
        for seed in seeds:
            run = self.run(arm, size, seed)
            try:
                arrays = self.records.predictions(run.id, PER_IMAGE)
            except KeyError as error:
                raise Missing(f"{arm.words} has lost its predictions (seed {seed})") from error
            hits = right_answers(arrays, run)
            if hits is None:
                raise Missing(f"the predictions of {arm.words} do not fit its record (seed {seed})")
            rows.append((hits, arrays["prediction"], arrays["label"]))
        label = np.asarray(rows[0][2], dtype=np.int64)
        return Seen(size, seeds, np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows]).astype(np.int64), label)

    @cached_property
    def _seen(self) -> dict[tuple[Arm, int], Seen]:
        return {}

    @cached_property
    def _runs(self) -> dict[str, RunRecord]:
        found: dict[str, RunRecord] = {}
        for run in self.records.runs:
            if run.id not in found or run.status == "ok":
                found[run.id] = run
        return found
