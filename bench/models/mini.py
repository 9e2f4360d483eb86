"""The mini family: one small model of each kind, matched at 32 px, for statements about inductive bias.

Canonical backbones degenerate on small images: at 32 px ViT-B/16 has four tokens, and Swin's windows cover the map.
These see 8×8 patches of 4×4 pixels, have 0.3 to 1.5 M parameters and 20 to 30 M multiply-accumulates at 32 px, and any
two differ by less than a factor of two in either. Each keeps what defines its family. Every ablation is an argument;
`bench.models.variants` has their names and values, and `depth` is the number of blocks in all: models with two stages
give a quarter of them, and at least one, to the second. A CNN's only block is in the first: its reach is what counts.

After `import bench.models.mini`, `timm.create_model("vit_mini", pos_embed="none")` works.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models import register_model
from timm.models._manipulate import named_apply
from timm.models.resnet import BasicBlock, downsample_conv
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock
from timm.models.vision_transformer import VisionTransformer, init_weights_vit_moco
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from torch import Tensor, nn

from bench.models.cvt import CvT, StageConfig
from bench.models.variants import MINI_ARGUMENTS, Value

PATCH_PX = 4
"""Side of a patch in pixels: every model's finest grid has one cell for each."""
WINDOW = 4
"""Side of Swin's windows in patches: half of the grid at 32 px."""
OVERLAP_KERNEL, OVERLAP_PADDING = 7, 2
"""Kernel of overlapping patches: as many patches as without overlap, each seeing 7×7 pixels."""


@register_model
def resnet_mini(pretrained: bool = False, *, depth: int = 4, **kwargs: Any) -> nn.Module:
    """Residual convolutional network: basic blocks of 3×3 convolutions on 8×8 and 4×4 cells."""
    _without_weights(pretrained, kwargs)
    _check("resnet_mini", depth=depth)
    return ResNetMini(depth=depth, **kwargs)


