"""Figures show all models with their uncertainty, and no label hides data or another label."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.models.zoo import ZOO
from bench.protocol import PRESETS
from bench.report.figures.board import FIGURES, accuracy_vs_macs, accuracy_vs_throughput, data_efficiency, draw_figures
from bench.report.figures.drawing import log_ticks
from bench.report.figures.labels import Box, overlap
from bench.report.figures.style import looks, styled
from tests.cost_samples import make_timing
from tests.samples import CANONICAL_FAKES, Fake, make_study

Draw = Callable[[Board], Figure]
APART = ("pareto", "ranks", "summary")
"""Pictures of several panels or with a table, which have tests of their own."""
DRAWINGS = [draw for name, (_, draw) in FIGURES.items() if name not in APART]
"""The figures with a single plot, in which every model has a name."""


def _board(root: Path, **study: Any) -> Board:
    make_study(root, **study)
    return build_board(load_records(root))[0]


def _crowd(count: int) -> tuple[Fake, ...]:
    rng = np.random.default_rng(0)
    return tuple(
        Fake(entry.name, rng.uniform(0.7, 0.9), macs=int(10 ** rng.uniform(8, 9.5)), speed=10 ** rng.uniform(1.5, 3))
        for entry in ZOO[:count]
    )


def _names(figure: Figure, board: Board) -> dict[str, Text]:
    names = {row.name for row in board.rows}
    return {text.get_text(): text for text in figure.axes[0].texts if text.get_text() in names}


def _box(text: Text) -> Box:
    extent = text.get_window_extent()
    return extent.x0, extent.y0, extent.x1, extent.y1


@pytest.mark.parametrize("count", [4, 12])
@pytest.mark.parametrize("draw", DRAWINGS)
def test_every_model_is_named_once_inside_the_picture_and_off_the_other_names(
    tmp_path: Path, draw: Draw, count: int
) -> None:
    board = _board(tmp_path, models=CANONICAL_FAKES if count == 4 else _crowd(count))
    with styled():
        figure = draw(board)
        names = _names(figure, board)
        boxes = [_box(text) for text in names.values()]
        width, height = figure.get_size_inches() * figure.dpi
        figure.canvas.draw()
        title = figure.axes[0].yaxis.label.get_window_extent()
    assert title.x0 > 0
    assert set(names) == {row.name for row in board.rows}
    assert all(x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height for x0, y0, x1, y1 in boxes)
    assert sum(overlap(a, b) for a, b in itertools.combinations(boxes, 2)) == 0


@pytest.mark.parametrize("draw", DRAWINGS)
def test_no_name_covers_a_point_of_the_default_board(tmp_path: Path, draw: Draw) -> None:
    board = _board(tmp_path)
    with styled():
        figure = draw(board)
        boxes = [_box(text) for text in _names(figure, board).values()]
        axes = figure.axes[0]
        bars = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
        dots = [xy for bar in bars for xy in axes.transData.transform(bar.lines[0].get_xydata())]
    assert len(bars) == 4
    assert not any(x0 < x < x1 and y0 < y < y1 for x, y in dots for x0, y0, x1, y1 in boxes)


def test_points_carry_their_95_percent_intervals(tmp_path: Path) -> None:
    board = _board(tmp_path, protocol=replace(PRESETS["quick"], seeds=(0, 1, 2)))
    with styled():
        axes = accuracy_vs_macs(board).axes[0]
    drawn = {
        round(float(bar.lines[0].get_ydata()[0]), 6): [
            round(float(y), 6) for y in bar.lines[2][1].get_segments()[0][:, 1]
        ]
        for bar in axes.containers
    }
    for row in board.rows:
        assert row.top1 is not None
        assert row.top1.low is not None
        assert row.top1.high is not None
        ends = [round(100 * row.top1.low, 6), round(100 * row.top1.high, 6)]
        assert drawn[round(100 * row.top1.value, 6)] == ends


def test_throughput_carries_its_interval_and_an_invalid_one_is_marked(tmp_path: Path) -> None:
    old = make_timing(32, 400.0, low_ms=None, high_ms=None, q25_ms=75.0, q75_ms=85.0)
    doubtful = make_timing(32, 200.0, invalid=["drifted"])
    models = (
        Fake("new", 0.9),
        Fake("old", 0.8, cost=(("inference", old),)),
        Fake("bad", cost=(("inference", doubtful),)),
    )
    board = _board(tmp_path, models=models)
    with styled():
        figure = accuracy_vs_throughput(board)
    axes = figure.axes[0]
    drawn = {
        round(float(bar.lines[0].get_xdata()[0])): [round(float(x)) for x in bar.lines[2][0].get_segments()[0][:, 0]]
        for bar in axes.containers
    }
    assert drawn[800] == [round(800 / 1.006), round(800 / 0.995)]
    assert drawn[400] == [round(32_000 / 85), round(32_000 / 75)]
    assert {"new", "old", "bad (INVALID)"} <= {text.get_text() for text in axes.texts}
    assert "quartiles where there are none" in figure.texts[-1].get_text()


def test_the_data_efficiency_axis_is_logarithmic_and_marked_at_the_train_sizes(tmp_path: Path) -> None:
    with styled():
        axes = data_efficiency(_board(tmp_path)).axes[0]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["129", "388", "1,293"]


@pytest.mark.parametrize(
    "study",
    [
        {"models": (Fake("alone"),), "protocol": replace(PRESETS["quick"], train_sizes=(1.0,))},
        {"models": (Fake("a", fails=((2, 0),)), Fake("b", fails=((0, 0), (1, 0), (2, 0))))},
        {"models": (Fake("$x^2$ <&> 名"), Fake("same", 0.9), Fake("same2", 0.9))},
        {"models": (Fake("perfect", 1.0), Fake("hopeless", 0.0))},
    ],
)
def test_odd_boards_are_drawn_too_and_are_valid_svg_and_png(tmp_path: Path, study: dict[str, Any]) -> None:
    figures = dict(draw_figures(_board(tmp_path, **study)))
    assert set(figures) == set(FIGURES)
    for files in figures.values():
        assert ET.fromstring(files[".svg"]).tag.endswith("svg")
        assert files[".png"].startswith(b"\x89PNG")


def test_a_model_without_a_measured_cost_is_left_out_of_that_picture_only(tmp_path: Path) -> None:
    make_study(tmp_path)
    next(tmp_path.glob("profiles/swin_t-*/record.json")).unlink()
    (board,) = build_board(load_records(tmp_path))
    with styled():
        assert "swin_t" not in _names(accuracy_vs_macs(board), board)
        assert "swin_t" in _names(data_efficiency(board), board)


def test_a_name_is_text_in_the_svg_and_never_a_formula(tmp_path: Path) -> None:
    board = _board(tmp_path, models=(Fake("a_$b$_c"),))
    svg = ET.fromstring(dict(draw_figures(board))["data_efficiency"][".svg"])
    assert "a_$b$_c" in [element.text for element in svg.iter()]


def test_a_model_looks_the_same_in_every_figure_and_no_two_of_the_whole_zoo_look_alike() -> None:
    names = [entry.name for entry in ZOO]
    look = looks(names)
    assert looks(names[::-1]) == look
    assert len({(style.colour, style.marker) for style in look.values()}) == len(ZOO)


def test_drawing_leaves_the_callers_matplotlib_as_it_was(tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    list(draw_figures(_board(tmp_path, models=(Fake("a"),))))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(("low", "high"), [(0.05, 0.5), (1, 1000), (0.34, 0.42), (99, 101), (1e-4, 1e3)])
def test_a_log_axis_has_a_few_round_ticks_inside_its_limits(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 13
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(set(ticks))
