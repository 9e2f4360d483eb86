"""CvT models for tests: ours, transformers', and both with the same random weights."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from bench.models.cvt import CvT, stage_configs
from bench.models.cvt_weights import from_hugging_face

SHAPES = {
    "cvt_13": ((64, 192, 384), (1, 2, 10), (1, 3, 6)),
    "cvt_21": ((64, 192, 384), (1, 4, 16), (1, 3, 6)),
    "cvt_w24": ((192, 768, 1024), (2, 2, 20), (3, 12, 16)),
    "small": ((48, 96, 128), (2, 2, 3), (3, 6, 8)),
    "tiny": ((16, 16, 32), (1, 1, 1), (1, 1, 2)),
}
"""Widths, depths and heads (Wu et al. 2021, table 2); a small model with two blocks in its first stage; a tiny one."""


def build_ours(shape: str, **kwargs: Any) -> CvT:
    """A variant of timm's registry, or one of the test shapes."""
    if shape in timm.list_models("cvt_*"):
        return timm.create_model(shape, **kwargs)  # type: ignore[return-value]
    return CvT(stage_configs(*SHAPES[shape]), **kwargs)


def build_theirs(shape: str) -> nn.Module:
    """transformers' CvT of the same shape, without drop-path."""
    transformers = pytest.importorskip("transformers")
    dims, depths, heads = SHAPES[shape]
    config = transformers.CvtConfig(
        embed_dim=dims, depth=depths, num_heads=heads, num_labels=1000, drop_path_rate=[0.0, 0.0, 0.0]
    )
    model: nn.Module = transformers.CvtForImageClassification(config)
    return model


def randomise(model: nn.Module) -> None:
    """Random norms and BatchNorm statistics, so that no term of a formula is hidden by a zero or a one."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0, generator=generator)
            elif "norm" in name and name.endswith("weight"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith(("bias", "running_mean", "cls_token")):
                tensor.normal_(0.0, 0.2, generator=generator)


def build_pair(shape: str) -> tuple[CvT, nn.Module]:
    """Our model and transformers' with the same random weights."""
    torch.manual_seed(0)
    theirs = build_theirs(shape)
    randomise(theirs)
    ours = build_ours(shape)
    ours.load_state_dict({from_hugging_face(key): tensor for key, tensor in theirs.state_dict().items()})
    return ours, theirs


def noise(px: int, count: int = 2, channels: int = 3) -> Tensor:
    """The same random images [count, channels, px, px] at every call."""
    return torch.randn(count, channels, px, px, generator=torch.Generator().manual_seed(2))
