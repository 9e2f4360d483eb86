"""Pictures of a board: data efficiency, accuracy against compute, accuracy against throughput."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.board import Board
from bench.analysis.rows import Point, Row
from bench.analysis.speeds import INVALID, is_judged
from bench.report.drawing import End, Spot, log_limits, names_at_the_right, names_near
from bench.report.stamp import title
from bench.report.style import GREY, Look, files_of, headed, looks, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 7.2, 4.5


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
    doubt: str = ""


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
        End(
            row.name, row.points[-1].size * nudge, 100 * row.points[-1].value, look[row.name].colour, look[row.name].ink
        )
        for row, nudge in zip(rows, nudges, strict=True)
    ]
    names_at_the_right(axes, [*ends, *_guessing_line(board, axes)])
    return figure


def accuracy_vs_macs(board: Board) -> Figure:
    """Accuracy at the largest size against multiply-accumulates of one image, log scale."""
    dots = [_dot(row, row.macs / 1e9, row.macs / 1e9, row.macs / 1e9) for row in board.rows if row.macs and row.top1]
    figure, axes = _canvas(board, "Accuracy against compute")
    _scatter(board, axes, dots)
    axes.set_xlabel(f"GMACs for one image of {board.protocol.get('img_size')} px (log scale)")
    return figure


def accuracy_vs_throughput(board: Board) -> Figure:
    """Accuracy at the largest size against images per second of inference, log scale, with 95 % intervals.

    A profile without an interval shows its quartiles instead; one that is INVALID says so beside its name.
    """
    dots = []
    for row in board.rows:
        timing = row.profile.inference if row.profile else None
        if timing and row.top1:
            slow, fast = timing.high_ms or timing.q75_ms, timing.low_ms or timing.q25_ms
            x, low, high = (1000 * timing.batch_size / ms for ms in (timing.median_ms, slow, fast))
            dots.append(_dot(row, x, low, high, doubt=f" ({INVALID})" if timing.invalid else ""))
    figure, axes = _canvas(board, "Accuracy against inference throughput")
    _scatter(board, axes, dots)
    judged = all(is_judged(row.profile.inference) for row in board.rows if row.profile and row.profile.inference)
    bars = "95 % intervals" if judged else "95 % intervals, quartiles where there are none"
    axes.set_xlabel(f"inference, images per second (log scale; bars: {bars})")
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
    log_limits(axes, [d.x_low for d in dots], [d.x_high for d in dots])
    _accuracy_limits(axes, [d.y_low for d in dots], [d.y_high for d in dots])
    names_near(axes, [_spot(dot, look[dot.row.name]) for dot in dots])


def _nudges(rows: int, sizes: Sequence[int]) -> list[float]:
    """Factors on the train size, one a row, that keep error bars at one size from hiding each other."""
    gap = (sizes[-1] / sizes[0]) ** min(0.009, 0.06 / rows) if len(sizes) > 1 else 1.01
    return [gap ** (k - (rows - 1) / 2) for k in range(rows)]


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


def _accuracy_limits(axes: Axes, lows: Sequence[float], highs: Sequence[float]) -> None:
    low, high = min(lows), max(highs)
    pad = max(0.12 * (high - low), 0.5)
    axes.set_ylim(max(0, low - pad), min(101, high + pad))


def _bars(points: Sequence[Point]) -> Any:
    """Distances from the values down and up to the ends of the intervals, in percent; 0 where there is none."""
    down = [100 * (p.value - p.low) if p.low is not None else 0.0 for p in points]
    up = [100 * (p.high - p.value) if p.high is not None else 0.0 for p in points]
    return [down, up]


def _dot(row: Row, x: float, x_low: float, x_high: float, doubt: str = "") -> _Dot:
    point = row.top1
    assert point is not None
    (down,), (up,) = _bars([point])
    y = 100 * point.value
    return _Dot(row, x, x_low, x_high, y, y - down, y + up, doubt)


def _spot(dot: _Dot, look: Look) -> Spot:
    return Spot(
        dot.row.name + dot.doubt,
        dot.x,
        dot.x_low,
        dot.x_high,
        dot.y,
        dot.y_low,
        dot.y_high,
        colour=look.colour,
        ink=look.ink,
    )


FIGURES: dict[str, tuple[str, Callable[[Board], Figure]]] = {
    "data_efficiency": ("Accuracy against training images", data_efficiency),
    "accuracy_vs_macs": ("Accuracy against compute", accuracy_vs_macs),
    "accuracy_vs_throughput": ("Accuracy against inference throughput", accuracy_vs_throughput),
}
"""Every figure of a board: its heading, and what draws it."""
