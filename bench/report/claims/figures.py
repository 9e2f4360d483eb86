"""Draws the charts of claims: marks with intervals, curves in panels, matrices on one colour scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.claims.chart import Chart, Dots, Lines, Map, Maps, Series
from bench.claims.results import Lab
from bench.report.figures.drawing import End, names_at_the_right, tick_text
from bench.report.figures.style import DASHES, GREY, Look, files_of, new_figure, nth_look, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

WIDTH = 8.4
"""Inches of every figure."""
BAND = "#e8eef5"
"""What lies behind a margin of equivalence."""
_ACROSS = 4
_DOT_HEIGHT, _MAP_HEIGHT = 0.34, 2.3
_SINGLE, _SINGLE_WIDTH = 0.62, 6.2
"""Width of a matrix that stands alone as a part of its figure's width, and that in inches."""
_BANDS, _ASIDE = 3, 0.045
"""Up to so many curves of a panel have bands; the bars of more stand so many inches apart."""


def draw_figures(lab: Lab) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(claim's id, bytes by ending) of every claim that has a chart."""
    for result in lab.results:
        if result.judgement.chart is not None:
            yield result.claim.id, draw(result.judgement.chart)


def draw(chart: Chart) -> dict[str, bytes]:
    """One chart as SVG and PNG."""
    with styled():
        if isinstance(chart, Dots):
            return files_of(_dots(chart))
        return files_of(_lines(chart) if isinstance(chart, Lines) else _maps(chart))


def _dots(chart: Dots) -> Figure:
    """A line for each label, its values with their intervals, and what to compare them with."""
    labels = list(dict.fromkeys(dot.label for dot in chart.dots))
    count = len(labels)
    height = 1.35 + _DOT_HEIGHT * count
    figure = new_figure(WIDTH, height)
    left = min(0.5, 0.035 + max(map(len, labels)) * 0.0105)
    axes = figure.add_axes((left, 0.72 / height, 0.96 - left, (height - 1.3) / height))
    groups = {name: nth_look(k) for k, name in enumerate(dict.fromkeys(dot.group for dot in chart.dots))}
    if chart.band is not None:
        axes.axvspan(*chart.band, color=BAND, zorder=0)
    if chart.reference is not None:
        axes.axvline(chart.reference, color=GREY, linewidth=1)
    for dot in chart.dots:
        k = labels.index(dot.label)
        colour, marker = groups[dot.group].colour, groups[dot.group].marker
        if dot.low is not None and dot.high is not None:
            axes.plot([dot.low, dot.high], [k, k], color=colour, linewidth=2, solid_capstyle="butt", zorder=3)
        face = "white" if dot.control else colour
        axes.plot([dot.value], [k], marker, color=colour, markerfacecolor=face, markersize=7, zorder=4)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks(range(count), labels, fontsize=9.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(chart.axis)
    _title(figure, chart.title)
    if len(groups) > 1:
        _legend(axes, groups, {d.group for d in chart.dots if d.control})
    if chart.band is not None:
        axes.annotate("margin", (chart.band[0], 0), xycoords=("data", "axes fraction"), xytext=(2, 2),
                      textcoords="offset points", color=GREY, fontsize=8)  # fmt: skip
    return figure


def _legend(axes: Axes, groups: Mapping[str, Look], controls: set[str]) -> None:
    """Names of the groups above the axes, at the right."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle="none",
               markerfacecolor="white" if name in controls else look.colour, label=name or "measured")
        for name, look in groups.items()
    ]  # fmt: skip
    axes.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1, 1.0), ncols=len(handles), frameon=False, fontsize=9
    )


def _lines(chart: Lines) -> Figure:
    """Panels side by side with the same axes; names stand at the right end of each curve."""
    panels = list(dict.fromkeys(one.panel for one in chart.series))
    across = min(len(panels), 3)
    down = -(-len(panels) // across)
    named = any(panels)
    tall = 3.05 if named else 2.95
    height = 0.62 + tall * down
    figure = new_figure(WIDTH, height)
    looks = {name: nth_look(k) for k, name in enumerate(dict.fromkeys(one.label for one in chart.series))}
    low, high = _range(chart.series, chart.reference)
    for k, panel in enumerate(panels):
        row, column = divmod(k, across)
        width = 0.93 / across
        box = (0.075 + column * width, (0.55 + (down - 1 - row) * tall) / height, width - 0.035, 2.35 / height)
        axes = figure.add_axes(box)
        own = [one for one in chart.series if one.panel == panel]
        _curves(axes, own, looks, chart)
        axes.set_ylim(low, high)
        axes.set_xlabel(chart.x_axis if row == down - 1 or k + across >= len(panels) else "")
        if panel:
            axes.set_title(panel, fontsize=9.5, fontweight="normal", color=GREY, pad=5)
        ends = [End(one.label, one.x[-1], one.y[-1], looks[one.label].colour, looks[one.label].ink) for one in own]
        names_at_the_right(axes, ends, until=0.075 + (column + 1) * width - (0.045 if column == across - 1 else 0.08))
        if chart.log_x:
            _name_places(axes, [x for one in own for x in one.x])
    _title(figure, chart.title)
    figure.text(0.012, 1 - 0.42 / height, chart.y_axis, fontsize=9.5, va="top")
    return figure


def _name_places(axes: Axes, places: Sequence[float]) -> None:
    """Ticks of a log axis at the places themselves; those stay without a name that have no room for it."""
    wide = axes.get_window_extent().width / axes.figure.dpi
    low, high = np.log(axes.get_xlim())
    ticks, names, free = sorted(set(places)), [], -np.inf
    for tick in ticks:
        name = tick_text(tick)
        at, half = (np.log(tick) - low) / (high - low) * wide, 0.045 * len(name)
        names.append(name if at - half > free else "")
        free = at + half if names[-1] else free
    axes.set_xticks(ticks, names)


def _curves(axes: Axes, series: Sequence[Series], looks: Mapping[str, Look], chart: Lines) -> None:
    """Curves with bands; where bands of many would cover each other, with bars beside each other."""
    from matplotlib.transforms import ScaledTranslation

    for k, one in enumerate(series):
        colour, marker = looks[one.label].colour, looks[one.label].marker
        if one.low is not None and one.high is not None:
            if len(series) <= _BANDS:
                axes.fill_between(one.x, one.low, one.high, color=colour, alpha=0.14, linewidth=0)
            else:
                aside = ScaledTranslation((k - (len(series) - 1) / 2) * _ASIDE, 0, axes.figure.dpi_scale_trans)  # type: ignore[union-attr]
                axes.vlines(one.x, one.low, one.high, color=colour, linewidth=1.2, alpha=0.8,
                            transform=axes.transData + aside, zorder=2)  # fmt: skip
        axes.plot(one.x, one.y, color=colour, marker=marker, markersize=5.5, linewidth=1.8,
                  linestyle=DASHES[1] if one.control else "solid",
                  markerfacecolor="white" if one.control else colour)  # fmt: skip
    if chart.reference is not None:
        axes.axhline(chart.reference, color=GREY, linewidth=1)
        if chart.reference_label:
            axes.annotate(chart.reference_label, (0, chart.reference), xycoords=("axes fraction", "data"),
                          xytext=(3, 3), textcoords="offset points", color=GREY, fontsize=8.5)  # fmt: skip
    places = sorted({x for one in series for x in one.x})
    if chart.log_x:
        axes.set_xscale("log")
        axes.set_xticks([], minor=True)
        axes.set_xlim(places[0] / 1.15, places[-1] * 1.15)
    elif len(places) <= 13:
        axes.set_xticks(places, [f"{place:g}" for place in places])


def _range(series: Sequence[Series], reference: float | None) -> tuple[float, float]:
    """Limits of the y axis that hold every curve, its interval and the reference, with a little room."""
    values = [v for one in series for column in (one.y, one.low or (), one.high or ()) for v in column]
    values += [] if reference is None else [reference]
    low, high = min(values), max(values)
    room = 0.06 * (high - low or 1)
    return low - room, high + room


def _maps(chart: Maps) -> Figure:
    """Matrices in rows of four on one colour scale; numbers stand in the cells where there are few."""
    across = min(len(chart.maps), _ACROSS)
    down = -(-len(chart.maps) // across)
    single = len(chart.maps) == 1
    cell_height = 4.2 if single else _MAP_HEIGHT
    height = 0.65 + cell_height * down
    figure = new_figure(_SINGLE_WIDTH if single else WIDTH, height)
    values = np.concatenate([np.ravel(one.values) for one in chart.maps])
    low = float(np.floor(values.min() * 10) / 10)
    high = max(low + 0.1, float(np.ceil(values.max() * 10) / 10))
    image: AxesImage | None = None
    for k, one in enumerate(chart.maps):
        row, column = divmod(k, across)
        width = 0.86 / across
        left = 0.1 if single else 0.035 + column * width
        bottom = (cell_height * (down - 1 - row) + (0.75 if single else 0.42)) / height
        size = (_SINGLE if single else width - 0.035, (cell_height - (1.15 if single else 0.75)) / height)
        axes = figure.add_axes((left, bottom, *size))
        image = _map(axes, one, low, high)
    assert image is not None
    beside, foot, top = (_SINGLE + 0.16, 0.75, 1.05) if single else (0.915, 0.42, 0.73)
    bar = figure.add_axes((beside, foot / height, 0.016, (height - foot - top) / height))
    figure.colorbar(image, cax=bar).outline.set_visible(False)  # type: ignore[operator]
    bar.set_title(chart.scale, fontsize=8.5, fontweight="normal", loc="left" if single else "right", pad=8)
    _title(figure, chart.title)
    return figure


def _map(axes: Axes, one: Map, low: float, high: float) -> AxesImage:
    values = np.array(one.values)
    image = axes.imshow(values, cmap="cividis", vmin=low, vmax=high, aspect="equal")
    axes.grid(visible=False)
    axes.set_title(one.label, fontsize=9, fontweight="normal", color=GREY if one.control else "black", pad=4)
    rows, columns = (tuple(names) for names in (one.rows, one.columns))
    axes.set_yticks(range(len(values)), rows or [str(k + 1) for k in range(len(values))], fontsize=8)
    axes.set_xticks(range(values.shape[1]), columns or [str(k + 1) for k in range(values.shape[1])], fontsize=8)
    if values.shape[0] > 12:
        axes.set_yticks([])
        axes.set_xticks([])
    if max(values.shape) <= 6:
        for (i, j), value in np.ndenumerate(values):
            light = value < low + 0.55 * (high - low)
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color="white" if light else "black")
    return image


def _title(figure: Figure, title: str) -> None:
    """The title at the top left of the figure."""
    height = figure.get_size_inches()[1]
    figure.text(0.012, 1 - 0.1 / height, title, fontsize=12, fontweight="bold", va="top")
