"""Boards: the ranked tables of an output folder, one per group of runs that may be compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.analysis.costs import devices_of
from bench.analysis.curves import Curve
from bench.analysis.judge import judge
from bench.analysis.notes import guessing_level, notes_of
from bench.analysis.pairs import Pairs
from bench.analysis.rows import GroupKey, Row, key_of, make_rows, settle
from bench.analysis.table import COLUMNS, WHOLE, table
from bench.errors import UsageError
from bench.protocol import Protocol, content_hash
from bench.records import CellSpec, DataInfo, Environment, RunRecord
from bench.store import Records, slug

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Board:
    """The ranked table of one (data, protocol, hardware, threads, precision, intervention) group."""

    key: GroupKey
    """What all rows have in common."""
    protocol: dict[str, Any]
    """All fields of the protocol."""
    data: DataInfo
    """The dataset as used."""
    train_sizes: tuple[int, ...]
    """Train sizes of the protocol as counts, ascending."""
    seeds: tuple[int, ...]
    """Seeds of the protocol."""
    rows: tuple[Row, ...]
    """One per (model, weights), best first, failed last."""
    run_dirs: dict[str, str]
    """Folder of each row's runs, relative to the output folder, by row name."""
    pairs: Pairs = field(default=Pairs(()), compare=False)
    """All pairs of rows that can be compared, at all train sizes."""
    curves: tuple[Curve, ...] = field(default=(), compare=False)
    """Learning curves of the rows that can be compared, in their order."""

    @property
    def id(self) -> str:
        """A short name that is stable and differs between boards: dataset, protocol, and a hash of the whole key."""
        intact = self.key.intervention == "none"
        group = content_hash(list(self.key[:-1] if intact else self.key))  # intact boards keep their older names
        return f"{slug(self.dataset)}-{self.key.protocol_id[:8]}-{group[:8]}"

    @property
    def dataset(self) -> str:
        """The dataset's name, and what was done to every image."""
        intact = self.key.intervention == "none"
        return self.data.dataset if intact else f"{self.data.dataset} under {self.key.intervention}"

    @property
    def preset(self) -> str:
        """Name of the protocol's preset, or `custom`."""
        protocol = _protocol(self.protocol)
        return protocol.preset if protocol else "custom"

    @property
    def most_seeds(self) -> int:
        """Seeds of the row that has most of them at the largest train size; those asked for while none has any."""
        return max((len(row.top1.per_seed) for row in self.rows if row.top1), default=len(self.seeds))

    @property
    def exploratory(self) -> bool:
        """Whether there are too few seeds to tell a model's luck from its merit, whatever was asked for."""
        return self.most_seeds < 3

    @property
    def updated(self) -> str:
        """UTC time of the newest run, ISO 8601."""
        return max(record.created for record in _runs(self.rows))

    @property
    def environments(self) -> tuple[Environment, ...]:
        """The environments of all runs on the board, each once, oldest first."""
        found: list[Environment] = []
        for record in sorted(_runs(self.rows), key=lambda r: r.created):
            if record.environment in found:
                found.remove(record.environment)
            found.append(record.environment)
        return tuple(found)

    @cached_property
    def detectable(self) -> float | None:
        """Median over the pairs at the largest train size of the smallest difference that would have been found.

        A fraction of accuracy; found 80 % of the time at 5 %, before any adjustment. None without a pair.
        """
        found = self.pairs.of_size(self.train_sizes[-1])
        if found is None or not found.seeds.any():
            return None
        return float(np.nanmedian(found.detectable))

    @property
    def guessing_level(self) -> float | None:
        """Accuracy of always naming the most frequent class of the test split; None without any result."""
        return next((level for row in self.rows if (level := guessing_level(row)) is not None), None)

    def holds(self, cell: CellSpec) -> bool:
        """Whether `cell` belongs on this board."""
        return self.key == key_of(cell)

    def to_frame(self) -> pd.DataFrame:
        """One line per row of the board, in its order; the columns are those of `leaderboard.csv`."""
        import pandas as pd

        frame = pd.DataFrame(table(self.rows), columns=list(COLUMNS))
        return frame.astype(dict.fromkeys(WHOLE, "Int64"))


def build_board(records: Records) -> list[Board]:
    """Every board that the records hold, the one with the newest run first. Reads predictions, writes nothing."""
    groups: dict[GroupKey, list[RunRecord]] = {}
    for record in settle(records.runs):
        groups.setdefault(key_of(record.cell), []).append(record)
    boards = [_board(key, group, records) for key, group in groups.items()]
    return sorted((b for b in boards if b.rows), key=lambda b: (b.updated, b.id), reverse=True)


def _board(key: GroupKey, settled: list[RunRecord], records: Records) -> Board:
    newest = max(settled, key=lambda r: r.created)
    sizes, seeds = _asked(newest, settled)
    judged = judge(make_rows(settled, records.profiles, sizes, seeds, devices_of(records)), records)
    rows = [replace(row, notes=notes_of(row, compared=judged.refused.get(row.name))) for row in judged.rows]
    return Board(
        key=key,
        protocol=newest.protocol,
        data=newest.data,
        train_sizes=sizes,
        seeds=seeds,
        rows=tuple(rows),
        run_dirs={row.name: path for row in rows if (path := _run_dir(row, records))},
        pairs=judged.pairs,
        curves=judged.curves,
    )


def _asked(newest: RunRecord, settled: list[RunRecord]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Train sizes as counts and seeds that the protocol asks for; those that occur where it cannot be read."""
    from bench.data.splits import dev_counts, resolve_train_sizes

    protocol = _protocol(newest.protocol)
    runs = [r.cell for r in settled if r.cell.kind == "run"] or [r.cell for r in settled]
    there = tuple(sorted({cell.train_size for cell in runs})), tuple(sorted({cell.seed for cell in runs}))
    if protocol is None:
        return there
    try:
        held_out = sum(dev_counts(newest.data.train_counts, protocol.dev_fraction))
        sizes = tuple(sorted(resolve_train_sizes(protocol.train_sizes, newest.data.n_train - held_out)))
    except UsageError:
        return there
    return sizes, protocol.seeds


def _protocol(values: dict[str, Any]) -> Protocol | None:
    """The protocol of a record; None where it is of another version of this program."""
    try:
        return Protocol.from_dict(values)
    except (UsageError, TypeError):
        return None


def _run_dir(row: Row, records: Records) -> str | None:
    """Folder with the row's runs, relative to the output folder."""
    for record in (*row.runs, *row.failed):
        path = records.run_path(record.id)
        if path is not None:
            return path.rpartition("/")[0]
    return None


def _runs(rows: Iterable[Row]) -> list[RunRecord]:
    return [record for row in rows for record in (*row.runs, *row.failed)]
