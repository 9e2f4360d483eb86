"""What the page says about mistakes: numbers that are measured, images that are there, and what is missing named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from bench.analysis.mistakes import mistakes_of
from bench.report.figures.mistakes import mistake_figure_names
from bench.report.markdown.agreement import agreement_section
from tests.answer_samples import answered_study, keep_images
from tests.samples import Fake

TWO = (Fake("resnet18", 0.9), Fake("deit_ti", 0.7))


def test_every_picture_of_the_board_is_linked_and_no_other(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO)
    for images in (False, True):
        if images:
            keep_images(board, store)
        mistakes = mistakes_of(board, store)
        linked = re.findall(r"\]\(figures/x/(\w+)\.svg\)", agreement_section(board, mistakes, "x/"))
        assert sorted(linked) == sorted(mistake_figure_names(board, mistakes))


def test_images_that_were_not_kept_are_named_as_missing(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO)
    assert "The images themselves were not kept" in agreement_section(board, mistakes_of(board, store), "")
    keep_images(board, store, but=2)
    assert "2 of the images to be shown were not kept." in agreement_section(board, mistakes_of(board, store), "")
    keep_images(board, store)
    assert "not kept" not in agreement_section(board, mistakes_of(board, store), "")


def test_kappa_and_calibration_have_their_intervals(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO)
    mistakes = mistakes_of(board, store)
    text = agreement_section(board, mistakes, "")
    found, known = mistakes.agreement, mistakes.calibrations["deit_ti"]
    assert f"{found.kappa[0, 1]:.2f} [{found.low[0, 1]:.2f}, {found.high[0, 1]:.2f}]" in text
    assert f"{100 * (known.ece_low or 0):.1f}–{100 * (known.ece_high or 0):.1f}" in text
    assert f"{known.brier:.3f}" in text
    assert "test-set uncertainty only" in text


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_one_seed_says_that_there_is_no_reference(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    board, store = answered_study(tmp_path, TWO, seeds=seeds)
    text = agreement_section(board, mistakes_of(board, store), "")
    assert ("with one seed there is no reference" in text) == (len(seeds) == 1)
    assert ("seeds are paired" in text) == (len(seeds) == 1)


def test_without_logits_the_section_says_where_its_numbers_come_from(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO, logits=False)
    text = agreement_section(board, mistakes_of(board, store), "")
    assert "those of their records" in text
    assert "Intervals are approximate" not in text


def test_many_rows_show_each_models_extremes_instead_of_a_matrix(tmp_path: Path) -> None:
    models = tuple(Fake(f"m{k}", 0.9 - 0.02 * k) for k in range(10))
    board, store = answered_study(tmp_path, models, logits=False)
    text = agreement_section(board, mistakes_of(board, store), "")
    assert "most alike" in text
    assert "Of the best 10 models." in text


def test_names_stay_text(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, (Fake("<script>x|", 0.9), Fake("b*", 0.7)), name="<b>{}")
    html = MarkdownIt("commonmark").enable("table").render(agreement_section(board, mistakes_of(board, store), ""))
    assert "<script>" not in html
    assert "<b>" not in html


def test_a_board_without_a_result_says_nothing(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, (Fake("a", fails=((0, 0), (0, 1))),))
    assert agreement_section(board, mistakes_of(board, store), "") == ""


def test_a_single_model_has_no_agreement_but_its_calibration(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO[:1])
    text = agreement_section(board, mistakes_of(board, store), "")
    assert "### Calibration" in text
    assert "κ" not in text
