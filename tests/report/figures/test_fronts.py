"""Pareto pictures show who is on the front, who is beaten and who is undecided, and stay readable in a crowd."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from bench.analysis.board import Board
from bench.analysis.fronts import fronts_of
from bench.report.figures.fronts import accuracy_vs_macs, accuracy_vs_throughput, pareto
from bench.report.figures.labels import Box, overlap
from bench.report.figures.style import files_of, styled
from tests.analysis.hand_boards import DOUBT, Made, invalid, make_board, make_energy
from tests.cost_samples import make_timing

FOUR = (
    Made("a", 0.95, macs=900_000_000, speed=200.0),
    Made("b", 0.90, macs=400_000_000, speed=500.0),
    Made("c", 0.80, macs=600_000_000, speed=300.0),
    Made("d", 0.85, macs=200_000_000, speed=900.0, cost=invalid(900.0)),
)


def _drawn(draw: Callable[[Board], Figure], made: Sequence[Made]) -> Figure:
    with styled():
        figure = draw(make_board(made))
        figure.canvas.draw()
    return figure


def _crowd(count: int) -> list[Made]:
    rng = np.random.default_rng(1)
    found = []
    for k in range(count):
        size = rng.uniform()
        made = Made(
            f"model_{k}", 0.6 + 0.3 * size + rng.normal(0, 0.02), params=int(10 ** (6.5 + 1.5 * size)),
            macs=int(10 ** (8 + 1.5 * size + rng.normal(0, 0.1))), speed=10 ** (3 - size + rng.normal(0, 0.1)),
            cost=(("energy", make_energy(10 ** (1 + size))),),
        )  # fmt: skip
        found.append(made)
    return found


def _names(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts if not text.get_text().startswith("digits ·")]


def _marks(axes: Axes) -> dict[tuple[float, float], tuple[str, str]]:
    """Face and edge of the marker at each (x, y), as drawn with error bars."""
    lines = [c.lines[0] for c in axes.containers if isinstance(c, ErrorbarContainer)]
    return {
        (round(float(line.get_xdata()[0]), 6), round(float(line.get_ydata()[0]), 6)): (
            to_hex(line.get_markerfacecolor()),
            to_hex(line.get_markeredgecolor()),
        )
        for line in lines
    }


def _stairs(axes: Axes) -> list[tuple[float, float]]:
    (line,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    return [(float(x), round(float(y), 6)) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def test_on_the_front_is_filled_beaten_is_hollow_and_undecided_is_grey() -> None:
    marks = _marks(_drawn(accuracy_vs_throughput, FOUR).axes[0])
    filled, hollow, undecided = marks[500.0, 90.0], marks[300.0, 80.0], marks[900.0, 85.0]
    assert filled[0] not in ("#ffffff", undecided[0])
    assert filled[1] == "#ffffff"
    assert hollow[0] == "#ffffff"
    assert hollow[1] != "#ffffff"
    channels = [int(undecided[0][k : k + 2], 16) for k in (1, 3, 5)]
    assert max(channels) - min(channels) < 10


def test_the_line_of_the_front_climbs_from_the_best_cost_to_the_worst_through_rows_on_it() -> None:
    made = [Made("a", 0.95, macs=900), Made("b", 0.90, macs=400), Made("near", 0.90 - DOUBT / 2, macs=500)]
    stairs = _stairs(_drawn(accuracy_vs_macs, made).axes[0])
    assert stairs[:2] == [(400 / 1e9, 90.0), (900 / 1e9, 95.0)]
    assert stairs[2][1] == 95.0, "the last step goes on to the edge"
    reversed_stairs = _stairs(_drawn(accuracy_vs_throughput, FOUR).axes[0])
    assert [x for x, _ in reversed_stairs][:2] == [500.0, 200.0]


def test_points_carry_their_95_percent_intervals_in_both_directions() -> None:
    axes = _drawn(accuracy_vs_throughput, FOUR[:1]).axes[0]
    (bar,) = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
    (x_low, _), (x_high, _) = bar.lines[2][0].get_segments()[0]
    (_, y_low), (_, y_high) = bar.lines[2][1].get_segments()[0]
    assert (x_low, x_high) == pytest.approx((200 / 1.006, 200 / 0.995))
    assert (y_low, y_high) == pytest.approx((95 - 50 * DOUBT, 95 + 50 * DOUBT))


def test_an_invalid_figure_is_marked_beside_its_name_and_quartiles_are_told_below() -> None:
    old = make_timing(32, 400.0, low_ms=None, high_ms=None)
    figure = _drawn(accuracy_vs_throughput, [*FOUR, Made("old", 0.7, cost=(("inference", old),))])
    assert {"a", "b", "c", "d (INVALID)", "old"} == set(_names(figure.axes[0]))
    assert "quartiles where there are none" in figure.texts[-1].get_text()


def test_a_row_without_the_cost_is_left_out() -> None:
    assert _names(_drawn(accuracy_vs_macs, [*FOUR[:2], Made("none", 0.7, measured=False)]).axes[0]) == ["a", "b"]


@pytest.mark.parametrize("draw", [accuracy_vs_macs, accuracy_vs_throughput, pareto])
def test_where_nothing_has_both_figures_the_picture_says_so(draw: Callable[[Board], Figure]) -> None:
    (axes,) = _drawn(draw, [Made("none", 0.7, measured=False)]).axes
    assert "no model has both measured" in _names(axes)


def test_every_cost_that_two_rows_have_gets_a_panel_on_the_same_accuracy_axis() -> None:
    figure = _drawn(pareto, FOUR)
    assert len(figure.axes) == 5, "nobody has energy"
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    with_energy = [Made(f"e{k}", 0.8, cost=(("energy", make_energy(10.0 * k)),)) for k in (1, 2)]
    assert len(_drawn(pareto, with_energy).axes) == 6


def test_arrows_tell_the_better_direction() -> None:
    labels = [axes.get_xlabel() for axes in _drawn(pareto, FOUR).axes]
    assert all(label.startswith("← ") != label.endswith(" →") for label in labels)
    assert [label for label in labels if label.endswith(" →")] == ["inference, images per second →"]


def _boxes(figure: Figure, axes: Axes) -> list[Box]:
    extents = [text.get_window_extent() for text in axes.texts if text.get_text() in _names(axes)]
    return [(e.x0, e.y0, e.x1, e.y1) for e in extents]


@pytest.mark.parametrize("count", [4, 25, 60])
@pytest.mark.parametrize("draw", [accuracy_vs_macs, accuracy_vs_throughput, pareto])
def test_names_and_tick_labels_stay_inside_the_picture_and_names_off_each_other(
    draw: Callable[[Board], Figure], count: int
) -> None:
    figure = _drawn(draw, FOUR if count == 4 else _crowd(count))
    width, height = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        boxes = _boxes(figure, axes)
        ticks = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        boxes_of_ticks = [(t.x0, t.y0, t.x1, t.y1) for t in ticks]
        assert boxes
        for x0, y0, x1, y1 in [*boxes, *boxes_of_ticks]:
            assert x0 >= 0
            assert y0 >= 0
            assert x1 <= width
            assert y1 <= height
        assert sum(overlap(a, b) for a, b in itertools.combinations(boxes, 2)) == 0
        assert sum(overlap(a, b) for a, b in itertools.combinations(boxes_of_ticks, 2)) == 0
    for text in figure.texts:
        extent = text.get_window_extent()
        assert extent.x1 <= width


def test_up_to_25_rows_are_all_named_and_of_more_the_front_and_the_best() -> None:
    assert len(_names(_drawn(accuracy_vs_macs, _crowd(25)).axes[0])) == 25
    made = _crowd(60)
    board = make_board(made)
    names = _names(_drawn(accuracy_vs_macs, made).axes[0])
    front = {p.row.name for p in fronts_of(board)[0].of_state("front")}
    assert 5 <= len(names) <= 25
    assert board.rows[0].name in names
    assert set(names) <= front
    figure = _drawn(accuracy_vs_macs, made)
    assert "named: the best, and some along the line, of 60 models" in figure.texts[-1].get_text()


def test_every_row_of_a_crowd_is_drawn_with_or_without_a_name() -> None:
    axes = _drawn(accuracy_vs_macs, _crowd(60)).axes[0]
    dots = sum(len(collection.get_offsets()) for collection in axes.collections if _is_scatter(collection))
    bars = sum(isinstance(c, ErrorbarContainer) for c in axes.containers)
    assert dots + bars == 60


def _is_scatter(collection: Any) -> bool:
    return type(collection).__name__ == "PathCollection"


def test_a_name_is_text_in_the_svg() -> None:
    figure = _drawn(accuracy_vs_macs, [Made("a_$b$_<c>", 0.9), Made("other", 0.5)])
    with styled():
        svg = files_of(figure)[".svg"].decode()
    assert ">a_$b$_&lt;c&gt;</text>" in svg
