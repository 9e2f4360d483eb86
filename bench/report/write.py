"""Writes the boards of an output folder: tables and text first, pictures after them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.analysis.board import Board, build_board
from bench.report.confusion import confusion_texts, draw_confusions
from bench.report.figures import FIGURES, draw_figures
from bench.report.markdown import leaderboard
from bench.report.names import picture_folders, picture_names
from bench.report.tables import boards_csv, boards_json
from bench.store import Records, StoreError, atomic_write

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
    _remove_outdated(output, planned)
    below = picture_folders(boards)
    document = {**boards_json(boards), "files": planned}
    _write(output / "leaderboard.md", leaderboard(boards, below, command, problems).encode())
    _write(output / "leaderboard.csv", boards_csv(boards).encode())
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    _write(output / "leaderboard.json", f"{text}\n".encode())
    for board, folder in zip(boards, below, strict=True):
        _write_all(output / f"confusion/{folder}", confusion_texts(board))


def write_pictures(boards: Sequence[Board], output: Path) -> None:
    """Write every figure and confusion matrix as SVG and PNG."""
    for board, folder in zip(boards, picture_folders(boards), strict=True):
        _write_all(output / f"figures/{folder}", draw_figures(board))
        _write_all(output / f"confusion/{folder}", draw_confusions(board))


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


def _remove_outdated(output: Path, planned: Sequence[str]) -> None:
    """Remove what the last call lists in `leaderboard.json` and this one does not write; never anything else."""
    try:
        earlier = json.loads((output / "leaderboard.json").read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    kept = set(planned)
    for name in earlier if isinstance(earlier, list) else []:
        path = Path(str(name))
        if name not in kept and path.parts[:1] and path.parts[0] in FOLDERS and ".." not in path.parts:
            (output / path).unlink(missing_ok=True)


def _write_all(folder: Path, files: Iterator[tuple[str, dict[str, bytes]]]) -> None:
    for name, contents in files:
        for ending, data in contents.items():
            _write(folder / f"{name}{ending}", data)


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, data)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; the runs are safe: make room or make the folder "
            "writable, then run again with --report-only."
        ) from error
