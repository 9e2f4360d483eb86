"""Models that go wrong in every way a real one can; registered with timm through `--plugins tests.broken_models`."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import torch
from timm.models import register_model
from torch import Tensor, nn


class _Linear(nn.Module):
    """The smallest model there is; `harm` is done in training, or by its images' size."""

    def __init__(self, num_classes: int = 10, harm: str = "") -> None:
        super().__init__()
        self.num_classes, self.harm = num_classes, harm
        self.head = nn.Linear(3, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        if self.harm == "size":
            assert images.shape[-1] == 224, f"Input height ({images.shape[-2]}) doesn't match model (224)."
        logits: Tensor = self.head(images.mean(dim=(2, 3)))
        if self.training and self.harm == "nan":
            return logits * torch.nan
        if self.training and self.harm == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.training and self.harm == "slow":
            time.sleep(0.3)
        if self.training and self.harm == "raise":
            raise RuntimeError("a kernel is missing\nand a second line")
        return logits


@register_model
def fine_linear(pretrained: bool = False, num_classes: int = 10, **_: Any) -> nn.Module:
    """Nothing is wrong with this one."""
    return _Linear(num_classes)


@register_model
def slow_linear(pretrained: bool = False, num_classes: int = 10, **_: Any) -> nn.Module:
    """It takes its time over every step."""
    return _Linear(num_classes, "slow")


@register_model
def broken_nan(pretrained: bool = False, num_classes: int = 10, **_: Any) -> nn.Module:
    """Its loss is NaN."""
    return _Linear(num_classes, "nan")


@register_model
def broken_kill(pretrained: bool = False, num_classes: int = 10, **_: Any) -> nn.Module:
    """Its process is killed, as by the system when memory runs out."""
    return _Linear(num_classes, "kill")


@register_model
def broken_raise(pretrained: bool = False, num_classes: int = 10, **_: Any) -> nn.Module:
    """Its forward pass raises."""
    return _Linear(num_classes, "raise")


@register_model
def broken_size(pretrained: bool = False, num_classes: int = 10, **_: Any) -> nn.Module:
    """It takes images of one size only."""
    return _Linear(num_classes, "size")


@register_model
def broken_build(pretrained: bool = False, num_classes: int = 10, **_: Any) -> nn.Module:
    """It cannot even be built."""
    raise ValueError("this model only exists on paper")
