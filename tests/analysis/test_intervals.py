"""Intervals mean what they say: checked against known values and by simulation with a known truth."""

from __future__ import annotations

import time
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.analysis.intervals import Estimate, hierarchical, resample_images, wilson


def simulated(
    rng: np.random.Generator, runs: int, top1: float, seed_sd: float, easiness: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether each of `runs` seeds gets each image right, where `top1` is the accuracy over all seeds and images.

    Images differ by `easiness`, standard normal, the same for all seeds; seeds differ in skill; the rest is luck.
    """
    level = NormalDist().inv_cdf(top1) * np.sqrt(1 + seed_sd**2 + 0.25)
    skill = rng.normal(0, seed_sd, (runs, 1))
    return np.asarray(level + skill + easiness + rng.normal(0, 0.5, (runs, len(easiness))) > 0)


def test_wilson_agrees_with_published_values() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, Table I
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(29, 29) == pytest.approx((0.8830, 1.0), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_proportion_and_stays_between_0_and_1(case: tuple[int, int]) -> None:
    successes, n = case
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1


def test_wilson_needs_an_image() -> None:
    with pytest.raises(ValueError, match="0 of 0"):
        wilson(0, 0)


def test_wilson_covers_the_truth_about_95_times_of_100() -> None:
    hits = np.random.default_rng(1).binomial(360, 0.9, 2000)
    covered = [low <= 0.9 <= high for low, high in (wilson(int(k), 360) for k in hits)]
    assert 0.92 <= np.mean(covered) <= 0.98


@pytest.mark.parametrize(("seeds", "seed_sd"), [(3, 0.0), (3, 0.03), (3, 0.12), (5, 0.06)])
def test_the_bootstrap_interval_covers_the_truth_about_95_times_of_100(seeds: int, seed_sd: float) -> None:
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(500):
        correct = simulated(rng, seeds, 0.85, seed_sd, rng.normal(0, 1, 400))
        low, high = hierarchical(correct.mean(axis=1), resample_images(correct, 100), 400).interval()
        covered.append(low <= 0.85 <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_more_spread_over_seeds_makes_a_wider_interval_with_fewer_degrees_of_freedom() -> None:
    rng = np.random.default_rng(3)
    calm, wild = (simulated(rng, 3, 0.85, sd, rng.normal(0, 1, 2000)) for sd in (0.0, 0.4))
    estimates = [hierarchical(c.mean(axis=1), resample_images(c), 2000) for c in (calm, wild)]
    assert estimates[1].se > 2 * estimates[0].se
    assert estimates[1].df < 4 < estimates[0].df


def test_where_only_seeds_differ_the_interval_is_the_classical_t_interval_over_seeds() -> None:
    per_seed = np.array([0.80, 0.84, 0.91])
    estimate = hierarchical(per_seed, np.tile(per_seed[:, None], 1000), images=11)
    assert estimate.mean == pytest.approx(0.85)
    assert estimate.se == pytest.approx(per_seed.std(ddof=1) / np.sqrt(3), rel=0.05)
    assert estimate.df == pytest.approx(2, rel=0.1)


def test_the_spread_over_seeds_and_that_over_images_add_up_in_full() -> None:
    per_seed = np.array([0.80, 0.84, 0.91])
    by_images = np.random.default_rng(9).normal(0, 0.03, 1000)
    estimate = hierarchical(per_seed, per_seed[:, None] + by_images, images=500)
    assert estimate.se == pytest.approx(np.sqrt(per_seed.var(ddof=1) / 3 + 0.03**2), rel=0.05)


def test_luck_that_is_neither_the_seeds_nor_the_images_is_overstated_only_a_little() -> None:
    rng = np.random.default_rng(10)
    coins = rng.random((100, 3, 400)) < 0.8
    estimates = [hierarchical(c.mean(axis=1), resample_images(c, 200), 400) for c in coins]
    truth = np.sqrt(0.8 * 0.2 / (3 * 400))
    assert truth < np.mean([e.se for e in estimates]) < 1.55 * truth


def test_all_runs_see_the_same_resamples_so_equal_runs_differ_by_nothing() -> None:
    correct = np.random.default_rng(4).random((2, 300)) < 0.8
    twice = resample_images(np.concatenate([correct, correct]))
    assert (twice[:2] == twice[2:]).all()
    alone = resample_images(correct[1:])
    assert alone[0] == pytest.approx(twice[1])


def test_a_resample_never_leaves_0_to_1_and_is_right_on_average() -> None:
    correct = np.random.default_rng(5).random((1, 1000)) < 0.7
    resampled = resample_images(correct)
    assert resampled.min() >= 0
    assert resampled.max() <= 1
    assert resampled.mean() == pytest.approx(correct.mean(), abs=0.003)
    assert resampled.std() == pytest.approx(np.sqrt(0.7 * 0.3 / 1000), rel=0.1)


def test_one_seed_is_refused_since_it_says_nothing_about_seeds() -> None:
    with pytest.raises(ValueError, match="one seed"):
        hierarchical(np.array([0.9]), np.full((1, 100), 0.9), 100)


def test_no_difference_at_all_is_certain_and_a_difference_without_spread_too() -> None:
    assert Estimate(mean=0.0, se=0.0, df=2).p_value() == 1.0
    assert Estimate(mean=0.1, se=0.0, df=2).p_value() == 0.0
    assert Estimate(mean=0.1, se=0.0, df=2).interval() == (0.1, 0.1)


def test_ten_models_of_three_seeds_on_ten_thousand_images_take_less_than_half_a_second() -> None:
    correct = np.random.default_rng(6).random((30, 10_000)) < 0.8
    times = []
    for _ in range(2):
        start = time.process_time()
        resampled = resample_images(correct)
        for k in range(10):
            hierarchical(correct[3 * k : 3 * k + 3].mean(axis=1), resampled[3 * k : 3 * k + 3], 10_000).interval()
        times.append(time.process_time() - start)
    assert min(times) < 0.5
