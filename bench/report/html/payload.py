"""What the page knows of a board, as JSON values: numbers for the scripts, texts for the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.analysis.answers import Answers
from bench.analysis.board import Board
from bench.analysis.fronts import STAR_AXIS, Front, fronts_of
from bench.analysis.pairs import PairsAtSize
from bench.analysis.rows import Row
from bench.analysis.table import COLUMNS, table
from bench.records import Environment, RunRecord
from bench.report.html.columns import PRESETS, Column, cells, columns_of
from bench.report.html.pictures import answers_of, confusions_of, thumbnails_of
from bench.report.markdown.stamp import title

MOST_PAIRED = 60
"""Rows of which every pair is told; of the others only the comparison with the best row is on the page."""
_DIGITS = 7
"""Decimals of accuracies, differences and p-values: so many that rounding them once more never shows."""


def board_json(board: Board, answers: Answers | None, images: Mapping[int, bytes]) -> dict[str, Any]:
    """Everything that the scripts show of one board.

    `answers` are those of its best rows to every test image, where they are there; `images` are thumbnails as PNG by
    position in the test split. Rows stand in the order of the board and refer to each other by position.
    """
    columns = columns_of(board)
    fronts = fronts_of(board)
    environments = list(board.environments)
    return {
        "id": board.id,
        "title": title(board),
        "sizes": list(board.train_sizes),
        "seeds": list(board.seeds),
        "presets": {name: [k for k, c in enumerate(columns) if _in(c, name)] for name in PRESETS},
        "columns": [_column(column) for column in columns],
        "axes": [_axis(front) for front in fronts],
        "span": list(span(board)),
        "rows": _rows(board, columns, fronts, environments),
        "environments": [_environment(environment) for environment in environments],
        "pairs": [_pairs(found, board) for found in board.pairs.at],
        "classes": list(board.data.classes),
        "confusions": confusions_of(board),
        "answers": answers_of(board, answers),
        "images": thumbnails_of(images),
        "table": {"columns": list(COLUMNS), "rows": [list(line.values()) for line in table(board.rows)]},
    }


def span(board: Board) -> tuple[float, float]:
    """Lowest and highest accuracy that an interval of the board reaches, as fractions: the scale of the small bars."""
    ends = [end for row in board.rows if row.top1 for end in (row.top1.low, row.top1.value, row.top1.high)]
    known = [end for end in ends if end is not None]
    return (min(known), max(known)) if known else (0.0, 1.0)


def tiers(rows: Sequence[Row]) -> list[int | None]:
    """For each row the number of its tier, from 0; None without a rank."""
    numbers: dict[int, int] = {}
    return [None if row.rank is None else numbers.setdefault(row.rank, len(numbers)) for row in rows]


def _in(column: Column, preset: str) -> bool:
    return preset == "all" or preset in column.presets


def _column(column: Column) -> dict[str, Any]:
    return {
        "key": column.key,
        "label": column.label,
        "help": column.help,
        "numeric": column.numeric,
        "more": column.more_is_better,
    }


def _axis(front: Front) -> dict[str, Any]:
    quantity = front.quantity
    measured = sum(place.reading.value is not None for place in front.places)
    return {"name": quantity.name, "less": quantity.less_is_better, "measured": measured}


def _rows(
    board: Board, columns: Sequence[Column], fronts: Sequence[Front], environments: Sequence[Environment]
) -> list[dict[str, Any]]:
    place = {id(environment): k for k, environment in enumerate(environments)}
    star = next(front for front in fronts if front.quantity.name == STAR_AXIS)
    found = []
    for k, (row, tier) in enumerate(zip(board.rows, tiers(board.rows), strict=True)):
        values, texts = cells(columns, row)
        found.append(
            {
                "name": row.name,
                "family": row.info.family if row.info else None,
                "tier": tier,
                "star": star.places[k].state == "front",
                "status": row.status,
                "values": [rounded(value) for value in values],
                "texts": texts,
                "top1": _point(row),
                "points": [[p.size, rounded(p.value), rounded(p.low), rounded(p.high), p.method] for p in row.points],
                "costs": [_cost(front, k) for front in fronts],
                "notes": [[note.short, note.long] for note in row.notes],
                "runs": [_run(run, environments, place) for run in row.runs],
                "failed": [_failed(run) for run in row.failed],
                "about": _about(row),
                "folder": board.run_dirs.get(row.name),
            }
        )
    return found


def rounded(value: Any, digits: int = _DIGITS) -> Any:
    """A float to a few decimals (small ones to as many significant digits); everything else as it is."""
    if not isinstance(value, float):
        return value
    if not np.isfinite(value):
        return None
    return round(value, digits) if abs(value) >= 0.1 else float(f"{value:.{digits}g}")


def _point(row: Row) -> list[Any] | None:
    return [rounded(row.top1.value), rounded(row.top1.low), rounded(row.top1.high)] if row.top1 else None


def _cost(front: Front, k: int) -> list[Any]:
    """Value, ends of the interval, where the row stands with respect to the front, and why nothing can be decided."""
    place = front.places[k]
    reading = place.reading
    return [rounded(reading.value), rounded(reading.low), rounded(reading.high), place.state, reading.why]


def _run(run: RunRecord, environments: Sequence[Environment], place: dict[int, int]) -> list[Any]:
    """Size, seed, top-1, learning rate, images per second, seconds, position of the environment."""
    train, test = run.train, run.test
    at = place.get(id(run.environment))
    if at is None:
        at = place[id(run.environment)] = environments.index(run.environment)
    return [
        run.cell.train_size,
        run.cell.seed,
        rounded(test.top1) if test else None,
        train.lr if train else None,
        rounded(train.throughput_img_per_s, 1) if train else None,
        rounded(train.train_s, 1) if train else None,
        at,
    ]


def _failed(run: RunRecord) -> list[Any]:
    return [run.cell.train_size, run.cell.seed, run.failure.line if run.failure else "failed"]


def _about(row: Row) -> list[list[str]]:
    """(label, text) of what the model is."""
    info = row.info
    if info is None:
        return []
    pairs = [
        ("Built as", info.builder),
        ("Paper", f"{info.paper}{f' ({info.year})' if info.year and str(info.year) not in info.paper else ''}"),
        ("Initial weights", info.provenance),
        ("Differs from the common recipe", "; ".join(info.recipe_diff)),
        ("Geometry", "; ".join(info.geometry.degenerate) if info.geometry else ""),
    ]
    return [[label, text] for label, text in pairs if text]


def _environment(found: Environment) -> dict[str, Any]:
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    threads = f", {found.threads} threads" if found.device == "cpu" else ""
    commit = (found.git_commit or "unknown") + (" with uncommitted changes" if found.git_dirty else "")
    return {
        "machine": f"{found.hardware} ({found.device}{threads}), {found.precision}; {found.platform}",
        "software": f"Python {found.python}; {versions}; commit {commit}",
        "command": found.command,
    }


def _pairs(found: PairsAtSize, board: Board) -> dict[str, Any]:
    """Comparisons at one train size: first and second row, difference, interval, p (Holm), test, seeds, apart."""
    place = {row.name: k for k, row in enumerate(board.rows)}
    rows = [place[name] for name in found.names]
    count = len(rows)
    most = min(count, MOST_PAIRED)
    first, second = np.triu_indices(most, 1)
    if count > most:
        first = np.concatenate([first, np.zeros(count - most, dtype=first.dtype)])
        second = np.concatenate([second, np.arange(most, count)])
    listed = []
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        seeds = int(found.seeds[a, b])
        if seeds:
            numbers = (float(matrix[a, b]) for matrix in (found.difference, found.low, found.high, found.p_holm))
            listed.append([rows[a], rows[b], *map(rounded, numbers), seeds, int(found.apart[a, b])])
    return {"size": found.size, "of": listed}
