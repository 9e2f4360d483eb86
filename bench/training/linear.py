"""A linear classifier on frozen features: logistic regression by L-BFGS, its regularisation chosen on dev."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.training.metrics import log_softmax, nll, top_k

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bench.data.batches import ImageData

STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-5)
"""Regularisations tried, the strongest first: each fit starts where the one before ended."""
MOST_ITERATIONS = 300
"""L-BFGS iterations of one fit at most."""
FEATURE_BATCH = 128
"""Images per forward pass."""
LEAST_DEVIATION = 1e-6
"""A feature that varies by less than this part of its mean counts as constant."""


@dataclass(frozen=True)
class LinearFit:
    """A classifier: logits = (features − centre) / scale · weight + bias."""

    weight: NDArray[np.float64]
    """[features, classes]."""
    bias: NDArray[np.float64]
    """[classes]."""
    centre: NDArray[np.float64]
    """Mean of each feature over the training images."""
    scale: NDArray[np.float64]
    """Deviation of each feature over the training images."""
    l2: float
    """The regularisation chosen."""
    dev_losses: tuple[float, ...]
    """Dev negative log-likelihood in nats of each of `STRENGTHS`."""
    dev_top1: float
    """Dev accuracy of the chosen one."""
    iterations: int
    """Iterations of all fits."""
    converged: bool
    """Whether every fit ended by its own criterion."""

    def logits(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Logits float32 [n, classes] of features [n, features]."""
        made = ((np.asarray(features, np.float64) - self.centre) / self.scale) @ self.weight + self.bias
        return made.astype(np.float32)


def fit_linear(
    features: NDArray[np.floating[Any]],
    labels: NDArray[np.int64],
    dev_features: NDArray[np.floating[Any]],
    dev_labels: NDArray[np.int64],
    *,
    classes: int,
    device: torch.device,
) -> LinearFit:
    """Fit on features [n, d], choose the regularisation by dev loss (the stronger one on a tie). Deterministic.

    The loss is the mean cross-entropy plus l2 / 2 · ‖weight‖² (not the bias), which has one minimum.
    """
    import torch

    centre, deviation = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    varies = deviation > np.maximum(LEAST_DEVIATION * np.abs(centre), np.finfo(np.float32).tiny)
    scale = np.where(varies, deviation, 1.0)

    def standard(values: NDArray[np.floating[Any]]) -> Tensor:
        return torch.from_numpy(((values - centre) / scale).astype(np.float32)).to(device)

    images, targets = standard(features), torch.from_numpy(labels).to(device)
    dev_images = standard(dev_features)
    found = np.zeros((features.shape[1] + 1, classes))
    best: tuple[float, float, NDArray[np.float64]] | None = None
    losses, iterations, converged = [], 0, True
    for l2 in STRENGTHS:
        found, made, ended = _minimise(images, targets, found, l2)
        iterations, converged = iterations + made, converged and ended
        logits = (dev_images @ _onto(found[:-1], device) + _onto(found[-1], device)).cpu().numpy()
        losses.append(nll(log_softmax(logits), dev_labels))
        if best is None or losses[-1] < best[0]:
            best = (losses[-1], l2, found)
            top1 = top_k(logits, dev_labels, 1)
    assert best is not None
    return LinearFit(
        best[2][:-1], best[2][-1], centre, scale, best[1], tuple(losses), top1, iterations, converged
    )  # fmt: skip


def _minimise(
    images: Tensor, targets: Tensor, start: NDArray[np.float64], l2: float
) -> tuple[NDArray[np.float64], int, bool]:
    """(weights with the bias as their last row, iterations, whether it converged)."""
    import torch
    from scipy.optimize import minimize
    from torch.nn.functional import cross_entropy

    def loss_and_slope(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        both = _onto(flat.reshape(start.shape), images.device).requires_grad_()
        loss = cross_entropy(images @ both[:-1] + both[-1], targets)
        (slope,) = torch.autograd.grad(loss, both)
        weight = flat.reshape(start.shape)[:-1]
        total = slope.double().cpu().numpy()
        total[:-1] += l2 * weight
        return float(loss.detach()) + l2 / 2 * float((weight**2).sum()), total.ravel()

    done = minimize(
        loss_and_slope, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": MOST_ITERATIONS, "gtol": 1e-5}
    )
    return done.x.reshape(start.shape), int(done.nit), int(done.nit) < MOST_ITERATIONS


def _onto(values: NDArray[np.float64], device: torch.device) -> Tensor:
    import torch

    return torch.from_numpy(values.astype(np.float32)).to(device)


def extract(model: nn.Module, data: ImageData, split: str, out: NDArray[np.float32]) -> None:
    """Write what the model's classifier would see of each image of a split into `out` [n, features], in order.

    In eval mode and float32, without augmentation; the model keeps its weights.
    """
    import torch

    model.eval()
    index = np.arange(len(out), dtype=np.int64)
    with torch.inference_mode():
        for k, (images, _) in enumerate(data.eval_batches(split, index, FEATURE_BATCH)):
            out[k * FEATURE_BATCH : k * FEATURE_BATCH + len(images)] = features_of(model, images).cpu().numpy()


def features_of(model: nn.Module, images: Tensor) -> Tensor:
    """What the model's classifier sees, float32 [b, features]. Raises AttributeError for a model that does not tell."""
    features: Tensor = model.forward_head(model.forward_features(images), pre_logits=True)  # type: ignore[operator]
    return features.float()


def state_sha256(model: nn.Module) -> str:
    """SHA-256 of all parameters and buffers, names included, but for those of the classifier."""
    from bench.models.weights import classifier_names

    digest, head = hashlib.sha256(), classifier_names(model)
    for name, tensor in sorted(model.state_dict().items()):
        if name not in head:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
