"""The mini family as its tests build it, and images cut into its patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.models.build import build_module
from bench.models.mini import PATCH_PX
from bench.models.variants import MINI_ARGUMENTS, Value, canonical

FAMILY = tuple(MINI_ARGUMENTS)
"""The names."""
PX, CLASSES = 32, 10
"""Image size and classes of the match."""


def single_changes() -> list[str]:
    """Every variant that differs from a default in one argument, depth apart."""
    return [
        canonical(name, {key: value})
        for name, arguments in MINI_ARGUMENTS.items()
        for key, argument in arguments.items()
        for value in argument.choices
        if key != "depth" and value != argument.default
    ]


VARIANTS = (*FAMILY, *single_changes())
"""The defaults and each single change of them."""


def mini(name: str, seed: int = 0, img_size: int = PX, **more: Value) -> Any:
    """An untrained mini in eval mode; `more` are further arguments of the variant grammar."""
    return build_module(canonical(name, more), num_classes=CLASSES, img_size=img_size, seed=seed).eval()


def noise(count: int = 2, img_size: int = PX, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Images [count, 3, img_size, img_size] of white noise."""
    return torch.randn((count, 3, img_size, img_size), generator=torch.Generator().manual_seed(seed), dtype=dtype)


def reordered(images: Tensor, order: Tensor) -> Tensor:
    """The images with patch `order[k]` at place k, places counted row by row."""
    side = images.shape[-1] // PATCH_PX
    patches = images.unfold(2, PATCH_PX, PATCH_PX).unfold(3, PATCH_PX, PATCH_PX).flatten(2, 3)[:, :, order]
    # [b, c, rows, columns, rows of a patch, columns of a patch]
    grid = patches.unflatten(2, (side, side))
    return grid.permute(0, 1, 2, 4, 3, 5).reshape(images.shape)


def any_order(cells: int = 64, seed: int = 1) -> Tensor:
    """A permutation of patches."""
    return torch.randperm(cells, generator=torch.Generator().manual_seed(seed))
