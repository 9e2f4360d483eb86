"""A model of this project's own for its own gates: `--plugins tests.gates.small_models` registers it with timm."""

from __future__ import annotations

from typing import Any

from timm.models import register_model
from torch import nn

from bench.models.cvt import CvT, stage_configs


@register_model
def small_cvt(pretrained: bool = False, num_classes: int = 10, **_: Any) -> nn.Module:
    """A CvT that trains in seconds: every part of the published ones, in miniature."""
    return CvT(stage_configs((32, 64, 96), (1, 1, 2), (1, 2, 3)), num_classes=num_classes)
