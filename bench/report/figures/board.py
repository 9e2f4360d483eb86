"""Pictures of a board: data efficiency, and accuracy against what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bench.analysis.board import Board
from bench.report.figures.curves import data_efficiency
from bench.report.figures.fronts import accuracy_vs_macs, accuracy_vs_throughput, pareto
from bench.report.figures.ranks import ranks
from bench.report.figures.style import files_of, styled
from bench.report.figures.summary import summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_figures(board: Board) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(name, bytes by ending) of every figure of a board; nothing where no row has a result."""
    if not any(row.points for row in board.rows):
        return
    with styled():
        for name, (_, draw) in FIGURES.items():
            yield name, files_of(draw(board))


FIGURES: dict[str, tuple[str, Callable[[Board], Figure]]] = {
    "data_efficiency": ("Accuracy against training images", data_efficiency),
    "accuracy_vs_macs": ("Accuracy against compute", accuracy_vs_macs),
    "accuracy_vs_throughput": ("Accuracy against inference throughput", accuracy_vs_throughput),
    "ranks": ("Which ranks are possible", ranks),
    "pareto": ("Accuracy against every cost, with the Pareto fronts", pareto),
    "summary": ("The board on one page", summary),
}
"""Every figure of a board: its heading, and what draws it."""
