"""The pictures of what a board's models get wrong: recall per class, agreement, disagreements, calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bench.analysis.board import Board
from bench.analysis.mistakes import Mistakes
from bench.report.figures.agreement import agreement_figure, disagreement_figure, shown_disagreement
from bench.report.figures.calibration import calibration_csv, calibration_figure
from bench.report.figures.classes import per_class
from bench.report.figures.style import files_of, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISTAKE_FIGURES: dict[str, str] = {
    "per_class": "Recall of every class for every model",
    "agreement": "Error consistency of every pair of models",
    "disagreements": "Test images on which the best model and another disagree",
    "calibration": "Accuracy against confidence",
}
"""Every picture and what it shows; which of them a board has, `mistake_figure_names` says."""


def mistake_figure_names(board: Board, mistakes: Mistakes) -> list[str]:
    """The pictures that there is something to draw for, in the order of `MISTAKE_FIGURES`."""
    there = {
        "per_class": any(row.points for row in board.rows),
        "agreement": len(mistakes.agreement.names) > 1,
        "disagreements": shown_disagreement(mistakes) is not None,
        "calibration": bool(mistakes.curves),
    }
    return [name for name in MISTAKE_FIGURES if there[name]]


def mistake_files(board: Board, mistakes: Mistakes) -> list[str]:
    """The files of these pictures, with their endings."""
    names = mistake_figure_names(board, mistakes)
    pictures = [f"{name}{ending}" for name in names for ending in (".svg", ".png")]
    return [*pictures, "calibration.csv"] if "calibration" in names else pictures


def draw_mistakes(board: Board, mistakes: Mistakes) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(name, bytes by ending) of every picture: `.svg` and `.png`; of `calibration` the bins as `.csv` too."""
    shown = shown_disagreement(mistakes)
    draw: dict[str, Callable[[], Figure]] = {
        "per_class": lambda: per_class(board),
        "agreement": lambda: agreement_figure(board, mistakes),
        "calibration": lambda: calibration_figure(board, mistakes),
    }
    if shown is not None:
        draw["disagreements"] = lambda: disagreement_figure(board, mistakes, shown)
    with styled():
        for name in mistake_figure_names(board, mistakes):
            extra = {".csv": calibration_csv(mistakes).encode()} if name == "calibration" else {}
            yield name, files_of(draw[name]()) | extra
