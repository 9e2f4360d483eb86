"""Small models whose cost can be worked out by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.measure.macs import MacCount, count_macs


class Function(nn.Module):
    """A function of itself and the image as a module, with the modules that it uses."""

    def __init__(self, function: Any, **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, image: Tensor) -> Tensor:
        """What the function makes of the image."""
        result: Tensor = self.function(self, image)
        return result


def counted(function: Any, shape: tuple[int, ...] = (1, 3, 8, 8), **modules: nn.Module) -> MacCount:
    """The count of a function of (module, image)."""
    return count_macs(Function(function, **modules).eval(), torch.zeros(shape))


def tokens(image: Tensor) -> Tensor:
    """An image [b, c, h, w] as tokens [b, h·w, c]."""
    return image.flatten(2).transpose(1, 2)
