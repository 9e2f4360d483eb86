"""Published figures stand beside ours, marked as foreign, and never enter a rank."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.analysis.published import published
from bench.report.markdown.published import PUBLISHED, published_section
from tests.samples import CANONICAL_FAKES, Fake, make_study


def _board(root: Path, **study: Any) -> Board:
    make_study(root, **study)
    return build_board(load_records(root))[0]


def test_every_figure_of_the_board_s_models_is_shown_with_its_source_and_marked_as_external(tmp_path: Path) -> None:
    board = _board(tmp_path)
    text = published_section(board)
    assert "external" in PUBLISHED
    assert "never ranked" in text
    assert "ImageNet-1k" in text
    names = {row.name for row in board.rows}
    for figure in published():
        assert (f"({figure.url})" in text and figure.recipe in text) or figure.model not in names
    assert text.count("ImageNet-21k") == 1
    assert "resnet18" not in text


def test_the_two_orders_are_compared_only_where_enough_models_are_in_common(tmp_path: Path) -> None:
    assert "Kendall's τ" in published_section(_board(tmp_path / "4"))
    few = published_section(_board(tmp_path / "3", models=CANONICAL_FAKES[:3]))
    assert "3 ranked models in common (figures without extra data): too few to say" in few
    board = _board(tmp_path / "tied")
    tied = replace(board, rows=tuple(replace(row, rank=1) for row in board.rows))
    assert "are tied: nothing to say" in published_section(tied)


def test_four_models_are_told_to_be_few_and_ten_have_an_interval(tmp_path: Path) -> None:
    assert "no two orders can reach a p below 0.083" in published_section(_board(tmp_path / "4"))
    names = sorted({figure.model for figure in published() if not figure.extra_data})[:12]
    fakes = [Fake(name, 0.95 - 0.06 * k) for k, name in enumerate(names)]
    text = published_section(_board(tmp_path / "12", models=fakes))
    assert "say how much hangs on which models were taken" in text


def test_a_model_that_nobody_published_or_that_did_not_start_from_scratch_is_left_out(tmp_path: Path) -> None:
    assert published_section(_board(tmp_path / "a", models=(Fake("my_net"), Fake("b")))) == ""
    assert published_section(_board(tmp_path / "b", models=(Fake("resnet50", weights="pretrained"),))) == ""
