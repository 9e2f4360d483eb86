"""Learning curves of a board: accuracy against training images with bands, fitted power laws and crossovers."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.board import Board
from bench.analysis.crossover import REACH, Crossover
from bench.analysis.efficiency import Efficiency, efficiency_of
from bench.analysis.power_law import Fit
from bench.analysis.rows import Row
from bench.report.figures.drawing import LABEL_PT, End, inside, names_at_the_right
from bench.report.figures.labels import Box, place
from bench.report.figures.style import GREY, PNG_DPI, Look, headed, looks, new_figure
from bench.report.markdown.efficiency import about
from bench.report.markdown.stamp import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIT = 8
"""Rows in colour, the best ones; the others are thin and grey."""
FITTED = 4
"""Rows whose fitted curves and residuals are drawn, the best ones: more would hide the points."""
NAMED = 25
"""Rows up to which the grey ones are named too."""
MARKED = 4
"""Crossovers marked in the picture: those of the best rows."""
_WIDTH, _HEIGHT, _RESIDUALS = 7.2, 4.2, 1.25
_NOTE_PT, _NOTE_COLUMNS = 8, 107
_INK, _PALE = "#222222", "#b5b8bc"
_NBSP = "\u00a0"


def data_efficiency(board: Board) -> Figure:
    """Accuracy against training images, log n, of all rows with a result; see `learning_curves`."""
    lit = {row.name for row in _shown(board)[:LIT]}
    return learning_curves(board, efficiency_of([curve for curve in board.curves if curve.name in lit]))


def learning_curves(board: Board, found: Efficiency) -> Figure:
    """The best rows in colour with bands, and with fits, residuals and crossings as far as `found` has them.

    Raises ValueError where no row has a result.
    """
    rows = _shown(board)
    if not rows:
        raise ValueError("no row has a result")
    lit = rows[:LIT]
    named = rows if len(rows) <= NAMED else lit
    fitted = [row for row in lit if row.name in found.fits][:FITTED]
    crossings = _marked(found)
    notes = textwrap.wrap(_notes(rows, fitted, found, crossings), _NOTE_COLUMNS)
    below = 0.62 + (_RESIDUALS if fitted else 0) + 0.15 * len(notes)
    height = below + 0.65 + max(_HEIGHT - 1.25, 0.6 + 0.2 * len(named))
    figure = new_figure(_WIDTH, height)
    axes = figure.add_axes((0.1, below / height, 0.885, 1 - (below + 0.65) / height))
    headed(axes, "Accuracy against training images", title(board))
    axes.set_ylabel("test top-1 accuracy, %")
    _size_axis(axes, sorted({p.size for row in rows for p in row.points}), reach=bool(fitted))
    look = looks([row.name for row in board.rows])
    for row in rows[LIT:]:
        axes.plot([p.size for p in row.points], [100 * p.value for p in row.points],
                  color=_PALE, linewidth=0.8, zorder=1.5)  # fmt: skip
    nudges = _nudges(len(lit), board)
    for row, nudge in zip(lit, nudges, strict=True):
        _curve(axes, row, look[row.name], nudge, band=0.13 if len(lit) <= FITTED else 0.07)
    low, _ = axes.get_ylim()
    _fits(axes, fitted, found, look)
    axes.set_ylim(bottom=low)
    guessing = _guessing_line(board, axes)
    for crossing in crossings:
        _crossing(axes, crossing)
    ends = [_end(row, found if row in fitted else None, row in lit, look[row.name]) for row in named]
    names_at_the_right(axes, [*ends, *guessing])
    _label_crossings(axes, crossings, lit, [found.fits[row.name] for row in fitted])
    if fitted:
        _residuals(figure, axes, fitted, found, look, (0.12 + 0.15 * len(notes)) / height, (_RESIDUALS - 0.3) / height)
    figure.text(0.1, 0.06 / height, "\n".join(notes), fontsize=_NOTE_PT, color=GREY, va="bottom", linespacing=1.25)
    return figure


def _shown(board: Board) -> list[Row]:
    return [row for row in board.rows if row.points]


def _marked(found: Efficiency) -> list[Crossover]:
    return [c for c in found.crossovers if c.state == "crossing"][:MARKED]


def _notes(rows: Sequence[Row], fitted: Sequence[Row], found: Efficiency, marked: Sequence[Crossover]) -> str:
    """What the picture shows, and what it leaves out."""
    told = []
    if len(rows) > LIT:
        told.append(f"In colour the best {LIT} of {len(rows)} models, the others in grey.")
    single = {p.method == "wilson" for row in rows[:LIT] for p in row.points if p.method != "none"}
    doubt = {(True,): " (one seed: test-set uncertainty only)", (False, True): " (of one seed: of the test set only)"}
    told.append(f"Bands and bars: 95 % intervals{doubt.get(tuple(sorted(single)), '')}.")
    if fitted:
        best = f" of the best {len(fitted)}" if len(rows) > len(fitted) else ""
        law = "error = α + η·n^(−γ)".replace(" ", _NBSP)
        told.append(f"Thin lines{best}: {law}, dashed where measured, dotted up to {REACH:g} × the largest n.")
    crossings = sum(c.state == "crossing" for c in found.crossovers)
    if crossings:
        many = f" ({len(marked)} of {crossings})" if len(marked) < crossings else ""
        beyond = ", hollow if extrapolated" if any(c.extrapolated for c in marked) else ""
        told.append(f"Black dots: where curves cross{many}, with the 95 % interval{beyond}.")
    return " ".join(told)


def _size_axis(axes: Axes, sizes: Sequence[int], *, reach: bool) -> None:
    """A log axis with a tick at each train size, and room up to `REACH` times the largest where something is there."""
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("training images (log scale)")
    pad = max(1.06, (sizes[-1] / sizes[0]) ** 0.035)
    right = sizes[-1] * pad * (REACH if reach else 1)
    axes.set_xlim(sizes[0] / pad, right)
    if reach:
        axes.axvspan(sizes[-1], right, color="#f4f4f4", linewidth=0, zorder=0)


def _nudges(rows: int, board: Board) -> list[float]:
    """Factors on the train size, one a row, that keep error bars at one size from hiding each other."""
    sizes = board.train_sizes
    gap = (sizes[-1] / sizes[0]) ** min(0.006, 0.04 / rows) if len(sizes) > 1 else 1.006
    return [gap ** (k - (rows - 1) / 2) for k in range(rows)]


def _curve(axes: Axes, row: Row, style: Look, nudge: float, band: float) -> None:
    """Line and band at the train sizes, points with their bars beside them."""
    sizes = np.array([p.size for p in row.points])
    values = 100 * np.array([p.value for p in row.points])
    lows = 100 * np.array([p.value if p.low is None else p.low for p in row.points])
    highs = 100 * np.array([p.value if p.high is None else p.high for p in row.points])
    axes.fill_between(sizes, lows, highs, color=style.colour, alpha=band, linewidth=0, zorder=2)
    axes.plot(sizes, values, color=style.colour, linestyle=style.dashes, linewidth=1.7, zorder=3)
    axes.errorbar(
        sizes * nudge, values, yerr=[values - lows, highs - values],
        color=style.colour, marker=style.marker, linestyle="none", markersize=6, markeredgecolor="white",
        markeredgewidth=0.7, elinewidth=1.1, capsize=2.5, zorder=3,
    )  # fmt: skip


def _fits(axes: Axes, rows: Sequence[Row], found: Efficiency, look: dict[str, Look]) -> None:
    for row in rows:
        fit, colour = found.fits[row.name], look[row.name].colour
        for start, stop, dashes in (
            (fit.sizes[0], fit.sizes[-1], (0, (4, 2))),
            (fit.sizes[-1], REACH * fit.sizes[-1], (0, (1, 1.5))),
        ):
            n = np.geomspace(start, stop, 65)
            axes.plot(n, 100 * fit.accuracy(n), color=colour, linewidth=0.9, linestyle=dashes, zorder=2.5)


def _end(row: Row, found: Efficiency | None, lit: bool, style: Look) -> End:
    """Where the line of a row ends: its last point, or where its fitted curve in `found` is drawn to."""
    last = row.points[-1]
    if found is None:
        colour, ink = (style.colour, style.ink) if lit else (_PALE, GREY)
        return End(row.name, last.size, 100 * last.value, colour, ink)
    fit = found.fits[row.name]
    n = REACH * fit.sizes[-1]
    return End(row.name, n, 100 * float(fit.accuracy(n)), style.colour, style.ink)


def _guessing_line(board: Board, axes: Axes) -> list[End]:
    """A line at the accuracy of guessing, if that is near enough to matter, and its right end."""
    level = 100 * (board.guessing_level or 0)
    low, high = axes.get_ylim()
    low = max(low, 0)
    axes.set_ylim(low, min(high, 101))
    if low - 0.25 * (high - low) > level:
        return []
    axes.set_ylim(min(low, max(0, level - 2)), min(high, 101))
    axes.axhline(level, color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    return [End("guessing", axes.get_xlim()[1], level, GREY, GREY)]


def _crossing(axes: Axes, found: Crossover) -> None:
    """A dot with its interval as a horizontal bar."""
    assert found.n is not None
    assert found.low is not None
    assert found.high is not None
    assert found.accuracy is not None
    level = 100 * found.accuracy
    axes.plot([found.low, found.high], [level, level], color=_INK, linewidth=1.4, marker="|", markersize=7, zorder=4)
    axes.plot([found.n], [level], color=_INK, marker="o", markersize=6.5, markeredgewidth=1.2, zorder=5,
              markerfacecolor="white" if found.extrapolated else _INK,
              markeredgecolor=_INK if found.extrapolated else "white")  # fmt: skip


def _label_crossings(axes: Axes, crossings: Sequence[Crossover], rows: Sequence[Row], fits: Sequence[Fit]) -> None:
    """`n ≈ 1,240` near each dot, off the curves, points, bars and other labels; a line leads to one further away."""
    if not crossings:
        return
    em = PNG_DPI / 72
    at = [_pixels(axes, c.n or 0, c.accuracy or 0) for c in crossings]
    texts = [axes.text(0, 0, f"n ≈ {about(c.n or 0)}", fontsize=LABEL_PT - 0.5, color=_INK) for c in crossings]
    extents = [text.get_window_extent() for text in texts]
    obstacles = [box for row in rows for box in _covered(axes, row, em)]
    for fit in fits:
        n = np.geomspace(fit.sizes[-1], REACH * fit.sizes[-1], 25)
        beyond = [_pixels(axes, *at) for at in zip(n.tolist(), fit.accuracy(n).tolist(), strict=True)]
        obstacles += [(x - 2 * em, y - 2 * em, x + 2 * em, y + 2 * em) for x, y in beyond]
    for c, (x, y) in zip(crossings, at, strict=True):
        left, right = (_pixels(axes, end or 0, c.accuracy or 0)[0] for end in (c.low, c.high))
        obstacles += [(left, y - 4 * em, right, y + 4 * em), (x - 4 * em, y - 5 * em, x + 4 * em, y + 5 * em)]
    window = axes.get_window_extent()
    bounds = (window.x0, window.y0, window.x1, window.y1)
    boxes = place(at, [(e.width, e.height) for e in extents], obstacles, bounds, gap=8 * em)
    for text, box, (x, y) in zip(texts, boxes, at, strict=True):
        near = (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))
        if (near[0] - x) ** 2 + (near[1] - y) ** 2 > (12 * em) ** 2:
            line = [inside(axes, x, y), inside(axes, *near)]
            axes.plot(*zip(*line, strict=True), color=_INK, linewidth=0.6, transform=axes.transAxes, zorder=4)
        text.set_transform(axes.transAxes)
        text.set_position(inside(axes, box[0], box[1]))
        text.set_verticalalignment("bottom")
        text.set_zorder(6)


def _covered(axes: Axes, row: Row, em: float) -> list[Box]:
    """What a row's curve covers, in pixels: its line in small steps, its points with their bars."""
    line = [_pixels(axes, p.size, p.value) for p in row.points]
    boxes = []
    for point, (x, y) in zip(row.points, line, strict=True):
        low, high = (_pixels(axes, point.size, point.value if v is None else v)[1] for v in (point.low, point.high))
        boxes.append((x - 4 * em, min(low, y - 4 * em), x + 4 * em, max(high, y + 4 * em)))
    for (x0, y0), (x1, y1) in pairwise(line):
        steps = max(2, int((x1 - x0) / (4 * em)))
        for x, y in zip(np.linspace(x0, x1, steps).tolist(), np.linspace(y0, y1, steps).tolist(), strict=True):
            boxes.append((x - 2 * em, y - 2 * em, x + 2 * em, y + 2 * em))
    return boxes


