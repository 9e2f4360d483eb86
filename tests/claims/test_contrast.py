"""Contrasts are paired over seeds and test images, and say how sure they are as the boards do."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.analysis.intervals import hierarchical
from bench.claims.claim import Arm, Missing
from bench.claims.contrast import (
    Contrast,
    aligned,
    combination,
    contrast,
    difference,
    difference_in_differences,
    gap_change,
    need_seeds,
    over_seeds,
    slope_difference,
)
from bench.claims.evidence import Evidence
from tests.claims.planted_evidence import evidence_of, planted

A, B = Arm("vit_mini"), Arm("resnet_mini")
C, D = Arm("vit_mini", "patch-permute"), Arm("resnet_mini", "patch-permute")


def right(evidence: Evidence, arm: Arm, size: int | None = None) -> NDArray[np.float64]:
    """Whether each image is right, float64 [seeds, images]."""
    return evidence.seen(arm, size).right.astype(np.float64)


def test_several_seeds_have_the_uncertainty_of_the_boards() -> None:
    scores = np.random.default_rng(0).normal(0.1, 1, (4, 500))
    found, board = contrast(scores), hierarchical(scores)
    assert (found.estimate, found.se, found.df) == (board.mean, board.se, board.df)
    assert (found.low, found.high) == pytest.approx(board.interval())
    assert found.p == pytest.approx(board.p_value())
    assert (found.seeds, found.images) == (4, 500)


def test_a_single_seed_has_the_uncertainty_of_its_test_images() -> None:
    scores = np.random.default_rng(1).normal(0.1, 1, (1, 500))
    found, test = contrast(scores), stats.ttest_1samp(scores[0], 0)
    assert found.p == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval()))


def test_seeds_that_spread_more_than_their_images_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    images = rng.normal(size=1000) / 10 + rng.normal(size=(3, 1000)) / 100
    together, apart = images, images + np.array([[-0.5], [0.0], [0.5]])
    assert contrast(apart).se > 10 * contrast(together).se
    assert contrast(apart).df < 3
    assert contrast(together).df > 20


@pytest.mark.parametrize("estimate", [-0.031, -0.02, 0.0, 0.02, 0.031])
def test_the_interval_leaves_zero_out_where_the_test_rejects(estimate: float) -> None:
    found = Contrast(estimate, 0.01, 5.0, 3, 1000)
    assert (found.low > 0 or found.high < 0) == (found.p < 0.05)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(estimate) / 0.01, 5))
    assert found.p_above(0.005) == pytest.approx(stats.t.sf((estimate - 0.005) / 0.01, 5))
    assert found.p_below(0.005) == pytest.approx(1 - found.p_above(0.005))


def test_the_interval_at_90_percent_is_that_of_two_one_sided_tests_at_5_percent() -> None:
    found = Contrast(0.002, 0.004, 7.0, 3, 1000)
    low, high = found.interval(0.9)
    assert found.p_above(low) == pytest.approx(0.05)
    assert found.p_below(high) == pytest.approx(0.05)


def test_a_contrast_without_any_spread_is_certain() -> None:
    ahead, level = contrast(np.full((3, 10), 0.25)), contrast(np.zeros((3, 10)))
    assert (ahead.low, ahead.high, ahead.p) == (ahead.estimate, ahead.estimate, 0)
    assert level.p == 1


def test_findings_and_marks_are_in_points_and_shares_in_percent_without_a_test() -> None:
    found = Contrast(0.0123, 0.004, 30.0, 3, 1000)
    finding = found.finding("a difference")
    assert (finding.value, finding.unit) == (pytest.approx(1.23), "points")
    assert (finding.low, finding.high) == (pytest.approx(100 * found.low), pytest.approx(100 * found.high))
    assert finding.detectable == pytest.approx(100 * found.detectable)
    assert finding.p == found.p
    assert found.finding("a share", unit="%").value == pytest.approx(1.23)
    assert found.finding("a share", unit="%").p is None
    assert found.finding("a number", unit="px").value == 0.0123
    assert (found.dot("a").value, found.dot("a").low) == (finding.value, finding.low)
    assert Contrast(-0.0123, 0.001, 1e6, 3, 1000).words == "−1.2 points [−1.4, −1.0]"


def test_a_difference_is_taken_image_by_image() -> None:
    """Arms that miss the same images are told apart more surely than their own uncertainties would let them be."""
    rng = np.random.default_rng(3)
    base = np.tile(rng.random(2000) < 0.7, (3, 1))
    better = base | (rng.random((3, 2000)) < 0.05)
    evidence = evidence_of({(arm, 1000, s): hits[s] for arm, hits in ((A, better), (B, base)) for s in range(3)})
    found = difference(evidence, A, B)
    assert found.estimate == pytest.approx(float(better.mean() - base.mean()))
    assert found.se < 0.2 * math.hypot(contrast(better).se, contrast(base).se)


def test_a_difference_is_taken_on_the_seeds_that_both_have() -> None:
    evidence = planted({A: 0.8, B: 0.6}, seeds=(0, 1, 2))
    cells = {key: cell for key, cell in evidence.cells.items() if key != (B.whole, 1000, 0)}
    partial = replace(evidence, cells=cells)
    found = difference(partial, A, B)
    assert found.seeds == 2
    assert found == contrast((right(evidence, A) - right(evidence, B))[1:])


def test_arms_without_a_common_seed_or_with_other_test_images_cannot_be_compared() -> None:
    hits = np.ones(20, dtype=bool)
    with pytest.raises(Missing, match="no seed in common"):
        difference(evidence_of({(A, 1000, 0): hits, (B, 1000, 1): hits}), A, B)
    with pytest.raises(Missing, match="not tested on the same images"):
        difference(evidence_of({(A, 1000, 0): hits, (B, 1000, 0): hits[:10]}), A, B)
    seen = evidence_of({(A, 1000, 0): hits}).seen(A)
    with pytest.raises(Missing, match="not tested on the same images"):
        aligned([seen, replace(seen, label=seen.label[::-1])])


def test_differences_of_differences_are_those_of_accuracies_at_the_sizes_asked_for() -> None:
    truth = {A: (0.5, 0.7), B: (0.6, 0.7), C: (0.5, 0.6), D: (0.4, 0.5)}
    evidence = planted(truth, sizes=(100, 1000), images=400)
    mean = {(arm, n): float(right(evidence, arm, n).mean()) for arm in truth for n in (100, 1000)}
    found = difference_in_differences(evidence, (B, A), (D, C))
    expected = mean[B, 1000] - mean[A, 1000] - mean[D, 1000] + mean[C, 1000]
    assert found.estimate == pytest.approx(expected)
    small = difference_in_differences(evidence, (B, A), (D, C), 100)
    assert small.estimate == pytest.approx(mean[B, 100] - mean[A, 100] - mean[D, 100] + mean[C, 100])
    change = gap_change(evidence, B, A, 100, 1000)
    assert change.estimate == pytest.approx(mean[B, 100] - mean[A, 100] - mean[B, 1000] + mean[A, 1000])


def test_a_difference_of_slopes_is_that_of_two_least_squares_lines_in_the_logarithm() -> None:
    sizes = (100, 300, 1000, 3000)
    evidence = planted({A: (0.3, 0.5, 0.6, 0.8), B: (0.5, 0.5, 0.6, 0.7)}, sizes=sizes, images=500)
    slope = {arm: np.polyfit(np.log10(sizes), [right(evidence, arm, n).mean() for n in sizes], 1)[0] for arm in (A, B)}
    assert slope_difference(evidence, A, B).estimate == pytest.approx(slope[A] - slope[B])


def test_a_slope_needs_two_common_sizes() -> None:
    evidence = planted({A: (0.3, 0.5), B: 0.5}, sizes=(100, 300), images=50)
    with pytest.raises(Missing, match="two train sizes"):
        slope_difference(evidence, A, B)


def test_one_number_a_seed_has_the_interval_of_students_t() -> None:
    values = [0.3, 0.5, 0.45, 0.6]
    found, test = over_seeds(values), stats.ttest_1samp(values, 0)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval()))
    assert found.p == pytest.approx(test.pvalue)
    with pytest.raises(Missing, match="one seed"):
        over_seeds([0.3])


def test_a_confirmatory_contrast_needs_three_seeds() -> None:
    need_seeds(difference(planted({A: 0.8, B: 0.6}, seeds=(0, 1, 2), images=50), A, B))
    with pytest.raises(Missing, match="3 seeds, and there are 2"):
        need_seeds(difference(planted({A: 0.8, B: 0.6}, seeds=(0, 1), images=50), A, B))


def test_weights_apply_to_each_arm_at_its_own_size() -> None:
    evidence = planted({A: (0.5, 0.7), B: (0.6, 0.8)}, sizes=(100, 1000), images=100)
    found = combination(evidence, [(A, 100, 2.0), (B, None, -0.5)])
    assert found.estimate == pytest.approx(2 * right(evidence, A, 100).mean() - 0.5 * right(evidence, B, 1000).mean())
