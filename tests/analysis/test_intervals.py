"""Intervals mean what they say: checked against known values and by simulation with a known truth."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import chi2, norm, t

from bench.analysis import intervals
from bench.analysis.intervals import (
    Estimate,
    combined,
    hierarchical,
    image_counts,
    resample_images,
    seed_deviations,
    t_quantiles,
    wilson,
)


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


@pytest.mark.parametrize(("seeds", "most"), [(2, 0.069), (3, 0.0501), (5, 0.0501), (10, 0.0501)])
def test_equal_means_differ_in_5_of_100_tests_at_most_whatever_part_the_seeds_have(seeds: int, most: float) -> None:
    """Integrated over the estimates of the seeds' variance, the images' being known; two seeds do not quite reach 5."""
    estimated = chi2.ppf((np.arange(4000) + 0.5) / 4000, seeds - 1) / (seeds - 1)
    for share in (*np.linspace(0, 1, 21), 0.97, 0.99, 0.995):
        by_images = np.full_like(estimated, 1 - share)
        variance, df = combined(
            by_seeds=share * estimated, by_images=by_images, single=by_images, seeds=np.array(seeds), images=100_000
        )
        rejected = 2 * norm.cdf(-t_quantiles(0.975, df) * np.sqrt(variance)).mean()
        assert rejected <= most
        if seeds > 2:
            assert rejected >= 0.034


@given(
    arrays(np.float64, 20, elements=st.floats(0, 1)),
    arrays(np.float64, 20, elements=st.floats(0, 1)),
    st.integers(2, 9),
    st.integers(2, 100_000),
)
def test_the_variance_and_its_degrees_of_freedom_stay_in_range(
    by_seeds: NDArray[np.float64], by_images: NDArray[np.float64], seeds: int, images: int
) -> None:
    single = by_images * np.linspace(0.5, seeds, 20)
    variance, df = combined(by_seeds=by_seeds, by_images=by_images, single=single, seeds=np.array(seeds), images=images)
    assert (variance >= by_seeds).all()
    assert (variance <= by_seeds + by_images).all()
    few, many = sorted((seeds - 1, images - 1))
    assert (df >= few * (1 - 1e-4)).all()
    assert (df <= many * (1 + 1e-3) + 1).all()


def test_more_spread_over_seeds_makes_a_wider_interval_with_fewer_degrees_of_freedom() -> None:
    rng = np.random.default_rng(3)
    calm, wild = (simulated(rng, 3, 0.85, sd, rng.normal(0, 1, 2000)) for sd in (0.0, 0.4))
    estimates = [hierarchical(c) for c in (calm, wild)]
    assert estimates[1].se > 2 * estimates[0].se
    assert estimates[1].df < 2.2 < estimates[0].df


def test_where_only_seeds_differ_the_interval_is_the_classical_t_interval_over_seeds() -> None:
    per_seed = np.array([0.80, 0.84, 0.91])
    estimate = hierarchical(np.tile(per_seed[:, None], 500))
    assert estimate.mean == pytest.approx(0.85)
    assert estimate.se == pytest.approx(per_seed.std(ddof=1) / np.sqrt(3))
    assert estimate.df == pytest.approx(2, rel=1e-4)


def test_where_all_seeds_are_the_same_the_interval_is_the_classical_one_over_images() -> None:
    hits = np.random.default_rng(9).random(500) < 0.8
    estimate = hierarchical(np.stack([hits, hits]))
    assert estimate.se == pytest.approx(hits.std(ddof=1) / np.sqrt(500))
    assert estimate.interval() == pytest.approx(t.interval(0.95, 499, hits.mean(), estimate.se), abs=1e-6)


def test_the_spread_over_seeds_and_that_over_images_add_up_in_full() -> None:
    per_seed = np.array([0.80, 0.84, 0.91])
    by_image = np.random.default_rng(9).normal(0, 0.3, 500)
    estimate = hierarchical(per_seed[:, None] + by_image)
    expected = per_seed.var(ddof=1) / 3 + by_image.var(ddof=1) / 500
    assert estimate.se == pytest.approx(np.sqrt(expected))


def test_luck_that_is_neither_the_seeds_nor_the_images_is_counted_once() -> None:
    coins = np.random.default_rng(10).random((400, 3, 400)) < 0.8
    variances = [hierarchical(c).se ** 2 for c in coins]
    assert np.mean(variances) == pytest.approx(0.8 * 0.2 / (3 * 400), rel=0.1)


@given(st.floats(1, 1e6), st.sampled_from([0.8, 0.975]))
def test_quantiles_of_t_for_many_degrees_of_freedom_are_those_of_scipy(df: float, probability: float) -> None:
    assert t_quantiles(probability, np.array(df)) == pytest.approx(t.ppf(probability, df), rel=1e-6)


def test_draws_of_seeds_and_images_show_the_variance_that_the_closed_form_says() -> None:
    correct = simulated(np.random.default_rng(11), 3, 0.85, 0.2, np.random.default_rng(12).normal(0, 1, 300))
    per_seed = correct.mean(axis=1)
    means = correct.mean(axis=0)
    expected = per_seed.var(ddof=1) / 3 + means.var(ddof=1) / 300
    drawn = resample_images(means[None], image_counts(300, 20_000)) + seed_deviations(per_seed[None], 20_000)
    assert drawn.mean() == pytest.approx(correct.mean(), abs=0.001)
    assert drawn.var() == pytest.approx(expected, rel=0.05)


def test_all_rows_see_the_same_resamples_so_equal_rows_differ_by_nothing() -> None:
    correct = np.random.default_rng(4).random((2, 300)) < 0.8
    counts = image_counts(300)
    twice = resample_images(np.concatenate([correct, correct]), counts)
    assert (twice[:2] == twice[2:]).all()
    alone = resample_images(correct[1:], counts)
    assert alone[0] == pytest.approx(twice[1])


def test_a_resample_never_leaves_0_to_1_and_is_right_on_average() -> None:
    correct = np.random.default_rng(5).random((1, 1000)) < 0.7
    counts = image_counts(1000)
    assert (counts.sum(axis=1, dtype=np.int64) == 1000).all()
    resampled = resample_images(correct, counts)
    assert resampled.min() >= 0
    assert resampled.max() <= 1
    assert resampled.mean() == pytest.approx(correct.mean(), abs=0.003)
    assert resampled.std() == pytest.approx(np.sqrt(0.7 * 0.3 / 1000), rel=0.1)


def test_resampling_in_pieces_gives_what_it_gives_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    correct, counts = np.random.default_rng(6).random((3, 50)) < 0.8, image_counts(50, 120)
    whole = resample_images(correct, counts)
    monkeypatch.setattr(intervals, "_CHUNK_VALUES", 50 * 7)
    assert resample_images(correct, counts) == pytest.approx(whole)


def test_a_single_seed_has_no_deviations() -> None:
    assert not seed_deviations(np.array([[0.8], [0.9]]), 10).any()


def test_one_seed_is_refused_since_it_says_nothing_about_seeds() -> None:
    with pytest.raises(ValueError, match="one seed"):
        hierarchical(np.ones((1, 100), dtype=bool))


def test_no_difference_at_all_is_certain_and_a_difference_without_spread_too() -> None:
    assert Estimate(mean=0.0, se=0.0, df=2).p_value() == 1.0
    assert Estimate(mean=0.1, se=0.0, df=2).p_value() == 0.0
    assert Estimate(mean=0.1, se=0.0, df=2).interval() == (0.1, 0.1)
