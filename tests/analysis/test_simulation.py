"""What the board says of studies with a known truth: intervals cover it, equal models stay together, gaps are found.

The short versions use few studies and wide margins; the `slow` ones hold the figures that the board promises.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.analysis.comparisons import compare, told_apart
from bench.analysis.intervals import hierarchical, image_counts, wilson
from bench.analysis.pairs import PairsAtSize, pairs_of
from bench.analysis.ranking import rank_intervals, shared_ranks, shares_of_best
from tests.analysis.planted import Planted, planted

TOP1 = (0.6, 0.8, 0.9, 0.95)
USUAL = 0.25
"""Points by which a model's runs spread over seeds, the test set's own luck not counted. That is much: on the images
that CIFAR-10's test set is drawn from, standard trainings hardly differ (Jordan 2023, arXiv 2304.01910)."""


def _correct(study: Planted, row: int) -> NDArray[np.bool_]:
    return np.unpackbits(study.hits.packed[row], axis=-1, count=study.hits.images).astype(bool)


def _pairs(study: Planted) -> PairsAtSize:
    return pairs_of([(100, study.hits.names, compare(study.hits))]).at[0]


def covered(rng: np.random.Generator, studies: int, *, seeds: int, images: int, points: float) -> tuple[float, float]:
    """How often intervals hold the truth: of accuracies, and of all differences between them.

    Of one seed the truth is that of the very training, over all images; of several that over all seeds too.
    """
    single, paired = [], []
    first, second = np.triu_indices(len(TOP1), 1)
    for _ in range(studies):
        study = planted(rng, TOP1, seeds=seeds, images=images, seed_points=points)
        truth = study.of_runs[:, 0] if seeds == 1 else np.array(TOP1)
        for row in range(len(TOP1)):
            if seeds == 1:
                low, high = wilson(int(study.hits.right[row, 0]), images)
            else:
                low, high = hierarchical(_correct(study, row)).interval()
            single.append(low <= truth[row] <= high)
        found, gap = compare(study.hits), truth[first] - truth[second]
        paired.append((found.low <= gap) & (gap <= found.high))
    return float(np.mean(single)), float(np.mean(paired))


def declared_different(
    rng: np.random.Generator, studies: int, *, seeds: int, images: int, points: float, models: int = 20
) -> float:
    """Share of pairs of equal models that are told apart, and at one seed of equal trainings (`points` = 0)."""
    shares = []
    for _ in range(studies):
        found = compare(planted(rng, [0.9] * models, seeds=seeds, images=images, seed_points=points).hits)
        shares.append(told_apart(found.difference, found.low, found.high).mean())
    return float(np.mean(shares))


def found_gaps(rng: np.random.Generator, studies: int, *, seeds: int, images: int, points: float) -> float:
    """Share of studies in which two points between 90 and 92 % are told apart."""
    found = [
        compare(planted(rng, (0.92, 0.90), seeds=seeds, images=images, seed_points=points).hits) for _ in range(studies)
    ]
    return float(np.mean([told_apart(f.difference, f.low, f.high)[0] and f.difference[0] > 0 for f in found]))


@pytest.mark.parametrize(("seeds", "points"), [(1, USUAL), (3, USUAL), (5, 1.0)])
def test_intervals_of_a_few_studies_cover_the_truth_about_95_times_of_100(seeds: int, points: float) -> None:
    single, paired = covered(np.random.default_rng(seeds), 100, seeds=seeds, images=500, points=points)
    assert 0.91 <= single <= 0.99
    assert 0.91 <= paired <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("images", [400, 2000])
@pytest.mark.parametrize("points", [0.0, USUAL, 1.0])
@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_intervals_cover_the_truth_93_to_97_times_of_100(seeds: int, points: float, images: int) -> None:
    rng = np.random.default_rng((1, seeds, images, int(100 * points)))
    single, paired = covered(rng, 2500, seeds=seeds, images=images, points=points)
    assert 0.93 <= single <= 0.97
    assert 0.93 <= paired <= 0.97


@pytest.mark.parametrize(("seeds", "points"), [(1, 0.0), (3, USUAL), (3, 1.0)])
def test_of_a_few_equal_models_few_pairs_are_declared_different(seeds: int, points: float) -> None:
    share = declared_different(np.random.default_rng(10 + seeds), 25, seeds=seeds, images=1000, points=points)
    assert share <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("images", [1000, 5000])
@pytest.mark.parametrize(("seeds", "points"), [(1, 0.0), (3, 0.0), (3, USUAL), (3, 1.0), (5, USUAL), (5, 1.0)])
def test_of_equal_models_at_most_5_of_100_pairs_are_declared_different(seeds: int, points: float, images: int) -> None:
    rng = np.random.default_rng((2, seeds, images, int(100 * points)))
    studies = 400 if images == 1000 else 120
    assert declared_different(rng, studies, seeds=seeds, images=images, points=points, models=30) <= 0.05


@pytest.mark.parametrize("seeds", [1, 3])
def test_two_points_at_ten_thousand_images_are_found_in_most_of_a_few_studies(seeds: int) -> None:
    assert found_gaps(np.random.default_rng(20 + seeds), 40, seeds=seeds, images=10_000, points=USUAL) >= 0.8


@pytest.mark.slow
def test_two_points_at_ten_thousand_images_and_three_seeds_are_found_at_least_80_times_of_100() -> None:
    assert found_gaps(np.random.default_rng(3), 600, seeds=3, images=10_000, points=USUAL) >= 0.8


def ranked(
    rng: np.random.Generator, studies: int, top1: tuple[float, ...], *, seeds: int, images: int
) -> tuple[float, list[list[float]]]:
    """How often a rank interval holds the true rank, and each study's chances of being best; `top1` best first."""
    held, chances = [], []
    for _ in range(studies):
        study = planted(rng, top1, seeds=seeds, images=images, seed_points=USUAL)
        mean = study.hits.right.mean(axis=1)
        order = np.argsort(-mean, kind="stable")
        pairs = _pairs(study).ordered([study.hits.names[k] for k in order])
        ranks = shared_ranks(pairs.apart)
        possible = rank_intervals(pairs.difference, pairs.p, pairs.apart, ranks)
        held += [low <= 1 + truth <= high for truth, (low, high) in zip(order, possible, strict=True)]
        chances.append(shares_of_best(study.hits.replicates(image_counts(images, 200))))
    return float(np.mean(held)), chances


def test_rank_intervals_hold_the_true_rank_and_the_best_is_likely_the_best() -> None:
    held, chances = ranked(np.random.default_rng(30), 40, (0.92, 0.90, 0.895, 0.85), seeds=3, images=4000)
    assert held >= 0.95
    best = np.array(chances)
    assert (best.argmax(axis=1) == 0).mean() >= 0.9
    assert best[:, 0].mean() >= 0.85
    assert best[:, 3].max() == 0


def test_of_equal_models_hardly_one_is_surely_the_best() -> None:
    _, chances = ranked(np.random.default_rng(31), 60, (0.9,) * 5, seeds=3, images=1000)
    best = np.array(chances)
    assert best.mean(axis=0) == pytest.approx(np.full(5, 0.2), abs=0.1)
    assert (best.max(axis=1) > 0.95).mean() <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_rank_intervals_of_ten_models_hold_the_true_rank_at_least_95_times_of_100(seeds: int) -> None:
    top1 = tuple(0.93 - 0.006 * k for k in range(10))
    held, _ = ranked(np.random.default_rng((4, seeds)), 300, top1, seeds=seeds, images=2000)
    assert held >= 0.95
