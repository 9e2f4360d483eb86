"""Models broken in one place of their structure: each must be caught by the probe that looks there."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.swin_transformer import SwinTransformer, WindowAttention
from timm.models.vision_transformer import ResPostBlock, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.build import build_module
from bench.models.cvt import Stage, StageConfig
from bench.models.cvt_attention import ConvProjection
from bench.probes.subject import Subject


def subject_of(model: str | nn.Module, img_size: int = 32, num_classes: int = 10) -> Subject:
    """A model by its name, or one made by hand, as a probe is given it."""

    def build(name: str, *, seed: int = 0, **geometry: int) -> nn.Module:
        return build_module(name, seed=seed, **({"img_size": img_size, "num_classes": num_classes} | geometry)).eval()

    module = build(model) if isinstance(model, str) else model.eval()
    name = model if isinstance(model, str) else "made by hand"
    return Subject(name, (module,), img_size, num_classes, torch.device("cpu"), 0, build)


def built(name: str, img_size: int = 32, num_classes: int = 10) -> Any:
    """A sound model, to be broken."""
    return subject_of(name, img_size, num_classes).model


def class_token_of_the_image() -> nn.Module:
    """A ViT that adds the mean of the patches to its class token before the first block."""
    model = built("vit_mini")
    embed = model._pos_embed
    model._pos_embed = lambda x: torch.cat([(y := embed(x))[:, :1] + x.mean(1, keepdim=True), y[:, 1:]], dim=1)
    return model  # type: ignore[no-any-return]


def class_token_that_is_fixed() -> nn.Module:
    """A ViT whose class token and positions are no parameters to be trained."""
    model = built("vit_mini")
    model.cls_token.requires_grad_(False)
    model.pos_embed.requires_grad_(False)
    return model  # type: ignore[no-any-return]


def class_token_that_is_not_read() -> nn.Module:
    """A ViT that carries a class token and reads the mean of the others."""
    model = built("vit_mini")
    model.global_pool = "avg"
    return model  # type: ignore[no-any-return]


def class_token_that_bypasses_the_blocks() -> nn.Module:
    """A ViT whose class token comes out as it went in."""
    model = built("vit_mini")
    for block in model.blocks:
        block.register_forward_hook(lambda _m, given, out: torch.cat([given[0][:, :1], out[:, 1:]], dim=1))
    return model  # type: ignore[no-any-return]


class _FirstCell(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, 0]


def swin_that_reads_one_cell() -> nn.Module:
    """A Swin whose head reads the first cell in place of the mean."""
    model = built("swin_mini")
    model.head.global_pool = _FirstCell()
    return model  # type: ignore[no-any-return]


class _WithClassToken(Stage):
    """A stage with a class token, which is dropped at its end."""

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        tokens, grid = super().forward(x)
        return tokens[:, 1:], grid


def cvt_with_early_class_token() -> nn.Module:
    """A CvT with a class token in its first stage, too."""
    model = built("cvt_mini")
    model.stage0 = _WithClassToken(3, StageConfig(80, 4, 1, 7, 4, 2), 0.0, class_token=True)
    return model  # type: ignore[no-any-return]


def swin_at_224_px(patch_size: int = 4, window_size: int = 7) -> nn.Module:
    """A narrow Swin of four stages with another patch or window."""
    return SwinTransformer(
        img_size=224,
        patch_size=patch_size,
        window_size=window_size,
        embed_dim=16,
        depths=(1, 1, 1, 1),
        num_heads=(1, 1, 1, 1),
        num_classes=10,
    )


def swin_that_leaks(block: int, name: str = "swin_mini") -> nn.Module:
    """A Swin that passes, in one block, something of its first window to its last one."""
    model = built(name)

    def leak(_module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
        return torch.cat([out[:-1], out[-1:] + 1e-6 * given[0][:1]])

    model.layers[0].blocks[block].attn.register_forward_hook(leak)
    return model  # type: ignore[no-any-return]


def swin_that_wraps_around() -> nn.Module:
    """A Swin whose shifted windows hold cells of opposite borders, since nothing masks them."""
    model = built("swin_mini")
    model.layers[0].blocks[1].register_buffer("attn_mask", None, persistent=False)
    return model  # type: ignore[no-any-return]


class _OtherBiasAttention(WindowAttention):
    """A window attention with its bias in the wrong place; without masks."""

    where = ""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self._get_rel_pos_bias()
        scores = q * self.scale @ k.transpose(-2, -1)
        if self.where == "scores and values":
            scores = scores + bias
        weights = scores.softmax(-1)
        if self.where == "weights":
            weights = weights + bias
        if "values" in self.where:
            v = v + bias[:, :, 0, :, None]
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))  # type: ignore[no-any-return]


def swin_with_bias_in(where: str) -> nn.Module:
    """A Swin whose relative bias is added to its `values`, `weights`, `scores and values`, or `nothing`."""
    model = built("swin_mini")
    for block in model.layers[0].blocks:
        block.attn.__class__ = type("OtherBiasAttention", (_OtherBiasAttention,), {"where": where})
    return model  # type: ignore[no-any-return]


def cvt_with_dense_keys() -> nn.Module:
    """A CvT whose convolutions before the keys mix channels."""
    model = built("cvt_mini")
    for block in model.stage0.blocks:
        block.attn.conv_proj_k.conv = nn.Conv2d(80, 80, 3, 2, 1, bias=False)
    return model  # type: ignore[no-any-return]


class _Wasteful(ConvProjection):
    """Convolves at every place and keeps every second."""

    def forward(self, x: Tensor, padding: int = 1) -> Tensor:
        full = F.conv2d(x, self.conv.weight, None, 1, padding, groups=self.conv.groups)
        return full[:, :, ::2, ::2].permute(0, 2, 3, 1).flatten(1, 2)


def cvt_that_spares_nothing() -> nn.Module:
    """A CvT whose keys are reduced by throwing away what was computed."""
    model = built("cvt_mini")
    for block in model.stage0.blocks:
        block.attn.conv_proj_k.__class__ = _Wasteful
    return model  # type: ignore[no-any-return]


def embedding_with_padding(name: str, padding: int, img_size: int, num_classes: int) -> nn.Module:
    """A model whose patch embedding has another padding."""
    model = built(name, img_size, num_classes)
    next(module for module in model.modules() if isinstance(module, nn.Conv2d)).padding = (padding, padding)
    return model  # type: ignore[no-any-return]


def vit_with_norm_after_embedding() -> nn.Module:
    """A ViT with a norm between its positions and its first block."""
    model = built("vit_mini")
    model.norm_pre = nn.LayerNorm(80)
    return model  # type: ignore[no-any-return]


def vit_with_positions_twice() -> nn.Module:
    """A ViT that adds its positions twice."""
    model = built("vit_mini")
    embed = model._pos_embed
    model._pos_embed = lambda x: embed(x) + model.pos_embed
    return model  # type: ignore[no-any-return]


def vit_that_normalises_after() -> nn.Module:
    """A ViT of blocks that normalise after attention and perceptron."""
    return VisionTransformer(
        img_size=32, patch_size=4, embed_dim=80, depth=4, num_heads=4, num_classes=10, block_fn=ResPostBlock
    )


def vit_without_norm_before(block: int) -> nn.Module:
    """A ViT one block of which does not normalise before its attention."""
    model = built("vit_mini")
    model.blocks[block].norm1 = nn.Identity()
    return model  # type: ignore[no-any-return]


def vit_without_final_norm() -> nn.Module:
    """A ViT whose head reads what the last block puts out."""
    model = built("vit_mini")
    model.norm = nn.Identity()
    return model  # type: ignore[no-any-return]
