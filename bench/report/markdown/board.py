"""Boards for people: `leaderboard.md`, and the table that the command prints."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bench.analysis.board import Board
from bench.analysis.budget import UnderBudget
from bench.analysis.mistakes import Mistakes
from bench.report.markdown.budget import budget_section
from bench.report.markdown.folded import folded
from bench.report.markdown.fronts import STAR_MEANS
from bench.report.markdown.main_table import STAR, Line, MainTable, main_table
from bench.report.markdown.sections import sections
from bench.report.markdown.stamp import caveat, commands, detectable, short_stamp, stamp, takeaway, title
from bench.report.words import code_block, link, listing, pipe_table, plain, plural, superscript, text_table, unbroken

WIDTH = 110
"""Columns of a terminal that the printed table keeps to."""
_DISPENSABLE = ("train img/s", "family")
_NAME_WIDTH, _NOTES_WIDTH = 24, 20
_OPEN_NOTES = 12
"""Notes up to which they stand open below the table; more are folded."""


def leaderboard(
    boards: Sequence[Board],
    pictures: Sequence[str],
    command: str = "",
    problems: Sequence[str] = (),
    budgets: Sequence[UnderBudget] = (),
    mistakes: Mapping[str, Mistakes] = MappingProxyType({}),
) -> str:
    """The whole of `leaderboard.md`. `pictures` is, for each board, the path part below `figures/` and `confusion/`.

    `command` is the call that writes the page; it is named where it is none of those that made the runs.
    `problems` are records that could not be read. `budgets` are boards under a budget that was asked for.
    `mistakes` are those of a board by its id; a board without them says nothing on agreement and calibration.
    """
    asked = {found.board.id: budget_section(found) for found in budgets}
    parts = ["# Leaderboard"]
    if not boards:
        parts.append("There is no run yet.")
    if command and not any(command in commands(board) for board in boards):
        parts.append(f"Page written by:\n\n{code_block([command])}")
    if len(boards) > 1:
        parts.append(
            f"{len(boards)} boards, the newest first. They differ in data, protocol or machine: "
            "numbers of different boards must not be compared."
        )
    for board, below in zip(boards, pictures, strict=True):
        parts.append(_section(board, below, asked.get(board.id), mistakes.get(board.id)))
    if problems:
        parts.append("## Records left out\n\n" + "\n".join(f"- {plain(problem)}" for problem in problems))
    return "\n\n".join(parts) + "\n"


def terminal_table(board: Board) -> str:
    """A board as plain text of about `WIDTH` columns, without colours: title, table, notes, takeaway."""
    table = main_table(board)
    said = [title(board), _fitted(table), *([wrap(notes)] if (notes := _note_lines(table)) else [])]
    if table.more:
        said.append(_more(table))
    said.append(wrap([takeaway(board)]))
    said += [wrap([text]) for text in (caveat(board), detectable(board)) if text is not None]
    return "\n\n".join(said) + "\n"


def _fitted(table: MainTable) -> str:
    """The table in `WIDTH` columns: notes are folded; where little room is left for them, columns are left out."""
    headers = [_on_two_lines(column.header) for column in table.columns]
    rows = [[*line.cells[:-1], _marks(line)] for line in table.lines]
    for line, row in zip(table.lines, rows, strict=True):
        row[1] = textwrap.fill(f"{row[1]}{f' {STAR}' * line.star}", _NAME_WIDTH, break_on_hyphens=False)
    lines = [headers, *rows]
    widths = [2 + max(len(text) for line in lines for text in line[k].split("\n")) for k in range(len(headers))]
    shown = list(range(len(widths)))
    if WIDTH - sum(widths[:-1]) < min(widths[-1], _NOTES_WIDTH):
        shown = [k for k in shown if table.columns[k].header not in _DISPENSABLE]
    room = max(WIDTH - sum(widths[k] for k in shown[:-1]), _NOTES_WIDTH)
    fitted: list[list[str]] = []
    for line, row in zip(table.lines, rows, strict=True):
        row[-1] = textwrap.fill(row[-1], room, break_long_words=False, break_on_hyphens=False)
        fitted += [[""] * len(shown)] * line.apart + [[row[k] for k in shown]]
    right = [place for place, k in enumerate(shown) if table.columns[k].numeric]
    return text_table([headers[k] for k in shown], fitted, right)


def _section(board: Board, below: str, budget: str | None, mistakes: Mistakes | None) -> str:
    table = main_table(board)
    parts = [f"## {plain(title(board))}", _bullets(short_stamp(board))]
    parts.append(folded("Protocol, data, machine and software in full", _in_full(board)))
    parts.append(f"**{plain(takeaway(board))}**")
    if (warning := caveat(board)) is not None:
        parts.append(f"> {warning}")
    if (smallest := detectable(board)) is not None:
        parts.append(smallest)
    parts.append(_pipes(board, table))
    if table.more:
        parts.append(_more(table))
    if table.notes:
        notes = "  \n".join(plain(line) for line in _note_lines(table))
        parts.append(notes if len(table.notes) <= _OPEN_NOTES else folded(plural(len(table.notes), "note"), notes))
    parts.append(_legend(table))
    if budget is not None:
        parts.append(budget)
    return "\n\n".join([*parts, *sections(board, below, mistakes)])


def _pipes(board: Board, table: MainTable) -> str:
    """The table in Markdown; an empty row, which browsers draw thin, tells tiers apart."""
    rows = []
    for line in table.lines:
        path = board.run_dirs.get(line.row.name)
        cells = list(line.cells)
        cells[2] = unbroken(cells[2])
        name = link(line.row.name, f"{path}/") if path else plain(line.row.name)
        cells[1] = f"{name}{unbroken(f' {STAR}') * line.star}"
        cells[-1] = plain(_marks(line))
        rows += [[""] * len(cells)] * line.apart + [cells]
    numeric = [k for k, column in enumerate(table.columns) if column.numeric]
    return pipe_table([column.header for column in table.columns], rows, right=numeric)


def _legend(table: MainTable) -> str:
    """What the marks in the table mean."""
    said = []
    if any(line.cells[0].endswith("=") for line in table.lines):
        said.append("`=` behind a rank: several models share it, as they cannot be told apart.")
    if any(line.star for line in table.lines):
        said.append(STAR_MEANS)
    said.append("Speeds are of this machine; `infer img/s` is the model only, on images that lie on the device.")
    return " ".join(said)


def _in_full(board: Board) -> str:
    made_by = commands(board)
    text = _bullets(stamp(board))
    return f"{text}\n\nMade by:\n\n{code_block(made_by[-5:])}" if made_by else text


def _bullets(facts: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- **{label}**: {plain(text)}" for label, text in facts)


def _more(table: MainTable) -> str:
    return f"… and {plural(table.more, 'more row')} in leaderboard.csv."


def _on_two_lines(header: str) -> str:
    """A header on two lines: `train img/s` → `train`, `img/s`."""
    first, _, rest = header.partition(" [" if "[" in header else " ")
    return f"{first}\n{'[' * ('[' in header)}{rest}"


def _marks(line: Line) -> str:
    """The short notes of a row with the numbers of their sentences: `geometry¹, INVALID²`."""
    return ", ".join(f"{short}{superscript(number)}" for short, number in line.notes)


def _note_lines(table: MainTable) -> list[str]:
    """The sentence of every note with its number and the rows that have it."""
    return [f"{superscript(k)} {listing(names)}: {note.long}" for k, (note, names) in enumerate(table.notes, 1)]


def wrap(lines: Sequence[str]) -> str:
    """Lines of text in `WIDTH` columns, what follows of each indented."""
    return "\n".join(
        textwrap.fill(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for line in lines
    )
