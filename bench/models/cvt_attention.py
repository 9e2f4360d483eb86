"""CvT's attention: convolutional projections and scaled dot products, each by the road that is fastest on its device.

All roads compute the same; which one is taken on a CPU was measured with `tests/benchmarks/cvt_ratio.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALL_SCORES = 2**15
"""Scores per image and head up to which two matrix products are faster than the fused kernel: 128 KiB in float32."""
SLICE_SCORES = 2**18
"""Scores per image and head that one slice of queries takes in bfloat16 inference."""


class ConvProjection(nn.Module):
    """Depthwise 3×3 convolution and BatchNorm: [b, c, h, w] → [b, ⌈h/stride⌉·⌈w/stride⌉, c] tokens."""

    def __init__(self, dim: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, stride, 1, bias=False, groups=dim)
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor, padding: int = 1) -> Tensor:
        """`padding` is 0 where `x` is padded already. In eval mode the norm is folded into the kernel: a pass less."""
        conv, bn = self.conv, self.bn
        kernel, bias = conv.weight, None
        if not self.training:
            assert bn.running_mean is not None
            assert bn.running_var is not None
            scale = bn.weight * torch.rsqrt(bn.running_var + bn.eps)
            kernel = kernel * scale.view(-1, 1, 1, 1)
            bias = bn.bias - bn.running_mean * scale
        x = F.conv2d(x, kernel, bias, conv.stride, padding, groups=conv.groups)
        tokens = x.permute(0, 2, 3, 1).flatten(1, 2)
        if self.training:
            # One row a token: the norm's backward pass is several times slower on a map cut out of other tokens.
            tokens = bn(tokens.reshape(-1, tokens.shape[2], 1, 1)).view(tokens.shape)
        return tokens


class ConvAttention(nn.Module):
    """Multi-head attention with convolutional projections; keys and values with `kv_stride`, 2 as published.

    The scores are scaled by dim^-1/2, as in the published code, not by (dim / heads)^-1/2.
    """

    def __init__(self, dim: int, heads: int, kv_stride: int = 2) -> None:
        super().__init__()
        self.heads, self.scale = heads, dim**-0.5
        self.conv_proj_q = ConvProjection(dim, stride=1)
        self.conv_proj_k = ConvProjection(dim, stride=kv_stride)
        self.conv_proj_v = ConvProjection(dim, stride=kv_stride)
        self.proj_q = nn.Linear(dim, dim)
        self.proj_k = nn.Linear(dim, dim)
        self.proj_v = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, grid: Tensor, token: Tensor | None) -> Tensor:
        """`grid` [b, h, w, c] and `token` [b, 1, c] or None → tokens [b, (1 +) h·w, c]."""
        queries, keys, values = self._convolve(grid)
        q = self._heads(self.proj_q, queries, token)
        k = self._heads(self.proj_k, keys, token)
        v = self._heads(self.proj_v, values, token)
        out: Tensor = self.proj(attend(q, k, v, self.scale).transpose(1, 2).flatten(2))
        return out

    def _convolve(self, grid: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value tokens before their linear projection.

        Training on a CPU keeps to the parameters' precision and pads maps below 4×4 beforehand: oneDNN's backward pass
        of a depthwise convolution is some hundred times slower in bfloat16, and some five times on such maps.
        """
        if self.training and grid.is_cpu:
            with torch.autocast("cpu", enabled=False):
                grid = grid.to(self.conv_proj_q.conv.weight.dtype)
                if min(grid.shape[1:3]) < 4:
                    return self._tokens(F.pad(grid, (0, 0, 1, 1, 1, 1)), padding=0)
                return self._tokens(grid, padding=1)
        if grid.is_cpu and torch.is_autocast_enabled("cpu"):
            grid = grid.to(torch.get_autocast_dtype("cpu"))  # once for three convolutions
        return self._tokens(grid, padding=1)

    def _tokens(self, grid: Tensor, padding: int) -> tuple[Tensor, ...]:
        # A grid cut out of other tokens has gaps in memory; closing them here spares each convolution a copy.
        x = grid.contiguous().permute(0, 3, 1, 2)
        return tuple(projection(x, padding) for projection in (self.conv_proj_q, self.conv_proj_k, self.conv_proj_v))

    def _heads(self, projection: nn.Linear, tokens: Tensor, token: Tensor | None) -> Tensor:
        """Project and split: [b, n, c] → [b, heads, n, c / heads]."""
        if token is not None:
            tokens = torch.cat([token.to(tokens.dtype), tokens], dim=1)
        return projection(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)  # type: ignore[no-any-return]


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(q·kᵀ·scale)·v, each [b, heads, n, d] → [b, heads, n, d].

    On a CPU the fused kernel pays off only where the scores would not fit into the cache, and in bfloat16 only where
    gradients are wanted; without them, queries are taken in slices whose scores do fit.
    """
    keys = k.shape[2]
    if q.is_cpu and q.shape[2] * keys <= SMALL_SCORES:
        return _products(q, k, v, scale)
    if q.is_cpu and q.dtype == torch.bfloat16 and not torch.is_grad_enabled():
        slices = torch.split(q, max(1, SLICE_SCORES // keys), dim=2)
        return torch.cat([_products(part, k, v, scale) for part in slices], dim=2)
    return F.scaled_dot_product_attention(q, k, v, scale=scale)


def _products(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    return ((q * scale) @ k.transpose(2, 3)).softmax(dim=-1) @ v
