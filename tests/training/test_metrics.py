"""Metrics against scikit-learn and against hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from bench.arrays import packed_counts, unpacked_counts
from bench.records import EvalMetrics
from bench.training.metrics import confusion_matrix, ece, evaluate_logits, log_softmax, nll, top_k


def _case(seed: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)).astype(np.float32)
    logits[np.arange(n), labels] += 1.0
    return logits, labels


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 80), st.integers(2, 30))
def test_metrics_agree_with_scikit_learn(seed: int, n: int, classes: int) -> None:
    logits, labels = _case(seed, n, classes)
    result = evaluate_logits(logits, labels)
    predictions = logits.argmax(1)
    every = list(range(classes))
    assert result.top1 == pytest.approx(sk.accuracy_score(labels, predictions))
    assert result.nll == pytest.approx(sk.log_loss(labels, np.exp(log_softmax(logits)), labels=every), rel=1e-5)
    assert result.confusion == sk.confusion_matrix(labels, predictions, labels=every).tolist()
    recalls = sk.recall_score(labels, predictions, labels=every, average=None, zero_division=np.nan)
    assert result.balanced_accuracy == pytest.approx(np.nanmean(recalls))
    if classes > 10:
        assert result.top5 == pytest.approx(sk.top_k_accuracy_score(labels, logits, k=5, labels=every))
    else:
        assert result.top5 is None


def test_equal_logits_do_not_count_as_right_for_every_class() -> None:
    logits = np.zeros((4, 4), np.float32)
    assert top_k(logits, np.array([0, 1, 2, 3]), 1) == 0.25


def test_a_class_without_images_has_no_recall_and_does_not_pull_the_mean() -> None:
    result = evaluate_logits(np.eye(3, dtype=np.float32)[[0, 1]] * 9, np.array([0, 1]))
    assert result.recall == [1.0, 1.0, None]
    assert result.balanced_accuracy == 1.0


def test_calibration_error_is_zero_when_confidence_is_accuracy_and_its_gap_otherwise() -> None:
    right = np.array([True] * 8 + [False] * 2)
    assert ece(np.full(10, 0.8), right) == pytest.approx(0.0)
    assert ece(np.full(10, 0.95), right) == pytest.approx(0.15)


def test_calibration_error_puts_a_bin_edge_into_the_lower_bin() -> None:
    assert ece(np.array([1 / 15, 1 / 15 + 1e-9]), np.array([False, True]), 15) == pytest.approx((1 / 15 + 14 / 15) / 2)


def test_huge_logits_do_not_overflow() -> None:
    assert nll(log_softmax(np.array([[1e4, -1e4]], np.float32)), np.array([0])) == 0.0


def test_confusion_has_true_classes_in_rows() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1]), np.array([1, 1, 1]), 2)
    assert matrix.tolist() == [[0, 2], [0, 1]]


def test_logits_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        evaluate_logits(np.array([[np.nan, 0.0]], np.float32), np.array([0]))


def test_the_confusion_of_many_classes_takes_little_room_and_loses_nothing() -> None:
    """As on ImageNet: 1,000 classes, 50,000 images, seven in ten right."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(1000), 50)
    predictions = np.where(rng.random(len(labels)) < 0.7, labels, rng.integers(0, 1000, len(labels)))
    logits = np.eye(1000, dtype=np.float32)[predictions]
    found = evaluate_logits(logits, labels)
    assert isinstance(found.confusion, str)
    written = found.model_dump_json(indent=1)
    assert len(written) < 150_000
    again = EvalMetrics.model_validate_json(written)
    assert np.array_equal(again.counts(), confusion_matrix(labels, predictions, 1000))
    assert again.recall[0] == pytest.approx(np.mean(predictions[:50] == 0))


def test_the_confusion_of_few_classes_stays_a_matrix_that_people_can_read() -> None:
    logits, labels = _case(0, 400, 100)
    found = evaluate_logits(logits, labels)
    assert found.confusion == confusion_matrix(labels, logits.argmax(1), 100).tolist()
    assert np.array_equal(found.counts(), found.confusion)


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA"])
def test_counts_that_are_damaged_are_an_error_of_value(text: str) -> None:
    with pytest.raises(ValueError, match="not the counts of 3 classes"):
        unpacked_counts(text, 3)


def test_counts_beyond_the_matrix_are_an_error_of_value() -> None:
    with pytest.raises(ValueError, match="not the counts of 2 classes"):
        unpacked_counts(packed_counts(np.eye(3, dtype=np.int64)), 2)
