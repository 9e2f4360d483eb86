"""What the page knows of a board is what the board says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import build_board, load_records
from bench.analysis.answers import read_answers
from bench.analysis.board import Board
from bench.analysis.fronts import fronts_of, starred
from bench.protocol import PRESETS
from bench.report.html import payload
from bench.report.html.payload import board_json, rounded, span, tiers
from bench.store import Store
from tests.samples import CANONICAL_FAKES, Fake, make_study

FAILED = Fake("broken", fails=tuple((size, seed) for size in range(3) for seed in range(3)))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The canonical four and one that failed, three seeds."""
    folder = tmp_path_factory.mktemp("payload")
    make_study(folder, (*CANONICAL_FAKES, FAILED), replace(PRESETS["quick"], seeds=(0, 1, 2)))
    return folder


@pytest.fixture(scope="module")
def board(root: Path) -> Board:
    """Their board."""
    (found,) = build_board(load_records(root))
    return found


@pytest.fixture(scope="module")
def values(root: Path, board: Board) -> dict[str, Any]:
    """What the page knows of it."""
    return board_json(board, read_answers(board, Store(root)), {})


def test_every_pair_that_can_be_compared_is_there_with_the_numbers_of_the_board(
    board: Board, values: dict[str, Any]
) -> None:
    names = [row["name"] for row in values["rows"]]
    for found in values["pairs"]:
        assert len(found["of"]) == 6
        for first, second, difference, low, high, p, seeds, apart in found["of"]:
            pair = board.pairs.between(names[first], names[second], found["size"])
            assert pair is not None
            assert (difference, low, high) == pytest.approx((pair.difference, pair.low, pair.high), abs=1e-5)
            assert p == pytest.approx(pair.p_holm, rel=1e-3)
            assert (seeds, bool(apart)) == (pair.seeds, pair.apart)


def test_of_many_rows_all_keep_the_comparison_with_the_best(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "MOST_PAIRED", 2)
    for found in board_json(board, None, {})["pairs"]:
        assert {(a, b) for a, b, *_ in found["of"]} == {(0, 1), (0, 2), (0, 3)}


def test_stars_tiers_and_fronts_are_the_boards(board: Board, values: dict[str, Any]) -> None:
    assert {row["name"] for row in values["rows"] if row["star"]} == starred(board)
    assert [row["tier"] for row in values["rows"]] == tiers(board.rows)
    for k, front in enumerate(fronts_of(board)):
        assert values["axes"][k]["name"] == front.quantity.name
        assert [row["costs"][k][3] for row in values["rows"]] == [place.state for place in front.places]


def test_tiers_count_from_the_best_and_rows_without_rank_have_none(board: Board) -> None:
    rows = [replace(board.rows[0], rank=rank) for rank in (1, 1, 3, 4, 4, None)]
    assert tiers(rows) == [0, 0, 1, 2, 2, None]


def test_every_run_names_its_environment_and_failures_their_reason(board: Board, values: dict[str, Any]) -> None:
    for row, told in zip(board.rows, values["rows"], strict=True):
        assert [run[:2] for run in told["runs"]] == [[r.cell.train_size, r.cell.seed] for r in row.runs]
        assert all(values["environments"][run[6]]["command"] == "python run_bench.py" for run in told["runs"])
        assert [run[2] for run in told["failed"]] == [r.failure.line for r in row.failed if r.failure]


def test_presets_hold_rank_and_model_and_all_holds_everything(values: dict[str, Any]) -> None:
    keys = [column["key"] for column in values["columns"]]
    assert values["presets"]["all"] == list(range(len(keys)))
    for shown in values["presets"].values():
        assert {"rank", "model", "top1"} <= {keys[k] for k in shown}
    assert "energy" not in keys


def test_each_row_has_a_value_and_a_text_for_every_column(values: dict[str, Any]) -> None:
    for row in values["rows"]:
        assert len(row["values"]) == len(row["texts"]) == len(values["columns"])
        assert all(isinstance(text, str) for text in row["texts"])


def test_the_scale_of_the_bars_covers_every_interval(board: Board) -> None:
    low, high = span(board)
    points = [row.top1 for row in board.rows if row.top1]
    assert all(low <= (point.low or 1) <= (point.high or 0) <= high for point in points)


@pytest.mark.parametrize(
    ("value", "expected"), [(0.123456789, 0.1234568), (0.000123456789, 0.0001234568), (None, None), (3, 3), ("a", "a")]
)
def test_floats_are_rounded_and_nothing_else(value: object, expected: object) -> None:
    assert rounded(value) == expected
    assert rounded(float(np.nan)) is None
