"""Replicates of few seeds are stretched as far as Student's t asks for, and no further."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.intervals import seed_deviations
from bench.analysis.replicates import ends, seeds_share, stretched, student_quantile

DRAWS = 1000


def replicates(seed_sd: float, image_sd: float, seeds: int = 3) -> np.ndarray:
    """Replicates around 0.8 with exactly these standard errors from seeds and from images, float32 [1, draws]."""
    per_seed = np.arange(seeds) - (seeds - 1) / 2
    by_seeds = seed_deviations(per_seed[None], DRAWS)
    by_images = np.random.default_rng(0).normal(0, 1, (1, DRAWS))
    by_images -= by_images.mean()
    scaled = [sd * part / part.std() for sd, part in ((seed_sd, by_seeds), (image_sd, by_images))]
    return np.asarray(0.8 + sum(scaled), dtype=np.float32)


@pytest.mark.parametrize(("seed_sd", "image_sd"), [(0.01, 0.01), (0.03, 0.01), (0.0, 0.01), (0.01, 0.0)])
def test_the_share_of_the_seeds_is_read_off_the_replicates(seed_sd: float, image_sd: float) -> None:
    truth = seed_sd**2 / (seed_sd**2 + image_sd**2)
    assert seeds_share(replicates(seed_sd, image_sd), 3)[0] == pytest.approx(truth, abs=0.05)


def test_three_seeds_that_make_all_the_noise_need_the_t_quantile_of_two_degrees_of_freedom() -> None:
    assert student_quantile(replicates(0.01, 0.0), 3)[0] == pytest.approx(4.303, rel=1e-3)


def test_images_alone_and_a_single_seed_need_the_normal_quantile() -> None:
    assert student_quantile(replicates(0.0, 0.01), 3)[0] == pytest.approx(1.960, rel=5e-3)
    assert student_quantile(replicates(0.0, 0.01), 1)[0] == pytest.approx(1.960, rel=1e-3)


def test_stretching_keeps_the_value_in_its_place_and_widens_by_the_ratio_of_the_quantiles() -> None:
    drawn = replicates(0.01, 0.0)
    wide = stretched(np.array([0.8]), drawn, 3)
    assert np.allclose(wide - 0.8, (drawn - 0.8) * 4.303 / 1.960, atol=1e-5)


def test_replicates_that_do_not_vary_stay_as_they_are() -> None:
    still = np.full((2, DRAWS), 0.5, dtype=np.float32)
    assert np.array_equal(stretched(np.array([0.5, 0.5]), still, 3), still)


@given(st.integers(1, 20), st.integers(1, 20))
def test_infinite_draws_make_an_end_infinite_only_if_they_are_more_than_a_fortieth(below: int, above: int) -> None:
    sample = np.linspace(0, 1, 401)
    sample[:below], sample[401 - above :] = -np.inf, np.inf
    low, high = ends(np.random.default_rng(0).permutation(sample))
    assert np.isinf(low) == (below > 10)
    assert np.isinf(high) == (above > 10)
