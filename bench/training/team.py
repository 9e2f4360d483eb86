"""Several processes that train one model, each on its part of every batch, as one process would on the whole.

Gradients are averaged by torch's DistributedDataParallel. BatchNorm takes its statistics over the whole batch, as it
would in one process: by torch's SyncBatchNorm on GPUs, by sums over all processes on CPUs, where that does not run.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bench.data.share import Share

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@contextlib.contextmanager
def together(model: nn.Module, device: torch.device) -> Iterator[Any]:
    """`model`, called so that backward averages its gradients over all processes and BatchNorm sees all of a batch.

    The weights of process 0 become those of all. After it the model is what it was, with its trained weights.
    """
    from torch.nn.parallel import DistributedDataParallel

    kinds = _shared_kinds(device)
    for module in model.modules():
        if type(module) in kinds:
            module.own_kind, module.process_group = type(module), None  # type: ignore[assignment]
            module.__class__ = kinds[type(module)]
    ids = [device] if device.type == "cuda" else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the argument's new name is not in older versions
            yield DistributedDataParallel(model, device_ids=ids, broadcast_buffers=False, gradient_as_bucket_view=True)
    finally:
        for module in _shared(model):
            module.__class__ = module.own_kind
            del module.own_kind, module.process_group


@contextlib.contextmanager
def each_alone(model: nn.Module) -> Iterator[None]:
    """BatchNorm as in one process, while every process sees the same whole batches."""
    shared = [(module, type(module)) for module in _shared(model)]
    for module, _ in shared:
        module.__class__ = module.own_kind
    try:
        yield
    finally:
        for module, kind in shared:
            module.__class__ = kind


def seed_layers(share: Share, seed: int) -> None:
    """Seed what dropout and stochastic depth draw from: in process 0 as in one alone, in each other apart."""
    import numpy as np
    import torch

    own = seed if share.rank == 0 else int(np.random.SeedSequence((seed, share.rank)).generate_state(1)[0])
    torch.manual_seed(own)


def _shared(model: nn.Module) -> list[Any]:
    """The layers whose kind was changed."""
    return [module for module in model.modules() if hasattr(module, "own_kind")]


def _shared_kinds(device: torch.device) -> dict[type, type]:
    """For each kind of BatchNorm, one with the same state that works over all processes."""
    from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct
    from torch import nn

    plain = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    if device.type == "cuda":
        return {**dict.fromkeys(plain, nn.SyncBatchNorm), BatchNormAct2d: SyncBatchNormAct}
    forward: dict[type, Any] = {**dict.fromkeys(plain, _forward), BatchNormAct2d: _then_act}
    return {kind: type(f"Shared{kind.__name__}", (kind,), {"forward": own}) for kind, own in forward.items()}


def _then_act(self: Any, x: Tensor) -> Any:
    """timm's BatchNorm with dropout and activation behind it."""
    return self.act(self.drop(_forward(self, x)))


def _forward(self: Any, x: Tensor) -> Tensor:
    """BatchNorm over the batches of all processes, which are equally large; with running averages in evaluation."""
    import torch
    from fvcore.nn.distributed import differentiable_all_reduce
    from torch import distributed
    from torch.nn.functional import batch_norm

    if not self.training:
        return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
    ranks = distributed.get_world_size()
    over = [d for d in range(x.ndim) if d != 1]
    values = x.float()
    shape = [1, -1] + [1] * (x.ndim - 2)
    mean = differentiable_all_reduce(values.mean(over)) / ranks
    centred = values - mean.view(shape)
    variance = differentiable_all_reduce(centred.square().mean(over)) / ranks
    if self.track_running_stats:
        n = ranks * x.numel() / x.shape[1]
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / max(n - 1, 1), self.momentum)
    normed = centred * (variance + self.eps).rsqrt().view(shape)
    if self.weight is not None:
        normed = normed * self.weight.view(shape) + self.bias.view(shape)
    return normed.to(x.dtype)  # type: ignore[no-any-return]
