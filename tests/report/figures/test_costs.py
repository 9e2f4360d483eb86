"""Pictures of costs show every model, whatever its record lacks, and no name hides another."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.analysis.costs import CostBoard
from bench.models.zoo import ZOO
from bench.report.figures.costs import (
    COST_FIGURES,
    cost_figure_names,
    draw_cost_figures,
    macs_by_kind,
    macs_vs_size,
    roofline,
    throughput_vs_batch,
)
from bench.report.figures.labels import Box, overlap
from bench.report.figures.style import styled
from tests.analysis.test_costs import UNKNOWN, boards, profile
from tests.cost_samples import make_curve, make_device, make_timing
from tests.samples import ENVIRONMENT

Draw = Callable[[CostBoard], Figure]
DRAWINGS = [picture.draw for picture in COST_FIGURES.values()]
DEVICE = make_device(ENVIRONMENT)


def _board(count: int, **changes: Any) -> CostBoard:
    rng = np.random.default_rng(count)
    models = [
        profile(entry.name, speed=10 ** rng.uniform(0.5, 1.3), macs=int(10 ** rng.uniform(9, 10)), **changes)
        for entry in ZOO[:count]
    ]
    return boards(*models, devices=[DEVICE])[0]


def _texts(figure: Figure, words: set[str]) -> list[Text]:
    found = [t for axes in figure.axes for t in (*axes.texts, *axes.get_yticklabels())]
    return [t for t in found if t.get_text().split(" ")[0] in words]


def _box(text: Text) -> Box:
    extent = text.get_window_extent()
    return extent.x0, extent.y0, extent.x1, extent.y1


@pytest.mark.parametrize("count", [1, 4, 12])
@pytest.mark.parametrize("draw", DRAWINGS)
def test_every_model_is_named_inside_the_picture_and_off_the_other_names(draw: Draw, count: int) -> None:
    board = _board(count)
    names = {row.model for row in board.rows}
    with styled():
        figure = draw(board)
        figure.set_dpi(160)
        figure.canvas.draw()
        texts = _texts(figure, names)
        boxes = [_box(text) for text in texts]
        width, height = figure.get_size_inches() * figure.dpi
        lefts = [axes.yaxis.label.get_window_extent().x0 for axes in figure.axes if axes.get_ylabel()]
        others = [_box(t) for t in (*figure.texts, *(t for axes in figure.axes for t in axes.texts))]
    assert {text.get_text().split(" ")[0] for text in texts} == names
    assert all(x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height for x0, y0, x1, y1 in (*boxes, *others))
    assert all(left > 0 for left in lefts)
    assert sum(overlap(a, b) for a, b in itertools.combinations(boxes, 2)) == 0


def test_the_roofline_has_a_slope_a_level_per_precision_and_both_uses_of_each_model() -> None:
    board = _board(3)
    with styled():
        (axes,) = roofline(board).axes
    words = " ".join(text.get_text() for text in axes.texts)
    assert "copy 20.0 GB/s" in words
    assert "fp32 400 GFLOP/s" in words
    assert "bf16 800 GFLOP/s" in words
    drawn = {tuple(np.round(xy, 6)) for line in axes.lines for xy in line.get_xydata()}
    for row in board.rows:
        for point in (row.inference_point, row.training_point):
            assert point is not None
            assert (round(point.intensity or 0, 6), round(point.flops_per_s / 1e9, 6)) in drawn


def test_the_fraction_of_the_attainable_rate_stands_beside_the_name() -> None:
    board = _board(1)
    point, training = board.rows[0].inference_point, board.rows[0].training_point
    assert point is not None
    assert training is not None
    with styled():
        (axes,) = roofline(board).axes
    expected = f"{board.rows[0].model} {100 * (point.fraction or 0):.0f}, {100 * (training.fraction or 0):.0f} %"
    assert expected in [text.get_text() for text in axes.texts]


def test_attention_grows_steeper_than_all_macs_in_the_picture_of_sizes() -> None:
    vit = boards(_vit())[0]
    with styled():
        (axes,) = macs_vs_size(vit).axes
    total, attention = (line.get_xydata() for line in axes.lines if len(line.get_xdata()) == 8)

    def slope(points: Any) -> float:
        return float(np.log(points[-1, 1] / points[0, 1]) / np.log(points[-1, 0] / points[0, 0]))

    assert slope(attention) == pytest.approx(4, abs=0.01)
    assert 2 < slope(total) < 4
    assert axes.get_xscale() == axes.get_yscale() == "log"


def _vit() -> Any:
    from tests.cost_samples import make_profile
    from tests.samples import Fake, model_info

    return make_profile("v", model_info(Fake("v", family="ViT"), 224), ENVIRONMENT, 224, 1000)


def test_bars_by_kind_fill_the_whole_width_and_tell_the_total() -> None:
    board = boards(_vit())[0]
    with styled():
        axes = macs_by_kind(board).axes[0]
    assert sum(bar.get_width() for bar in axes.patches) == pytest.approx(100)
    assert "0.600 G" in [text.get_text() for text in axes.texts]


def test_a_batch_that_ran_out_of_memory_ends_its_line_with_a_cross() -> None:
    board = boards(profile("a", training_curve=make_curve(16, 30.0, runs_out=True)))[0]
    with styled():
        upper, lower = throughput_vs_batch(board).axes
    assert "x" in [line.get_marker() for line in lower.lines]
    assert "x" not in [line.get_marker() for line in upper.lines]
    assert "memory ran out" in " ".join(text.get_text() for text in upper.figure.texts)


def test_an_invalid_figure_is_marked_in_the_pictures_that_show_it() -> None:
    board = boards(profile("a", inference=make_timing(32, 100.0, invalid=["drifted"])), devices=[DEVICE])[0]
    with styled():
        for draw in (roofline, throughput_vs_batch):
            assert any("(INVALID)" in text.get_text() for text in draw(board).axes[0].texts)


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        ({}, {"throughput_vs_batch", "macs_by_kind", "macs_vs_size"}),
        ({"inference_curve": [], "training_curve": []}, {"macs_by_kind", "macs_vs_size"}),
        ({"macs_by_kind": {}, "macs_by_size": []}, {"throughput_vs_batch"}),
        ({"status": "failed", **UNKNOWN}, set()),
    ],
)
def test_a_picture_without_its_numbers_is_left_out(missing: dict[str, Any], left: set[str]) -> None:
    board = boards(profile("a", **missing))[0]
    assert set(cost_figure_names(board)) == left == {name for name, _ in draw_cost_figures(board)}


def test_odd_boards_are_drawn_too_and_are_valid_svg_and_png() -> None:
    odd = boards(
        profile("$x^2$ <&> 名", training=None, training_curve=[], macs_by_kind={"wavelet": 7}),
        profile("all out", inference_curve=make_curve(1, 2.0, runs_out=True)[-1:], training_curve=[]),
        devices=[DEVICE],
    )[0]
    figures = dict(draw_cost_figures(odd))
    assert set(figures) == set(COST_FIGURES)
    for files in figures.values():
        assert ET.fromstring(files[".svg"]).tag.endswith("svg")
        assert files[".png"].startswith(b"\x89PNG")
