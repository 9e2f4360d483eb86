"""Costs as tables for programs: JSON values and CSV text. The schema stands in `results/README.md`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench.analysis.cost_table import COST_COLUMNS, cost_rows
from bench.analysis.costs import CostBoard, CostRow
from bench.report.costs.stamp import cost_commands, cost_takeaway

COST_SCHEMA_VERSION = 1
"""Version of the layout of `costs.json`."""


def costs_json(boards: Sequence[CostBoard]) -> dict[str, Any]:
    """All boards as JSON values, in their order: `{"schema_version": …, "boards": [{…, "rows": […]}]}`."""
    return {"schema_version": COST_SCHEMA_VERSION, "boards": [_board(board) for board in boards]}


def costs_csv(boards: Sequence[CostBoard]) -> str:
    """All boards as one CSV table: the board's id, then `COST_COLUMNS`; empty where there is no value."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ["board", *COST_COLUMNS], lineterminator="\n")
    writer.writeheader()
    for board in boards:
        writer.writerows({"board": board.id, **line} for line in cost_rows(board.rows))
    return buffer.getvalue()


def _board(board: CostBoard) -> dict[str, Any]:
    newest = board.environments[-1]
    key = board.key._asdict()
    settings = key.pop("settings")._asdict()
    return {
        "id": board.id,
        **key,
        **settings,
        "takeaway": cost_takeaway(board),
        "updated": board.updated,
        "commands": cost_commands(board),
        "git_commits": list(dict.fromkeys(e.git_commit for e in board.environments)),
        "git_dirty": any(bool(e.git_dirty) for e in board.environments),
        "versions": newest.versions,
        "device_record": board.device.model_dump(mode="json") if board.device else None,
        "rows": [{**line, **_depth(row)} for line, row in zip(cost_rows(board.rows), board.rows, strict=True)],
        "ratios": [{**asdict(ratio), "apart": ratio.apart} for ratio in board.ratios],
    }


def _depth(row: CostRow) -> dict[str, Any]:
    """What a row has beyond the columns of the table; raw samples stay in the profile's record."""
    profile = row.profile.model_dump(
        mode="json",
        include={"output_shape", "macs_by_operator", "macs_by_size", "layers", "uncounted", "inference_curve"}
        | {"training_curve", "before", "after", "problems"},
    )
    return {
        **profile,
        "timings": {
            name: timing.model_dump(mode="json", exclude={"samples_ms", "turns"})
            for name, timing in (("latency", row.latency), ("inference", row.inference), ("training", row.training))
            if timing is not None
        },
        "memory": row.memory.model_dump(mode="json") if row.memory else None,
        "energy": row.energy.model_dump(mode="json") if row.energy else None,
        "profile_dir": row.path,
        "profile_id": row.profile.id,
        "note_texts": [asdict(note) for note in row.notes],
    }
