"""The arms and names that several claims share, spelled once so that they are trained once."""

from __future__ import annotations

from dataclasses import replace

from bench.claims.claim import Arm
from bench.models.variants import canonical, parse_variant

RESNET, VIT, SWIN, CVT, LSTM = (Arm(f"{name}_mini") for name in ("resnet", "vit", "swin", "cvt", "lstm"))
"""The mini family, intact, on the dataset asked for."""
FAMILIES = {"CNN": RESNET, "ViT": VIT, "Swin": SWIN, "CvT": CVT, "LSTM": LSTM}
"""The arm of each family, by the name it has in texts and charts."""
PATCHES, WITHIN, PIXELS, ROWS = "patch-permute", "within-patch-permute", "pixel-permute", "row-permute"
"""Interventions."""
DISTANT, SAME, TEXTURE = "synthetic/distant-pair", "synthetic/same-different", "synthetic/texture"
"""Tasks of known locality."""
MINI = "the mini family at 32 px, matched in grid, parameters and MACs"
"""Which models take part, in the words of most claims."""


def under(arm: Arm, intervention: str) -> Arm:
    """The same training under an intervention."""
    return replace(arm, intervention=intervention)


def on(arm: Arm, task: str) -> Arm:
    """The same training on another task."""
    return replace(arm, task=task)


def every_size(arm: Arm) -> Arm:
    """The same at all train sizes of the protocol."""
    return replace(arm, sizes="all")


def variant(arm: Arm, arguments: str) -> Arm:
    """The same with arguments such as `pos_embed=none` beside those that it has, in the one spelling of that model."""
    base, had = parse_variant(arm.model)
    _, more = parse_variant(f"{base}[{arguments}]")
    return replace(arm, model=canonical(base, {**had, **more}))
