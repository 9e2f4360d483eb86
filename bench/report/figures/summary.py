"""A board on one page, to put in a talk: takeaway, intervals, learning curves, the front, and under what conditions."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from bench.analysis.board import Board
from bench.analysis.fronts import starred
from bench.analysis.rows import Row
from bench.report.figures.drawing import End, Spot, log_limits, names_at_the_right, names_near
from bench.report.figures.heat import shortened
from bench.report.figures.style import GREY, looks, new_figure
from bench.report.markdown.stamp import caveat, takeaway, title
from bench.report.words import percent, plural, significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 10
"""Rows in the table and the pictures: the best ones."""
_WIDTH, _HEIGHT = 13.33, 7.5
_LEFT, _NAME = 0.035, 20


def summary(board: Board) -> Figure:
    """One wide page (16:9) with the best `MOST` rows of a board."""
    figure = new_figure(_WIDTH, _HEIGHT)
    rows = [row for row in board.rows if row.top1 is not None][:MOST]
    said = textwrap.fill(takeaway(board), 92)
    figure.text(_LEFT, 0.955, said, fontsize=16, weight="bold", va="top", linespacing=1.25)
    figure.text(_LEFT, 0.815, f"{title(board)} · {_conditions(board)}", fontsize=10, color=GREY, va="top")
    _intervals(figure.add_axes((0.135, 0.14, 0.115, 0.56)), board, rows)
    _curves(figure.add_axes((0.44, 0.14, 0.2, 0.56)), board, rows)
    _front(figure.add_axes((0.77, 0.14, 0.21, 0.56)), board, rows)
    figure.text(_LEFT, 0.03, textwrap.fill(_small_print(board), 190), fontsize=8.5, color=GREY, va="bottom")
    return figure


def _conditions(board: Board) -> str:
    p = board.protocol.get
    budget = f"{p('epochs'):g} epochs" if p("epochs") else f"{plural(p('samples_seen') or 0, 'image')} seen per run"
    return f"{p('img_size')} px, {budget}, {plural(len(board.seeds), 'seed')}"


def _small_print(board: Board) -> str:
    rows = sum(row.rank is not None for row in board.rows)
    more = f"The best {MOST} of {rows:,} models. " if rows > MOST else ""
    doubt = caveat(board) or ""
    return (
        f"{more}Bars: 95 % intervals. Rows that share a rank cannot be told apart from its best. ★ and line: not "
        f"beaten beyond doubt in accuracy and MACs together. {f'{doubt} ' if doubt else ''}Backbone Bench, "
        f"{board.updated[:10]}."
    )


def _intervals(axes: Axes, board: Board, rows: list[Row]) -> None:
    """Accuracy with its interval, one line a row; rank at the left, parameters and compute at the right."""
    axes.set_title("Accuracy on the test set, %", fontsize=11, pad=22, loc="left")
    look = looks([row.name for row in board.rows])
    for place, row in enumerate(rows):
        style, point = look[row.name], row.top1
        assert point is not None
        if point.low is not None and point.high is not None:
            axes.plot([100 * point.low, 100 * point.high], [place, place], color=style.colour, linewidth=2.5)
        axes.plot(
            100 * point.value, place, color=style.colour, marker=style.marker, markersize=8, markeredgecolor="white"
        )
    axes.set_ylim(max(len(rows), 4) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [shortened(row.name, _NAME) for row in rows], fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    columns = ((1.2, "rank"), (1.58, "top-1 %"), (2.03, "params M"), (2.42, "GMACs"))
    for x, header in columns:
        axes.text(x, 1.012, header, transform=axes.transAxes, color=GREY, fontsize=8.5, ha="right")
    for place, row in enumerate(rows):
        params = significant(row.params / 1e6 if row.params is not None else None)
        macs = significant(row.macs / 1e9 if row.macs is not None else None)
        cells = (_rank(row), percent(row.top1.value if row.top1 else None), params, macs)
        for (x, _), text in zip(columns, cells, strict=True):
            axes.text(x, place, text, transform=axes.get_yaxis_transform(), fontsize=9.5, va="center", ha="right")


def _curves(axes: Axes, board: Board, rows: list[Row]) -> None:
    axes.set_title("Accuracy against training images", fontsize=11, pad=22, loc="left")
    look = looks([row.name for row in board.rows])
    axes.set_xscale("log")
    sizes = sorted({point.size for row in rows for point in row.points})
    for row in rows:
        style = look[row.name]
        shown = [point for point in row.points if point.low is not None and point.high is not None]
        axes.fill_between(
            [p.size for p in shown], [100 * (p.low or 0) for p in shown], [100 * (p.high or 0) for p in shown],
            color=style.colour, alpha=0.1 if len(rows) <= 5 else 0.05, linewidth=0,
        )  # fmt: skip
        axes.plot(
            [p.size for p in row.points], [100 * p.value for p in row.points], color=style.colour, marker=style.marker,
            linestyle=style.dashes, markersize=5.5, markeredgecolor="white", linewidth=1.7,
        )  # fmt: skip
    if sizes:
        step = 1 if len(sizes) <= 4 else 2
        shown_sizes = sizes[::-1][::step]
        axes.set_xticks(shown_sizes, [f"{size:,}" for size in shown_sizes])
        axes.set_xticks([], minor=True)
        ends = []
        for row in rows:
            style, last = look[row.name], row.points[-1]
            ends.append(End(shortened(row.name, _NAME), last.size, 100 * last.value, style.colour, style.ink))
        names_at_the_right(axes, ends, until=0.725)
    axes.set_xlabel("training images (log scale)")


def _front(axes: Axes, board: Board, rows: list[Row]) -> None:
    axes.set_title("Accuracy against compute", fontsize=11, pad=22, loc="left")
    look = looks([row.name for row in board.rows])
    dots = [row for row in rows if row.macs and row.top1 is not None]
    if not dots:
        axes.text(0.5, 0.5, "no model has both measured", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_axis_off()
        return
    on_front = starred(board)
    axes.set_xscale("log")
    spots = []
    for row in dots:
        assert row.macs
        assert row.top1
        style, x, point = look[row.name], row.macs / 1e9, row.top1
        low, high = (100 * (point.value if end is None else end) for end in (point.low, point.high))
        y = 100 * point.value
        axes.errorbar(
            x, y, yerr=[[y - low], [high - y]], color=style.colour, marker=style.marker, markersize=8, capsize=3,
            markeredgecolor="white", linestyle="none", elinewidth=1.2,
        )  # fmt: skip
        star = " ★" if row.name in on_front else ""
        spots.append(Spot(f"{shortened(row.name, _NAME)}{star}", x, x, x, y, low, high, style.colour, style.ink))
    stairs = sorted((s for s in spots if s.name.endswith("★")), key=lambda s: (s.x, -s.y))
    best = [s for k, s in enumerate(stairs) if all(s.y > other.y for other in stairs[:k])]
    log_limits(axes, [s.x for s in spots], [s.x for s in spots])
    if best:
        end = axes.get_xlim()[1]
        axes.plot([*(s.x for s in best), end], [*(s.y for s in best), best[-1].y], drawstyle="steps-post", color=GREY,
                  linewidth=1.1, alpha=0.35, zorder=1.5)  # fmt: skip
    axes.set_xlabel(f"GMACs for one image of {board.protocol.get('img_size')} px (log scale)")
    names_near(axes, spots)


def _rank(row: Row) -> str:
    return f"{row.rank}" if row.rank is not None else "–"
