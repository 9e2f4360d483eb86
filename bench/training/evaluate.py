"""Evaluate one model: float32, eval mode, no test-time augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.data.share import ALONE, Share

if TYPE_CHECKING:
    from torch import nn

    from bench.data.batches import ImageData

EVAL_BATCH_SIZE = 128
"""Images per evaluation batch; without effect on the logits but for rounding."""


def predict(
    model: nn.Module,
    data: ImageData,
    split: str,
    indices: NDArray[np.int64],
    batch_size: int = EVAL_BATCH_SIZE,
    share: Share = ALONE,
) -> NDArray[np.float32]:
    """Logits float32 [len(indices), classes], in the order of `indices`. Leaves the model in eval mode.

    With a `share` this process judges its part of the images, and all have all logits.
    """
    import torch

    model.eval()
    if any(module.training for module in model.modules()):
        raise RuntimeError("a part of the model stayed in train mode")
    with torch.inference_mode():
        own = indices[share.of(len(indices))]
        logits = [model(images).float() for images, _ in data.eval_batches(split, own, batch_size)]
        found = torch.cat(logits).cpu().numpy() if logits else None
    parts = [part for part in share.each(found) if part is not None]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]  # type: ignore[no-any-return]


def has_batchnorm(model: nn.Module) -> bool:
    """Whether any part of the model is a BatchNorm."""
    from torch.nn.modules.batchnorm import _BatchNorm

    return any(isinstance(module, _BatchNorm) for module in model.modules())


def reestimate_batchnorm(
    model: nn.Module, data: ImageData, indices: NDArray[np.int64], samples: int, batch_size: int
) -> int:
    """Replace BatchNorm running averages by the statistics of about `samples` training images; returns how many.

    Running averages lag behind the weights in a short schedule, which punishes only the models that have
    BatchNorm (Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3). No gradient, no test image;
    a model without BatchNorm is left as it is and 0 is returned.
    """
    import torch
    from fvcore.nn.precise_bn import get_bn_modules, update_bn_stats

    model.train()
    if samples == 0 or not get_bn_modules(model):
        return 0
    batches = max(1, min(samples, len(indices)) // batch_size)
    whole = np.resize(indices[: batches * batch_size], batches * batch_size)
    with torch.no_grad():
        images = (x for x, _ in data.eval_batches("train", whole, batch_size))
        averages = [(norm, norm.running_mean, norm.running_var) for norm in get_bn_modules(model)]
        update_bn_stats(model, images, num_iters=batches)
        for norm, mean, variance in averages:  # put into new tensors, which a recorded step would not know
            norm.running_mean, norm.running_var = mean.copy_(norm.running_mean), variance.copy_(norm.running_var)
    return batches * batch_size
