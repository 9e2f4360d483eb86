"""Confusion matrices: a picture that is readable from 10 to 1,000 classes, CSV, and the worst pairs in Markdown."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.analysis.board import Board
from bench.analysis.confusions import Counts, by_true_class, most_confused, pooled_confusion
from bench.analysis.rows import Row
from bench.report.names import picture_names
from bench.report.stamp import title
from bench.report.style import files_of, headed, new_figure, styled
from bench.report.words import NOTHING, percent, pipe_table, plain, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_SIDE = 6.25
"""Inches of the matrix: 1,000 pixels in the PNG, so that up to 1,000 classes get a whole pixel each."""
_NUMBERS_UP_TO = 20
"""Classes up to which the cells hold numbers."""
_NAMES_UP_TO = 50
"""Classes up to which every class is named on the axes."""
_CELLS = 250
"""Cells per side beyond which neighbouring classes share one."""
_PAIRS = 20
_NOTHING_THERE = "#d0d0d0"
"""Colour of a class without test images."""


def draw_confusions(board: Board) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(name, bytes by ending) of every row's matrix: `.svg`, `.png`."""
    names = picture_names(board)
    with styled():
        for row in board.rows:
            counts = pooled_confusion(row)
            if counts is not None:
                yield names[row.name], files_of(confusion_figure(board, row, counts))


def confusion_texts(board: Board) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(name, bytes by ending) of every row's `.csv` and `.md`."""
    names = picture_names(board)
    for row in board.rows:
        counts = pooled_confusion(row)
        if counts is not None:
            texts = {".csv": confusion_csv(board.data.classes, counts), ".md": confusion_markdown(board, row, counts)}
            yield names[row.name], {ending: text.encode() for ending, text in texts.items()}


def confusion_figure(board: Board, row: Row, counts: Counts) -> Figure:
    """The matrix, rows true, columns predicted, each row in parts of its class."""
    import seaborn as sns
    from matplotlib.colors import PowerNorm

    classes = board.data.classes
    shares = 100 * by_true_class(counts)
    cells, block = pooled(shares)
    names = _tick_names(classes)
    size = _tick_size(len(classes))
    longest = max(map(len, names)) * 0.58 * size / 72
    left, bottom = 0.5 + longest, 0.7 if _flat(names, len(classes)) else 0.5 + longest
    width, height = left + _SIDE + 1.1, bottom + _SIDE + 0.75
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height))
    bar_axes = figure.add_axes(((left + _SIDE + 0.2) / width, bottom / height, 0.18 / width, _SIDE / height))
    numbers = _numbers(shares) if len(classes) <= _NUMBERS_UP_TO else None
    sns.heatmap(
        cells, ax=axes, cbar_ax=bar_axes, cmap=_colours(), norm=PowerNorm(0.5, 0, 100), mask=np.isnan(cells),
        annot=numbers, fmt="", annot_kws={"fontsize": 9 if len(classes) <= 12 else 6.5},
        xticklabels=False, yticklabels=False, rasterized=len(classes) > _NUMBERS_UP_TO,
        cbar_kws={"ticks": [0, 1, 5, 10, 25, 50, 75, 100], "label": "share of the true class, %", "format": "%g"},
    )  # fmt: skip
    axes.set_facecolor(_NOTHING_THERE)
    _ticks(axes, names, len(classes), cells=len(cells))
    axes.grid(False)
    axes.spines[:].set_visible(True)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    headed(axes, f"{row.name}: confusion", _subtitle(board, row, counts, block))
    return figure


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


def confusion_csv(classes: Sequence[str], counts: Counts) -> str:
    """Rows true, columns predicted, as parts of the row, then the row's test images (seeds summed)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["true \\ predicted", *classes, "images"])
    totals = counts.sum(axis=1)
    for name, line, total in zip(classes, counts.tolist(), totals.tolist(), strict=True):
        shares = [f"{count / total:.6g}" if count else "0" for count in line] if total else [""] * len(line)
        writer.writerow([name, *shares, total])
    return buffer.getvalue()


def confusion_markdown(board: Board, row: Row, counts: Counts) -> str:
    """The most confused pairs, and recall per class, the lowest first."""
    classes = board.data.classes
    pairs = [
        [plain(classes[p.true]), plain(classes[p.predicted]), percent(p.share), f"{p.count:,}"]
        for p in most_confused(counts, _PAIRS)
    ]
    totals, right = counts.sum(axis=1), np.diag(counts)
    recalls = sorted((right[k] / totals[k] if totals[k] else 2.0, k) for k in range(len(classes)))
    lines = [
        [plain(classes[k]), percent(recall) if totals[k] else NOTHING, f"{right[k]:,} of {totals[k]:,}"]
        for recall, k in recalls
    ]
    pair_table = pipe_table(["true", "predicted", "% of the true class", "images"], pairs, right=(2, 3))
    worst = pair_table if pairs else "No image was confused."
    return (
        "\n\n".join(
            [
                f"# {plain(row.name)}: confusions",
                f"{plain(title(board))}; {plain(_where(row, counts))}.",
                f"## Most confused pairs\n\n{worst}",
                "## Recall per class\n\n" + pipe_table(["class", "recall %", "images"], lines, right=(1, 2)),
            ]
        )
        + "\n"
    )


def _where(row: Row, counts: Counts) -> str:
    point = row.points[-1]
    seeds = "" if len(point.per_seed) == 1 else f", {plural(len(point.per_seed), 'seed')} summed"
    return f"n = {point.size:,}, top-1 {percent(point.value)} %, {plural(int(counts.sum()), 'test image')}{seeds}"


def _subtitle(board: Board, row: Row, counts: Counts, block: int) -> str:
    extra = f"; a cell shows the largest share in {block} × {block} classes" if block > 1 else ""
    empty = "; grey: no test images" if (counts.sum(axis=1) == 0).any() else ""
    return f"{board.data.dataset} · {board.preset} · {_where(row, counts)}{extra}{empty}"


def _tick_names(classes: Sequence[str]) -> list[str]:
    """Names that stand on the axes, shortened; every so many of them where there are too many."""
    step = 1 if len(classes) <= _NAMES_UP_TO else math.ceil(len(classes) / 25)
    return [name if len(name) <= 18 else f"{name[:17]}…" for name in classes[::step]]


def _ticks(axes: Axes, names: Sequence[str], classes: int, cells: int) -> None:
    at = (np.arange(0, classes, math.ceil(classes / len(names))) + 0.5) * cells / classes
    size = _tick_size(classes)
    axes.set_xticks(at, names, rotation=0 if _flat(names, classes) else 90, fontsize=size)
    axes.set_yticks(at, names, rotation=0, fontsize=size)


def _tick_size(classes: int) -> float:
    """Points."""
    return 9 if classes <= 12 else 8 if classes <= 30 else 7


def _flat(names: Sequence[str], classes: int) -> bool:
    """Whether the names fit side by side below their columns."""
    return classes <= 12 and max(map(len, names)) <= 6


def _numbers(shares: NDArray[np.float64]) -> NDArray[np.str_]:
    """Percentages for the cells that are not empty."""
    return np.array([["" if not v > 0 else f"{v:.0f}" if v >= 9.95 else f"{v:.1f}" for v in line] for line in shares])


def _colours() -> Colormap:
    """White to dark blue."""
    import matplotlib as mpl

    return mpl.colormaps["Blues"]
