"""Who can be told apart: exact tests agree with scipy, equal models stay together, planted differences are found."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from bench.analysis.comparisons import holm, mcnemar, shared_ranks, told_apart
from bench.analysis.intervals import hierarchical, resample_images
from tests.analysis.test_intervals import simulated


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 5))
def test_mcnemar_is_the_exact_binomial_test_on_the_images_only_one_gets_right(
    only_first: int, only_second: int, both: int
) -> None:
    first = np.array([True] * only_first + [False] * only_second + [True] * both, dtype=bool)
    second = np.array([False] * only_first + [True] * only_second + [True] * both, dtype=bool)
    n = only_first + only_second
    expected = binomtest(only_first, n).pvalue if n else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_stays_finite_for_a_test_set_like_imagenet() -> None:
    first = np.zeros(50_000, dtype=bool)
    first[:12_000] = True
    assert mcnemar(first, ~first) == pytest.approx(0.0, abs=1e-300)
    assert mcnemar(first, first) == 1.0


def test_holm_agrees_with_a_worked_example_and_keeps_the_order_given() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_makes_a_p_value_smaller_nor_changes_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(order))


def test_a_certain_difference_of_less_than_half_a_point_is_a_tie() -> None:
    assert told_apart([-0.004, -0.005, -0.2], [0.0, 0.0, 0.9]) == [False, True, False]


def test_two_differences_that_only_look_real_one_by_one_do_not_count_together() -> None:
    assert told_apart([-0.1], [0.03]) == [True]
    assert told_apart([-0.1, -0.1], [0.03, 0.03]) == [False, False]


def _differs_by(gap: float, accuracies: Sequence[float]):  # type: ignore[no-untyped-def]
    return lambda anchor, others: [accuracies[anchor] - accuracies[k] > gap for k in others]


def test_tied_models_share_a_rank_and_the_next_rank_counts_them() -> None:
    accuracies = [0.95, 0.94, 0.90, 0.89, 0.80]
    assert shared_ranks(5, _differs_by(0.02, accuracies)) == [1, 1, 3, 3, 5]
    assert shared_ranks(0, _differs_by(0.02, [])) == []


def test_a_rank_is_measured_from_its_anchor_so_ties_do_not_chain() -> None:
    assert shared_ranks(3, _differs_by(0.02, [0.95, 0.935, 0.92])) == [1, 1, 3]


def test_a_worse_looking_model_that_cannot_be_told_apart_from_the_best_shares_its_rank() -> None:
    apart = {(0, 1): True, (0, 2): False}
    assert shared_ranks(3, lambda a, others: [apart[a, k] for k in others]) == [1, 3, 1]


def test_equal_models_of_three_seeds_are_rarely_told_apart_and_five_points_nearly_always_are() -> None:
    rng = np.random.default_rng(7)
    split = {0.85: 0, 0.80: 0}
    for other in split:
        for _ in range(300):
            easiness = rng.normal(0, 1, 2000)
            pair = np.concatenate([simulated(rng, 3, top1, 0.03, easiness) for top1 in (0.85, other)])
            resampled = resample_images(pair, 100)
            gaps = pair[:3].mean(axis=1) - pair[3:].mean(axis=1)
            p = hierarchical(gaps, resampled[:3] - resampled[3:], 2000).p_value()
            split[other] += told_apart([gaps.mean()], [p])[0]
    assert split[0.85] <= 0.06 * 300
    assert split[0.80] >= 0.9 * 300


def test_equal_models_of_one_seed_are_rarely_told_apart_and_five_points_nearly_always_are() -> None:
    rng = np.random.default_rng(8)
    split = {0.85: 0, 0.80: 0}
    for other in split:
        for _ in range(500):
            difficulty = rng.normal(0, 1, 1500)
            first, second = (
                np.quantile(difficulty, 1 - top1) < difficulty + rng.normal(0, 0.3, 1500) for top1 in (0.85, other)
            )
            split[other] += mcnemar(first, second) < 0.05
    assert split[0.85] <= 0.06 * 500
    assert split[0.80] >= 0.9 * 500
