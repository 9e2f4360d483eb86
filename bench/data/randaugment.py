"""RandAugment (Cubuk et al. 2020) on whole batches: every image draws its own operations and signs.

Operations of one kind are worked on together: geometric ones by one resampling with a matrix per image, those that
map a pixel's value by one table per image and channel, the rest by a blend with a factor per image. The number of
kernels does not grow with the batch, and nothing is copied from the device to decide what to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from bench.data.share import ALONE, Share
from bench.data.transfer import onto

ROUNDS = 2
"""Operations per image (N of the paper)."""
MAGNITUDE = 9 / 30
"""Strength of each operation as a part of its range (M = 9 of 30)."""
ANGLE = math.radians(30) * MAGNITUDE
"""Rotation in radians."""
SHEAR = 0.3 * MAGNITUDE
"""Sideways shift per row, or per column."""
SHIFT = 0.45 * MAGNITUDE
"""Translation as a part of the side, rounded to whole pixels."""
ENHANCE = 0.9 * MAGNITUDE
"""Distance from 1 of the factors of brightness, contrast, saturation and sharpness."""
POSTERIZE_BITS = 8 - round(4 * MAGNITUDE)
"""Bits kept of each value."""
SOLARIZE_FROM = math.ceil(255 * (1 - MAGNITUDE))
"""Values from here on are inverted."""

GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
TABLE = ("brightness", "contrast", "posterize", "solarize", "autocontrast", "equalize")
BLEND = ("saturation", "sharpness")
OPERATIONS = ("identity", *GEOMETRIC, *TABLE, *BLEND)
"""The fourteen operations of the paper; a draw is a position in this tuple."""


def rand_augment(images: Tensor, generator: Generator, share: Share = ALONE) -> Tensor:
    """Two operations per image, each with a random sign where it has one: uint8 [b, h, w, c] in and out.

    Drawn for the batch of which these images are a `share`.
    """
    pixels = images.permute(0, 3, 1, 2).contiguous()
    batch = len(images) * share.ranks
    own = share.of(batch)
    for _ in range(ROUNDS):
        drawn = torch.randint(len(OPERATIONS), (batch,), generator=generator)
        signs = torch.randint(2, (batch,), generator=generator) * 2.0 - 1.0
        pixels = apply(pixels, drawn[own], signs[own])
    return pixels.permute(0, 2, 3, 1)


def apply(pixels: Tensor, drawn: Tensor, signs: Tensor) -> Tensor:
    """One operation per image: uint8 [b, c, h, w] in and out.

    `drawn` int64 [b] (positions in OPERATIONS) and `signs` float [b] (1 or -1) lie on the CPU.
    """
    out = pixels.clone()
    kinds = {_geometric: GEOMETRIC, _by_table: TABLE, _saturation: ("saturation",), _sharpness: ("sharpness",)}
    for work, names in kinds.items():
        first = OPERATIONS.index(names[0])
        chosen = ((drawn >= first) & (drawn < first + len(names))).nonzero().squeeze(1)
        if len(chosen):
            there = onto(pixels.device, chosen)
            out[there] = work(pixels[there], drawn[chosen] - first, signs[chosen])
    return out


def _geometric(x: Tensor, drawn: Tensor, signs: Tensor) -> Tensor:
    """Rotate, shear or translate about the centre, bilinear; what comes from outside is black."""
    side = x.shape[-1]
    sin, shift = math.sin(ANGLE), 2 * round(SHIFT * side) / side
    kept = torch.eye(2, 3).repeat(len(GEOMETRIC), 1, 1)
    kept[GEOMETRIC.index("rotate")] *= math.cos(ANGLE)
    moved = torch.zeros(len(GEOMETRIC), 2, 3)
    moved[GEOMETRIC.index("rotate")] = torch.tensor([[0, -sin, 0], [sin, 0, 0]])
    moved[GEOMETRIC.index("shear_x"), 0, 1] = SHEAR
    moved[GEOMETRIC.index("shear_y"), 1, 0] = SHEAR
    moved[GEOMETRIC.index("translate_x"), 0, 2] = shift
    moved[GEOMETRIC.index("translate_y"), 1, 2] = shift
    from_output = kept[drawn] + signs[:, None, None] * moved[drawn]
    grid = affine_grid(onto(x.device, from_output), list(x.shape), align_corners=False)
    return _to_bytes(grid_sample(x.float(), grid, align_corners=False).round_())


def _by_table(x: Tensor, drawn: Tensor, signs: Tensor) -> Tensor:
    """Operations that give each value of each channel another one."""
    tables = torch.empty(*x.shape[:2], 256, dtype=torch.uint8, device=x.device)
    for k, name in enumerate(TABLE):
        chosen = (drawn == k).nonzero().squeeze(1)
        if len(chosen):
            factors = onto(x.device, 1 + ENHANCE * signs[chosen]).view(-1, 1, 1)
            there = onto(x.device, chosen)
            tables[there] = _to_bytes(_TABLES[name](x[there], factors))
    return tables.gather(2, x.flatten(2).long()).view_as(x)


def _brightness_table(x: Tensor, factors: Tensor) -> Tensor:
    return (_values(x) * factors).expand(*x.shape[:2], 256)


def _contrast_table(x: Tensor, factors: Tensor) -> Tensor:
    mean = _luma(x).mean((1, 2, 3)).add(0.5).floor().view(-1, 1, 1)
    return (mean + factors * (_values(x) - mean)).expand(*x.shape[:2], 256)


def _posterize_table(x: Tensor, factors: Tensor) -> Tensor:
    step = float(1 << (8 - POSTERIZE_BITS))
    return (_values(x) / step).floor().mul(step).expand(*x.shape[:2], 256)


def _solarize_table(x: Tensor, factors: Tensor) -> Tensor:
    values = _values(x)
    return torch.where(values < SOLARIZE_FROM, values, 255 - values).expand(*x.shape[:2], 256)


def _autocontrast_table(x: Tensor, factors: Tensor) -> Tensor:
    """Each channel stretched to 0..255; a channel of one value stays."""
    flat, values = x.flatten(2), _values(x)
    low, high = (m.double().unsqueeze(2) for m in (flat.amin(2), flat.amax(2)))
    return torch.where(high > low, (values - low) * 255 / (high - low).clamp(min=1), values)


def _equalize_table(x: Tensor, factors: Tensor) -> Tensor:
    """PIL's equalisation: each channel's cumulative histogram, in steps of a 255th of what is below its top value."""
    flat = x.flatten(2).long()
    counts = torch.zeros(*x.shape[:2], 256, dtype=torch.int64, device=x.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    top = counts.gather(2, flat.amax(2, keepdim=True))
    step = (flat.shape[2] - top) // 255
    below = counts.cumsum(2) - counts
    return torch.where(step > 0, (below + step // 2) // step.clamp(min=1), _values(x).long())


_TABLES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": _brightness_table,
    "contrast": _contrast_table,
    "posterize": _posterize_table,
    "solarize": _solarize_table,
    "autocontrast": _autocontrast_table,
    "equalize": _equalize_table,
}


def _saturation(x: Tensor, drawn: Tensor, signs: Tensor) -> Tensor:
    return _blend(_luma(x), x.float(), signs)


def _sharpness(x: Tensor, drawn: Tensor, signs: Tensor) -> Tensor:
    """Away from or towards PIL's SMOOTH filter (1 1 1, 1 5 1, 1 1 1, over 13), which leaves the border as it is."""
    pixels = x.float()
    smooth = pixels.clone()
    if min(x.shape[-2:]) >= 3:
        inner = pixels[..., 1:-1, 1:-1]
        smooth[..., 1:-1, 1:-1] = ((avg_pool2d(pixels, 3, 1) * 9 + inner * 4) / 13 + 0.5).floor_()
    return _blend(smooth, pixels, signs)


def _blend(base: Tensor, pixels: Tensor, signs: Tensor) -> Tensor:
    factors = onto(pixels.device, 1 + ENHANCE * signs).view(-1, 1, 1, 1)
    return _to_bytes(base + factors * (pixels - base))


def _luma(x: Tensor) -> Tensor:
    """Float [b, 1, h, w] of whole numbers: ITU-R 601 luma, rounded; a grey image is its own."""
    if x.shape[1] == 1:
        return x.float()
    red, green, blue = x.float().unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).round_().unsqueeze(1)


def _values(x: Tensor) -> Tensor:
    """All values of a byte, float64 [256]: exact where float32 would miss a whole number by rounding."""
    return torch.arange(256, dtype=torch.float64, device=x.device)


def _to_bytes(values: Tensor) -> Tensor:
    """Clamped to a byte, the fraction cut off, as PIL does it."""
    return values.clamp(0, 255).to(torch.uint8)
