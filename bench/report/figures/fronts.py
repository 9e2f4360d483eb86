"""Pictures of trade-offs: accuracy against one cost, or all of them, with the Pareto front that uncertainty leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.board import Board
from bench.analysis.fronts import Front, Place, fronts_of
from bench.analysis.quantities import NO_INTERVAL
from bench.analysis.speeds import INVALID
from bench.report.figures.drawing import Spot, log_limits, names_near, tick_text
from bench.report.figures.style import GREY, Look, headed, looks, new_figure
from bench.report.markdown.stamp import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 7.2, 4.8
_PANEL_WIDTH, _PANEL_HEIGHT, _COLUMNS = 4.6, 2.9, 2
_PALE = "#c9cccf"
_TICKS = 11
_CROWD = 25
"""With more rows than this, names and error bars are left to the most telling ones."""
_NAMED, _NAMED_IN_PANEL = 14, 7
"""How many names a picture and a panel hold where not all rows are named."""
_MOST_IN_THE_WAY = 80
"""Dots without a name that names still keep off; beyond, they are a cloud."""
_CLOUD = 200
"""Dots without a name from which they are small, and pixels in the SVG too."""
_LABELS = {
    "gmacs": "GMACs for one image of {px} px",
    "params_m": "parameters, millions",
    "latency_ms": "latency of one image, ms",
    "inference_img_per_s": "inference, images per second",
    "memory_mib": "peak memory of inference, MiB",
    "energy_mj": "energy for one image, mJ",
}
_READ_ONCE = {"memory_mib": "memory", "energy_mj": "energy"}


@dataclass(frozen=True, eq=False)
class _Dot:
    """One row in a plot: its cost with the interval, its accuracy in percent with the interval."""

    place: Place
    x: float
    x_low: float
    x_high: float
    y: float
    y_low: float
    y_high: float

    @property
    def name(self) -> str:
        return self.place.row.name


def accuracy_vs_macs(board: Board) -> Figure:
    """Accuracy at the largest size against multiply-accumulates of one image, log scale, with the front."""
    return _one(board, "gmacs", "Accuracy against compute")


def accuracy_vs_throughput(board: Board) -> Figure:
    """Accuracy at the largest size against images per second of inference, log scale, with intervals and the front.

    A profile without an interval shows its quartiles instead; one that is INVALID says so beside its name.
    """
    return _one(board, "inference_img_per_s", "Accuracy against inference throughput")


def pareto(board: Board) -> Figure:
    """Accuracy against every cost that at least two rows have, one panel each, on the same accuracy axis."""
    shown = [(front, dots) for front in fronts_of(board) if len(dots := _dots(front)) > 1]
    if not shown:
        return _nothing(board, "Accuracy against every cost")
    columns = min(_COLUMNS, len(shown))
    lines = math.ceil(len(shown) / columns)
    width, height = columns * _PANEL_WIDTH + 0.55, lines * _PANEL_HEIGHT + 1.2
    figure = new_figure(width, height)
    every = [dot for _, dots in shown for dot in dots]
    for k, (front, dots) in enumerate(shown):
        line, column = divmod(k, columns)
        left = (0.62 + column * _PANEL_WIDTH) / width
        bottom = (1.0 + (lines - 1 - line) * _PANEL_HEIGHT) / height
        axes = figure.add_axes((left, bottom, (_PANEL_WIDTH - 0.4) / width, (_PANEL_HEIGHT - 0.65) / height))
        if column == 0:
            axes.set_ylabel("test top-1 accuracy, %")
        _scatter(board, axes, front, dots, every, few=True)
    figure.text(0.62 / width, 1 - 0.2 / height, "Accuracy against every cost", va="top", weight="bold", fontsize=12)
    figure.text(0.62 / width, 1 - 0.45 / height, title(board), va="top", color=GREY, fontsize=8.5)
    _below(figure, 0.62 / width, shown, few=True)
    return figure


def _one(board: Board, name: str, heading: str) -> Figure:
    front = next(front for front in fronts_of(board) if front.quantity.name == name)
    dots = _dots(front)
    if not dots:
        return _nothing(board, heading)
    figure, axes = _canvas(board, heading)
    _scatter(board, axes, front, dots, dots)
    _below(figure, 0.1, [(front, dots)])
    return figure


def _canvas(board: Board, heading: str) -> tuple[Figure, Axes]:
    """A figure with its heading, the board it belongs to below that, and an accuracy axis."""
    figure = new_figure(_WIDTH, _HEIGHT)
    axes = figure.add_axes((0.1, 0.95 / _HEIGHT, 0.86, 1 - 1.6 / _HEIGHT))
    headed(axes, heading, title(board))
    axes.set_ylabel("test top-1 accuracy, %")
    return figure, axes


def _nothing(board: Board, heading: str) -> Figure:
    figure, axes = _canvas(board, heading)
    axes.text(0.5, 0.5, "no model has both measured", transform=axes.transAxes, ha="center", color=GREY)
    axes.set_xticks([])
    axes.set_yticks([])
    return figure


def _dots(front: Front) -> list[_Dot]:
    """The rows that have both figures; a log axis has no place for a cost of nothing."""
    found = []
    for place in front.places:
        reading, point = place.reading, place.row.top1
        if point is None or reading.value is None or reading.value <= 0:
            continue
        low = point.low if point.low is not None else point.value
        high = point.high if point.high is not None else point.value
        x, x_low, x_high = reading.value, reading.low or reading.value, reading.high or reading.value
        found.append(_Dot(place, x, x_low, x_high, 100 * point.value, 100 * low, 100 * high))
    return found


def _scatter(
    board: Board, axes: Axes, front: Front, dots: Sequence[_Dot], every: Sequence[_Dot], *, few: bool = False
) -> None:
    """One plot of `dots`; the accuracy axis holds `every` dot."""
    axes.set_xscale("log")
    stairs = _stairs(front, dots)
    named = _named(dots, stairs, few=few)
    nameless = [dot for dot in dots if dot not in named]
    look = looks([row.name for row in board.rows])
    for dot in named:
        _draw(axes, dot, look[dot.name])
    cloud = len(nameless) > _CLOUD
    for state, face in (("front", GREY), ("beaten", "white"), ("undecided", _PALE), ("unranked", _PALE)):
        others = [dot for dot in nameless if dot.place.state == state]
        if others:
            xs, ys = [dot.x for dot in others], [dot.y for dot in others]
            size, edge = (5, 0.35) if cloud else (16, 0.7)
            axes.scatter(xs, ys, s=size, c=face, edgecolors=GREY, linewidths=edge, alpha=0.75, zorder=2,
                         rasterized=cloud)  # fmt: skip
    log_limits(axes, [d.x_low for d in dots], [d.x_high for d in dots])
    _thin_ticks(axes)
    _accuracy_limits(axes, every, named)
    if stairs:
        end = axes.get_xlim()[1 if front.quantity.less_is_better else 0]
        xs, ys = [*(dot.x for dot in stairs), end], [*(dot.y for dot in stairs), stairs[-1].y]
        axes.plot(xs, ys, drawstyle="steps-post", color=GREY, linewidth=1.1, alpha=0.65, zorder=1.5)
    label = _LABELS[front.quantity.name].format(px=board.protocol.get("img_size"))
    axes.set_xlabel(f"← {label}" if front.quantity.less_is_better else f"{label} →")
    in_the_way = nameless if len(nameless) <= _MOST_IN_THE_WAY else []
    names_near(axes, [*(_spot(dot, look[dot.name]) for dot in named), *map(_unnamed, in_the_way)])
    for text in list(axes.texts):
        if text.get_text():
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6})
        else:
            text.remove()


def _bars(plots: Sequence[tuple[Front, Sequence[_Dot]]]) -> str:
    """What the bars are."""
    found = ["95 % intervals"]
    if any(dot.x_low != dot.x_high and dot.place.reading.why == NO_INTERVAL for _, dots in plots for dot in dots):
        found.append("quartiles where there are none")
    once = [
        _READ_ONCE[front.quantity.name]
        for front, dots in plots
        if front.quantity.name in _READ_ONCE and any(dot.x_low != dot.x_high for dot in dots)
    ]
    if once:
        found.append(f"±5 % for {' and '.join(once)}, read once")
    return ", ".join(found)


def _stairs(front: Front, dots: Sequence[_Dot]) -> list[_Dot]:
    """From the best cost to the worst, the rows on the front that are more accurate than all before them."""
    sign = 1 if front.quantity.less_is_better else -1
    found: list[_Dot] = []
    for dot in sorted((d for d in dots if d.place.state == "front"), key=lambda d: (sign * d.x, -d.y)):
        if not found or dot.y > found[-1].y:
            found.append(dot)
    return found


def _named(dots: Sequence[_Dot], stairs: Sequence[_Dot], *, few: bool) -> list[_Dot]:
    """The rows that are drawn whole and named: all, or in a crowd the front's line, then the most accurate."""
    most = _NAMED_IN_PANEL if few else _NAMED
    if len(dots) <= (most if few else _CROWD):
        return list(dots)
    best = sorted(dots, key=lambda dot: (dot.place.state != "front", -dot.y))
    top = [max(dots, key=lambda dot: dot.y)]
    return list(dict.fromkeys([*_thinned(stairs, most), *top, *best]))[:most]


