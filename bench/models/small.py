"""The small geometry: backbones that were made for 224 px, on images of 16 to 124 px.

At 32 px ViT-B/16 has four tokens and the last map of most others is one cell, which tells little about either. In the
small geometry every family starts on cells of 4×4 pixels (patch 4, window 4, stems of stride 4), at full width and
depth, and no stage goes below 2×2 cells: the strides that would, those of keys and values included, become 1. Such a
model is another model, with a name of its own: `vit_b4@32`, never `vit_b16`. Names need no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bench.models.variants import MINI_ARGUMENTS

CELL_PX = 4
"""Side in pixels of a cell of the finest grid."""
LOWEST_PX, BELOW_PX = 16, 128
"""Images from 16 px and below 128 px can have the small geometry."""
_ViT: tuple[tuple[str, Any], ...] = (("patch_size", CELL_PX),)
ARGUMENTS: dict[str, tuple[tuple[str, Any], ...]] = {
    "vision_transformer": _ViT,
    "vision_transformer_relpos": _ViT,
    "deit": _ViT,
    "swin_transformer": (("window_size", 4),),
    "swin_transformer_v2": (("window_size", 4),),
    "sequencer": (("patch_sizes", (CELL_PX, 2, 1, 1)),),
}
"""Arguments of the builders by timm's model file; models of other files are only kept from maps that are too small."""
_PATCHES = ("16", "32", "14", "8")
"""Patch sizes that names are spelled with; the first one known is meant where several models become the same."""


def small_name(name: str, img_size: int) -> str:
    """`vit_b16` → `vit_b4@32`, `resnet50` → `resnet50@32`; the mini family, which is made for 32 px, stays as it is."""
    base = name.partition("[")[0]
    if base in MINI_ARGUMENTS or "@" in name:
        return name
    patched = re.sub(rf"^(vit_[a-z]+)({'|'.join(_PATCHES)})$", rf"\g<1>{CELL_PX}", name)
    patched = re.sub(rf"patch({'|'.join(_PATCHES)})_", f"patch{CELL_PX}_", patched)
    return f"{patched}@{img_size}"


def has_small(img_size: int) -> bool:
    """Whether images of this side have a small geometry: whole cells, and not the size that models were made for."""
    return LOWEST_PX <= img_size < BELOW_PX and img_size % CELL_PX == 0


def split_small(name: str) -> tuple[str, int] | None:
    """`vit_b4@32` → (`vit_b4`, 32); None for a name of no small geometry."""
    found = re.fullmatch(r"(.+)@(\d+)", name)
    return (found[1], int(found[2])) if found else None


def originals(base: str) -> Iterator[str]:
    """Names that `base` can be the small form of, the likeliest first."""
    for patch in _PATCHES:
        yield re.sub(rf"^(vit_[a-z]+){CELL_PX}$", rf"\g<1>{patch}", base).replace(f"patch{CELL_PX}_", f"patch{patch}_")
    yield base
