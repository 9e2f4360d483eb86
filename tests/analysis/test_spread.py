"""The luck of a seed as other rows tell it: by hand, and in studies whose spread over seeds is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.analysis.comparisons import compare, told_apart
from bench.analysis.hits import Hits
from bench.analysis.intervals import image_counts
from bench.analysis.pairs import pairs_of
from tests.analysis.planted import as_hits, planted


def _one_row_unfinished(rng: np.random.Generator, *, points: float, models: int = 5, seeds: int = 3) -> Hits:
    """Equal models of which the last has a run of the first seed only."""
    study = planted(rng, [0.9] * models, seeds=seeds, images=1000, seed_points=points).hits
    there = np.ones((models, seeds), dtype=bool)
    there[-1, 1:] = False
    return as_hits(np.unpackbits(study.packed, axis=-1, count=study.images).astype(bool), there)


def _right(counts: list[list[int]], images: int = 1000) -> NDArray[np.bool_]:
    """Rows and seeds that are right on the first so many images."""
    return np.arange(images) < np.array(counts)[:, :, None]


def test_without_a_row_of_several_seeds_nothing_is_known_of_the_luck_of_one() -> None:
    assert as_hits(_right([[900], [910]])).spread is None


def test_what_a_seed_does_to_all_rows_is_in_the_spread_of_accuracies_and_not_of_differences() -> None:
    # Both rows gain 20 images with the second seed: the same for each, so their difference has no spread.
    spread = as_hits(_right([[600, 620], [800, 820]])).spread
    assert spread is not None
    luck = (0.02 - 0.02**2) / 2 / 999  # the images on which two seeds of a row disagree
    assert spread.accuracy == pytest.approx(0.02**2 / 2 - luck)
    assert spread.accuracy_df == 1
    assert spread.difference == 0
    assert spread.difference_df == 1


def test_rows_that_move_apart_make_the_spread_of_differences() -> None:
    spread = as_hits(_right([[600, 640], [800, 800]])).spread
    assert spread is not None
    luck = (0.04 - 0.04**2) / 2 / 999 / 2
    # Residuals of rows and seeds: ∓10 and ±10 images, with one degree of freedom.
    assert spread.difference == pytest.approx(2 * (4 * 0.01**2 - luck))


def test_a_single_row_of_several_seeds_stands_for_all_and_nothing_is_taken_out() -> None:
    there = np.array([[True, True, True], [True, False, False]])
    spread = as_hits(_right([[600, 640, 620], [800, 0, 0]]), there).spread
    assert spread is not None
    assert spread.difference == pytest.approx(2 * spread.accuracy)
    assert spread.difference_df == spread.accuracy_df == 2


def test_rows_with_one_run_do_not_enter() -> None:
    there = np.array([[True, True], [True, True], [True, False]])
    with_third = as_hits(_right([[600, 620], [800, 850], [10, 0]]), there).spread
    assert with_third == as_hits(_right([[600, 620], [800, 850]])).spread


def test_an_unfinished_row_is_told_apart_by_the_pooled_spread_and_says_so() -> None:
    hits = _one_row_unfinished(np.random.default_rng(5), points=1.0)
    pairs = pairs_of([(100, hits.names, compare(hits))]).at[0]
    assert {pair.test for pair in pairs.listed()} == {"bootstrap", "pooled"}
    assert all((pair.test == "pooled") == ("m4" in (pair.first, pair.second)) for pair in pairs.listed())
    assert all((pair.p < 0.05) == (pair.low > 0 or pair.high < 0) for pair in pairs.listed())


def test_equal_models_of_which_one_is_unfinished_are_seldom_told_apart() -> None:
    rng = np.random.default_rng(3)
    pooled, alone, covered = [], [], []
    for _ in range(150):
        hits = _one_row_unfinished(rng, points=1.0)
        last = np.triu_indices(5, 1)[1] == 4
        found = compare(hits)
        pooled.append(told_apart(found.difference, found.low, found.high)[last])
        first_only = as_hits(np.unpackbits(hits.packed[:, :1], axis=-1, count=hits.images).astype(bool))
        bare = compare(first_only)
        alone.append(told_apart(bare.difference, bare.low, bare.high)[last])
        assert hits.spread is not None
        low, high = hits.spread.around(hits.right[4, 0] / hits.images, hits.images).interval()
        covered.append(low <= 0.9 <= high)
    assert np.mean(alone) > 0.2  # what the test of one seed alone would have called real
    assert np.mean(pooled) < 0.09
    assert np.mean(covered) > 0.92


def test_draws_of_an_unfinished_row_spread_as_its_interval_does_and_are_its_own() -> None:
    hits = _one_row_unfinished(np.random.default_rng(7), points=1.0)
    assert hits.spread is not None
    draws = hits.replicates(image_counts(hits.images))
    estimate = hits.spread.around(hits.right[4, 0] / hits.images, hits.images)
    assert draws[4].std() == pytest.approx(estimate.se, rel=0.1)
    swapped = Hits(hits.names[::-1], hits.seeds, hits.images, hits.packed[::-1], hits.present[::-1])
    np.testing.assert_array_equal(swapped.replicates(image_counts(hits.images))[0], draws[4])
