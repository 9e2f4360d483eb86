"""Model cards: metadata that the Hub's own parser reads, the results of the records, and no promise beyond them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from huggingface_hub import EvalResult, ModelCard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.analysis.rows import Row
from bench.protocol import PRESETS
from bench.report.markdown.cards import MOST_CARDS, card_names, model_card, model_cards
from bench.report.markdown.stamp import stamp
from tests.samples import CANONICAL_FAKES, Fake, make_study

THREE_SEEDS = replace(PRESETS["quick"], seeds=(0, 1, 2))


def _board(root: Path, **study: Any) -> Board:
    make_study(root, **study)
    return build_board(load_records(root))[0]


def _card(board: Board, row: Row) -> str:
    return model_card(board, row, stamp(board))


def _results(card: str) -> list[EvalResult]:
    found = ModelCard(card).data.eval_results
    assert found is not None
    return found


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """The default command's board with three seeds and a hundred classes."""
    classes = [f"class {k}" for k in range(20)]
    return _board(tmp_path_factory.mktemp("study"), protocol=THREE_SEEDS, classes=classes)


def test_the_hub_s_parser_reads_every_result_of_every_row(board: Board) -> None:
    for row in board.rows:
        card = ModelCard(_card(board, row))
        assert card.data.model_name == row.name
        assert card.data.pipeline_tag == "image-classification"
        results = _results(str(card))
        top1 = {r.dataset_config: r for r in results if r.metric_type == "accuracy"}
        assert len(top1) == len(row.points) == 3
        for point in row.points:
            found = top1[f"{point.size} training images"]
            assert found.metric_value == pytest.approx(point.value, abs=1e-6)
            assert found.metric_args["low"] == pytest.approx(point.low, abs=1e-6)
            assert found.metric_args["high"] == pytest.approx(point.high, abs=1e-6)
            assert found.metric_args["seeds"] == [0, 1, 2]
        assert {r.dataset_name for r in results} == {"digits"}
        assert {r.task_type for r in results} == {"image-classification"}
        assert all(r.verified is False and r.source_url == "../../leaderboard.md" for r in results)


def test_the_other_metrics_are_means_over_the_seeds_at_their_own_train_size(board: Board) -> None:
    row = board.rows[0]
    smallest = [run.test for run in row.of_size(row.smallest) if run.test is not None]
    found = {
        r.metric_type: r.metric_value
        for r in _results(_card(board, row))
        if r.dataset_config == f"{row.smallest} training images"
    }
    assert set(found) == {"accuracy", "top_5_accuracy", "balanced_accuracy", "ece", "nll"}
    assert found["balanced_accuracy"] == pytest.approx(fmean(t.balanced_accuracy for t in smallest), abs=1e-6)
    assert found["top_5_accuracy"] == pytest.approx(0.99)


def test_with_few_classes_there_is_no_top_5(tmp_path: Path) -> None:
    board = _board(tmp_path)
    card = _card(board, board.rows[0])
    assert "top_5_accuracy" not in {r.metric_type for r in _results(card)}
    assert "top-5" not in card


def test_a_card_says_how_the_model_was_trained_what_it_cost_and_what_not_to_conclude(tmp_path: Path) -> None:
    board = _board(tmp_path)
    row = next(row for row in board.rows if row.name == "vit_b16")
    card = _card(board, row)
    for part in (
        "not a release of weights", "license: unknown", "Licence**: unknown", "1,280 images seen", "85.2 M parameters",
        "from scratch", "chosen on dev from 0.000281, 0.000889", "Exploratory: one seed", "attention sees 4 tokens",
        "python run_bench.py", "latency of one image", "Rank 4 of 4",
    ):  # fmt: skip
        assert part in card, part


def test_a_shared_rank_is_told_as_shared(tmp_path: Path) -> None:
    board = _board(tmp_path, models=(Fake("a"), Fake("b"), Fake("c", 0.4)))
    assert "Rank 1 of 3, shared with 1 other that cannot be told apart" in _card(board, board.rows[0])
    assert "shared" not in _card(board, board.rows[2])


def test_links_lead_from_the_card_to_files_that_are_there(tmp_path: Path) -> None:
    board = _board(tmp_path, models=(Fake("hf_hub:org/a model"), Fake("b", 0.5)))
    (tmp_path / "leaderboard.md").write_text("")
    for name, files in model_cards(board):
        folder = (tmp_path / "cards" / name).parent
        folder.mkdir(parents=True)
        targets = re.findall(r"\]\(([^)]+)\)", files[".md"].decode())
        assert len(targets) == 2
        assert all((folder / target).exists() for target in targets)


def test_only_rows_with_a_result_get_a_card_and_only_the_best(tmp_path: Path) -> None:
    board = _board(tmp_path, models=(*CANONICAL_FAKES, Fake("broken", fails=((0, 0), (1, 0), (2, 0)))))
    assert card_names(board) == [f"{row.name}/README" for row in board.rows[:4]]
    assert [name for name, _ in model_cards(board)] == card_names(board)
    many = replace(board, rows=tuple(replace(board.rows[0], model=f"m{k}") for k in range(MOST_CARDS + 9)))
    assert len(card_names(many)) == MOST_CARDS


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_no_name_breaks_out_of_the_metadata(board: Board, name: str) -> None:
    row = replace(board.rows[0], model=name)
    card = ModelCard(_card(board, row))
    assert card.data.model_name == row.name
    assert len(_results(str(card))) == 3 * 5
    assert "not a release of weights" in card.text
