"""Confusion matrices as pictures that can be read from 2 to 1,000 classes, and the worst part of large ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.analysis.board import Board
from bench.analysis.confusions import NATURAL_UP_TO, Counts, by_true_class, class_order, pooled_confusion, worst_classes
from bench.analysis.rows import Row
from bench.report.confusion import where
from bench.report.figures.heat import Frame, heading, heat_map, shortened
from bench.report.figures.style import files_of, new_figure, styled
from bench.report.names import picture_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PICTURES, _FEWER_PICTURES = 20, 10
"""Rows, best first, that get pictures of their own; fewer with many classes, where each takes seconds to draw, and on
boards of more than `_MANY_ROWS`."""
_MANY_ROWS = 100
WORST = "worst/"
"""Folder, below that of the matrices, of the pictures of their worst part."""
_WORST_CLASSES = 20
_NUMBERS_UP_TO = 20
"""Classes up to which the cells hold numbers."""
_NAMES_UP_TO = 120
"""Classes up to which every class is named on the axes."""
_CELLS = 250
"""Cells per side beyond which neighbouring classes share one."""

Order = NDArray[np.int64]


@dataclass(frozen=True)
class _Matrix:
    """A matrix as drawn: shares in percent [cells, cells], what stands on its axes and in its cells."""

    cells: NDArray[np.float64]
    classes: Sequence[str]
    numbers: NDArray[np.str_] | None
    title: str
    below: str
    extra: str = ""


def pictured(board: Board) -> list[Row]:
    """The rows of a board that get pictures of their own confusions, best first."""
    few = len(board.data.classes) <= NATURAL_UP_TO and len(board.rows) <= _MANY_ROWS
    most = _MOST_PICTURES if few else _FEWER_PICTURES
    return [row for row in board.rows if row.points][:most]


def confusion_picture_names(board: Board) -> list[str]:
    """The name of every picture of confusions of a board, below the folder of its matrices, without ending."""
    names = picture_names(board)
    matrices = [names[row.name] for row in pictured(board)]
    return matrices + [f"{WORST}{name}" for name in matrices if len(board.data.classes) > NATURAL_UP_TO]


def draw_confusions(board: Board) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(name, bytes by ending) of every picture of `confusion_picture_names`: `.svg`, `.png`."""
    names = picture_names(board)
    found = [(row, counts) for row in pictured(board) if (counts := pooled_confusion(row)) is not None]
    if not found:
        return
    order = class_order([counts for _, counts in found])
    with styled():
        for row, counts in found:
            yield names[row.name], files_of(confusion_figure(board, row, counts, order))
            if len(board.data.classes) > NATURAL_UP_TO:
                yield f"{WORST}{names[row.name]}", files_of(worst_figure(board, row, counts, order))


def confusion_figure(board: Board, row: Row, counts: Counts, order: Order) -> Figure:
    """The whole matrix, rows true, columns predicted, each row in parts of its class, classes in `order`."""
    shares = 100 * by_true_class(counts)[np.ix_(order, order)]
    cells, block = pooled(shares)
    extra = [
        "classes clustered, the same order for all models" if (order != np.arange(len(order))).any() else "",
        f"a cell shows the largest share in {block} × {block} classes" if block > 1 else "",
        "grey: no test images" if np.isnan(shares).any() else "",
    ]
    return _draw(
        _Matrix(
            cells=cells,
            classes=[board.data.classes[k] for k in order],
            numbers=_numbers(shares) if len(order) <= _NUMBERS_UP_TO else None,
            title=f"{row.name}: confusion",
            below=f"{board.dataset} · {board.preset} · {where(row, counts)}",
            extra="; ".join(filter(None, extra)),
        )
    )


