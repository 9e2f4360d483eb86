"""Maps that stay 2×2 cells or more: what the small geometry does to a model that has been built."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from bench.models.cvt_attention import ConvProjection
from bench.models.small import CELL_PX

FEWEST_CELLS, FEWEST_KEYS = 2, 4
"""Shortest side of a map, and of the keys of CvT's attention, in cells."""


class Neighbours(nn.Module):
    """Patch merging that keeps the grid: every cell with its neighbours below and to the right, as timm orders them.

    Parameters are those of the merging that it replaces; beyond the border there are zeros.
    """

    def __init__(self, merging: nn.Module) -> None:
        super().__init__()
        self.norm, self.reduction = merging.norm, merging.reduction

    def forward(self, x: Tensor) -> Tensor:
        """[b, h, w, c] → [b, h, w, 2c]."""
        wide = nn.functional.pad(x, (0, 0, 0, 1, 0, 1))
        parts = [wide[:, :-1, :-1], wide[:, 1:, :-1], wide[:, :-1, 1:], wide[:, 1:, 1:]]
        return self.reduction(self.norm(torch.cat(parts, dim=-1)))  # type: ignore[operator, no-any-return]


def keep_grids(model: nn.Module, img_size: int) -> None:
    """Set those strides of `model` to 1, in place, that would make a map smaller than 2×2 cells.

    Parameters stay as they are, in number and in shape. Leaves the model in eval mode, on its device.
    """
    parameter = next(model.parameters())
    image = torch.zeros(1, 3, img_size, img_size, device=parameter.device, dtype=parameter.dtype)
    model.eval()
    _keep_merging(model, img_size)
    hooks = [module.register_forward_pre_hook(_widen) for module in model.modules()]
    try:
        with torch.inference_mode():
            model(image)
    finally:
        for hook in hooks:
            hook.remove()


def _widen(module: nn.Module, args: tuple[Any, ...]) -> None:
    """Before a strided module runs: take its stride away if its output would be too small."""
    if isinstance(module, ConvProjection):
        stride = int(module.conv.stride[0])
        if stride > 1 and _shorter(args[0]) // stride < FEWEST_KEYS:
            module.conv.stride = (1, 1)
    elif isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
        stride = max(_pair(module.stride))
        if stride > 1 and _shorter(args[0]) > 1 and -(-_shorter(args[0]) // stride) < FEWEST_CELLS:
            _without_stride(module)


def _without_stride(module: Any) -> None:
    """Make a convolution or a pooling keep the grid."""
    centred = all(2 * p == k - 1 for p, k in zip(_pair(module.padding), _pair(module.kernel_size), strict=True))
    module.stride = (1, 1)
    if centred:
        return
    if isinstance(module, nn.Conv2d):  # an even kernel sees the cell and those after it, zeros beyond the border
        after = [side for k in reversed(_pair(module.kernel_size)) for side in ((k - 1) // 2, k // 2)]
        changed: Any = module
        changed.padding_mode, changed._reversed_padding_repeated_twice = "constant", after
    else:  # pooling without overlap: of one cell each
        module.kernel_size, module.padding = 1, 0


def _keep_merging(model: nn.Module, img_size: int) -> None:
    """Replace the patch mergings of a Swin that would leave less than 2×2 cells; its windows follow the grid."""
    if not isinstance(model, SwinTransformer):
        return
    side: int = model.patch_embed.grid_size[0]  # type: ignore[index, assignment]
    stage: Any
    for stage in model.layers:
        if isinstance(stage.downsample, nn.Identity):
            continue
        if side >= 2 * FEWEST_CELLS:
            side = -(-side // 2)
            continue
        stage.downsample = Neighbours(stage.downsample)
        stage.output_resolution = (side, side)
        for block in stage.blocks:
            with warnings.catch_warnings(action="ignore"):  # of the old table, which is replaced
                block.set_input_size((side, side), (CELL_PX, CELL_PX))
            nn.init.trunc_normal_(block.attn.relative_position_bias_table, std=0.02)


def _shorter(x: Tensor) -> int:
    return int(min(x.shape[-2:]))


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, tuple) else (int(value), int(value))
