"""The table that ranks, once for every form it is shown in: at most ten columns of plain text, tiers kept apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.board import Board
from bench.analysis.fronts import starred
from bench.analysis.rows import Note, Row
from bench.report.costs.words import doubt
from bench.report.words import NOTHING, percent, significant, with_interval

MOST_ROWS = 200
"""Rows shown; the rest is in `leaderboard.csv`."""
STAR = "★"
"""Marks a row on the front of accuracy against multiply-accumulates."""


@dataclass(frozen=True)
class Column:
    """One column of the main table."""

    header: str
    """What stands above it."""
    numeric: bool
    """Whether it is aligned to the right."""


@dataclass(frozen=True)
class Line:
    """One row of the main table, as plain text."""

    row: Row
    """The row of the board."""
    cells: tuple[str, ...]
    """One text a column; nothing in it is markup. The model's name is the second, without its star."""
    star: bool
    """Whether the row is on the front."""
    apart: bool
    """Whether a gap belongs above it: a tier of several rows begins here, or has just ended."""
    notes: tuple[tuple[str, int], ...]
    """(short remark, number of its sentence) of every note; the last cell holds the same as text."""


@dataclass(frozen=True)
class MainTable:
    """The first rows of a board and what is said about them."""

    columns: tuple[Column, ...]
    """At most ten; the second is the model, the last the notes."""
    lines: tuple[Line, ...]
    """In the order of the board."""
    notes: tuple[tuple[Note, tuple[str, ...]], ...]
    """Each distinct note of the rows shown with the names of those that have it; note k has number k + 1."""
    more: int
    """Rows that are not shown."""


def main_table(board: Board, most: int = MOST_ROWS) -> MainTable:
    """The best `most` rows of a board, ties and tiers marked, a star for the front (`bench.analysis.fronts`)."""
    rows, stars = board.rows[:most], starred(board)
    notes = _notes(rows)
    numbers = {text: k for k, text in enumerate(notes, 1)}
    shared = Counter(row.rank for row in board.rows)
    single = len(board.train_sizes) == 1
    lines = []
    for k, row in enumerate(rows):
        marks = tuple((note.short, numbers[note.long]) for note in row.notes)
        cells = (rank_text(row, shared), row.name, *_values(row, single), ", ".join(short for short, _ in marks))
        apart = k > 0 and _gap(rows[k - 1].rank, row.rank, shared)
        lines.append(Line(row, cells, row.name in stars, apart, marks))
    return MainTable(_columns(board, single), tuple(lines), tuple(notes.values()), len(board.rows) - len(rows))


def rank_text(row: Row, shared: Counter[int | None]) -> str:
    """`3`, and `1=` where several rows share the rank; `shared` counts the rows of each rank."""
    if row.rank is None:
        return NOTHING
    return f"{row.rank}{'=' * (shared[row.rank] > 1)}"


def _gap(above: int | None, below: int | None, shared: Counter[int | None]) -> bool:
    """A gap tells tiers apart; between two rows that each stand alone it would say nothing."""
    return above != below and (shared[above] > 1 or shared[below] > 1)


def _columns(board: Board, single: bool) -> tuple[Column, ...]:
    first = Column(f"at n={board.train_sizes[0]:,}", True)
    return (
        Column("rank", False),
        Column("model", False),
        Column("top-1 % [95 % interval]", True),
        *(() if single else (first,)),
        Column("params M", True),
        Column("GMACs", True),
        Column("train img/s", True),
        Column("infer img/s", True),
        Column("family", False),
        Column("notes", False),
    )


def _values(row: Row, single: bool) -> tuple[str, ...]:
    smallest = row.at(row.smallest)
    return (
        with_interval(row.top1),
        *(() if single else (percent(smallest.value if smallest else None),)),
        significant(row.params / 1e6 if row.params is not None else None),
        significant(row.macs / 1e9 if row.macs is not None else None),
        significant(row.train_img_per_s),
        significant(row.inference_img_per_s) + doubt(row.profile.inference if row.profile else None),
        row.info.family if row.info else NOTHING,
    )


def _notes(rows: Sequence[Row]) -> dict[str, tuple[Note, tuple[str, ...]]]:
    """Each distinct note by its sentence, with the rows that have it, in order of appearance."""
    found: dict[str, tuple[Note, tuple[str, ...]]] = {}
    for row in rows:
        for note in row.notes:
            _, names = found.get(note.long, (note, ()))
            found[note.long] = note, (*names, row.name)
    return found