@register_model
def vit_mini(
    pretrained: bool = False,
    *,
    depth: int = 4,
    pos_embed: str = "learned",
    pool: str = "cls",
    overlap: bool = False,
    **kwargs: Any,
) -> nn.Module:
    """Vision transformer: pre-norm blocks of global attention over 64 patches, with or without a class token.

    `pos_embed`: `none`, `learned`, fixed `sincos1d` or `sincos2d`, or `relative`, a learned table for each block that
    is added to the scores. `overlap`: patches see 7×7 pixels instead of 4×4.
    """
    _without_weights(pretrained, kwargs)
    _check("vit_mini", depth=depth, pos_embed=pos_embed, pool=pool, overlap=overlap)
    size = _img_size(kwargs, PATCH_PX)
    shared: dict[str, Any] = {
        "patch_size": PATCH_PX,
        "embed_dim": 80,
        "depth": depth,
        "num_heads": 4,
        "class_token": pool == "cls",
        "global_pool": "token" if pool == "cls" else "avg",
        "fc_norm": False,
        "weight_init": "",  # timm's two classes differ in their defaults
        **kwargs,
    }
    if pos_embed == "relative":
        model: nn.Module = VisionTransformerRelPos(rel_pos_type="bias", init_values=None, **shared)
    else:
        table = "none" if pos_embed == "none" else "learn"
        model = VisionTransformer(pos_embed=table, **shared)
    _by_width(model)
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # type: ignore[assignment]  # 65 tokens: two products are faster than the fused kernel
    if pos_embed.startswith("sincos"):
        _fix_positions(model, size // PATCH_PX, two_dimensional=pos_embed == "sincos2d")
    if overlap:
        projection = model.patch_embed.proj  # type: ignore[union-attr]
        model.patch_embed.proj = _overlapping(projection)  # type: ignore[union-attr, arg-type]
    return model


@register_model
def swin_mini(
    pretrained: bool = False, *, depth: int = 4, shift: bool = True, bias: str = "relative", **kwargs: Any
) -> nn.Module:
    """Swin: attention in 4×4 windows on an 8×8 grid, shifted in every second block, then on the merged 4×4 grid.

    `shift`: whether windows move at all. `bias`: `none`, an `absolute` learned position embedding after the patches, or
    the `relative` table that is added to the scores.
    """
    _without_weights(pretrained, kwargs)
    _check("swin_mini", depth=depth, shift=shift, bias=bias)
    size = _img_size(kwargs, PATCH_PX * 2)
    model = SwinTransformer(
        patch_size=PATCH_PX,
        window_size=WINDOW,
        embed_dim=80,
        depths=_split(depth),
        num_heads=(4, 8),
        **{"drop_path_rate": 0.0, **kwargs},
    )
    _by_width(model)
    for block in model.modules():
        if isinstance(block, SwinTransformerBlock):
            if not shift:
                block.shift_size = (0, 0)
                block.register_buffer("attn_mask", None, persistent=False)
            if bias != "relative":
                _without_table(block.attn)
    if bias == "absolute":
        model.patch_embed = PositionedPatches(model.patch_embed, size // PATCH_PX, model.embed_dim)
    return model


@register_model
def cvt_mini(
    pretrained: bool = False, *, depth: int = 5, kv_stride: int = 2, pool: str = "cls", **kwargs: Any
) -> nn.Module:
    """CvT: convolutional embeddings and projections on 8×8, then 4×4 tokens; a class token in the last stage only.

    `kv_stride`: stride of the depthwise convolutions before keys and values. Without `pool=cls` the class token is
    there and is not read. Stochastic depth rises over all blocks, as in the other minis: the published rule, over the
    last stage alone, would leave a single block without any.
    """
    _without_weights(pretrained, kwargs)
    _check("cvt_mini", depth=depth, kv_stride=kv_stride, pool=pool)
    _img_size(kwargs, PATCH_PX)
    kwargs.pop("img_size", None)
    rates = _rates(kwargs.pop("drop_path_rate", 0.0), depth)
    first, second = _split(depth)
    stages = [
        StageConfig(80, first, 1, 7, PATCH_PX, 2, kv_stride=kv_stride),
        StageConfig(128, second, 2, 3, 2, 1, kv_stride=kv_stride),
    ]
    model = CvT(stages, global_pool="token" if pool == "cls" else "avg", **kwargs)
    _by_width(model)
    for block, rate in zip((block for stage in model.stages for block in stage.blocks), rates, strict=True):
        block.drop_path = _drop_path(rate) or nn.Identity()
    return model


@register_model
def lstm_mini(pretrained: bool = False, *, depth: int = 3, **kwargs: Any) -> nn.Module:
    """Recurrent network: bidirectional LSTMs over the 64 patches in raster order, between pre-norm residual blocks."""
    _without_weights(pretrained, kwargs)
    _check("lstm_mini", depth=depth)
    return LSTMMini(depth=depth, **kwargs)


class ResNetMini(nn.Module):
    """Patches of 4×4 pixels, then basic blocks (He et al. 2016) at two resolutions; logits from the mean of the map.

    The stem sees one patch and no more, so that reach beyond it comes from the blocks: two 3×3 convolutions each.
    """

    def __init__(
        self,
        depth: int = 4,
        num_classes: int = 10,
        in_chans: int = 3,
        img_size: int = 32,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        dims: tuple[int, int] = (80, 96),
    ) -> None:
        super().__init__()
        _img_size({"img_size": img_size}, PATCH_PX)
        first, second = _split(depth) if depth > 1 else (1, 0)
        self.num_classes, self.num_features = num_classes, dims[1] if second else dims[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, dims[0], PATCH_PX, PATCH_PX, bias=False), nn.BatchNorm2d(dims[0]), nn.ReLU()
        )
        rates = _rates(drop_path_rate, depth)
        self.layer1 = nn.Sequential(*(BasicBlock(dims[0], dims[0], drop_path=_drop_path(r)) for r in rates[:first]))
        self.layer2 = nn.Sequential(*(self._block(dims, k, rate) for k, rate in enumerate(rates[first:])))
        self.feature_info = [{"num_chs": dims[0], "reduction": PATCH_PX, "module": "layer1"}]
        if second:
            self.feature_info.append({"num_chs": dims[1], "reduction": 2 * PATCH_PX, "module": "layer2"})
        self.head_drop = nn.Dropout(drop_rate)
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _block(dims: tuple[int, int], number: int, rate: float) -> nn.Module:
        """Block `number` of the second stage; the first one halves the grid."""
        if number:
            return BasicBlock(dims[1], dims[1], drop_path=_drop_path(rate))
        shortcut = downsample_conv(dims[0], dims[1], kernel_size=1, stride=2)
        return BasicBlock(dims[0], dims[1], stride=2, downsample=shortcut, drop_path=_drop_path(rate))

    def forward_features(self, x: Tensor) -> Tensor:
        """Images [b, 3, h, w] → map [b, num_features, h/8, w/8]; a single block stays on [h/4, w/4]."""
        return self.layer2(self.layer1(self.stem(x)))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Logits [b, num_classes]."""
        return self.head(self.head_drop(self.forward_features(x).mean((2, 3))))  # type: ignore[no-any-return]


class LSTMBlock(nn.Module):
    """Tokens [b, n, c] → [b, n, c]: a bidirectional LSTM over the sequence, then a perceptron, both residual."""

    def __init__(self, dim: int, hidden: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.lstm = nn.LSTM(dim, hidden, batch_first=True, bidirectional=True)
        self.proj = nn.Linear(2 * hidden, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 3 * dim)
        self.drop_path = _drop_path(drop_path) or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """The order of the tokens is the order in which they are read, forwards and backwards."""
        with torch.autocast(x.device.type, enabled=False):  # the recurrence is kept in float32
            read, _ = self.lstm(self.norm1(x.to(self.norm1.weight.dtype)))
        x = x + self.drop_path(self.proj(read))
        return x + self.drop_path(self.mlp(self.norm2(x)))  # type: ignore[no-any-return]


class LSTMMini(nn.Module):
    """Patches of 4×4 pixels read as one sequence, row by row (after Hochreiter & Schmidhuber 1997; the residual block
    after Tatsunami & Taki 2022, who read rows and columns apart). No position embedding: only the order tells places.
    """

    def __init__(
        self,
        depth: int = 3,
        num_classes: int = 10,
        in_chans: int = 3,
        img_size: int = 32,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        dim: int = 96,
        hidden: int = 64,
    ) -> None:
        super().__init__()
        _img_size({"img_size": img_size}, PATCH_PX)
        self.num_classes, self.num_features = num_classes, dim
        self.patch_embed = nn.Conv2d(in_chans, dim, PATCH_PX, PATCH_PX)
        self.blocks = nn.ModuleList(LSTMBlock(dim, hidden, rate) for rate in _rates(drop_path_rate, depth))
        self.norm = nn.LayerNorm(dim)
        self.feature_info = [{"num_chs": dim, "reduction": PATCH_PX, "module": f"blocks.{k}"} for k in range(depth)]
        self.head_drop = nn.Dropout(drop_rate)
        self.head = nn.Linear(dim, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: Tensor) -> Tensor:
        """Images [b, 3, h, w] → tokens [b, h·w/16, num_features]."""
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Logits [b, num_classes]."""
        return self.head(self.head_drop(self.forward_features(x).mean(1)))  # type: ignore[no-any-return]


class PositionedPatches(nn.Module):
    """A patch embedding with a learned absolute position added: [b, 3, h, w] → [b, h/4, w/4, dim]."""

    def __init__(self, patch_embed: nn.Module, side: int, dim: int) -> None:
        super().__init__()
        self.patches = patch_embed
        self.pos_embed = nn.Parameter(torch.zeros(1, side, side, dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Patches and positions."""
        return self.patches(x) + self.pos_embed  # type: ignore[no-any-return]


def _by_width(model: nn.Module) -> None:
    """Linear layers as in the ViT paper: uniform, scaled by their width (Glorot & Bengio 2010), Q, K and V apart.

    The deviation of 0.02 that is usual since then suits widths near a thousand; at 80 channels it leaves attention
    uniform and perceptrons silent for hundreds of steps.
    """
    named_apply(partial(init_weights_vit_moco, needs_reset=False), model)


def _fix_positions(model: nn.Module, side: int, *, two_dimensional: bool) -> None:
    """Replace the learned positions by fixed sines and cosines of the row and column, or of the raster index.

    Vaswani et al. 2017 (1-D) and Chen et al. 2021, MoCo v3 (2-D); a class token has none, which is 0.
    """
    learned: Tensor = model.pos_embed  # type: ignore[assignment]
    dim = learned.shape[-1]
    if two_dimensional:
        table = build_sincos2d_pos_embed([side, side], dim=dim, interleave_sin_cos=True)
    else:
        rates = 10_000.0 ** -(torch.arange(dim // 2) / (dim // 2))
        angles = torch.arange(side * side)[:, None] * rates
        table = torch.cat([angles.sin(), angles.cos()], dim=1)
    fixed = torch.zeros_like(learned, requires_grad=False)
    fixed[0, learned.shape[1] - side * side :] = table
    model.pos_embed = nn.Parameter(fixed, requires_grad=False)


def _overlapping(projection: nn.Conv2d) -> nn.Conv2d:
    """The patch embedding with a wider kernel at the same stride, its initial weights by the same rule: torch's own."""
    return nn.Conv2d(projection.in_channels, projection.out_channels, OVERLAP_KERNEL, PATCH_PX, OVERLAP_PADDING)


def _without_table(attention: nn.Module) -> None:
    """A window attention whose relative table is 0 and no parameter."""
    table: Tensor = attention.relative_position_bias_table  # type: ignore[assignment]
    del attention.relative_position_bias_table
    attention.register_buffer("relative_position_bias_table", torch.zeros_like(table.detach()), persistent=False)


def _split(depth: int) -> tuple[int, int]:
    """Blocks of the first and the second stage."""
    second = max(1, depth // 4)
    return depth - second, second


def _rates(drop_path_rate: float, depth: int) -> list[float]:
    """Stochastic depth rising linearly over the blocks (Huang et al. 2016)."""
    return [float(rate) for rate in torch.linspace(0, drop_path_rate, depth, device="cpu")]


def _drop_path(rate: float) -> nn.Module | None:
    return DropPath(rate) if rate > 0 else None


def _img_size(kwargs: dict[str, Any], multiple: int) -> int:
    """The image size asked for. Raises ValueError for one that does not divide into patches."""
    size = int(kwargs.get("img_size", 32))
    if size < 4 * PATCH_PX or size % multiple:
        raise ValueError(f"img_size must be a multiple of {multiple} and at least {4 * PATCH_PX} px, not {size}")
    kwargs["img_size"] = size
    return size


def _check(model: str, **arguments: Value) -> None:
    """Raises ValueError for a value that `bench.models.variants` does not list."""
    for name, value in arguments.items():
        choices = MINI_ARGUMENTS[model][name].choices
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}")


def _without_weights(pretrained: bool, kwargs: dict[str, Any]) -> None:
    """Take out what timm passes on for published weights. Raises ValueError where those are asked for."""
    if pretrained:
        raise ValueError("there are no published weights of the mini family")
    for name in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(name, None)
