"""Pictures of a board: data efficiency, accuracy against compute, accuracy against throughput."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.analysis.board import Board
from bench.analysis.rows import Point, Row
from bench.report.labels import Box, place, spread
from bench.report.stamp import title
from bench.report.style import GREY, PNG_DPI, Look, files_of, headed, looks, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 7.2, 4.5
_LABEL_PT = 9.5


@dataclass(frozen=True)
class _Dot:
    """One model in a scatter plot: x with its spread, accuracy in percent with its interval."""

    row: Row
    x: float
    x_low: float
    x_high: float
    y: float
    y_low: float
    y_high: float


class _End(NamedTuple):
    """The right end of a curve, and what is written beside it."""

    name: str
    x: float
    y: float
    colour: str
    ink: str


def draw_figures(board: Board) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(name, bytes by ending) of every figure of a board; nothing where no row has a result."""
    if not any(row.points for row in board.rows):
        return
    with styled():
        for name, (_, draw) in FIGURES.items():
            yield name, files_of(draw(board))


def data_efficiency(board: Board) -> Figure:
    """Accuracy against training images, log n, with 95 % intervals; labels stand right of the curves."""
    rows = [row for row in board.rows if row.points]
    figure, axes = _canvas(board, "Accuracy against training images", height=max(_HEIGHT, 1.8 + 0.2 * len(rows)))
    axes.set_xscale("log")
    look = looks([row.name for row in board.rows])
    sizes = sorted({p.size for row in rows for p in row.points})
    nudges = _nudges(len(rows), sizes)
    for row, nudge in zip(rows, nudges, strict=True):
        style = look[row.name]
        axes.errorbar(
            [p.size * nudge for p in row.points],
            [100 * p.value for p in row.points],
            yerr=_bars(row.points),
            color=style.colour, marker=style.marker, linestyle=style.dashes, markersize=6, markeredgecolor="white",
            markeredgewidth=0.7, linewidth=1.7, elinewidth=1.1, capsize=2.5, zorder=3,
        )  # fmt: skip
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xticks([], minor=True)
    pad = max(1.06, (sizes[-1] / sizes[0]) ** 0.03)
    axes.set_xlim(sizes[0] * nudges[0] / pad, sizes[-1] * nudges[-1] * pad)
    axes.set_xlabel("training images (log scale)")
    ends = [
        _End(
            row.name, row.points[-1].size * nudge, 100 * row.points[-1].value, look[row.name].colour, look[row.name].ink
        )
        for row, nudge in zip(rows, nudges, strict=True)
    ]
    _labels_at_the_right(axes, [*ends, *_guessing_line(board, axes)])
    return figure


def accuracy_vs_macs(board: Board) -> Figure:
    """Accuracy at the largest size against multiply-accumulates of one image, log scale."""
    dots = [_dot(row, row.macs / 1e9, row.macs / 1e9, row.macs / 1e9) for row in board.rows if row.macs and row.top1]
    figure, axes = _canvas(board, "Accuracy against compute")
    _scatter(board, axes, dots)
    axes.set_xlabel(f"GMACs for one image of {board.protocol.get('img_size')} px (log scale)")
    return figure


def accuracy_vs_throughput(board: Board) -> Figure:
    """Accuracy at the largest size against images per second of inference, log scale, with quartiles."""
    dots = []
    for row in board.rows:
        timing = row.profile.inference if row.profile else None
        if timing and row.top1:
            per_s = [1000 * timing.batch_size / ms for ms in (timing.median_ms, timing.q75_ms, timing.q25_ms)]
            dots.append(_dot(row, *per_s))
    figure, axes = _canvas(board, "Accuracy against inference throughput")
    _scatter(board, axes, dots)
    axes.set_xlabel("inference, images per second (log scale; bars: quartiles)")
    return figure


