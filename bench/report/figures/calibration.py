"""Reliability curves: accuracy against confidence, and how many images have which confidence."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.analysis.board import Board
from bench.analysis.calibration import Reliability
from bench.analysis.mistakes import Mistakes
from bench.report.figures.drawing import End, names_at_the_right
from bench.report.figures.heat import shortened
from bench.report.figures.style import GREY, Look, headed, looks, new_figure
from bench.report.markdown.stamp import title
from bench.training.metrics import ECE_BINS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TOGETHER_UP_TO = 8
"""Models up to which all curves share one pair of axes."""
_FEW = 5
"""Images a seed below which a bin is noise and not drawn."""
_COLUMNS = 4


def calibration_figure(board: Board, mistakes: Mistakes) -> Figure:
    """One pair of axes for few models, else one for each of the best. ValueError where no model has a curve."""
    curves = {name: found.reliability for name, found in mistakes.curves.items() if found.reliability is not None}
    if not curves:
        raise ValueError("no model has a reliability curve")
    if len(curves) <= _TOGETHER_UP_TO:
        return _together(board, mistakes, curves)
    return _apart(board, mistakes, curves)


def calibration_csv(mistakes: Mistakes) -> str:
    """Every bin of every curve: model, ends of the bin, images a seed, mean confidence, accuracy (fractions)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["model", "confidence_from", "confidence_to", "images", "confidence", "accuracy"])
    for name, found in mistakes.curves.items():
        curve = found.reliability
        assert curve is not None
        for k in range(ECE_BINS):
            values = [curve.images[k], curve.confidence[k], curve.accuracy[k]]
            ends = [f"{k / ECE_BINS:.6g}", f"{(k + 1) / ECE_BINS:.6g}"]
            writer.writerow([name, *ends, *("" if math.isnan(v) else f"{v:.6g}" for v in values)])
    return buffer.getvalue()


def _together(board: Board, mistakes: Mistakes, curves: dict[str, Reliability]) -> Figure:
    look = looks([row.name for row in board.rows])
    figure = new_figure(7.2, 6.2)
    axes = figure.add_axes((0.1, 0.33, 0.6, 0.545))
    below = figure.add_axes((0.1, 0.085, 0.6, 0.17))
    _diagonal(axes)
    ends = []
    for name, curve in curves.items():
        x, y = _line(axes, curve, look[name])
        ends.append(End(f"{name}  {_ece(mistakes, name)}", x, y, look[name].colour, look[name].ink))
        below.step(*_steps(curve), where="post", color=look[name].colour, linestyle=look[name].dashes, linewidth=1.3)
    axes.set_ylabel("accuracy of these images, %")
    names_at_the_right(axes, ends)
    left, _, width, _ = axes.get_position().bounds
    below.set_position((left, 0.085, width, 0.17))
    below.set_xlim(0, 100)
    most = max(float(curve.images.max()) for curve in curves.values())
    ticks = [0, *(10**k for k in range(math.ceil(math.log10(max(most, 2))) + 1))]
    below.set_yscale("symlog", linthresh=1)
    below.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    below.set_yticks([], minor=True)
    below.set_ylim(0, 1.2 * most)
    below.set_ylabel("images (log)")
    below.set_xlabel("confidence: probability of the class named, %")
    headed(axes, "Calibration, with ECE in %", _subtitle(board, mistakes))
    return figure


def _apart(board: Board, mistakes: Mistakes, curves: dict[str, Reliability]) -> Figure:
    look = looks([row.name for row in board.rows])
    lines = math.ceil(len(curves) / _COLUMNS)
    width, height = 9.6, 1.05 + 2.45 * lines
    figure = new_figure(width, height)
    for k, (name, curve) in enumerate(curves.items()):
        column, line = k % _COLUMNS, k // _COLUMNS
        bottom = height - 1.0 - 2.45 * line - 1.75
        axes = figure.add_axes(((0.62 + 2.27 * column) / width, bottom / height, 1.95 / width, 1.75 / height))
        _diagonal(axes)
        most = max(float(curve.images.max()), 1.0)
        at = (np.arange(ECE_BINS) + 0.5) * 100 / ECE_BINS
        axes.bar(at, 30 * curve.images / most, width=95 / ECE_BINS, color="#dcdcdc", zorder=1)
        _line(axes, curve, look[name])
        axes.set_title(f"{shortened(name, 24)}\nECE {_ece(mistakes, name)} %", fontsize=8.5, fontweight="normal", pad=4)
        axes.tick_params(labelsize=8)
        axes.tick_params(labelleft=column == 0)
        if column == 0:
            axes.set_ylabel("accuracy, %", fontsize=8.5)
        if k + _COLUMNS >= len(curves):
            axes.set_xlabel("confidence, %", fontsize=8.5)
    figure.text(0.62 / width, 1 - 0.26 / height, "Calibration", fontsize=12, fontweight="bold", va="center")
    below = f"{_subtitle(board, mistakes)}; grey bars: share of the images"
    figure.text(0.62 / width, 1 - 0.47 / height, below, fontsize=8.5, color=GREY, va="center")
    return figure


def _diagonal(axes: Axes) -> None:
    """Percent on both axes, and the line of perfect calibration."""
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_xticks(range(0, 101, 20))
    axes.set_yticks(range(0, 101, 20))


def _line(axes: Axes, curve: Reliability, look: Look) -> tuple[float, float]:
    """The curve through the bins that hold enough images; returns where it ends, in percent."""
    drawn = curve.images >= min(_FEW, float(curve.images.max()))
    x, y = 100 * curve.confidence[drawn], 100 * curve.accuracy[drawn]
    axes.plot(
        x, y, color=look.colour, marker=look.marker, linestyle=look.dashes, markersize=5, markeredgecolor="white",
        markeredgewidth=0.6, linewidth=1.6, zorder=3, clip_on=False,
    )  # fmt: skip
    return float(x[-1]), float(y[-1])


def _steps(curve: Reliability) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the bins in percent, and images a seed, the last one twice."""
    return np.arange(ECE_BINS + 1) * 100 / ECE_BINS, np.append(curve.images, curve.images[-1])


def _ece(mistakes: Mistakes, name: str) -> str:
    """`4.2 [3.1, 5.0]`, in percent."""
    found = mistakes.calibrations[name]
    if found.ece_low is None or found.ece_high is None:
        return f"{100 * found.ece:.1f}"
    return f"{100 * found.ece:.1f} [{100 * found.ece_low:.1f}, {100 * found.ece_high:.1f}]"


def _subtitle(board: Board, mistakes: Mistakes) -> str:
    shown, known = len(mistakes.curves), sum(bool(row.points) for row in board.rows)
    few = f"; the best {shown} models with logits" if shown < known else ""
    return f"{title(board)}{few}; bins below {_FEW} images are not drawn"
