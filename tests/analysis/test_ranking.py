"""Tiers, rank intervals and the probability of being best follow from who can be told apart from whom."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from bench.analysis.ranking import rank_intervals, shared_ranks, shares_of_best


def _apart(gap: float, accuracies: list[float]) -> NDArray[np.bool_]:
    values = np.array(accuracies)
    return np.abs(values[:, None] - values) > gap


def test_tied_models_share_a_rank_and_the_next_rank_counts_them() -> None:
    assert shared_ranks(_apart(0.02, [0.95, 0.94, 0.90, 0.89, 0.80])) == [1, 1, 3, 3, 5]
    assert shared_ranks(np.empty((0, 0), dtype=bool)) == []


def test_a_rank_is_measured_from_its_anchor_so_ties_do_not_chain() -> None:
    assert shared_ranks(_apart(0.02, [0.95, 0.935, 0.92])) == [1, 1, 3]


def test_a_worse_looking_model_that_cannot_be_told_apart_from_the_best_shares_its_rank() -> None:
    apart = np.zeros((3, 3), dtype=bool)
    apart[0, 1] = apart[1, 0] = True
    assert shared_ranks(apart) == [1, 3, 1]


@given(arrays(np.bool_, (6, 6)))
def test_every_tier_is_its_anchor_and_all_that_are_left_and_not_told_apart_from_it(apart: NDArray[np.bool_]) -> None:
    apart |= apart.T
    np.fill_diagonal(apart, False)
    ranks = shared_ranks(apart)
    for rank in set(ranks):
        tier = [k for k in range(6) if ranks[k] == rank]
        later = [k for k in range(6) if ranks[k] > rank]
        assert rank == 1 + sum(other < rank for other in ranks)
        assert not apart[tier[0], tier].any()
        assert all(apart[tier[0], k] for k in later)


def _intervals(difference: NDArray[np.float64], p: float, counts: bool = True) -> list[tuple[int, int]]:
    shape = difference.shape
    return rank_intervals(difference, np.full(shape, p), np.full(shape, counts), list(range(1, shape[0] + 1)))


def test_a_rank_interval_counts_the_rows_that_are_surely_better_and_surely_worse() -> None:
    values = np.array([0.9, 0.8, 0.7])
    difference = values[:, None] - values
    assert _intervals(difference, 1e-9) == [(1, 1), (2, 2), (3, 3)]
    assert _intervals(difference, 0.5) == [(1, 3), (1, 3), (1, 3)]
    assert _intervals(difference, 1e-9, counts=False) == [(1, 3), (1, 3), (1, 3)]


def test_a_rows_comparisons_are_adjusted_together() -> None:
    values = np.array([0.9, 0.8, 0.7])
    assert _intervals(values[:, None] - values, 0.03) == [(1, 3), (1, 3), (1, 3)]


def test_a_rank_interval_holds_the_rows_own_shared_rank() -> None:
    """The third is tied with the best, but surely behind the second."""
    difference = np.array([[0.0, 0.01, 0.02], [-0.01, 0.0, 0.01], [-0.02, -0.01, 0.0]])
    p = np.array([[1.0, 1e-9, 0.5], [1e-9, 1.0, 1e-9], [0.5, 1e-9, 1.0]])
    assert rank_intervals(difference, p, p < 0.05, [1, 3, 1])[2] == (1, 3)
    assert rank_intervals(difference, p, p < 0.05, [1, 3, 1])[1] == (2, 3)


def test_pairs_that_cannot_be_compared_leave_the_rank_open() -> None:
    nothing = np.full((2, 2), np.nan)
    assert rank_intervals(nothing, nothing, np.zeros((2, 2), dtype=bool), [1, 1]) == [(1, 2), (1, 2)]


def test_the_best_in_most_draws_is_most_likely_the_best_and_ties_share_a_draw() -> None:
    replicates = np.array([[0.9, 0.9, 0.8, 0.7], [0.8, 0.9, 0.9, 0.9]])
    assert shares_of_best(replicates) == [1.5 / 4, 2.5 / 4]
    assert shares_of_best(np.empty((0, 10))) == []


@given(arrays(np.float64, (4, 9), elements=st.sampled_from([0.5, 0.6, 0.7])))
def test_the_chances_of_being_best_add_up_to_1(replicates: NDArray[np.float64]) -> None:
    assert sum(shares_of_best(replicates)) == pytest.approx(1)
