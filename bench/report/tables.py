"""Boards as tables for programs: JSON values and CSV text. The schema stands in `results/README.md`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench.analysis.board import Board
from bench.analysis.rows import Row
from bench.analysis.table import COLUMNS, table
from bench.report.markdown.stamp import commands, takeaway

BOARD_SCHEMA_VERSION = 1
"""Version of the layout of `leaderboard.json`."""


def boards_json(boards: Sequence[Board]) -> dict[str, Any]:
    """All boards as JSON values, in their order: `{"schema_version": …, "boards": [{…, "rows": […]}]}`."""
    return {"schema_version": BOARD_SCHEMA_VERSION, "boards": [_board(board) for board in boards]}


def boards_csv(boards: Sequence[Board]) -> str:
    """All boards as one CSV table: the board's id, then the columns of `COLUMNS`; empty where there is no value."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ["board", *COLUMNS], lineterminator="\n")
    writer.writeheader()
    for board in boards:
        writer.writerows({"board": board.id, **line} for line in table(board.rows))
    return buffer.getvalue()


def _board(board: Board) -> dict[str, Any]:
    newest = board.environments[-1]
    return {
        "id": board.id,
        "preset": board.preset,
        **board.key._asdict(),
        "exploratory": board.exploratory,
        "takeaway": takeaway(board),
        "updated": board.updated,
        "commands": commands(board),
        "git_commits": list(dict.fromkeys(e.git_commit for e in board.environments)),
        "git_dirty": any(bool(e.git_dirty) for e in board.environments),
        "versions": newest.versions,
        "train_sizes": list(board.train_sizes),
        "seeds": list(board.seeds),
        "guessing_level": board.guessing_level,
        "detectable": board.detectable,
        "protocol": board.protocol,
        "data": board.data.model_dump(mode="json"),
        "rows": [{**line, **_depth(row, board)} for line, row in zip(table(board.rows), board.rows, strict=True)],
    }


def _depth(row: Row, board: Board) -> dict[str, Any]:
    """What a row has beyond the columns of the table."""
    info = row.info
    return {
        "name": row.name,
        "builder": info.builder if info else None,
        "paper": info.paper if info else None,
        "year": info.year if info else None,
        "provenance": info.provenance if info else None,
        "recipe_diff": info.recipe_diff if info else [],
        "degenerate": info.geometry.degenerate if info and info.geometry else [],
        "run_dir": board.run_dirs.get(row.name),
        "points": [{**asdict(p), "per_seed": {str(k): v for k, v in p.per_seed.items()}} for p in row.points],
        "comparison": asdict(row.comparison) if row.comparison else None,
        "trials": [trial.model_dump(mode="json") for trial in row.trials],
        "under_trained": [
            [r.cell.train_size, r.cell.seed] for r in row.runs if r.train is not None and r.train.under_trained
        ],
        "missing": [list(cell) for cell in row.missing],
        "note_texts": [asdict(note) for note in row.notes],
        "run_ids": [r.id for r in row.runs],
        "failed_ids": [r.id for r in row.failed],
    }
