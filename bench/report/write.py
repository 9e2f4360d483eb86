"""Writes the boards of an output folder: tables and text first, pictures after them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench.analysis.board import Board, build_board
from bench.report.confusion import confusion_texts, draw_confusions
from bench.report.figures import FIGURES, draw_figures
from bench.report.files import remove_outdated, write_all, write_file
from bench.report.markdown import leaderboard
from bench.report.names import picture_folders, picture_names
from bench.report.tables import boards_csv, boards_json
from bench.store import Records

FOLDERS = ("figures", "confusion")
"""Folders below the output folder that hold nothing but what is written here."""


def write_boards(records: Records, output: Path, command: str) -> list[Board]:
    """Build every board of `records` and write all files of them below `output`, each atomically.

    `command` is the call that writes; it may be empty. Files that an earlier call wrote and that have no place any
    more, such as pictures of a board that is no longer the first, are removed. Returns the boards, the one with
    the newest run first. Raises StoreError where the folder cannot be written.
    """
    boards = build_board(records)
    write_texts(boards, output, command, records.problems)
    write_pictures(boards, output)
    return boards


def write_texts(boards: Sequence[Board], output: Path, command: str = "", problems: Sequence[str] = ()) -> None:
    """Write the leaderboard in its three forms and the tables of confusions; needs no picture library."""
    planned = files_of(boards)
    remove_outdated(output, "leaderboard.json", planned, *FOLDERS)
    below = picture_folders(boards)
    document = {**boards_json(boards), "files": planned}
    write_file(output / "leaderboard.md", leaderboard(boards, below, command, problems).encode())
    write_file(output / "leaderboard.csv", boards_csv(boards).encode())
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    write_file(output / "leaderboard.json", f"{text}\n".encode())
    for board, folder in zip(boards, below, strict=True):
        write_all(output / f"confusion/{folder}", confusion_texts(board))


def write_pictures(boards: Sequence[Board], output: Path) -> None:
    """Write every figure and confusion matrix as SVG and PNG."""
    for board, folder in zip(boards, picture_folders(boards), strict=True):
        write_all(output / f"figures/{folder}", draw_figures(board))
        write_all(output / f"confusion/{folder}", draw_confusions(board))


def files_of(boards: Sequence[Board]) -> list[str]:
    """Every file below `figures/` and `confusion/` that belongs to these boards, relative to the output folder."""
    found: list[str] = []
    for board, folder in zip(boards, picture_folders(boards), strict=True):
        names = picture_names(board)
        drawn = [row for row in board.rows if row.points]
        if drawn:
            found += [f"figures/{folder}{name}{ending}" for name in FIGURES for ending in (".svg", ".png")]
        found += [
            f"confusion/{folder}{names[row.name]}{ending}"
            for row in drawn
            for ending in (".svg", ".png", ".csv", ".md")
        ]
    return found
