"""Costs for people: `costs.md`, and the table that the command prints."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bench.analysis.costs import CostBoard, CostRow
from bench.analysis.rows import Note
from bench.report.costs.sections import cost_sections
from bench.report.costs.stamp import cost_caveats, cost_commands, cost_stamp, cost_takeaway, cost_title
from bench.report.costs.words import batches, giga, mebibytes, milliseconds, rate, utilisation
from bench.report.markdown.board import WIDTH, wrap
from bench.report.words import NOTHING, link, pipe_table, plain, significant, superscript, text_table

_HEADERS = (
    "model",
    "params M",
    "GMACs",
    "latency p50 ms",
    "inference img/s [95 % interval]",
    "training img/s [95 % interval]",
    "batch: infer / train",
    "inference peak MiB",
    "MFU %: infer / train",
    "notes",
)
_RIGHT = range(1, 9)
_NAME_WIDTH, _PAIR_WIDTH, _NOTES_WIDTH = 22, 10, 16
_DISPENSABLE = (7, 1, 6, 8)
_NBSP = "\u00a0"


def cost_page(
    boards: Sequence[CostBoard],
    pictures: Sequence[Sequence[tuple[str, str]]],
    command: str = "",
    problems: Sequence[str] = (),
) -> str:
    """The whole of `costs.md`. `pictures` are, for each board, (text, path relative to the page).

    `command` is the call that writes the page; it is named where it is none of those that measured.
    `problems` are records that could not be read.
    """
    parts = ["# What the models cost"]
    if not boards:
        parts.append("No cost has been measured yet.")
    if command and not any(command in cost_commands(board) for board in boards):
        parts.append(f"Page written by:\n\n```sh\n{command}\n```")
    if len(boards) > 1:
        parts.append(
            f"{len(boards)} groups, the newest first. They differ in machine, image size, classes or settings: "
            "speeds of different groups must not be compared."
        )
    parts += [_section(board, found) for board, found in zip(boards, pictures, strict=True)]
    if problems:
        parts.append("## Records left out\n\n" + "\n".join(f"- {plain(problem)}" for problem in problems))
    return "\n\n".join(parts) + "\n"


def cost_table(board: CostBoard) -> str:
    """A board as plain text of at most 110 columns, without colours: title, table, notes, takeaway."""
    notes = [f"{superscript(k)} {_note_line(note, names)}" for k, (note, names) in _numbered(board).items()]
    said = [cost_title(board), _fitted(board), *([wrap(notes)] if notes else [])]
    said += [wrap([cost_takeaway(board)]), *(wrap([text]) for text in cost_caveats(board))]
    return "\n\n".join(said) + "\n"


def _section(board: CostBoard, pictures: Sequence[tuple[str, str]]) -> str:
    parts = [f"## {plain(cost_title(board))}"]
    parts.append("\n".join(f"- **{label}**: {plain(text)}" for label, text in cost_stamp(board)))
    commands = cost_commands(board)
    if commands:
        parts.append("Measured by:\n\n```sh\n" + "\n".join(commands[-5:]) + "\n```")
    parts.append(f"**{plain(cost_takeaway(board))}**")
    parts += [f"> {plain(text)}" for text in cost_caveats(board)]
    numbered = _numbered(board)
    parts.append(pipe_table(_HEADERS, [_cells(row, numbered, linked=True) for row in board.rows], right=_RIGHT))
    if numbered:
        lines = [f"{superscript(k)} {plain(_note_line(note, names))}" for k, (note, names) in numbered.items()]
        parts.append("  \n".join(lines))
    return "\n\n".join([*parts, *cost_sections(board, pictures)])


def _cells(row: CostRow, numbered: dict[int, tuple[Note, list[str]]], linked: bool = False) -> list[str]:
    numbers = {note.long: k for k, (note, _) in numbered.items()}
    marks = [f"{note.short}{superscript(numbers[note.long])}" for note in row.notes]
    name = link(row.model, f"{row.path}/") if row.path and linked else plain(row.model) if linked else row.model
    space = _NBSP if linked else " "
    return [
        name,
        significant(row.params / 1e6 if row.params is not None else None),
        giga(row.macs),
        milliseconds(row.latency),
        rate(row.inference).replace(" ", space),
        rate(row.training).replace(" ", space),
        batches(row),
        mebibytes(row.memory.inference_peak_bytes) if row.memory else NOTHING,
        utilisation(row),
        ", ".join(marks),
    ]


def _fitted(board: CostBoard) -> str:
    """The table in `WIDTH` columns: long cells are folded; where that is not enough, columns are left out."""
    lines, numbered = [[_folded(header) for header in _HEADERS]], _numbered(board)
    for row in board.rows:
        cells = _cells(row, numbered)
        cells[0] = textwrap.fill(cells[0], _NAME_WIDTH, break_on_hyphens=False)
        cells[3:6] = [cell.replace(" ", "\n") for cell in cells[3:6]]
        for k in (6, 8):
            cells[k] = cells[k] if len(cells[k]) <= _PAIR_WIDTH else cells[k].replace(" / ", " /\n")
        cells[9] = textwrap.fill(cells[9], _NOTES_WIDTH, break_long_words=False, break_on_hyphens=False)
        lines.append(cells)
    kept = [k for k in range(len(_HEADERS)) if k < 2 or any(line[k] not in ("", NOTHING) for line in lines[1:])]
    for dispensable in (None, *_DISPENSABLE):
        kept = [k for k in kept if k != dispensable]
        shown = [[line[k] for k in kept] for line in lines]
        text = text_table(shown[0], shown[1:], [place for place, k in enumerate(kept) if k in _RIGHT])
        if max(map(len, text.splitlines())) <= WIDTH:
            break
    return text


def _folded(header: str) -> str:
    """A header on several lines: `MFU %: infer / train` → `MFU %:`, `infer /`, `train`."""
    short = header.replace(" interval]", "]").replace("[95 %", "[95\u00a0%")
    return "\n".join(textwrap.wrap(short, 9, break_long_words=False)).replace(_NBSP, " ")


def _numbered(board: CostBoard) -> dict[int, tuple[Note, list[str]]]:
    """Each distinct note with the models that have it, by a number in order of appearance."""
    found: dict[str, tuple[Note, list[str]]] = {}
    for row in board.rows:
        for note in row.notes:
            found.setdefault(note.long, (note, []))[1].append(row.model)
    return dict(enumerate(found.values(), 1))


def _note_line(note: Note, names: Sequence[str]) -> str:
    return f"{', '.join(names)}: {note.long}"
