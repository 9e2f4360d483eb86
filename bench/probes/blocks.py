"""The blocks of a model in forward order, and their outputs as grids of cells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt
from typing import TYPE_CHECKING, Any

from bench.models.geometry import stage_modules
from bench.probes.subject import NotProbable

if TYPE_CHECKING:
    from torch import Tensor, nn

_CONTAINER = re.compile(r"(?:^|\.)(?:blocks|layer\d+)$")


def blocks_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """(name, module) of each residual, transformer or recurrent block; a model's stages where it names no blocks."""
    from torch import nn

    found = [
        (f"{name}.{part}", block)
        for name, module in model.named_modules()
        if _CONTAINER.search(name) and isinstance(module, (nn.Sequential, nn.ModuleList))
        for part, block in module.named_children()
    ]
    return found or stage_modules(model)


@contextmanager
def outputs_of(modules: list[tuple[str, nn.Module]]) -> Iterator[dict[str, Tensor]]:
    """What each module puts out in the latest forward pass, by name, while the context lasts."""
    kept: dict[str, Tensor] = {}

    def keeping(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            kept[name] = output[0] if isinstance(output, tuple) else output

        return hook

    hooks = [module.register_forward_hook(keeping(name)) for name, module in modules]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def as_grid(output: Tensor, model: nn.Module) -> Tensor:
    """A block's output as cells [b, h, w, c]; class and other prefix tokens are left out.

    Takes [b, c, h, w], [b, h, w, c] and [b, tokens, c]. Raises NotProbable where tokens form no square.
    """
    if output.ndim == 4:
        channels_last = getattr(model, "output_fmt", "") == "NHWC" or (
            output.shape[1] == output.shape[2] != output.shape[3]
        )
        return output if channels_last else output.permute(0, 2, 3, 1)
    if output.ndim == 3:
        tokens = output.shape[1]
        prefix = tokens - isqrt(tokens) ** 2
        side = isqrt(tokens - prefix)
        if side and prefix <= max(1, getattr(model, "num_prefix_tokens", 0)):
            return output[:, prefix:].reshape(len(output), side, side, -1)
    raise NotProbable(f"an output of shape {tuple(output.shape)} is no grid of cells")
