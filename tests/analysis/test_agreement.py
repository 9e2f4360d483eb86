"""Error consistency is Geirhos' κ, its interval covers, and disagreements are images told apart by every seed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from bench.analysis.agreement import (
    agreement,
    confused_images,
    disagreement,
    disagreements,
    wanted_images,
    wrong_answer,
)
from bench.analysis.answers import Answered, Answers


def _answers(rows: Mapping[str, NDArray[np.int64]], label: NDArray[np.int64], seeds: tuple[int, ...] = ()) -> Answers:
    """Answers from predictions [seeds, images] by row name; image k is at position 10·k of the test split."""
    found = tuple(
        Answered(name, seeds or tuple(range(len(prediction))), prediction, ()) for name, prediction in rows.items()
    )
    return Answers(10 * np.arange(len(label)), label, found)


def _hits(rows: Mapping[str, list[list[bool]]], seeds: tuple[int, ...] = ()) -> Answers:
    """Answers in which label 0 is right and 1 is wrong."""
    images = len(next(iter(rows.values()))[0])
    predictions = {name: 1 - np.array(hits, dtype=np.int64) for name, hits in rows.items()}
    return _answers(predictions, np.zeros(images, dtype=np.int64), seeds)


def _planted(seed: int, images: int, shared: float) -> Answers:
    """Two models with three seeds each; of each image a part `shared` is common to all runs."""
    rng = np.random.default_rng(seed)
    common = rng.random(images)

    def run() -> list[bool]:
        return (np.where(rng.random(images) < shared, common, rng.random(images)) < 0.7).tolist()

    return _hits({name: [run() for _ in range(3)] for name in "ab"})


def test_kappa_is_cohens_on_right_and_wrong() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random(200) < 0.7, rng.random(200) < 0.8
    found = agreement(_hits({"a": [one.tolist()], "b": [other.tolist()]}), draws=20)
    assert found.kappa[0, 1] == pytest.approx(cohen_kappa_score(one, other), abs=1e-5)
    assert found.kappa[1, 0] == found.kappa[0, 1]


def test_the_same_mistakes_give_one_and_opposite_ones_less_than_none() -> None:
    half = [True, False] * 50
    found = agreement(_hits({"a": [half], "b": [half], "c": [[not hit for hit in half]]}), draws=20)
    assert found.kappa[0, 1] == pytest.approx(1)
    assert found.kappa[0, 2] == pytest.approx(-1)


def test_a_model_without_mistakes_has_no_consistency_and_disturbs_no_other() -> None:
    some, every = [True, False, True, True] * 10, [True] * 40
    found = agreement(_hits({"a": [some, some], "b": [every, every]}), draws=20)
    assert np.isnan(found.kappa[1, 1])
    assert found.kappa[0, 1] == pytest.approx(0, abs=1e-5)
    assert found.kappa[0, 0] == pytest.approx(1)


def test_models_are_compared_on_different_seeds_as_a_model_with_itself_is() -> None:
    """Same-seed runs are made equal, so that counting them would show."""
    rng = np.random.default_rng(1)
    runs = [(rng.random(400) < 0.6).tolist() for _ in range(2)]
    found = agreement(_hits({"a": runs, "b": runs}), draws=20)
    assert found.kappa[0, 1] == pytest.approx(found.kappa[0, 0])
    assert not found.same_seed


def test_a_single_seed_is_compared_with_itself_and_leaves_the_diagonal_empty() -> None:
    rng = np.random.default_rng(2)
    found = agreement(_hits({name: [(rng.random(50) < 0.6).tolist()] for name in "ab"}), draws=20)
    assert found.same_seed
    assert np.isnan(np.diagonal(found.kappa)).all()
    assert not np.isnan(found.kappa[0, 1])


@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_the_interval_of_kappa_covers_the_planted_one(shared: float) -> None:
    """A pair of runs shares an image's draw with probability shared²: that is κ."""
    trials = 60
    covered = 0
    for seed in range(trials):
        found = agreement(_planted(seed, 300, shared), draws=150)
        covered += int(found.low[0, 1] <= shared**2 <= found.high[0, 1])
    assert covered >= 0.88 * trials


def test_no_rows_give_an_empty_matrix() -> None:
    nothing = np.empty(0, dtype=np.int64)
    assert agreement(Answers(nothing, nothing, ())).kappa.shape == (0, 0)
    assert disagreements(Answers(nothing, nothing, ())) == []
    assert wanted_images(Answers(nothing, nothing, ()), 10) == []


def test_a_disagreement_holds_in_every_seed_of_both() -> None:
    answers = _hits(
        {
            "a": [[True, True, True, False, False], [True, True, False, False, False]],
            "b": [[False, True, False, True, False], [False, False, False, True, False]],
        }
    )
    found = disagreement(answers, *answers.rows)
    assert found.only_first.tolist() == [0]
    assert found.only_second.tolist() == [3]
    assert (found.both_wrong, found.images) == (1, 5)


def test_images_that_most_models_get_right_come_first() -> None:
    answers = _hits({"a": [[True] * 3], "b": [[False] * 3], "c": [[False, False, True]], "d": [[False, True, True]]})
    assert disagreement(answers, answers.rows[0], answers.rows[1]).only_first.tolist() == [2, 1, 0]


def test_examples_of_a_confusion_are_those_that_most_seeds_confuse() -> None:
    label = np.array([0, 0, 0, 1])
    row = np.array([[2, 2, 0, 2], [0, 2, 0, 2]])
    answers = _answers({"a": row}, label)
    assert confused_images(answers, answers.rows[0], 0, 2).tolist() == [1, 0]
    assert wrong_answer(answers.rows[0], 1, 0) == 2
    assert wrong_answer(answers.rows[0], 2, 0) is None


def test_wanted_images_are_positions_in_the_split_without_repeats_within_the_limit_and_always_the_same() -> None:
    rng = np.random.default_rng(3)
    label = rng.integers(0, 10, 2000)
    rows = {name: np.where(rng.random((2, 2000)) < 0.6, label, rng.integers(0, 10, (2, 2000))) for name in "abc"}
    answers = _answers(rows, label)
    wanted = wanted_images(answers, 10, most=300)
    assert len(wanted) == len(set(wanted)) == 300
    assert set(wanted) <= set(answers.index.tolist())
    assert wanted == wanted_images(answers, 10, most=300)
    assert wanted[:24] == answers.index[disagreements(answers)[0].only_first[:24]].tolist()
    every = wanted_images(answers, 10, most=2000)
    wrong = np.any([(answers.correct(row) == 0).any(axis=0) for row in answers.rows], axis=0)
    assert sorted(every) == answers.index[wrong].tolist()
