"""CvT, the Convolutional vision Transformer (Wu et al. 2021, "CvT: Introducing Convolutions to Vision Transformers").

Three stages. Each begins with a convolutional token embedding (a strided, overlapping convolution and a norm) and goes
on with transformer blocks whose queries, keys and values pass a depthwise convolution before their linear projection;
keys and values with stride 2, so that there are four times fewer of them. There is no position embedding. The last
stage carries a class token.

timm has no CvT, so it is registered here: after `import bench.models.cvt`, `timm.create_model("cvt_13")` works.
Parameter names are those of the published checkpoints; `bench.models.cvt_weights` also reads the Hugging Face layout.

The paper's GELU is the default, as in transformers. The published weights were trained with its sigmoid approximation
x·σ(1.702·x); `act_layer="quick_gelu"` evaluates them as they were trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from timm.layers.create_act import get_act_layer
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from timm.models import build_model_with_cfg, register_model
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.models.cvt_attention import ConvAttention
from bench.models.cvt_weights import checkpoint_filter_fn, default_cfgs

__all__ = ["CvT", "StageConfig", "checkpoint_filter_fn", "cvt_13", "cvt_21", "cvt_w24", "default_cfgs", "stage_configs"]


@dataclass(frozen=True)
class StageConfig:
    """The shape of one stage (Wu et al. 2021, table 2)."""

    dim: int
    """Embedding width."""
    depth: int
    """Transformer blocks."""
    heads: int
    """Attention heads."""
    kernel: int
    """Kernel of the token embedding in pixels or tokens."""
    stride: int
    """Stride of the token embedding."""
    padding: int
    """Zero padding of the token embedding."""
    kv_stride: int = 2
    """Stride of the convolutions before keys and values."""


def stage_configs(
    dims: tuple[int, int, int], depths: tuple[int, int, int], heads: tuple[int, int, int]
) -> list[StageConfig]:
    """Three stages with the token embeddings that all published variants share."""
    embeddings = ((7, 4, 2), (3, 2, 1), (3, 2, 1))
    return [
        StageConfig(dim, depth, head, *embedding)
        for dim, depth, head, embedding in zip(dims, depths, heads, embeddings, strict=True)
    ]


class ConvEmbed(nn.Module):
    """Convolutional token embedding: [b, c, h, w] → [b, h', w', dim], normalised."""

    def __init__(self, in_chans: int, config: StageConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, config.dim, config.kernel, config.stride, config.padding)
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, x: Tensor) -> Tensor:
        """Channels last in memory make the change of layout free."""
        grid: Tensor = self.norm(self.proj(x).permute(0, 2, 3, 1))
        return grid


class Block(nn.Module):
    """Pre-norm transformer block on tokens [b, (1 +) h·w, c]; drop-path acts on the residual branches."""

    def __init__(self, dim: int, heads: int, drop_path: float, act_layer: str = "gelu", kv_stride: int = 2) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = ConvAttention(dim, heads, kv_stride)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim, act_layer=get_act_layer(act_layer))
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """The first token is a class token where there is one more than the grid holds."""
        normed = self.norm1(x)
        extra = x.shape[1] - height * width
        token, grid = normed.split([extra, height * width], dim=1) if extra else (None, normed)
        x = x + self.drop_path(self.attn(grid.unflatten(1, (height, width)), token))
        return x + self.drop_path(self.mlp(self.norm2(x)))  # type: ignore[no-any-return]


class Stage(nn.Module):
    """Token embedding and blocks: [b, c, h, w] → tokens [b, (1 +) h'·w', dim] and the grid (h', w')."""

    def __init__(
        self, in_chans: int, config: StageConfig, drop_path: float, class_token: bool, act_layer: str = "gelu"
    ) -> None:
        super().__init__()
        self.patch_embed = ConvEmbed(in_chans, config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim)) if class_token else None
        rates = [float(rate) for rate in torch.linspace(0, drop_path, config.depth, device="cpu")]
        self.blocks = nn.ModuleList(
            Block(config.dim, config.heads, rate, act_layer, config.kv_stride) for rate in rates
        )
        self.grad_checkpointing = False

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Embed, add the class token, and run the blocks."""
        grid = self.patch_embed(x)
        height, width = grid.shape[1:3]
        x = grid.flatten(1, 2)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            if self.grad_checkpointing and self.training and torch.is_grad_enabled():
                x = checkpoint(block, x, height, width, use_reentrant=False)
            else:
                x = block(x, height, width)
        return x, (height, width)


