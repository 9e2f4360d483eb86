"""Confusion matrices stay readable from 2 to 1,000 classes, and say in numbers what they show in colour."""

from __future__ import annotations

import csv
import io
import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.analysis.confusions import pooled_confusion
from bench.report.confusion import confusion_csv, confusion_figure, confusion_markdown, draw_confusions, pooled
from bench.report.labels import overlap
from bench.report.style import styled
from tests.samples import Fake, make_study

COUNTS = np.array([[8, 2, 0], [3, 7, 0], [0, 0, 0]])


def _board(root: Path, classes: int, name: str = "class {}") -> Board:
    make_study(
        root, models=(Fake("resnet18", 0.8),), classes=[name.format(k) for k in range(classes)],
        n_train=max(1437, 20 * classes), n_test=max(360, 10 * classes),
    )  # fmt: skip
    return build_board(load_records(root))[0]


def _figure(board: Board) -> Figure:
    counts = pooled_confusion(board.rows[0])
    assert counts is not None
    return confusion_figure(board, board.rows[0], counts)


@pytest.mark.parametrize(("classes", "numbers"), [(2, True), (10, True), (20, True), (30, False), (100, False)])
def test_cells_hold_numbers_only_where_there_is_room(tmp_path: Path, classes: int, numbers: bool) -> None:
    with styled():
        texts = [t.get_text() for t in _figure(_board(tmp_path, classes)).axes[0].texts]
    assert any(t.replace(".", "").isdigit() for t in texts) == numbers


@pytest.mark.parametrize("classes", [2, 10, 13, 50, 51, 100, 1000])
@pytest.mark.parametrize("name", ["{}", "a rather long class name {}"])
def test_names_on_the_axes_are_inside_the_picture_and_off_each_other(tmp_path: Path, classes: int, name: str) -> None:
    with styled():
        figure = _figure(_board(tmp_path, classes, name))
        figure.canvas.draw()
        axes, width_height = figure.axes[0], figure.get_size_inches() * figure.dpi
        for axis in (axes.xaxis, axes.yaxis):
            extents = [label.get_window_extent() for label in axis.get_ticklabels()]
            boxes = [(e.x0, e.y0, e.x1, e.y1) for e in extents]
            assert 2 <= len(boxes) <= 50
            assert sum(overlap(a, b) for a, b in itertools.pairwise(boxes)) == 0
            assert min(min(box) for box in boxes) >= 0
            title = axis.label.get_window_extent()
            assert min(title.x0, title.y0) >= 0
            assert title.x1 <= width_height[0]


@pytest.mark.parametrize("classes", [10, 100, 1000])
def test_pictures_of_10_100_and_1000_classes_are_valid_and_of_moderate_size(tmp_path: Path, classes: int) -> None:
    ((name, files),) = draw_confusions(_board(tmp_path, classes))
    assert name == "resnet18"
    assert ET.fromstring(files[".svg"]).tag.endswith("svg")
    assert files[".png"].startswith(b"\x89PNG")
    assert all(len(data) < 600_000 for data in files.values())


def test_the_matrix_drawn_is_the_counts_in_percent_of_their_row(tmp_path: Path) -> None:
    board = _board(tmp_path, 10)
    counts = pooled_confusion(board.rows[0])
    assert counts is not None
    with styled():
        drawn = np.asarray(_figure(board).axes[0].collections[0].get_array())
    assert drawn == pytest.approx(100 * counts / counts.sum(axis=1, keepdims=True))
    assert drawn.sum(axis=1) == pytest.approx(100)


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
        figure = confusion_figure(board, board.rows[0], COUNTS)
    array = figure.axes[0].collections[0].get_array()
    assert np.ma.getmaskarray(array)[2].all()
    assert not np.ma.getmaskarray(array)[:2].any()
    assert "grey: no test images" in " ".join(t.get_text() for t in figure.axes[0].texts)


def test_the_csv_is_normalised_by_row_and_gives_the_counts_back() -> None:
    lines = list(csv.reader(io.StringIO(confusion_csv(["a", "b,c", "d"], COUNTS))))
    assert lines[0] == ["true \\ predicted", "a", "b,c", "d", "images"]
    assert lines[1] == ["a", "0.8", "0.2", "0", "10"]
    assert lines[3] == ["d", "", "", "", "0"]
    back = [[round(float(share or 0) * int(line[-1])) for share in line[1:-1]] for line in lines[1:]]
    assert back == COUNTS.tolist()


def test_the_markdown_has_the_worst_pairs_first_and_every_class_lowest_recall_first(tmp_path: Path) -> None:
    board = _board(tmp_path, 3, "c{} <b>")
    text = confusion_markdown(board, board.rows[0], COUNTS)
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "<b>" not in html
    pairs, recalls = text.split("## ")[1:]
    assert pairs.index("30.0") < pairs.index("20.0")
    assert recalls.index("70.0") < recalls.index("80.0") < recalls.index("0 of 0")
    perfect = confusion_markdown(board, board.rows[0], np.diag([5, 5, 5]))
    assert "No image was confused." in perfect
