"""Confusion matrices stay readable from 2 to 1,000 classes, in one order of classes for all models of a board."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.analysis.confusions import class_order, pooled_confusion
from bench.report.figures import confusions as confusion_figures
from bench.report.figures.confusions import (
    confusion_figure,
    confusion_picture_names,
    draw_confusions,
    pictured,
    pooled,
    worst_figure,
)
from bench.report.figures.labels import overlap
from bench.report.figures.style import GREY, styled
from tests.samples import Fake, make_study

COUNTS = np.array([[8, 2, 0], [3, 7, 0], [0, 0, 0]])
NATURAL = np.arange(3)


def _board(root: Path, classes: int, name: str = "class {}", models: int = 1) -> Board:
    make_study(
        root,
        models=[Fake(f"resnet{18 + k}", 0.8 - 0.01 * k) for k in range(models)],
        classes=[name.format(k) for k in range(classes)],
        n_train=max(1437, 20 * classes),
        n_test=max(360, 10 * classes),
    )
    return build_board(load_records(root))[0]


def _figure(board: Board, draw: object = confusion_figure) -> Figure:
    counts = pooled_confusion(board.rows[0])
    assert counts is not None
    assert callable(draw)
    figure = draw(board, board.rows[0], counts, class_order([counts]))
    assert isinstance(figure, Figure)
    return figure


@pytest.mark.parametrize(("classes", "numbers"), [(2, True), (10, True), (20, True), (30, False), (100, False)])
def test_cells_hold_numbers_only_where_there_is_room(tmp_path: Path, classes: int, numbers: bool) -> None:
    with styled():
        texts = [t.get_text() for t in _figure(_board(tmp_path, classes)).axes[0].texts]
    assert any(t.replace(".", "").isdigit() for t in texts) == numbers


@pytest.mark.parametrize("classes", [2, 10, 13, 50, 51, 100, 120, 121, 1000])
@pytest.mark.parametrize("name", ["{}", "a rather long class name {}"])
def test_names_on_the_axes_are_inside_the_picture_and_off_each_other(tmp_path: Path, classes: int, name: str) -> None:
    with styled():
        figure = _figure(_board(tmp_path, classes, name))
        figure.canvas.draw()
        axes, width_height = figure.axes[0], figure.get_size_inches() * figure.dpi
        for axis in (axes.xaxis, axes.yaxis):
            extents = [label.get_window_extent() for label in axis.get_ticklabels()]
            boxes = [(e.x0, e.y0, e.x1, e.y1) for e in extents]
            assert len(boxes) == classes if classes <= 120 else 20 <= len(boxes) <= 30
            assert sum(overlap(a, b) for a, b in itertools.pairwise(boxes)) == 0
            assert min(min(box) for box in boxes) >= 0
            title = axis.label.get_window_extent()
            own = (title.x0, title.y0, title.x1, title.y1)
            assert min(own[:2]) >= 0
            assert title.x1 <= width_height[0]
            assert sum(overlap(own, box) for box in boxes) == 0


@pytest.mark.parametrize("classes", [10, 30, 100, 1000])
def test_headings_are_inside_the_picture(tmp_path: Path, classes: int) -> None:
    with styled():
        for draw in (confusion_figure, worst_figure):
            figure = _figure(_board(tmp_path, classes), draw)
            figure.canvas.draw()
            axes, (width, height) = figure.axes[0], figure.get_size_inches() * figure.dpi
            above = [axes._left_title, *(t for t in axes.texts if t.get_color() == GREY)]
            boxes = [(e.x0, e.y0, e.x1, e.y1) for e in (t.get_window_extent() for t in above)]
            assert len(boxes) >= 2
            assert all(box[2] <= width and box[3] <= height for box in boxes)
            assert sum(overlap(a, b) for a, b in itertools.combinations(boxes, 2)) == 0


@pytest.mark.parametrize("classes", [10, 100, 1000])
def test_pictures_of_10_100_and_1000_classes_are_valid_and_of_moderate_size(tmp_path: Path, classes: int) -> None:
    found = dict(draw_confusions(_board(tmp_path, classes)))
    assert list(found) == ["resnet18"] + ["worst/resnet18"] * (classes > 20)
    for files in found.values():
        assert ET.fromstring(files[".svg"]).tag.endswith("svg")
        assert files[".png"].startswith(b"\x89PNG")
        assert all(len(data) < 600_000 for data in files.values())


def test_the_names_of_pictures_are_those_that_are_drawn_of_the_best_rows_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confusion_figures, "_FEWER_PICTURES", 2)
    board = _board(tmp_path, 30, models=3)
    names = confusion_picture_names(board)
    assert names == [f"{part}{row.name}" for part in ("", "worst/") for row in board.rows[:2]]
    assert sorted(name for name, _ in draw_confusions(board)) == sorted(names)


def test_many_rows_of_few_classes_have_pictures_up_to_twenty(tmp_path: Path) -> None:
    board = _board(tmp_path, 10, models=23)
    assert [row.name for row in pictured(board)] == [row.name for row in board.rows[:20]]
    assert len(confusion_picture_names(board)) == 20


def test_the_matrix_drawn_is_the_counts_in_percent_of_their_row(tmp_path: Path) -> None:
    board = _board(tmp_path, 10)
    counts = pooled_confusion(board.rows[0])
    assert counts is not None
    with styled():
        drawn = np.asarray(_figure(board).axes[0].collections[0].get_array())
    assert drawn == pytest.approx(100 * counts / counts.sum(axis=1, keepdims=True))
    assert drawn.sum(axis=1) == pytest.approx(100)


def test_rows_and_columns_and_their_names_are_in_the_same_order(tmp_path: Path) -> None:
    board = _board(tmp_path, 30)
    counts = pooled_confusion(board.rows[0])
    assert counts is not None
    order = np.random.default_rng(0).permutation(30)
    with styled():
        figure = confusion_figure(board, board.rows[0], counts, order)
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    assert np.asarray(figure.axes[0].collections[0].get_array()) == pytest.approx(shares[np.ix_(order, order)])
    for labels in (figure.axes[0].get_xticklabels(), figure.axes[0].get_yticklabels()):
        assert [label.get_text() for label in labels] == [board.data.classes[k] for k in order]
    assert any("classes clustered" in t.get_text() for t in figure.axes[0].texts)


def test_the_worst_part_names_the_classes_of_the_worst_confusions(tmp_path: Path) -> None:
    board = _board(tmp_path, 30)
    counts = np.diag([100] * 30)
    counts[3, 17] = counts[20, 4] = 50
    with styled():
        figure = worst_figure(board, board.rows[0], counts, np.arange(30))
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["class 3", "class 4", "class 17", "class 20"]
    assert figure.axes[0].collections[0].get_array()[0, 2] == pytest.approx(100 / 3)


def test_the_worst_part_of_a_model_without_mistakes_is_still_a_picture(tmp_path: Path) -> None:
    board = _board(tmp_path, 30)
    with styled():
        assert worst_figure(board, board.rows[0], np.diag([5] * 30), np.arange(30)).axes


def test_a_thousand_classes_are_drawn_in_blocks_that_keep_every_confusion_visible() -> None:
    shares = np.zeros((1000, 1000))
    shares[3, 998] = 40.0
    shares[999] = np.nan
    cells, block = pooled(shares)
    assert (cells.shape, block) == ((250, 250), 4)
    assert cells[0, 249] == 40.0
    assert cells[249, 0] == 0.0
    small, one = pooled(shares[:7, :7])
    assert one == 1
    assert small.shape == (7, 7)
    assert pooled(np.full((300, 300), np.nan))[0].shape == (150, 150)


def test_a_class_without_test_images_is_grey_not_zero(tmp_path: Path) -> None:
    board = _board(tmp_path, 3)
    with styled():
        figure = confusion_figure(board, board.rows[0], COUNTS, NATURAL)
    array = figure.axes[0].collections[0].get_array()
    assert np.ma.getmaskarray(array)[2].all()
    assert not np.ma.getmaskarray(array)[:2].any()
    assert "grey: no test images" in " ".join(t.get_text() for t in figure.axes[0].texts)
