"""Calibration: the record's own ECE, Brier and NLL by their definitions, and an interval that covers what it should."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.analysis.calibration import (
    ImageScores,
    calibration,
    image_scores,
    recorded_calibration,
    reliability,
)
from bench.training.metrics import evaluate_logits


def _logits(seed: int, n: int = 300, classes: int = 5) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, classes)).astype(np.float32)
    return logits, rng.integers(0, classes, n)


def _scores(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> ImageScores:
    return ImageScores(confidence, correct, np.zeros(len(confidence)), np.zeros(len(confidence)))


def test_the_brier_score_is_the_squared_distance_to_the_one_hot_label() -> None:
    logits, label = _logits(0)
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    expected = ((p - np.eye(5)[label]) ** 2).sum(axis=1)
    assert image_scores(logits, label).brier == pytest.approx(expected)
    sure = image_scores(np.array([[50.0, 0.0], [50.0, 0.0]]), np.array([0, 1]))
    assert sure.brier == pytest.approx([0, 2])


def test_ece_and_nll_are_those_of_the_record_mean_over_seeds() -> None:
    cases = [_logits(seed) for seed in (0, 1)]
    metrics = [evaluate_logits(logits, label) for logits, label in cases]
    found = calibration([image_scores(*case) for case in cases], draws=50)
    assert found.ece == pytest.approx(np.mean([m.ece for m in metrics]))
    assert found.nll == pytest.approx(np.mean([m.nll for m in metrics]))
    assert found.seeds == 2


def test_overconfidence_has_a_sign() -> None:
    confidence = np.full(100, 0.8)
    right = np.arange(100) < 60
    assert calibration([_scores(confidence, right)], draws=20).overconfidence == pytest.approx(0.2)
    assert calibration([_scores(confidence, np.arange(100) < 90)], draws=20).overconfidence == pytest.approx(-0.1)


def test_the_curve_counts_images_a_seed_and_is_empty_where_there_are_none() -> None:
    first = _scores(np.array([0.95, 0.99, 0.5]), np.array([True, False, True]))
    second = _scores(np.array([0.97, 0.52, 0.51]), np.array([True, False, False]))
    found = reliability([first, second])
    assert found.images.sum() == 3
    assert found.images[14] == 1.5
    assert found.accuracy[14] == pytest.approx(2 / 3)
    assert found.confidence[7] == pytest.approx(0.51)
    assert np.isnan(found.accuracy[0])


def test_confidence_on_the_edge_of_a_bin_belongs_to_the_lower_one_as_in_the_record() -> None:
    found = reliability([_scores(np.array([1 / 15, 1.0]), np.array([True, True]))])
    assert np.flatnonzero(found.images).tolist() == [0, 14]


def test_what_records_say_alone_has_no_interval_and_no_curve() -> None:
    found = recorded_calibration([0.1, 0.3], [1.0, 2.0])
    assert (found.ece, found.nll, found.seeds) == (pytest.approx(0.2), 1.5, 2)
    assert (found.ece_low, found.brier, found.overconfidence, found.reliability) == (None, None, None, None)


def test_no_seed_is_an_error() -> None:
    with pytest.raises(ValueError, match="no seed"):
        calibration([])


@pytest.mark.parametrize("case", ["perfect", "every bin", "one bin"])
def test_the_interval_of_ece_covers_the_planted_one_also_where_calibration_is_perfect(case: str) -> None:
    """Accuracy is confidence minus a planted gap; the plain value is too large, its interval allows for that."""
    covered, values, true = 0, [], {"perfect": 0.0, "every bin": 0.1, "one bin": 0.02}[case]
    for seed in range(60):
        rng = np.random.default_rng(seed)
        confidence = rng.uniform(0.3, 1.0, 800)
        gap = {"perfect": 0.0, "every bin": 0.1, "one bin": np.where(confidence > 14 / 15, 0.21, 0.0)}[case]
        found = calibration([_scores(confidence, rng.random(800) < confidence - gap)], draws=200)
        assert found.ece_low is not None
        assert found.ece_high is not None
        covered += found.ece_low <= true <= found.ece_high
        values.append(found.ece)
    assert np.mean(values) > true
    assert covered >= 50


def test_a_model_that_is_badly_calibrated_is_told_from_one_that_is_not() -> None:
    confidence = np.random.default_rng(0).uniform(0.3, 1.0, 2000)
    draws = np.random.default_rng(1).random(2000)
    good = calibration([_scores(confidence, draws < confidence)], draws=200)
    bad = calibration([_scores(confidence, draws < confidence - 0.15)], draws=200)
    assert good.ece_low == 0
    assert bad.ece_low is not None
    assert good.ece_high is not None
    assert bad.ece_low > good.ece_high
