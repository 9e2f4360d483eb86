"""Pictures of mistakes: drawn where there is something to draw, inside their borders, and showing what was measured."""

from __future__ import annotations

import csv
import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench.analysis.board import Board
from bench.analysis.mistakes import Mistakes, mistakes_of
from bench.report.figures.agreement import agreement_figure, disagreement_figure, shown_disagreement
from bench.report.figures.calibration import calibration_csv, calibration_figure
from bench.report.figures.classes import per_class
from bench.report.figures.labels import overlap
from bench.report.figures.mistakes import MISTAKE_FIGURES, draw_mistakes, mistake_figure_names, mistake_files
from bench.report.figures.style import styled
from tests.answer_samples import answered_study, keep_images
from tests.samples import Fake

TWO = (Fake("resnet18", 0.9), Fake("deit_ti", 0.7))
LONG = "a_rather_long_name_of_a_model.variant_{}"


def _mistakes(
    root: Path, models: tuple[Fake, ...] = TWO, images: bool = False, **options: Any
) -> tuple[Board, Mistakes]:
    board, store = answered_study(root, models, **options)
    if images:
        keep_images(board, store)
    return board, mistakes_of(board, store)


def _inside(figure: Figure) -> None:
    """Every text is within the figure."""
    figure.canvas.draw()
    width, height = figure.get_size_inches() * figure.dpi
    texts = [*figure.texts]
    for axes in figure.axes:
        texts += [*axes.texts, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            seen = [tick for tick in axis.get_major_ticks() if min(limits) <= tick.get_loc() <= max(limits)]
            texts += [label for tick in seen for label in (tick.label1, tick.label2)]
    for text in texts:
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 >= -1, text.get_text()
            assert box.y0 >= -1, text.get_text()
            assert box.x1 <= width + 1, text.get_text()
            assert box.y1 <= height + 1, text.get_text()


def _many(count: int) -> tuple[Fake, ...]:
    return tuple(Fake(LONG.format(k) if k % 3 == 0 else f"model_{k}", 0.95 - 0.02 * k) for k in range(count))


def test_every_picture_is_drawn_where_there_are_logits_images_and_two_models(tmp_path: Path) -> None:
    board, mistakes = _mistakes(tmp_path, images=True)
    found = dict(draw_mistakes(board, mistakes))
    assert list(found) == list(MISTAKE_FIGURES) == mistake_figure_names(board, mistakes)
    assert sorted(f"{name}{ending}" for name, files in found.items() for ending in files) == sorted(
        mistake_files(board, mistakes)
    )


def test_without_logits_and_images_there_is_neither_calibration_nor_disagreement(tmp_path: Path) -> None:
    board, mistakes = _mistakes(tmp_path, logits=False)
    assert mistake_figure_names(board, mistakes) == ["per_class", "agreement"]
    assert [name for name, _ in draw_mistakes(board, mistakes)] == ["per_class", "agreement"]


def test_a_board_without_any_result_has_no_picture(tmp_path: Path) -> None:
    board, mistakes = _mistakes(tmp_path, (Fake("a", fails=((0, 0), (0, 1))),))
    assert mistake_figure_names(board, mistakes) == []
    with pytest.raises(ValueError, match="two models"):
        agreement_figure(board, mistakes)
    with pytest.raises(ValueError, match="no model"):
        calibration_figure(board, mistakes)


@pytest.mark.parametrize(("models", "classes"), [(1, 2), (4, 10), (25, 10), (4, 100)])
def test_nothing_is_cut_off_at_few_and_many_models_and_classes(tmp_path: Path, models: int, classes: int) -> None:
    board, mistakes = _mistakes(tmp_path, _many(models), images=True, classes=classes)
    shown = shown_disagreement(mistakes)
    with styled():
        _inside(per_class(board))
        _inside(calibration_figure(board, mistakes))
        if models > 1:
            _inside(agreement_figure(board, mistakes))
        if shown is not None:
            _inside(disagreement_figure(board, mistakes, shown))


def test_the_heat_map_of_recalls_has_models_in_the_order_of_the_board_and_their_recall(tmp_path: Path) -> None:
    board, _ = _mistakes(tmp_path)
    with styled():
        axes = per_class(board).axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["resnet18", "deit_ti"]
    drawn = np.asarray(axes.collections[0].get_array())
    tests = [run.test for run in board.rows[1].runs if run.test is not None]
    assert drawn[1] == pytest.approx(100 * np.mean([t.recall for t in tests], axis=0))


def test_many_classes_are_those_that_tell_most_and_the_picture_says_so(tmp_path: Path) -> None:
    board, _ = _mistakes(tmp_path, classes=100, n_test=1000)
    with styled():
        axes = per_class(board).axes[0]
    assert np.asarray(axes.collections[0].get_array()).shape == (2, 60)
    assert any("60 of 100 classes" in t.get_text() for t in axes.texts)


def test_the_matrix_of_agreement_is_its_lower_half_with_the_diagonal(tmp_path: Path) -> None:
    board, mistakes = _mistakes(tmp_path)
    with styled():
        axes = agreement_figure(board, mistakes).axes[0]
    kappa = mistakes.agreement.kappa
    numbers = [t.get_text() for t in axes.texts][:3]
    assert sorted(numbers) == sorted(f"{v:.2f}" for v in (kappa[0, 0], kappa[1, 0], kappa[1, 1]))


def test_one_seed_leaves_the_diagonal_grey_and_says_so(tmp_path: Path) -> None:
    board, mistakes = _mistakes(tmp_path, seeds=(0,))
    with styled():
        axes = agreement_figure(board, mistakes).axes[0]
    assert len(axes.patches) == 2
    assert any("the diagonal is empty" in t.get_text() for t in axes.texts)


def test_each_image_has_its_class_and_what_it_is_taken_for(tmp_path: Path) -> None:
    board, mistakes = _mistakes(tmp_path, images=True)
    found = shown_disagreement(mistakes)
    assert found is not None
    with styled():
        figure = disagreement_figure(board, mistakes, found)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == min(16, len(found.only_first)) + min(16, len(found.only_second))
    first = int(found.only_first[0])
    label = mistakes.answers.label[first]
    wrong = mistakes.answers.rows[1].prediction[:, first]
    assert shown[0].get_xlabel() in [f"{label}\n→ {k}" for k in wrong]
    drawn = np.asarray(shown[0].images[0].get_array())
    assert (drawn == mistakes.images[int(mistakes.answers.index[first])]).all()


def test_an_image_that_was_not_kept_is_a_grey_field_that_says_so(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO)
    keep_images(board, store, but=2)
    mistakes = mistakes_of(board, store)
    found = shown_disagreement(mistakes)
    assert found is not None
    with styled():
        figure = disagreement_figure(board, mistakes, found)
    assert [t.get_text() for axes in figure.axes for t in axes.texts].count("not kept") == 2


@pytest.mark.parametrize("models", [8, 9])
def test_up_to_eight_curves_share_their_axes_and_more_have_one_each(tmp_path: Path, models: int) -> None:
    board, mistakes = _mistakes(tmp_path, _many(models))
    with styled():
        figure = calibration_figure(board, mistakes)
    assert len(figure.axes) == (2 if models == 8 else 9)
    if models == 8:
        figure.canvas.draw()
        names = [t.get_window_extent() for t in figure.axes[0].texts if "[" in t.get_text()]
        boxes = [(e.x0, e.y0, e.x1, e.y1) for e in names]
        assert len(boxes) == 8
        assert sum(overlap(a, b) for a, b in itertools.combinations(boxes, 2)) == 0


def test_the_bins_in_the_csv_add_up_to_the_ece_and_to_the_images(tmp_path: Path) -> None:
    _, mistakes = _mistakes(tmp_path, seeds=(0,))
    lines = list(csv.DictReader(io.StringIO(calibration_csv(mistakes))))
    assert len(lines) == 2 * 15
    mine = [line for line in lines if line["model"] == "deit_ti" and line["accuracy"]]
    images = [float(line["images"]) for line in mine]
    gaps = [abs(float(line["accuracy"]) - float(line["confidence"])) for line in mine]
    assert sum(images) == pytest.approx(360)
    assert np.dot(images, gaps) / 360 == pytest.approx(mistakes.calibrations["deit_ti"].ece, abs=1e-4)


def test_the_same_answers_give_the_same_bytes(tmp_path: Path) -> None:
    board, mistakes = _mistakes(tmp_path, images=True)
    assert dict(draw_mistakes(board, mistakes)) == dict(draw_mistakes(board, mistakes))