def _pixels(axes: Axes, n: float, accuracy: float) -> tuple[float, float]:
    x, y = axes.transData.transform((n, 100 * accuracy))
    return float(x), float(y)


def _residuals(
    figure: Figure,
    above: Axes,
    rows: Sequence[Row],
    found: Efficiency,
    look: dict[str, Look],
    bottom: float,
    tall: float,
) -> None:
    """A strip below: accuracy minus fitted accuracy at each size, in points, with the accuracy's 95 % interval."""
    left, _, width, _ = above.get_position().bounds
    axes = figure.add_axes((left, bottom, width, tall))
    axes.set_xscale("log")
    axes.set_xticks(above.get_xticks(), [""] * len(above.get_xticks()))
    axes.set_xticks([], minor=True)
    axes.set_xlim(above.get_xlim())
    axes.axhline(0, color=GREY, linewidth=0.9, zorder=1)
    axes.set_title("Points minus fitted curve, percentage points", fontsize=9, fontweight="normal", color=_INK, pad=4)
    span = above.get_xlim()[1] / above.get_xlim()[0]
    gap = span ** min(0.012, 0.08 / len(rows))
    for k, row in enumerate(rows):
        fit, style = found.fits[row.name], look[row.name]
        sizes = np.array(fit.sizes) * gap ** (k - (len(rows) - 1) / 2)
        points = [row.at(size) for size in fit.sizes]
        down = [100 * (p.value - p.low) if p and p.low is not None else 0.0 for p in points]
        up = [100 * (p.high - p.value) if p and p.high is not None else 0.0 for p in points]
        axes.errorbar(sizes, 100 * np.array(fit.residuals), yerr=[down, up], color=style.colour, marker=style.marker,
                      linestyle="none", markersize=4.5, markeredgecolor="white", markeredgewidth=0.5, elinewidth=0.9,
                      zorder=3)  # fmt: skip
    axes.tick_params(labelsize=8.5)
    axes.locator_params(axis="y", nbins=4)