def worst_figure(board: Board, row: Row, counts: Counts, order: Order) -> Figure:
    """The part of the matrix with the worst confusions of this row, with names and numbers; classes in `order`."""
    place = {int(k): position for position, k in enumerate(order)}
    chosen = sorted(worst_classes(counts, _WORST_CLASSES), key=place.__getitem__)
    chosen = chosen or [int(k) for k in order[:2]]
    shares = 100 * by_true_class(counts)[np.ix_(chosen, chosen)]
    told = f"the {len(chosen)} of {len(order):,} classes in the worst confusions, in shares of the whole true class"
    return _draw(
        _Matrix(
            cells=shares,
            classes=[board.data.classes[k] for k in chosen],
            numbers=_numbers(shares),
            title=f"{row.name}: worst confusions",
            below=f"{board.dataset} · {board.preset} · {where(row, counts)}",
            extra=told,
        )
    )


def pooled(shares: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """The matrix as drawn, and classes per cell: the largest share of each block once cells would be too small."""
    block = math.ceil(len(shares) / _CELLS)
    if block == 1:
        return shares, 1
    size = math.ceil(len(shares) / block) * block
    padded = np.full((size, size), np.nan)
    padded[: len(shares), : len(shares)] = shares
    blocks = padded.reshape(size // block, block, size // block, block)
    filled = np.where(np.isnan(blocks), -1.0, blocks).max(axis=(1, 3))
    return np.where(filled < 0, np.nan, filled), block


def _draw(matrix: _Matrix) -> Figure:
    from matplotlib.colors import PowerNorm

    classes = len(matrix.classes)
    names = _tick_names(matrix.classes)
    side, size = _side(classes), _tick_size(classes)
    longest = max(map(len, names)) * 0.58 * size / 72
    frame = Frame(
        left=0.55 + longest,
        bottom=0.7 if _flat(names, classes) else 0.55 + longest,
        width=side,
        height=side,
        top=0.95 if matrix.extra else 0.8,
    )
    figure = new_figure(*frame.size)
    axes, bar_axes = frame.axes(figure)
    heat_map(
        axes, bar_axes, matrix.cells, colours="Blues", norm=PowerNorm(0.5, 0, 100), numbers=matrix.numbers,
        number_pt=9 if classes <= 12 else 6.5, ticks=[0, 1, 5, 10, 25, 50, 75, 100],
        label="share of the true class, %",
    )  # fmt: skip
    _ticks(axes, names, classes, cells=len(matrix.cells))
    frame.label(axes, "predicted class", "true class")
    heading(axes, matrix.title, matrix.below, matrix.extra)
    return figure


def _side(classes: int) -> float:
    """Inches of the matrix. At least 1,000 pixels in the PNG; larger where so many names would not fit beside it."""
    return 6.25 if classes <= 50 or classes > _NAMES_UP_TO else 6.25 + 3.25 * (classes - 50) / (_NAMES_UP_TO - 50)


def _tick_names(classes: Sequence[str]) -> list[str]:
    """Names that stand on the axes, shortened; every so many of them where there are too many."""
    step = 1 if len(classes) <= _NAMES_UP_TO else math.ceil(len(classes) / 25)
    return [shortened(name) for name in classes[::step]]


def _ticks(axes: Axes, names: Sequence[str], classes: int, cells: int) -> None:
    at = (np.arange(0, classes, math.ceil(classes / len(names))) + 0.5) * cells / classes
    size = _tick_size(classes)
    axes.set_xticks(at, names, rotation=0 if _flat(names, classes) else 90, fontsize=size)
    axes.set_yticks(at, names, rotation=0, fontsize=size)


def _tick_size(classes: int) -> float:
    """Points."""
    if 50 < classes <= _NAMES_UP_TO:
        return 5.0
    return 9 if classes <= 12 else 8 if classes <= 30 else 7


def _flat(names: Sequence[str], classes: int) -> bool:
    """Whether the names fit side by side below their columns."""
    return classes <= 12 and max(map(len, names)) <= 6


def _numbers(shares: NDArray[np.float64]) -> NDArray[np.str_]:
    """Percentages for the cells that are not empty."""
    return np.array([["" if not v > 0 else f"{v:.0f}" if v >= 9.95 else f"{v:.1f}" for v in line] for line in shares])
