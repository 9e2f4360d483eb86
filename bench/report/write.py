"""Writes the boards of an output folder: tables and text first, pictures after them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.analysis.board import Board, build_board
from bench.analysis.budget import UnderBudget
from bench.analysis.mistakes import Mistakes, mistakes_of
from bench.report.confusion import confusion_texts, tabulated
from bench.report.figures.board import FIGURES, draw_figures
from bench.report.figures.confusions import confusion_picture_names, draw_confusions
from bench.report.figures.mistakes import draw_mistakes, mistake_files
from bench.report.figures.thumbnails import png_thumbnails
from bench.report.files import drawing_of, is_drawn, note_drawn, remove_outdated, write_all, write_file
from bench.report.html.page import PAGE, Material, write_html
from bench.report.latex import leaderboard_tex
from bench.report.markdown.board import leaderboard
from bench.report.markdown.cards import card_names, model_cards
from bench.report.markdown.pairs import pairs_csv
from bench.report.names import picture_folders, picture_names
from bench.report.tables import boards_csv, boards_json
from bench.store import Records, Store

FOLDERS = ("figures", "confusion", "cards")
"""Folders below the output folder that hold nothing but what is written here."""
_TEXTS = ("leaderboard.md", "leaderboard.json", "pairs.csv")


def write_boards(records: Records, output: Path, command: str) -> list[Board]:
    """Build every board of `records` and write all files of them below `output`, each atomically.

    `command` is the call that writes; it may be empty. Files that an earlier call wrote and that have no place any
    more, such as pictures of a board that is no longer the first, are removed. Returns the boards, the one with
    the newest run first. Raises StoreError where the folder cannot be written.
    """
    boards = build_board(records)
    mistakes = write_texts(boards, output, command, records.problems)
    write_pictures(boards, output, mistakes, records.problems)
    return boards


def write_texts(
    boards: Sequence[Board],
    output: Path,
    command: str = "",
    problems: Sequence[str] = (),
    budgets: Sequence[UnderBudget] = (),
) -> dict[str, Mistakes]:
    """Write the leaderboard in all its forms, the pairs, cards and confusions as tables; needs no picture library.

    Returns what the predictions say about the mistakes of each board, by its id: the pictures need it again.
    """
    store = Store(output)
    mistakes = {board.id: mistakes_of(board, store) for board in boards}
    planned = files_of(boards, mistakes)
    remove_outdated(output, "leaderboard.json", planned, *FOLDERS)
    below = picture_folders(boards)
    document = {**boards_json(boards), "files": planned}
    write_file(output / "leaderboard.md", leaderboard(boards, below, command, problems, budgets, mistakes).encode())
    write_file(output / "leaderboard.csv", boards_csv(boards).encode())
    write_file(output / "leaderboard.tex", leaderboard_tex(boards).encode())
    write_file(output / "pairs.csv", pairs_csv(boards).encode())
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    write_file(output / "leaderboard.json", f"{text}\n".encode())
    for board, folder in zip(boards, below, strict=True):
        write_all(output / f"confusion/{folder}", confusion_texts(board))
        write_all(output / f"cards/{folder}", model_cards(board, "../../../" if folder else "../../"))
    return mistakes


def write_pictures(
    boards: Sequence[Board], output: Path, mistakes: Mapping[str, Mistakes], problems: Sequence[str] = ()
) -> None:
    """Write every figure and confusion matrix as SVG and PNG, and the page that has all of it in one file.

    `mistakes` are those of each board, by its id; `problems` are records that could not be read. What would come out
    as it is, because neither the texts that `write_texts` has written nor anything else it is drawn from has changed,
    is not drawn again.
    """
    store = Store(output)
    kept = [store.thumbnail_file(board.data.fingerprint).relative_to(output).as_posix() for board in boards]
    drawing = drawing_of(output, [*_TEXTS, *kept])
    if is_drawn(output, "boards", drawing, [*files_of(boards, mistakes), PAGE]):
        return
    material = []
    for board, folder in zip(boards, picture_folders(boards), strict=True):
        figures = dict(draw_figures(board))
        write_all(output / f"figures/{folder}", iter(figures.items()))
        write_all(output / f"figures/{folder}", draw_mistakes(board, mistakes[board.id]))
        write_all(output / f"confusion/{folder}", draw_confusions(board))
        told = {FIGURES[name][0]: contents for name, contents in figures.items()}
        images = png_thumbnails(board, mistakes[board.id])
        material.append(Material(mistakes[board.id].answers, images, told))
    write_html(boards, output, material, problems)
    note_drawn(output, "boards", drawing)


def files_of(boards: Sequence[Board], mistakes: Mapping[str, Mistakes]) -> list[str]:
    """Every file below `FOLDERS` that belongs to these boards, relative to the output folder.

    `mistakes` are those of each board, by its id.
    """
    found: list[str] = []
    for board, folder in zip(boards, picture_folders(boards), strict=True):
        names = picture_names(board)
        if any(row.points for row in board.rows):
            found += [f"figures/{folder}{name}{ending}" for name in FIGURES for ending in (".svg", ".png")]
        found += [f"cards/{folder}{name}.md" for name in card_names(board)]
        found += [f"figures/{folder}{name}" for name in mistake_files(board, mistakes[board.id])]
        tables = [names[row.name] for row in tabulated(board)]
        found += [f"confusion/{folder}{name}{ending}" for name in tables for ending in (".csv", ".md")]
        pictures = confusion_picture_names(board)
        found += [f"confusion/{folder}{name}{ending}" for name in pictures for ending in (".svg", ".png")]
    return found
