"""What several benchmarks share: small models, their steps on a resident batch, and what stands in the JSON."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bench.measure.macs import count_macs
from bench.models.build import build
from bench.protocol import Protocol
from bench.training.recipe import make_optimizer, step_clipped

MODELS = ("test_resnet", "test_vit", "resnet18", "deit_ti")
"""The smallest CNN and ViT of timm, and the smallest of this project's own names."""
PX, CLASSES, BATCH = 32, 10, 32
"""Image size, classes and images per step of every benchmark that has a model."""
PROTOCOL = Protocol()


def make_model(name: str, px: int = PX) -> nn.Module:
    """A model as studies train it: channels last."""
    model, _ = build(name, num_classes=CLASSES, img_size=px)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@cache
def macs_of(name: str) -> int:
    """Canonical multiply-accumulates of one image."""
    return count_macs(make_model(name).eval(), torch.zeros(1, 3, PX, PX)).macs


def describe(benchmark: Any, *, model: str | None = None, batch: int | None = None, macs: int | None = None) -> None:
    """Write into a benchmark's JSON what is run: the model, images per step, multiply-accumulates of one image."""
    benchmark.extra_info.update(model=model, batch=batch, macs=macs, threads=torch.get_num_threads())


def describe_model(benchmark: Any, model: str) -> None:
    """The same for one of `MODELS` at `BATCH` images."""
    describe(benchmark, model=model, batch=BATCH, macs=macs_of(model))


def inference_step(model: nn.Module) -> Callable[[], None]:
    """A forward pass of a batch in eval mode and float32."""
    images = _images()
    model.eval()

    def step() -> None:
        with torch.inference_mode():
            model(images)

    return step


def training_step(model: nn.Module, precision: str = "fp32", *, px: int = PX, batch: int = BATCH) -> Callable[[], None]:
    """Forward, backward, clipping and optimiser step on one batch: all of a training step but its data and schedule."""
    optimizer = make_optimizer(model.train(), PROTOCOL.weight_decay)
    images, targets = _images(px, batch), torch.arange(batch) % CLASSES

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = model(images)
        cross_entropy(logits.float(), targets, label_smoothing=PROTOCOL.smoothing).backward()  # type: ignore[no-untyped-call]
        step_clipped(optimizer, PROTOCOL.clip_grad, PROTOCOL.lr)

    return step


def _images(px: int = PX, batch: int = BATCH) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 3, px, px, generator=generator).contiguous(memory_format=torch.channels_last)