def _thinned(stairs: Sequence[_Dot], most: int) -> list[_Dot]:
    """Of a long line evenly spread rows, the first and the last among them."""
    if len(stairs) <= most:
        return list(stairs)
    return [stairs[round(k * (len(stairs) - 1) / (most - 1))] for k in range(most)]


def _draw(axes: Axes, dot: _Dot, look: Look) -> None:
    """Filled: on the front. Hollow: beaten beyond doubt. Pale: undecided."""
    state = dot.place.state
    colour = look.colour if state in ("front", "beaten") else GREY
    face = {"front": look.colour, "beaten": "white"}.get(state, _PALE)
    axes.errorbar(
        dot.x, dot.y,
        xerr=[[dot.x - dot.x_low], [dot.x_high - dot.x]], yerr=[[dot.y - dot.y_low], [dot.y_high - dot.y]],
        color=colour, marker=look.marker, markersize=8, markerfacecolor=face,
        markeredgecolor="white" if state == "front" else colour, markeredgewidth=0.8 if state == "front" else 1.4,
        elinewidth=1.2 if state == "front" else 0.8, capsize=3, linestyle="none", zorder=3,
    )  # fmt: skip


def _thin_ticks(axes: Axes) -> None:
    """Leave out ticks that stand too near the one before: many, where all costs are nearly the same."""
    low, high = axes.get_xlim()
    kept: list[float] = []
    for tick in axes.get_xticks():
        if not kept or math.log(tick / kept[-1]) > math.log(high / low) / _TICKS:
            kept.append(float(tick))
    axes.set_xticks(kept, [tick_text(tick) for tick in kept])


