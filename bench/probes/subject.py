"""What a probe is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bench.data.batches import ImageData


class NotProbable(ValueError):
    """The probe says nothing of this model or this geometry; its message is one line that says why."""


@dataclass(frozen=True)
class Subject:
    """A model, or several of one kind, ready to be looked at: in eval mode, on the device, in float32."""

    name: str
    """The name on the board, such as `vit_mini[pos_embed=none]`."""
    models: tuple[nn.Module, ...]
    """The trained models asked for, in the order of their seeds; for an untrained subject the one freshly built."""
    img_size: int
    """Side of the images in pixels."""
    num_classes: int
    """Outputs."""
    device: torch.device
    """Where models and images are."""
    seed: int
    """Seed of everything that the probe draws."""
    build: Callable[..., nn.Module]
    """`build(name, seed=0, img_size=…, num_classes=…)`: a fresh untrained model in eval mode on the device, with this
    subject's size and classes unless others are given."""
    data: ImageData | None = None
    """The dataset, under the intervention that the models were trained with; None for a structural probe."""

    @property
    def model(self) -> nn.Module:
        """The model of a probe that looks at one."""
        return self.models[0]

    def noise(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Random images, float64 [count, 3, px, px] on the device, of `generator` or of one that the seed starts."""
        import torch

        drawn_by = torch.Generator().manual_seed(self.seed) if generator is None else generator
        shape = (count, 3, self.img_size, self.img_size)
        return torch.randn(shape, generator=drawn_by, dtype=torch.float64).to(self.device)

    @property
    def images(self) -> ImageData:
        """The dataset of a probe that needs one. Raises NotProbable without."""
        if self.data is None:
            raise NotProbable("it needs images, and there are none")
        return self.data


@dataclass(frozen=True)
class Findings:
    """What a probe found."""

    values: Mapping[str, Any]
    """JSON-able numbers, lists and texts, by name; units are in the names."""
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    """What is too large for JSON, such as one value per test image; kept in `arrays.npz` beside the record."""
