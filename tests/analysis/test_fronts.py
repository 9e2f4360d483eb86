"""Off a Pareto front is only what is beaten beyond doubt, in accuracy and in cost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.board import Board
from bench.analysis.fronts import AXES, MOST_NAMED, Front, fronts_of, starred
from tests.analysis.hand_boards import DOUBT, Made, invalid, make_board, make_energy
from tests.cost_samples import make_memory, make_timing


def _front(board: Board, name: str) -> Front:
    return next(front for front in fronts_of(board) if front.quantity.name == name)


def _states(board: Board, name: str) -> dict[str, str]:
    return {place.row.name: place.state for place in _front(board, name).places}


def test_a_row_is_beaten_by_one_that_is_surely_more_accurate_and_needs_no_more() -> None:
    board = make_board([Made("good", 0.9, macs=500), Made("bad", 0.8, macs=600)])
    front = _front(board, "gmacs")
    (good,), (bad,) = front.of_state("front"), front.of_state("beaten")
    assert good.row.name == "good"
    assert (bad.row.name, bad.beaten_by, bad.beaten_times) == ("bad", ("good",), 1)


def test_the_same_exact_cost_is_not_more() -> None:
    board = make_board([Made("good", 0.9, macs=500), Made("bad", 0.8, macs=500)])
    assert _states(board, "gmacs") == {"good": "front", "bad": "beaten"}


def test_a_cheaper_row_that_cannot_be_told_apart_in_accuracy_beats_nothing() -> None:
    board = make_board([Made("dear", 0.80, macs=600), Made("cheap", 0.80 + DOUBT / 2, macs=500)])
    assert set(_states(board, "gmacs").values()) == {"front"}


@pytest.mark.parametrize(("slower", "state"), [(1.005, "front"), (1.05, "beaten")])
def test_a_measured_cost_counts_as_less_only_where_the_intervals_do_not_overlap(slower: float, state: str) -> None:
    board = make_board([Made("good", 0.9, speed=800.0), Made("bad", 0.8, speed=800.0 / slower)])
    assert _states(board, "latency_ms") == {"good": "front", "bad": state}
    assert _states(board, "inference_img_per_s") == {"good": "front", "bad": state}


def test_of_throughput_more_is_better() -> None:
    board = make_board([Made("slow", 0.9, speed=100.0), Made("fast", 0.8, speed=800.0)])
    assert _states(board, "inference_img_per_s") == {"slow": "front", "fast": "front"}
    assert _states(board, "params_m") == {"slow": "front", "fast": "beaten"}


@pytest.mark.parametrize(("more", "state"), [(1.08, "front"), (1.12, "beaten")])
def test_a_figure_that_is_read_once_is_allowed_5_percent_to_both_sides(more: float, state: str) -> None:
    good = Made("good", 0.9, cost=(("energy", make_energy(100.0)),))
    bad = Made("bad", 0.8, cost=(("energy", make_energy(100.0 * more)),))
    assert _states(make_board([good, bad]), "energy_mj")["bad"] == state


def test_memory_of_the_allocator_is_exact_and_that_of_the_process_is_not() -> None:
    def board(method: str) -> Board:
        def of(peak: int) -> tuple[tuple[str, Any], ...]:
            return (("memory", make_memory(1, method=method, inference_peak_bytes=peak)),)

        return make_board([Made("good", 0.9, cost=of(1_000_000)), Made("bad", 0.8, cost=of(1_010_000))])

    assert _states(board("allocated"), "memory_mib")["bad"] == "beaten"
    assert _states(board("resident"), "memory_mib")["bad"] == "front"


@pytest.mark.parametrize(
    ("row", "axis", "why"),
    [
        ({"measured": False}, "gmacs", "not measured"),
        ({"cost": invalid(900.0)}, "latency_ms", "INVALID"),
        ({"cost": invalid(900.0)}, "inference_img_per_s", "INVALID"),
        ({"cost": (("latency", make_timing(1, 900.0, low_ms=None, high_ms=None)),)}, "latency_ms", "no interval"),
        ({"cost": (("uncounted", ["aten::x"]),)}, "gmacs", "MACs incomplete"),
        ({"cost": (("memory", make_memory(1, requested_batch_size=16)),)}, "memory_mib", "smaller batch"),
        ({}, "energy_mj", "not measured"),
    ],
)
def test_a_cost_that_is_unknown_or_not_to_be_relied_on_neither_beats_nor_is_beaten(
    row: dict[str, Any], axis: str, why: str
) -> None:
    board = make_board([Made("doubtful", 0.9, speed=900.0, **row), Made("other", 0.8, params=20_000_000, macs=10**9)])
    (place,) = [p for p in _front(board, axis).places if p.row.name == "doubtful"]
    assert (place.state, place.reading.why, place.beaten_by) == ("undecided", why, ())
    assert _states(board, axis)["other"] in ("front", "undecided")


def test_a_row_without_a_rank_is_on_no_front_and_beats_nothing() -> None:
    board = make_board([Made("odd", 0.95, macs=1000, ranked=False), Made("other", 0.8, macs=2000)])
    for front in fronts_of(board):
        assert [place.row.name for place in front.of_state("unranked")] == ["odd"]
        assert not front.of_state("beaten")


def test_a_board_on_which_nothing_can_be_compared_has_no_front() -> None:
    board = make_board([Made("a", 0.9, ranked=False)])
    assert {place.state for front in fronts_of(board) for place in front.places} == {"unranked"}
    assert not starred(board)


def test_a_star_means_the_front_of_multiply_accumulates() -> None:
    board = make_board([Made("a", 0.9, macs=500, params=50), Made("b", 0.8, macs=400), Made("c", 0.7, macs=450)])
    assert starred(board) == {"a", "b"}


def test_of_many_rows_that_beat_another_the_best_are_named_and_all_are_counted() -> None:
    better = [Made(f"m{k}", 0.9 + k / 1000) for k in range(MOST_NAMED + 3)]
    (beaten,) = _front(make_board([*better, Made("last", 0.5)]), "gmacs").of_state("beaten")
    assert beaten.beaten_times == MOST_NAMED + 3
    assert beaten.beaten_by == tuple(m.name for m in better[::-1][:MOST_NAMED])


MADE = st.builds(
    lambda top1, macs, speed, doubtful, ranked: (top1, macs, speed, doubtful, ranked),
    st.integers(50, 99),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([False, False, True]),
    st.sampled_from([True, True, True, False]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(MADE, min_size=1, max_size=9))
def test_every_front_is_what_comparing_the_rows_one_by_one_gives(drawn: list[tuple[Any, ...]]) -> None:
    board = make_board(
        [
            Made(f"m{k}", top1 / 100, macs=10**8 * macs, params=10**6 * macs, speed=50.0 * (1 + speed / 200),
                 ranked=ranked, cost=invalid(50.0) if doubtful else ())
            for k, (top1, macs, speed, doubtful, ranked) in enumerate(drawn)
        ]
    )  # fmt: skip
    for front in fronts_of(board):
        sound = [p for p in front.places if p.row.rank is not None and p.reading.sound]
        for place in front.places:
            by = [p.row.name for p in sound if place in sound and _beats(board, front, p, place)]
            assert (place.beaten_times, place.beaten_by) == (len(by), tuple(by[:MOST_NAMED]))
            assert (place.state == "beaten") == bool(by)
            assert (place.state == "front") == (place in sound and not by)


def _beats(board: Board, front: Front, one: Any, other: Any) -> bool:
    pair = board.pairs.between(one.row.name, other.row.name, board.train_sizes[-1])
    cheaper = (
        one.reading.high <= other.reading.low
        if front.quantity.less_is_better
        else one.reading.low >= other.reading.high
    )
    return pair is not None and pair.apart and pair.difference > 0 and cheaper


def test_every_axis_is_a_front_of_the_board_in_that_order() -> None:
    assert tuple(front.quantity.name for front in fronts_of(make_board([Made("a", 0.9)]))) == AXES
