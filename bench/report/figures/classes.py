"""Recall of every class for every model of a board, as one heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.analysis.board import Board
from bench.analysis.confusions import class_order, pooled_confusion, recalls, seed_confusions, telling_classes
from bench.analysis.rows import Row
from bench.report.figures.confusions import pictured
from bench.report.figures.heat import Frame, heading, heat_map, shortened
from bench.report.figures.style import new_figure
from bench.report.markdown.stamp import title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 60
"""Classes up to which all are shown."""
MOST_ROWS = 30
"""Rows, best first, that are shown."""
_NUMBERS_UP_TO = 16
"""Classes up to which the cells hold numbers."""


def per_class(board: Board) -> Figure:
    """Rows are models in the order of the board, columns classes in one fixed order, colours recall in percent."""
    from matplotlib.colors import Normalize

    rows = [row for row in board.rows if row.points][:MOST_ROWS]
    recall = 100 * np.stack([_recall(row) for row in rows])
    shown = telling_classes(recall, MOST_CLASSES)
    order = class_order([c for row in pictured(board) if (c := pooled_confusion(row)) is not None])
    columns = [int(k) for k in order if k in set(shown.tolist())]
    names = [shortened(board.data.classes[k]) for k in columns]
    models = [shortened(row.name, 32) for row in rows]
    numbers = len(columns) <= _NUMBERS_UP_TO
    flat = numbers and max(map(len, names)) <= 6
    cell = 0.52 if numbers else 0.17 if len(columns) > 30 else 0.26
    size = 9 if cell > 0.2 else 7.5
    frame = Frame(
        left=0.35 + 0.075 * max(map(len, models)),
        bottom=0.7 if flat else 0.55 + 0.58 * size / 72 * max(map(len, names)),
        width=max(cell * len(columns), 3.6),
        height=max(0.27 * len(rows), 0.5),
    )
    figure = new_figure(*frame.size)
    axes, bar_axes = frame.axes(figure)
    values = recall[:, columns]
    heat_map(
        axes, bar_axes, values, colours="cividis", norm=Normalize(np.nanmin(values), np.nanmax(values)),
        numbers=_rounded(values) if numbers else None, label="recall, %", gaps=numbers,
    )  # fmt: skip
    axes.set_xticks(np.arange(len(columns)) + 0.5, names, rotation=0 if flat else 90, fontsize=size)
    axes.set_yticks(np.arange(len(rows)) + 0.5, models, rotation=0, fontsize=9)
    frame.label(axes, "class", "")
    heading(axes, "Recall per class", title(board), _left_out(board, rows, len(columns)))
    return figure


def _rounded(values: NDArray[np.float64]) -> NDArray[np.str_]:
    return np.array([["" if np.isnan(v) else f"{v:.0f}" for v in line] for line in values])


def _recall(row: Row) -> NDArray[np.float64]:
    by_seed = seed_confusions(row)
    assert by_seed is not None
    return recalls(by_seed).recall


def _left_out(board: Board, rows: list[Row], columns: int) -> str:
    """What is shown, where that is not all; empty where it is."""
    told = []
    if len(rows) < sum(bool(row.points) for row in board.rows):
        told.append(f"the best {len(rows)} models")
    if columns < len(board.data.classes):
        told.append(f"the {columns} of {len(board.data.classes):,} classes that are hardest or in which models differ")
    return " and ".join(told)