class CvT(nn.Module):
    """CvT for images [b, in_chans, h, w] of any size; logits [b, num_classes]."""

    def __init__(
        self,
        stages: list[StageConfig],
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "token",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        act_layer: str = "gelu",
    ) -> None:
        """`drop_path_rate` rises linearly over the blocks of the last stage and is 0 before it, as published."""
        super().__init__()
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.global_pool = _checked_pool(global_pool)
        self.num_features = self.head_hidden_size = stages[-1].dim
        self.feature_info = []
        reduction, last = 1, len(stages) - 1
        for i, config in enumerate(stages):
            stage = Stage(in_chans, config, drop_path_rate if i == last else 0.0, i == last, act_layer)
            self.add_module(f"stage{i}", stage)
            in_chans, reduction = config.dim, reduction * config.stride
            self.feature_info.append({"num_chs": config.dim, "reduction": reduction, "module": f"stage{i}"})
        self.norm = nn.LayerNorm(self.num_features)
        self.head_drop = nn.Dropout(drop_rate)
        self.head = _head(self.num_features, num_classes)
        self.apply(_init)

    @property
    def stages(self) -> list[Stage]:
        """The stages in forward order."""
        return [self.get_submodule(str(info["module"])) for info in self.feature_info]  # type: ignore[misc]

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay leaves alone, norms and biases apart."""
        return {name for name, _ in self.named_parameters() if name.endswith("cls_token")}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        for stage in self.stages:
            stage.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """How timm groups parameters into layers in forward order; the last norm goes with the last block."""
        layers = [
            (r"^stage(\d+)\.(?:patch_embed|cls_token)", None),
            (r"^stage(\d+)\.blocks\.(\d+)", None),
            (r"^norm", (99999,)),
        ]
        return {
            "stem": r"^stage0\.patch_embed",
            "blocks": r"^stage(\d+)" if coarse else layers,
        }

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new last layer for `num_classes`; 0 for none."""
        self.num_classes = num_classes
        if global_pool is not None:
            self.global_pool = _checked_pool(global_pool)
        like = self.norm.weight
        self.head = _head(self.num_features, num_classes).to(device=like.device, dtype=like.dtype)
        self.head.apply(_init)

    def forward_features(self, x: Tensor) -> Tensor:
        """Normalised tokens of the last stage [b, 1 + h·w, num_features], the class token first."""
        for i, stage in enumerate(self.stages):
            tokens, (height, width) = stage(x)
            if i < len(self.feature_info) - 1:
                x = tokens.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return self.norm(tokens)  # type: ignore[no-any-return]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool tokens and classify: the class token, or the mean of the others; all tokens if there is no pooling."""
        if self.global_pool:
            x = x[:, 1:].mean(dim=1) if self.global_pool == "avg" else x[:, 0]
        x = self.head_drop(x)
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [b, num_classes]."""
        return self.forward_head(self.forward_features(x))


def _head(features: int, num_classes: int) -> nn.Module:
    return nn.Linear(features, num_classes) if num_classes > 0 else nn.Identity()


def _checked_pool(global_pool: str) -> str:
    if global_pool not in ("token", "avg", ""):
        raise ValueError(f"global_pool must be 'token', 'avg' or '', not {global_pool!r}")
    return global_pool


def _init(module: nn.Module) -> None:
    """Truncated normal of deviation 0.02 for linear layers and the class token, as published; torch's own elsewhere."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, Stage) and module.cls_token is not None:
        nn.init.trunc_normal_(module.cls_token, std=0.02)


def _create(variant: str, pretrained: bool, stages: list[StageConfig], **kwargs: Any) -> nn.Module:
    if kwargs.pop("features_only", False):
        raise RuntimeError("features_only is not there for CvT; use forward_features")
    return build_model_with_cfg(  # type: ignore[no-any-return]
        CvT, variant, pretrained, stages=stages, pretrained_filter_fn=checkpoint_filter_fn, **kwargs
    )


@register_model
def cvt_13(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """CvT-13: 20 M parameters, 4.6 GMACs at 224 px."""
    return _create("cvt_13", pretrained, stage_configs((64, 192, 384), (1, 2, 10), (1, 3, 6)), **kwargs)


@register_model
def cvt_21(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """CvT-21: 32 M parameters."""
    return _create("cvt_21", pretrained, stage_configs((64, 192, 384), (1, 4, 16), (1, 3, 6)), **kwargs)


@register_model
def cvt_w24(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """CvT-W24: 277 M parameters."""
    return _create("cvt_w24", pretrained, stage_configs((192, 768, 1024), (2, 2, 20), (3, 12, 16)), **kwargs)
