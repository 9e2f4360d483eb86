"""Picture of the ranking: which ranks each model could have, which models share one, how likely each is the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.analysis.board import Board
from bench.analysis.rows import Row
from bench.report.figures.heat import shortened
from bench.report.figures.style import GREY, headed, looks, new_figure
from bench.report.markdown.stamp import title
from bench.report.words import with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 30
"""Rows that the picture shows at most: the best ones."""
_WIDTH, _LINE, _NAME = 7.2, 0.3, 26
_BAND = "#f1f3f4"


def ranks(board: Board) -> Figure:
    """One line per model, best first: its place by accuracy, the interval of its rank, its tier as a band.

    In the manner of critical-difference diagrams (Demšar 2006, JMLR 7:1), with a paired interval for every pair in
    place of one critical difference for all.
    """
    ranked = [row for row in board.rows if row.rank is not None]
    rows = ranked[:MOST]
    height = 1.75 + _LINE * max(len(rows), 2)
    figure = new_figure(_WIDTH, height)
    axes = figure.add_axes((0.24, 0.62 / height, 0.45, 1 - 1.45 / height))
    more = f" · the best {MOST} of {len(ranked):,}" if len(ranked) > MOST else ""
    headed(axes, "Which ranks are possible", f"{title(board)}{more}")
    look = looks([row.name for row in board.rows])
    _bands(axes, rows)
    for place, row in enumerate(rows):
        style = look[row.name]
        low, high = row.rank_low or place + 1, row.rank_high or place + 1
        axes.plot([low, high], [place, place], color=style.colour, linewidth=3, alpha=0.45, solid_capstyle="butt")
        axes.plot([low, high], [place, place], color=style.colour, marker="|", markersize=9, linestyle="none")
        axes.plot(place + 1, place, color=style.colour, marker=style.marker, markersize=7, markeredgecolor="white")
    _axis(axes, rows, max(row.rank_high or 1 for row in rows) if rows else 1)
    _columns(axes, rows)
    return figure


def _bands(axes: Axes, rows: list[Row]) -> None:
    """Every other tier on grey, so that those who share a rank are seen at once."""
    tiers = list(dict.fromkeys(row.rank for row in rows))
    for number, rank in enumerate(tiers):
        places = [k for k, row in enumerate(rows) if row.rank == rank]
        if number % 2 == 0:
            axes.axhspan(places[0] - 0.5, places[-1] + 0.5, color=_BAND, zorder=0, linewidth=0)


def _axis(axes: Axes, rows: list[Row], last: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_ylim(max(len(rows), 2) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [shortened(row.name, _NAME) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0.5, last + 0.5)
    step = max(1, MaxNLocator(integer=True, nbins=8).tick_values(0, last)[1])
    axes.set_xticks([1, *(tick for tick in range(int(step), last + 1, int(step)) if tick > 1)])
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("rank: place by accuracy (mark) and 95 % interval (bar); bands: shared rank")


def _columns(axes: Axes, rows: list[Row]) -> None:
    """Rank, accuracy and probability of being the best, right of the axes."""
    for x, header, side in ((1.12, "rank", "right"), (1.16, "top-1 %", "left"), (1.64, "P(best)", "right")):
        axes.text(x, -0.75, header, transform=axes.get_yaxis_transform(), color=GREY, fontsize=8.5, va="bottom",
                  ha=side)  # fmt: skip
    for place, row in enumerate(rows):
        cells = ((1.12, str(row.rank), "right"), (1.16, with_interval(row.top1), "left"), (1.64, _best(row), "right"))
        for x, text, side in cells:
            axes.text(x, place, text, transform=axes.get_yaxis_transform(), fontsize=9, va="center", ha=side)


def _best(row: Row) -> str:
    if row.p_best is None:
        return ""
    return "< 1 %" if row.p_best < 0.01 else f"{100 * row.p_best:.0f} %"
