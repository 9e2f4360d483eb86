"""The linear classifier: the minimum that scikit-learn finds, chosen by dev alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from bench.training.linear import STRENGTHS, LinearFit, fit_linear

CPU = torch.device("cpu")


def clouds(n: int, seed: int, *, apart: float = 1.0, noise: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes around three centres, features of very different size, and `noise` features without meaning."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(3, 6)) * apart
    labels = rng.integers(0, 3, n)
    told = (centres[labels] + rng.normal(size=(n, 6))) * 10.0 ** np.arange(-3, 3)
    return np.hstack([told, rng.normal(size=(n, noise))]).astype(np.float32), labels


def fitted(n: int = 200, **more: float) -> LinearFit:
    (x, y), (dev, dev_y) = clouds(n, 1, **more), clouds(300, 2, **more)
    return fit_linear(x, y, dev, dev_y, classes=3, device=CPU)


def test_it_is_the_minimum_that_scikit_learn_finds() -> None:
    found = fitted()
    x, y = clouds(200, 1)
    test, _ = clouds(100, 3)
    reference = LogisticRegression(C=1 / (len(x) * found.l2), max_iter=2000, tol=1e-8)
    reference.fit((x - found.centre) / found.scale, y)
    logits = found.logits(test)
    ours = np.exp(logits - logits.max(1, keepdims=True))
    theirs = reference.predict_proba((test - found.centre) / found.scale)
    np.testing.assert_allclose(ours / ours.sum(1, keepdims=True), theirs, atol=2e-3)


def test_the_strength_with_the_lowest_dev_loss_is_taken() -> None:
    found = fitted()
    assert len(found.dev_losses) == len(STRENGTHS)
    assert found.l2 == STRENGTHS[int(np.argmin(found.dev_losses))]
    assert found.converged


def test_few_images_in_many_dimensions_want_more_regularisation() -> None:
    assert fitted(30, noise=200).l2 > fitted(3000, noise=200).l2


def test_it_learns_what_there_is_and_says_how_well() -> None:
    assert fitted(apart=4.0).dev_top1 > 0.97
    assert 1 / 3 < fitted(apart=0.5).dev_top1 < 0.9


def test_the_size_of_a_feature_does_not_matter() -> None:
    (x, y), (dev, dev_y), (test, _) = (clouds(200, seed) for seed in (1, 2, 3))
    factors = np.float32(10.0) ** np.array([3, -2, 0, 1, -3, 2], np.float32)
    one = fit_linear(x, y, dev, dev_y, classes=3, device=CPU)
    other = fit_linear(x * factors, y, dev * factors, dev_y, classes=3, device=CPU)
    np.testing.assert_allclose(one.logits(test), other.logits(test * factors), atol=0.05)


@pytest.mark.parametrize("constant", [0.0, 7.5])
def test_a_constant_feature_changes_nothing(constant: float) -> None:
    (x, y), (dev, dev_y), (test, _) = (clouds(200, seed) for seed in (1, 2, 3))

    def wider(values: np.ndarray) -> np.ndarray:
        return np.hstack([values, np.full((len(values), 1), constant, np.float32)])

    one = fit_linear(x, y, dev, dev_y, classes=3, device=CPU)
    other = fit_linear(wider(x), y, wider(dev), dev_y, classes=3, device=CPU)
    np.testing.assert_allclose(one.logits(test), other.logits(wider(test)), atol=0.05)


def test_the_same_images_give_the_same_bits() -> None:
    test, _ = clouds(50, 3)
    assert np.array_equal(fitted().logits(test), fitted().logits(test))


def test_a_class_without_training_images_is_only_unlikely() -> None:
    x, y = clouds(200, 1)
    dev, dev_y = clouds(100, 2)
    found = fit_linear(x[y < 2], y[y < 2], dev, dev_y, classes=3, device=CPU)
    assert np.isfinite(found.logits(dev)).all()
    assert not (found.logits(dev).argmax(1) == 2).any()
