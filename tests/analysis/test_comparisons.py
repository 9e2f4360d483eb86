"""Who can be told apart: exact tests agree with scipy, intervals with tests, all pairs at once with one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import binomtest

from bench.analysis.comparisons import (
    ALPHA,
    compare,
    holm,
    mcnemar,
    one_seed_detectable,
    one_seed_interval,
    told_apart,
)
from bench.analysis.intervals import hierarchical
from tests.analysis.planted import as_hits


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_exact_binomial_test_on_the_images_only_one_gets_right(
    only_first: int, only_second: int
) -> None:
    n = only_first + only_second
    expected = binomtest(only_first, n).pvalue if n else 1.0
    (p,) = mcnemar(np.array([only_first]), np.array([only_second]))
    assert p == pytest.approx(expected, rel=1e-9)


def test_mcnemar_stays_finite_for_a_test_set_like_imagenet_and_keeps_the_shape_given() -> None:
    p = mcnemar(np.array([[12_000, 0]]), np.array([[38_000, 0]]))
    assert p.shape == (1, 2)
    assert p[0, 0] == pytest.approx(0.0, abs=1e-300)
    assert p[0, 1] == 1.0


def _discordant(most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every pair of counts of images only one gets right, up to `most` together."""
    first, second = np.meshgrid(np.arange(most + 1), np.arange(most + 1), indexing="ij")
    inside = first + second <= most
    return first[inside], second[inside]


@pytest.mark.parametrize("images", [300, 10_000])
def test_at_one_seed_the_interval_leaves_0_out_if_and_only_if_the_exact_test_rejects(images: int) -> None:
    first, second = _discordant(300)
    p = mcnemar(first, second)
    low, high = one_seed_interval(first, second, images, p)
    assert (((low > 0) | (high < 0)) == (p < ALPHA)).all()
    difference = (first - second) / images
    assert ((low <= difference + 1 / images) & (difference - 1 / images <= high)).all()
    assert (low >= -1).all()
    assert (high <= 1).all()


def test_at_one_seed_the_interval_mirrors_when_the_models_swap() -> None:
    first, second = _discordant(60)
    p = mcnemar(first, second)
    low, high = one_seed_interval(first, second, 500, p)
    swapped_low, swapped_high = one_seed_interval(second, first, 500, p)
    assert swapped_low == pytest.approx(-high)
    assert swapped_high == pytest.approx(-low)


def test_at_one_seed_the_adjusted_interval_is_the_formula_worked_by_hand() -> None:
    """Of 25 subjects 7 changed one way and 1 the other: (8 − 2)/27 ± 1.96·√((10/27 − (6/27)²)/27) by hand."""
    first, second = np.array([7]), np.array([1])
    low, high = one_seed_interval(first, second, 25, np.array([0.01]))
    assert (low[0], high[0]) == pytest.approx((0.00850, 0.43594), abs=2e-5)


@pytest.mark.parametrize(("images", "disagree"), [(1000, 0.1), (10_000, 0.05), (360, 0.2)])
def test_the_smallest_detectable_difference_is_found_about_80_times_of_100(images: int, disagree: float) -> None:
    rng = np.random.default_rng(1)
    asked = one_seed_detectable(np.array([round(disagree * images)]), images)[0]
    share = np.array([disagree + asked, disagree - asked]) / 2
    first, second, _ = rng.multinomial(images, [*share, 1 - share.sum()], 4000).T
    assert 0.77 <= (mcnemar(first, second) < ALPHA).mean() <= 0.84


def test_holm_agrees_with_a_worked_example_and_keeps_the_order_given() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([])).tolist() == []


def test_holm_adjusts_each_row_on_its_own_and_leaves_out_what_was_not_tested() -> None:
    p = np.array([[0.01, np.nan, 0.02], [0.01, 0.02, 0.03], [np.nan, np.nan, np.nan]])
    expected = [[0.02, np.nan, 0.02], [0.03, 0.04, 0.04], [np.nan, np.nan, np.nan]]
    assert holm(p) == pytest.approx(np.array(expected), nan_ok=True)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_makes_a_p_value_smaller_nor_changes_their_order(p_values: list[float]) -> None:
    adjusted = holm(np.array(p_values))
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(order))


def test_a_certain_difference_of_less_than_half_a_point_is_a_tie() -> None:
    difference = np.array([-0.004, -0.005, -0.2, 0.2, np.nan])
    low, high = np.array([-0.0041, -0.0051, -0.5, 0.1, np.nan]), np.array([-0.0039, -0.0049, 0.1, 0.3, np.nan])
    assert told_apart(difference, low, high).tolist() == [False, True, False, True, False]


RIGHT = arrays(np.bool_, st.tuples(st.integers(2, 5), st.integers(1, 4), st.integers(2, 40)))


@settings(max_examples=60, deadline=None)
@given(RIGHT, st.integers(0, 2**20 - 1))
def test_all_pairs_at_once_are_what_each_pair_is_alone_whatever_seeds_are_missing(
    right: NDArray[np.bool_], mask: int
) -> None:
    rows, seeds = right.shape[:2]
    present = np.array([[bool(mask >> (k * seeds + s) & 1) for s in range(seeds)] for k in range(rows)])
    present[~present.any(axis=1), 0] = True
    found = compare(as_hits(right, present))
    for pair, (i, j) in enumerate(itertools.combinations(range(rows), 2)):
        common = np.flatnonzero(present[i] & present[j])
        assert found.seeds[pair] == len(common)
        gaps = right[i, common].astype(float) - right[j, common]
        if len(common) == 0:
            assert np.isnan([found.difference[pair], found.low[pair], found.p[pair], found.detectable[pair]]).all()
        elif len(common) == 1 and found.pooled:
            assert present.sum(axis=1).max() > 1
            assert found.difference[pair] == pytest.approx(gaps.mean())
            assert found.low[pair] <= found.difference[pair] <= found.high[pair]
        elif len(common) == 1:
            assert present.sum(axis=1).max() == 1
            n = int((gaps != 0).sum())
            assert found.difference[pair] == pytest.approx(gaps.mean())
            assert found.p[pair] == pytest.approx(binomtest(int((gaps > 0).sum()), n).pvalue if n else 1.0)
        else:
            alone = hierarchical(gaps)
            assert found.difference[pair] == pytest.approx(alone.mean, abs=1e-12)
            # Where nothing varies but rounding, neither way has a standard error worth comparing.
            assert (found.low[pair], found.high[pair]) == pytest.approx(alone.interval(), rel=1e-6, abs=1e-7)
            assert found.p[pair] == pytest.approx(alone.p_value(), rel=1e-4, abs=1e-6)


def test_pairs_of_many_images_are_counted_without_loss() -> None:
    rng = np.random.default_rng(2)
    right = rng.random((3, 2, 20_011)) < 0.9
    right[1] = right[0]
    right[1, 0, 7] = ~right[0, 0, 7]
    found = compare(as_hits(right))
    alone = hierarchical(right[0].astype(float) - right[1])
    assert found.difference[0] == pytest.approx(alone.mean, rel=1e-9)
    assert (found.low[0], found.high[0]) == pytest.approx(alone.interval(), rel=1e-6)


def test_rows_with_the_same_predictions_do_not_differ_and_are_not_told_apart() -> None:
    right = np.repeat(np.random.default_rng(3).random((1, 3, 100)) < 0.8, 2, axis=0)
    found = compare(as_hits(right))
    assert (found.difference[0], found.p[0]) == (0, 1)
    assert not told_apart(found.difference, found.low, found.high).any()