def _accuracy_limits(axes: Axes, every: Sequence[_Dot], named: Sequence[_Dot]) -> None:
    """Room for every dot, and for the bars of those that have them."""
    low = min(min(dot.y for dot in every), min(dot.y_low for dot in named))
    high = max(max(dot.y for dot in every), max(dot.y_high for dot in named))
    pad = max(0.12 * (high - low), 0.5)
    axes.set_ylim(max(0, low - pad), min(101, high + pad))


def _spot(dot: _Dot, look: Look) -> Spot:
    doubt = f" ({INVALID})" if dot.place.reading.why == INVALID else ""
    ink = look.ink if dot.place.state in ("front", "beaten") else GREY
    return Spot(f"{dot.name}{doubt}", dot.x, dot.x_low, dot.x_high, dot.y, dot.y_low, dot.y_high, look.colour, ink)


def _unnamed(dot: _Dot) -> Spot:
    """Something that names keep off."""
    return Spot("", dot.x, dot.x, dot.x, dot.y, dot.y, dot.y, GREY, GREY)


def _below(figure: Figure, left: float, plots: Sequence[tuple[Front, Sequence[_Dot]]], *, few: bool = False) -> None:
    """How to read the axes, the marks that occur, and the bars."""
    dots = [dot for _, found in plots for dot in found]
    states = {dot.place.state for dot in dots}
    marks = {
        "filled: on the front": "front" in states,
        "hollow: beaten beyond doubt": "beaten" in states,
        "grey: undecided": bool(states & {"undecided", "unranked"}),
    }
    rows = len({dot.name for dot in dots})
    crowd = rows > (_NAMED_IN_PANEL if few else _CROWD)
    named = f"; named: the best, and some along the line, of {rows:,} models" if crowd else ""
    upper = "; ".join(mark for mark, there in marks.items() if there) + named
    lower = f"arrow: better; cost on a log scale; bars: {_bars(plots)}"
    height = figure.get_size_inches()[1]
    figure.text(left, 0.1 / height, f"{upper}\n{lower}", color=GREY, fontsize=8.5, va="bottom", linespacing=1.4)
