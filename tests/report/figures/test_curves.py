"""The picture of learning curves: bands, fits within their reach, crossings with intervals, names that can be read."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bench.analysis.board import Board
from bench.analysis.crossover import Crossover
from bench.analysis.efficiency import efficiency_of
from bench.report.figures.curves import FITTED, LIT, MARKED, data_efficiency, learning_curves
from bench.report.figures.labels import overlap
from bench.report.figures.style import looks, styled
from tests.curve_samples import Law, planted_board

LAWS = {"transformer": Law(0.05, 3.0), "hybrid": Law(0.08, 2.0), "mixer": Law(0.03, 4.2), "convnet": Law(0.13, 1.9)}
INK = "#222222"


def crowd(count: int) -> dict[str, Law]:
    """As many laws, no two alike."""
    return {f"model_{k:02}": Law(0.03 + 0.012 * k, 2.0 + 0.05 * k) for k in range(count)}


def drawn(board: Board) -> Figure:
    with styled():
        figure = data_efficiency(board)
        figure.canvas.draw()
    return figure


def notes(figure: Figure) -> str:
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


def dots(axes: Axes) -> list[tuple[float, float]]:
    """Where a crossing is marked."""
    found = [line for line in axes.lines if line.get_marker() == "o" and INK in (line.get_color(), line.get_mec())]
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in found]


def test_every_crossing_is_a_dot_with_its_interval_and_its_number(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS)
    found = [c for c in efficiency_of(board.curves).crossovers if c.state == "crossing"]
    axes = drawn(board).axes[0]
    assert len(found) == 3
    assert dots(axes) == [pytest.approx((c.n, 100 * (c.accuracy or 0))) for c in found]
    bars = [line.get_xdata().tolist() for line in axes.lines if line.get_marker() == "|"]
    assert bars == [[c.low, c.high] for c in found]
    assert sum(text.get_text().startswith("n ≈ ") for text in axes.texts) == 3


def test_the_dot_lies_on_both_of_the_curves_that_cross(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS)
    curves, fits = {curve.name: curve for curve in board.curves}, efficiency_of(board.curves).fits
    crossings = [c for c in efficiency_of(board.curves).crossovers if c.n is not None]
    assert {c.extrapolated for c in crossings} == {False, True}
    for found in crossings:
        for name in (found.first, found.second):
            curve = curves[name]
            measured = float(np.interp(np.log(found.n or 0), np.log(curve.sizes), curve.values))
            level = float(fits[name].accuracy(found.n)) if found.extrapolated else measured
            assert found.accuracy == pytest.approx(level, abs=1e-5)


def test_labels_of_crossings_cover_neither_each_other_nor_points(tmp_path: Path) -> None:
    figure = drawn(planted_board(tmp_path, LAWS))
    axes = figure.axes[0]
    texts = [text for text in axes.texts if text.get_text().strip()]
    boxes = [(e.x0, e.y0, e.x1, e.y1) for e in (text.get_window_extent() for text in texts)]
    assert sum(overlap(a, b) for a, b in itertools.combinations(boxes, 2)) == 0
    marks = [axes.transData.transform(c.lines[0].get_xydata()) for c in axes.containers]
    marks.append(axes.transData.transform(dots(axes)))
    assert not any(x0 < x < x1 and y0 < y < y1 for xy in marks for x, y in xy for x0, y0, x1, y1 in boxes)


def test_an_extrapolated_crossing_is_hollow_and_said_to_be(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS)
    beyond = Crossover(
        "transformer", "convnet", "crossing", board.train_sizes, "convnet", 1800, 1500, 2200, 0.88, extrapolated=True
    )
    with styled():
        figure = learning_curves(board, replace(efficiency_of(board.curves), crossovers=(beyond,)))
    (dot,) = [line for line in figure.axes[0].lines if line.get_xdata()[0] == 1800]
    assert dot.get_markerfacecolor() == "white"
    assert "hollow if extrapolated" in notes(figure)


def test_fits_are_dashed_where_measured_and_dotted_to_twice_the_largest_size(tmp_path: Path) -> None:
    board = planted_board(tmp_path, {"a": Law(0.05, 2.0), "b": Law(0.1, 2.0)})
    axes = drawn(board).axes[0]
    smallest, largest = board.train_sizes[0], board.train_sizes[-1]
    thin = [line for line in axes.lines if len(line.get_xdata()) == 65]
    reach = sorted((round(float(line.get_xdata()[0])), round(float(line.get_xdata()[-1]))) for line in thin)
    assert reach == [(smallest, largest)] * 2 + [(largest, 2 * largest)] * 2
    styles = {(round(float(line.get_xdata()[0])), str(line._dash_pattern)) for line in thin}
    assert len(styles) == 2
    assert axes.get_xlim()[1] >= 2 * largest


def test_bands_span_the_intervals_of_the_points(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS)
    bands = drawn(board).axes[0].collections
    ends = {(round(float(p.vertices[:, 1].min()), 6), round(float(p.vertices[:, 1].max()), 6))
            for band in bands for p in band.get_paths()}  # fmt: skip
    for row in board.rows:
        lows, highs = [100 * (p.low or 0) for p in row.points], [100 * (p.high or 0) for p in row.points]
        assert (round(min(lows), 6), round(max(highs), 6)) in ends


def test_residuals_stand_in_a_strip_below(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS)
    found = efficiency_of(board.curves)
    strip = drawn(board).axes[1]
    shown = [np.round(c.lines[0].get_ydata(), 6).tolist() for c in strip.containers]
    assert shown == [np.round(100 * np.array(found.fits[row.name].residuals), 6).tolist() for row in board.rows]


@pytest.mark.parametrize("sizes", [(1293,), (388, 1293)])
def test_too_few_sizes_for_a_fit_leave_strip_and_reach_out(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    board = planted_board(tmp_path, LAWS, sizes=sizes, images=500)
    figure = drawn(board)
    assert len(figure.axes) == 1
    assert figure.axes[0].get_xlim()[1] < 1.2 * board.train_sizes[-1]
    assert "Thin lines" not in notes(figure)


def test_of_many_rows_the_best_are_in_colour_and_the_picture_says_so(tmp_path: Path) -> None:
    board = planted_board(tmp_path, crowd(25), images=500)
    figure = drawn(board)
    axes = figure.axes[0]
    coloured = {look.colour.lower() for look in looks([row.name for row in board.rows]).values()}
    assert len(axes.containers) == LIT
    assert f"In colour the best {LIT} of 25 models" in notes(figure)
    assert f"Thin lines of the best {FITTED}" in notes(figure)
    inks = {text.get_text(): to_hex(text.get_color()) for text in axes.texts}
    assert {row.name for row in board.rows} <= set(inks)
    assert len({inks[row.name] for row in board.rows[LIT:]}) == 1
    greys = [line for line in axes.lines if len(line.get_xdata()) == 5 and to_hex(line.get_color()) not in coloured]
    assert len(greys) == 25 - LIT


def test_of_still_more_rows_only_the_best_are_named(tmp_path: Path) -> None:
    board = planted_board(tmp_path, crowd(30), images=300)
    names = {text.get_text() for text in drawn(board).axes[0].texts}
    assert names & {row.name for row in board.rows} == {row.name for row in board.rows[:LIT]}


def test_more_crossings_than_can_be_read_are_counted_instead(tmp_path: Path) -> None:
    laws = {f"m{k}": Law(0.02 + 0.02 * k, 4.0 - 0.45 * k) for k in range(6)}
    figure = drawn(planted_board(tmp_path, laws, images=20_000, seed_sd=0.002))
    assert len(dots(figure.axes[0])) == MARKED
    assert f"where curves cross ({MARKED} of " in notes(figure)


@pytest.mark.parametrize(("seeds", "told"), [(1, "one seed: test-set uncertainty only"), (3, "95 % intervals.")])
def test_the_picture_says_what_its_intervals_cover(tmp_path: Path, seeds: int, told: str) -> None:
    assert told in notes(drawn(planted_board(tmp_path, LAWS, seeds=seeds, images=500)))


def test_rows_without_a_curve_are_drawn_without_a_fit(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS, images=500)
    figure = drawn(replace(board, curves=()))
    assert len(figure.axes) == 1
    assert len(figure.axes[0].containers) == len(LAWS)


def test_a_board_without_any_result_has_no_picture(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS, images=500)
    bare = replace(board, rows=tuple(replace(row, points=()) for row in board.rows), curves=())
    with styled(), pytest.raises(ValueError, match="no row has a result"):
        data_efficiency(bare)


def test_nothing_is_cut_off_at_the_edges(tmp_path: Path) -> None:
    figure = drawn(planted_board(tmp_path, crowd(25), images=500))
    width, height = figure.get_size_inches() * figure.dpi
    texts = [*figure.texts, *(text for axes in figure.axes for text in (*axes.texts, axes.title, axes.yaxis.label))]
    extents = [text.get_window_extent() for text in texts if text.get_text().strip()]
    assert all(e.x0 >= 0 and e.y0 >= 0 and e.x1 <= width and e.y1 <= height for e in extents)
