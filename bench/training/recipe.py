"""The common recipe: AdamW, what it decays, and one warm-up and cosine for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

NEVER_DECAYED = (
    "pos_embed",
    "position_embed",
    "cls_token",
    "dist_token",
    "relative_position_bias_table",
    "rel_pos",
)
"""Parts of parameter names that are free of weight decay, besides norms and biases (one-dimensional)."""


def learning_rate(step: int, steps: int, peak: float, warmup_fraction: float) -> float:
    """Rate of step 0 ≤ `step` < `steps`: a linear rise to `peak`, then half a cosine that reaches 0 at `steps`.

    Loshchilov & Hutter 2017 (SGDR), one cycle.
    """
    warmup = min(round(warmup_fraction * steps), steps - 1)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def undecayed(model: nn.Module) -> set[str]:
    """Names of the parameters that weight decay leaves alone: norms, biases, position embeddings, class tokens."""
    declared = set(model.no_weight_decay()) if hasattr(model, "no_weight_decay") else set()  # type: ignore[operator]
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim <= 1 or name in declared or any(part in name for part in NEVER_DECAYED)
    }


def make_optimizer(model: nn.Module, weight_decay: float, *, on_gpu: bool = False) -> Optimizer:
    """Fused AdamW with two parameter groups: decayed, and not. `step_clipped` sets the rate.

    With `on_gpu` it counts its steps there, so that a step can be recorded as a CUDA graph.
    """
    import torch

    spared = undecayed(model)
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in trained if name not in spared], "weight_decay": weight_decay},
        {"params": [p for name, p in trained if name in spared], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=0.0, fused=True, capturable=on_gpu)


def step_clipped(optimizer: Optimizer, largest_norm: float, lr: float | Tensor) -> None:
    """A step of fused AdamW at rate `lr` with the gradients' global norm cut to `largest_norm` (Pascanu et al. 2013).

    The fused step divides each gradient by a scale as it reads it: clipping costs one pass over the gradients, for
    their norm, and no pass of its own. Nothing waits for the device.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    optimizer.grad_scale = (global_norm(grads) / largest_norm).clamp_(min=1.0)  # type: ignore[attr-defined]
    optimizer.step()


def global_norm(grads: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together, a scalar on their device; nothing waits for it.

    On a CPU by dot products: they use all threads and a vector norm does not, and of the 86 million gradients of a
    ViT-B its sum is off in the fifth digit, theirs in the seventh.
    """
    import torch

    if any(grad.device.type != "cpu" or grad.dtype != torch.float32 for grad in grads):
        return torch.nn.utils.get_total_norm(grads)
    flat = [_flat(grad) for grad in grads]
    return torch.stack([torch.dot(grad, grad) for grad in flat]).sum().sqrt()


def _flat(grad: Tensor) -> Tensor:
    """A gradient as one dimension, where its layout allows without a copy."""
    import torch

    if grad.ndim == 4 and grad.is_contiguous(memory_format=torch.channels_last):
        return grad.permute(0, 2, 3, 1).flatten()
    return grad.flatten()