def _canvas(board: Board, heading: str, height: float = _HEIGHT) -> tuple[Figure, Axes]:
    """A figure with its heading, the board it belongs to below that, and an accuracy axis."""
    figure = new_figure(_WIDTH, height)
    axes = figure.add_axes((0.1, 0.6 / height, 0.885, 1 - 1.25 / height))
    headed(axes, heading, title(board))
    axes.set_ylabel("test top-1 accuracy, %")
    return figure, axes


def _scatter(board: Board, axes: Axes, dots: Sequence[_Dot]) -> None:
    if not dots:
        axes.text(0.5, 0.5, "no model has both measured", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    look = looks([row.name for row in board.rows])
    axes.set_xscale("log")
    for dot in dots:
        style = look[dot.row.name]
        axes.errorbar(
            dot.x, dot.y,
            xerr=[[dot.x - dot.x_low], [dot.x_high - dot.x]], yerr=[[dot.y - dot.y_low], [dot.y_high - dot.y]],
            color=style.colour, marker=style.marker, markersize=8, markeredgecolor="white", markeredgewidth=0.8,
            elinewidth=1.2, capsize=3, linestyle="none", zorder=3,
        )  # fmt: skip
    _log_limits(axes, [d.x_low for d in dots], [d.x_high for d in dots])
    _accuracy_limits(axes, [d.y_low for d in dots], [d.y_high for d in dots])
    _label_dots(axes, dots, look)


def _label_dots(axes: Axes, dots: Sequence[_Dot], look: dict[str, Look]) -> None:
    """The name of each model beside its dot; one that had to go further away gets a line to it."""
    figure = axes.figure
    figure.set_dpi(PNG_DPI)
    em = PNG_DPI / 72
    at = [tuple(axes.transData.transform((d.x, d.y))) for d in dots]
    obstacles = [box for d in dots for box in _obstacles(axes, d, em)]
    texts = [axes.text(0, 0, d.row.name, fontsize=_LABEL_PT, color=look[d.row.name].ink) for d in dots]
    extents = [t.get_window_extent() for t in texts]
    window = axes.get_window_extent()
    bounds = (window.x0, window.y0, window.x1, window.y1)
    boxes = place(at, [(e.width, e.height) for e in extents], obstacles, bounds, gap=7 * em)
    for text, dot, (x, y), box in zip(texts, dots, at, boxes, strict=True):
        text.set_transform(axes.transAxes)
        text.set_position(_inside(axes, box[0], box[1]))
        text.set_verticalalignment("bottom")
        near = (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))
        if (near[0] - x) ** 2 + (near[1] - y) ** 2 > (12 * em) ** 2:
            end = axes.transData.inverted().transform(near)
            axes.plot([dot.x, end[0]], [dot.y, end[1]], color=look[dot.row.name].colour, linewidth=0.7, zorder=2)


def _obstacles(axes: Axes, dot: _Dot, em: float) -> list[Box]:
    """Marker and error bars of a dot, in pixels."""
    to = axes.transData.transform
    (x, y), (left, _), (right, _) = to((dot.x, dot.y)), to((dot.x_low, dot.y)), to((dot.x_high, dot.y))
    (_, low), (_, high) = to((dot.x, dot.y_low)), to((dot.x, dot.y_high))
    r, cap = 5 * em, 3 * em
    return [(x - r, y - r, x + r, y + r), (x - cap, low, x + cap, high), (left - cap, y - cap, right + cap, y + cap)]


def _nudges(rows: int, sizes: Sequence[int]) -> list[float]:
    """Factors on the train size, one a row, that keep error bars at one size from hiding each other."""
    gap = (sizes[-1] / sizes[0]) ** min(0.009, 0.06 / rows) if len(sizes) > 1 else 1.01
    return [gap ** (k - (rows - 1) / 2) for k in range(rows)]


