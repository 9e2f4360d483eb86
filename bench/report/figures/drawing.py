"""What several pictures need: names beside points and lines that cover nothing, and log axes with readable ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from bench.report.figures.labels import Box, place, spread
from bench.report.figures.style import PNG_DPI

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL_PT = 9.5
"""Size of names in points."""


class End(NamedTuple):
    """Where a name's line starts, such as the right end of a curve, and what is written beside it."""

    name: str
    x: float
    y: float
    colour: str
    ink: str


class Spot(NamedTuple):
    """A point with its error bars, and the name to be written near it."""

    name: str
    x: float
    x_low: float
    x_high: float
    y: float
    y_low: float
    y_high: float
    colour: str
    ink: str


def names_near(axes: Axes, spots: Sequence[Spot]) -> None:
    """Write the name of each spot beside it; one that had to go further away gets a line to it."""
    axes.figure.set_dpi(PNG_DPI)
    em = PNG_DPI / 72
    at = [tuple(axes.transData.transform((s.x, s.y))) for s in spots]
    obstacles = [box for s in spots for box in _obstacles(axes, s, em)]
    texts = [axes.text(0, 0, s.name, fontsize=LABEL_PT, color=s.ink) for s in spots]
    extents = [t.get_window_extent() for t in texts]
    window = axes.get_window_extent()
    bounds = (window.x0, window.y0, window.x1, window.y1)
    boxes = place(at, [(e.width, e.height) for e in extents], obstacles, bounds, gap=7 * em)
    for text, spot, (x, y), box in zip(texts, spots, at, boxes, strict=True):
        text.set_transform(axes.transAxes)
        text.set_position(inside(axes, box[0], box[1]))
        text.set_verticalalignment("bottom")
        near = (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))
        if (near[0] - x) ** 2 + (near[1] - y) ** 2 > (12 * em) ** 2:
            end = axes.transData.inverted().transform(near)
            axes.plot([spot.x, end[0]], [spot.y, end[1]], color=spot.colour, linewidth=0.7, zorder=2)


def names_at_the_right(axes: Axes, ends: Sequence[End], *, widest: float = 0.0, until: float = 0.95) -> None:
    """Names in a column right of the axes, level with where each line ends, with a thin line to it.

    The axes are made as wide as leaves room up to `until` (a fraction of the figure): for these names, or for
    `widest` (likewise a fraction) if that is more.
    """
    figure = axes.figure
    figure.set_dpi(PNG_DPI)
    em = PNG_DPI / 72
    texts = [axes.text(0, 0, end.name, fontsize=LABEL_PT, color=end.ink, va="center") for end in ends]
    room = max(widest, *(t.get_window_extent().width / figure.bbox.width for t in texts))
    left, bottom, _, height = axes.get_position().bounds
    axes.set_position((left, bottom, max(0.35 * (until - left), until - room - left), height))
    at = [axes.transData.transform((end.x, end.y)) for end in ends]
    window = axes.get_window_extent()
    levels = spread([y for _, y in at], 1.25 * LABEL_PT * em, window.y0, window.y1)
    for text, (x, y), level, end in zip(texts, at, levels, ends, strict=True):
        text.set_transform(axes.transAxes)
        text.set_position(inside(axes, window.x1 + 14 * em, level))
        bends = [(x + 5 * em, y), (window.x1 + 2 * em, level), (window.x1 + 12 * em, level)]
        line = [inside(axes, *bend) for bend in bends]
        axes.plot(*zip(*line, strict=True), color=end.colour, linewidth=0.7, alpha=0.7,
                  transform=axes.transAxes, clip_on=False, zorder=2)  # fmt: skip


def width_of(axes: Axes, names: Sequence[str]) -> float:
    """The widest of some names as a fraction of the figure's width."""
    figure = axes.figure
    figure.set_dpi(PNG_DPI)
    texts = [axes.text(0, 0, name, fontsize=LABEL_PT) for name in names]
    widths = [text.get_window_extent().width / figure.bbox.width for text in texts]
    for text in texts:
        text.remove()
    return max(widths, default=0.0)


def inside(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """A place in pixels as fractions of the axes."""
    across, up = axes.transAxes.inverted().transform((x, y))
    return float(across), float(up)


def log_limits(axes: Axes, lows: Sequence[float], highs: Sequence[float]) -> None:
    """A log x axis with room on both sides, and a few ticks that are read as numbers."""
    low, high = min(lows), max(highs)
    pad = max((high / low) ** 0.18, 1.25)
    low, high = low / pad, high * pad
    ticks = log_ticks(low, high)
    axes.set_xticks(ticks, [tick_text(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)


def log_y(axes: Axes, low: float, high: float) -> None:
    """A log y axis from `low` to `high` with a few ticks that are read as numbers."""
    axes.set_yscale("log")
    ticks = log_ticks(low, high)
    axes.set_yticks(ticks, [tick_text(tick) for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylim(low, high)


def tick_text(tick: float) -> str:
    """`0.05`, `1.5`, `20`, `1,000`."""
    return f"{tick:,.0f}" if tick >= 10 or tick == int(tick) else f"{tick:g}"


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


def _obstacles(axes: Axes, spot: Spot, em: float) -> list[Box]:
    """Marker and error bars of a spot, in pixels."""
    to = axes.transData.transform
    (x, y), (left, _), (right, _) = to((spot.x, spot.y)), to((spot.x_low, spot.y)), to((spot.x_high, spot.y))
    (_, low), (_, high) = to((spot.x, spot.y_low)), to((spot.x, spot.y_high))
    r, cap = 5 * em, 3 * em
    return [(x - r, y - r, x + r, y + r), (x - cap, low, x + cap, high), (left - cap, y - cap, right + cap, y + cap)]
