"""Metrics of a classifier from its logits: small pure functions of numpy arrays.

Shapes: `logits` float [n, classes], `labels` and `predictions` int [n], `confusion` int [classes, classes]
with rows true and columns predicted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.arrays import packed_counts
from bench.records import EvalMetrics

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

WHOLE_UP_TO = 100
"""Classes up to which a confusion stands in its record as a matrix: that of ImageNet has a million numbers."""
ECE_BINS = 15
"""Equal-width confidence bins, as in Guo et al. 2017."""


def evaluate_logits(logits: Floats, labels: Ints) -> EvalMetrics:
    """All metrics of one split; ValueError where a logit is not finite or there is no image."""
    if len(labels) == 0:
        raise ValueError("there is no image to evaluate on")
    if not np.isfinite(logits).all():
        raise ValueError("the model gives logits that are not finite")
    classes = logits.shape[1]
    log_probabilities = log_softmax(logits)
    predictions = logits.argmax(axis=1)
    confusion = confusion_matrix(labels, predictions, classes)
    recalls = recall(confusion)
    return EvalMetrics(
        n=len(labels),
        top1=top_k(logits, labels, 1),
        top5=top_k(logits, labels, 5) if classes > 10 else None,
        balanced_accuracy=float(np.nanmean(recalls)),
        nll=nll(log_probabilities, labels),
        ece=ece(np.exp(log_probabilities.max(axis=1)), predictions == labels),
        confusion=confusion.tolist() if classes <= WHOLE_UP_TO else packed_counts(confusion),
        recall=[None if np.isnan(value) else float(value) for value in recalls],
    )


def log_softmax(logits: Floats) -> NDArray[np.float64]:
    """Log-probabilities float64 [n, classes], shifted by the row maximum so that nothing overflows."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def nll(log_probabilities: Floats, labels: Ints) -> float:
    """Mean negative log-likelihood in nats."""
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def top_k(logits: Floats, labels: Ints, k: int) -> float:
    """Fraction of images with fewer than k classes ranked above the label; of equal logits the lower index wins."""
    own = logits[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(logits.shape[1])[None, :] < labels[:, None]
    above = (logits > own) | ((logits == own) & earlier)
    return float((above.sum(axis=1) < k).mean())


def confusion_matrix(labels: Ints, predictions: Ints, classes: int) -> NDArray[np.int64]:
    """Counts int64 [classes, classes]: rows true, columns predicted."""
    flat = np.bincount(labels.astype(np.int64) * classes + predictions, minlength=classes * classes)
    return flat.reshape(classes, classes)


def recall(confusion: Ints) -> NDArray[np.float64]:
    """Diagonal over row sums, float64 [classes]; NaN for a class without images."""
    totals = confusion.sum(axis=1).astype(np.float64)
    totals[totals == 0] = np.nan
    return np.asarray(np.diag(confusion) / totals)


def ece(confidence: Floats, correct: NDArray[np.bool_], bins: int = ECE_BINS) -> float:
    """Expected calibration error: Σ_b (n_b / n)·|accuracy_b − confidence_b| over equal-width bins (a, b]."""
    which = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(which, weights=correct.astype(np.float64) - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