def _labels_at_the_right(axes: Axes, ends: Sequence[_End]) -> None:
    """Names in a column right of the axes, level with where each curve ends, with a thin line to it."""
    axes.figure.set_dpi(PNG_DPI)
    em = PNG_DPI / 72
    texts = [axes.text(0, 0, end.name, fontsize=_LABEL_PT, color=end.ink, va="center") for end in ends]
    room = max(t.get_window_extent().width for t in texts) / (_WIDTH * PNG_DPI)
    left, bottom, _, height = axes.get_position().bounds
    axes.set_position((left, bottom, max(0.35, 0.95 - room - left), height))
    at = [axes.transData.transform((end.x, end.y)) for end in ends]
    window = axes.get_window_extent()
    levels = spread([y for _, y in at], 1.25 * _LABEL_PT * em, window.y0, window.y1)
    for text, (x, y), level, end in zip(texts, at, levels, ends, strict=True):
        text.set_transform(axes.transAxes)
        text.set_position(_inside(axes, window.x1 + 14 * em, level))
        bends = [(x + 5 * em, y), (window.x1 + 2 * em, level), (window.x1 + 12 * em, level)]
        line = [_inside(axes, *bend) for bend in bends]
        axes.plot(*zip(*line, strict=True), color=end.colour, linewidth=0.7, alpha=0.7,
                  transform=axes.transAxes, clip_on=False, zorder=2)  # fmt: skip


def _inside(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """A place in pixels as fractions of the axes."""
    across, up = axes.transAxes.inverted().transform((x, y))
    return float(across), float(up)


def _guessing_line(board: Board, axes: Axes) -> list[_End]:
    """A line at the accuracy of guessing, if that is near enough to matter, and its right end."""
    level = 100 * (board.guessing_level or 0)
    low, high = axes.get_ylim()
    low = max(low, 0)
    axes.set_ylim(low, min(high, 101))
    if low - 0.25 * (high - low) > level:
        return []
    axes.set_ylim(min(low, max(0, level - 2)), min(high, 101))
    axes.axhline(level, color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    return [_End("guessing", axes.get_xlim()[1], level, GREY, GREY)]


def _log_limits(axes: Axes, lows: Sequence[float], highs: Sequence[float]) -> None:
    """Room on both sides, and a few ticks that are read as numbers."""
    low, high = min(lows), max(highs)
    pad = max((high / low) ** 0.18, 1.25)
    low, high = low / pad, high * pad
    ticks = log_ticks(low, high)
    axes.set_xticks(ticks, [f"{tick:,.0f}" if tick >= 1 else f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between `low` and `high` on a log scale: the coarsest grid that has at least four."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(k / 10 for k in range(10, 100))):
        found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        found = [float(f"{tick:.3g}") for tick in found if low <= tick <= high]
        if len(found) >= 4:
            break
    return found


def _accuracy_limits(axes: Axes, lows: Sequence[float], highs: Sequence[float]) -> None:
    low, high = min(lows), max(highs)
    pad = max(0.12 * (high - low), 0.5)
    axes.set_ylim(max(0, low - pad), min(101, high + pad))


def _bars(points: Sequence[Point]) -> Any:
    """Distances from the values down and up to the ends of the intervals, in percent; 0 where there is none."""
    down = [100 * (p.value - p.low) if p.low is not None else 0.0 for p in points]
    up = [100 * (p.high - p.value) if p.high is not None else 0.0 for p in points]
    return [down, up]


def _dot(row: Row, x: float, x_low: float, x_high: float) -> _Dot:
    point = row.top1
    assert point is not None
    (down,), (up,) = _bars([point])
    y = 100 * point.value
    return _Dot(row, x, x_low, x_high, y, y - down, y + up)


FIGURES: dict[str, tuple[str, Callable[[Board], Figure]]] = {
    "data_efficiency": ("Accuracy against training images", data_efficiency),
    "accuracy_vs_macs": ("Accuracy against compute", accuracy_vs_macs),
    "accuracy_vs_throughput": ("Accuracy against inference throughput", accuracy_vs_throughput),
}
"""Every figure of a board: its heading, and what draws it."""
