"""Gate 2's statistics: seeds drawn anew alarm rarely, a loss of accuracy does, and so does a change of mind."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.gates.calibration import (
    ALARM_RATE,
    CHECK_SEEDS,
    SEEDS,
    compare,
    compare_accuracy,
    compare_agreement,
    identical,
)

IMAGES = 300
LABELS = np.arange(IMAGES) % 10


def _trainings(rng: np.random.Generator, n: int, skill: float = 1.0, shift: int = 1) -> NDArray[np.int64]:
    """Predictions of `n` trainings whose skill differs by seed; the same images are hard for all."""
    hard = np.random.default_rng(7).normal(0, 1, IMAGES)
    margin = skill + rng.normal(0, 0.15, (n, 1)) - hard + rng.normal(0, 0.5, (n, IMAGES))
    return np.where(margin > 0, LABELS, (LABELS + shift) % 10)


def _alarm_rate(models: int, checks: int, **changed: float) -> float:
    """Part of the checks in which any of `models` models fails."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(checks):
        failed = False
        for _ in range(models):
            old, new = _trainings(rng, SEEDS), _trainings(rng, CHECK_SEEDS, **changed)  # type: ignore[arg-type]
            failed |= compare_accuracy(old, new, LABELS, models).fell or compare_agreement(old, new, models).fell
        alarms += failed
    return alarms / checks


@pytest.mark.parametrize("models", [1, 3])
def test_seeds_drawn_anew_alarm_at_most_once_in_twenty_over_all_models_together(models: int) -> None:
    checks = 1500 // models
    noise = float(np.sqrt(ALARM_RATE * (1 - ALARM_RATE) / checks))
    assert _alarm_rate(models, checks) <= ALARM_RATE + 1.5 * noise


def test_a_loss_of_skill_is_caught() -> None:
    assert _alarm_rate(3, 50, skill=0.4) >= 0.95


def test_other_mistakes_are_caught_by_agreement_although_accuracy_stays() -> None:
    rng = np.random.default_rng(0)
    old, new = _trainings(rng, SEEDS), _trainings(rng, CHECK_SEEDS, shift=5)
    assert not compare_accuracy(old, new, LABELS, 1).fell
    assert compare_agreement(old, new, 1).fell


def test_a_repeated_training_agrees_with_the_others_as_they_do_among_themselves() -> None:
    old = _trainings(np.random.default_rng(0), SEEDS)
    found = compare_agreement(old, old, 1)
    assert found.head == pytest.approx(found.base)
    assert identical(old, old[:CHECK_SEEDS]) == CHECK_SEEDS
    assert identical(old, (old[:CHECK_SEEDS] + 1) % 10) == 0


def test_the_tolerance_is_the_prediction_interval_of_a_mean_of_logarithms() -> None:
    """Against Student's quantile from tables: t(0.975; 9) = 2.262."""
    old = np.linspace(0.8, 0.9, 10)
    missing = 1 - old + 1 / 1000
    width = 2.262 * float(np.log(missing).std(ddof=1)) * float(np.sqrt(1 / 4 + 1 / 10))
    found = compare(old, np.full(4, 0.84), tests=2, images=1000)
    assert found.tolerance == pytest.approx(float(missing.mean()) * (np.exp(width) - 1), rel=2e-3)
    assert (found.base, found.head) == (pytest.approx(0.85), pytest.approx(0.84))


@pytest.mark.parametrize("level", [1.0, 0.9])
def test_seeds_that_happen_to_agree_exactly_still_leave_room_for_one_image(level: float) -> None:
    assert not compare(np.full(10, level), np.full(4, level - 1 / 100), tests=2, images=100).fell


def test_an_improvement_is_no_failure_but_is_told() -> None:
    rng = np.random.default_rng(0)
    found = compare_accuracy(_trainings(rng, SEEDS), _trainings(rng, CHECK_SEEDS, skill=2.5), LABELS, 1)
    assert (found.fell, found.rose) == (False, True)
