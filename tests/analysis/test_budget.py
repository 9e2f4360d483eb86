"""Under a budget, rows that fit for sure are ranked anew by the board's own rule, and the rest is told apart."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.budget import parse_budget, under_budget
from tests.analysis.hand_boards import DOUBT, Made, invalid, make_board


def test_every_row_fits_may_fit_or_misses_the_budget() -> None:
    board = make_board(
        [
            Made("fits", 0.9, speed=600.0),
            Made("straddles", 0.8, speed=500.0),
            Made("doubtful", 0.7, speed=600.0, cost=invalid(600.0)),
            Made("unknown", 0.6, measured=False),
            Made("slow", 0.5, speed=100.0),
        ]
    )
    found = under_budget(board, parse_budget("latency_ms < 10"))
    assert [judged.row.name for judged in found.fits] == ["fits"]
    assert [judged.row.name for judged in found.may_fit] == ["straddles", "doubtful", "unknown"]
    assert [judged.row.name for judged in found.misses] == ["slow"]


def test_rows_that_fit_are_ranked_anew_with_ties() -> None:
    made = [
        Made("best", 0.95, params=90),
        Made("a", 0.90, params=10),
        Made("b", 0.90 - DOUBT / 2, params=10),
        Made("c", 0.80, params=10),
    ]
    found = under_budget(make_board(made), parse_budget("params_m < 50e-6"))
    assert [(judged.row.name, judged.rank) for judged in found.fits] == [("a", 1), ("b", 1), ("c", 3)]
    assert [judged.row.name for judged in found.first] == ["a", "b"]


def test_a_row_that_was_in_the_tier_of_a_better_one_gets_a_tier_of_its_own_without_it() -> None:
    made = [
        Made("anchor", 0.90, params=90),
        Made("near", 0.90 - 0.8 * DOUBT, params=10),
        Made("next", 0.90 - 1.2 * DOUBT, params=10),
    ]
    board = make_board(made)
    assert [row.rank for row in board.rows] == [1, 1, 3]
    found = under_budget(board, parse_budget("params_m < 50e-6"))
    assert [judged.rank for judged in found.fits] == [1, 1]


def test_a_row_that_fits_but_cannot_be_compared_stands_last_without_a_rank() -> None:
    board = make_board([Made("odd", 0.99, ranked=False), Made("a", 0.9)])
    found = under_budget(board, parse_budget("params_m < 50"))
    assert [(judged.row.name, judged.rank) for judged in found.fits] == [("a", 1), ("odd", None)]


def test_where_nothing_fits_nothing_is_first() -> None:
    found = under_budget(make_board([Made("a", 0.9)]), parse_budget("params_m < 1"))
    assert not found.fits
    assert not found.first


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(50, 99), st.booleans()), min_size=1, max_size=10))
def test_a_budget_that_all_meet_leaves_the_board_as_it_is(drawn: list[tuple[int, bool]]) -> None:
    board = make_board([Made(f"m{k}", top1 / 100, ranked=ranked) for k, (top1, ranked) in enumerate(drawn)])
    found = under_budget(board, parse_budget("params_m > 0"))
    assert [(judged.row.name, judged.rank) for judged in found.fits] == [(row.name, row.rank) for row in board.rows]
    assert not found.may_fit
    assert not found.misses


def test_the_text_of_a_budget_is_kept_on_one_line() -> None:
    assert parse_budget(" params_m\n< 3 ").text == "params_m < 3"
