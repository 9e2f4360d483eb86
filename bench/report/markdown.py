"""Boards for people: `leaderboard.md`, and the table that the command prints."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bench.analysis.board import Board
from bench.analysis.rows import Note, Row
from bench.report.cost_words import doubt
from bench.report.sections import sections
from bench.report.stamp import caveat, commands, stamp, takeaway, title
from bench.report.words import (
    NOTHING,
    link,
    percent,
    pipe_table,
    plain,
    significant,
    superscript,
    text_table,
    with_interval,
)

WIDTH = 110
"""Columns of a terminal that the printed table keeps to."""
_RIGHT = (0, 4, 5, 6, 7, 8, 9)
_NBSP = "\u00a0"
_DISPENSABLE = (2, 9)
_NAME_WIDTH, _NOTES_WIDTH = 24, 20


def leaderboard(
    boards: Sequence[Board], pictures: Sequence[str], command: str = "", problems: Sequence[str] = ()
) -> str:
    """The whole of `leaderboard.md`. `pictures` is, for each board, the path part below `figures/` and `confusion/`.

    `command` is the call that writes the page; it is named where it is none of those that made the runs.
    `problems` are records that could not be read.
    """
    parts = ["# Leaderboard"]
    if not boards:
        parts.append("There is no run yet.")
    if command and not any(command in commands(board) for board in boards):
        parts.append(f"Page written by:\n\n```sh\n{command}\n```")
    if len(boards) > 1:
        parts.append(
            f"{len(boards)} boards, the newest first. They differ in data, protocol or machine: "
            "numbers of different boards must not be compared."
        )
    parts += [_section(board, below) for board, below in zip(boards, pictures, strict=True)]
    if problems:
        parts.append("## Records left out\n\n" + "\n".join(f"- {plain(problem)}" for problem in problems))
    return "\n\n".join(parts) + "\n"


def terminal_table(board: Board) -> str:
    """A board as plain text of about `WIDTH` columns, without colours: title, table, notes, takeaway."""
    notes = [f"{superscript(number)} {_note_line(*item)}" for item, number in _numbered(board)]
    said = [title(board), _fitted(board), *([wrap(notes)] if notes else []), wrap([takeaway(board)])]
    if (warning := caveat(board)) is not None:
        said.append(wrap([warning]))
    return "\n\n".join(said) + "\n"


def _fitted(board: Board) -> str:
    """The table in `WIDTH` columns: notes are folded; where little room is left for them, columns are left out."""
    lines = [[_folded(header) for header in _headers(board)]]
    lines += [_cells(row, note_numbers(board), board) for row in board.rows]
    for line in lines:
        line[1] = textwrap.fill(line[1], _NAME_WIDTH, break_on_hyphens=False)
    widths = [2 + max(len(text) for line in lines for text in line[k].split("\n")) for k in range(len(lines[0]))]
    shown = list(range(len(widths)))
    if WIDTH - sum(widths[:-1]) < min(widths[-1], _NOTES_WIDTH):
        shown = [k for k in shown if k not in _DISPENSABLE]
    room = max(WIDTH - sum(widths[k] for k in shown[:-1]), _NOTES_WIDTH)
    for line in lines[1:]:
        line[-1] = textwrap.fill(line[-1], room, break_long_words=False, break_on_hyphens=False)
    table = [[line[k] for k in shown] for line in lines]
    return text_table(table[0], table[1:], [place for place, k in enumerate(shown) if k in _RIGHT])


def note_numbers(board: Board) -> dict[str, int]:
    """A number for each distinct note of a board, in order of appearance, by its sentence."""
    texts = dict.fromkeys(note.long for row in board.rows for note in row.notes)
    return {text: k for k, text in enumerate(texts, 1)}


def _section(board: Board, below: str) -> str:
    parts = [f"## {plain(title(board))}"]
    parts.append("\n".join(f"- **{label}**: {plain(text)}" for label, text in stamp(board)))
    made_by = commands(board)
    if made_by:
        parts.append("Made by:\n\n```sh\n" + "\n".join(made_by[-5:]) + "\n```")
    parts.append(f"**{plain(takeaway(board))}**")
    if (warning := caveat(board)) is not None:
        parts.append(f"> {warning}")
    numbers = note_numbers(board)
    rows = [_cells(row, numbers, board, linked=True) for row in board.rows]
    parts.append(pipe_table(_headers(board), rows, right=_RIGHT))
    if numbers:
        parts.append(
            "  \n".join(f"{superscript(number)} {plain(_note_line(*item))}" for item, number in _numbered(board))
        )
    return "\n\n".join([*parts, *sections(board, below)])


def _folded(header: str) -> str:
    """A header on two lines: `train img/s` → `train`, `img/s`."""
    first, _, rest = header.partition(" [" if "[" in header else " ")
    return f"{first}\n{'[' * ('[' in header)}{rest}"


def _headers(board: Board) -> list[str]:
    return [
        "rank",
        "model",
        "family",
        "top-1 % [95 % interval]",
        f"at n={board.train_sizes[0]:,}",
        "params M",
        "GMACs",
        "train img/s",
        "infer img/s",
        "seeds",
        "notes",
    ]


def _cells(row: Row, numbers: dict[str, int], board: Board, linked: bool = False) -> list[str]:
    path = board.run_dirs.get(row.name)
    smallest = row.at(row.smallest)
    marks = [f"{note.short}{superscript(numbers[note.long])}" for note in row.notes]
    return [
        str(row.rank) if row.rank is not None else NOTHING,
        link(row.name, f"{path}/") if linked and path else plain(row.name) if linked else row.name,
        row.info.family if row.info else NOTHING,
        with_interval(row.top1).replace(" ", _NBSP if linked else " "),
        percent(smallest.value if smallest else None),
        significant(row.params / 1e6 if row.params is not None else None),
        significant(row.macs / 1e9 if row.macs is not None else None),
        significant(row.train_img_per_s),
        significant(row.inference_img_per_s) + doubt(row.profile.inference if row.profile else None),
        str(len(row.top1.per_seed)) if row.top1 else NOTHING,
        ", ".join(marks),
    ]


def _numbered(board: Board) -> list[tuple[tuple[Note, list[str]], int]]:
    """Each distinct note with the rows that have it, and its number."""
    found: dict[str, tuple[Note, list[str]]] = {}
    for row in board.rows:
        for note in row.notes:
            found.setdefault(note.long, (note, []))[1].append(row.name)
    return [(item, k) for k, item in enumerate(found.values(), 1)]


def _note_line(note: Note, names: Sequence[str]) -> str:
    return f"{', '.join(names)}: {note.long}"


def wrap(lines: Sequence[str]) -> str:
    """Lines of text in `WIDTH` columns, what follows of each indented."""
    return "\n".join(
        textwrap.fill(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for line in lines
    )
