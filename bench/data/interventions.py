"""Fixed changes to every image, the same in training and in test, that take one kind of structure away.

All are maps of pixels: output pixel k shows input pixel map[k]. They are applied after augmentation, so that nothing
undoes them, and follow from the run's seed, so that every model of a seed sees the same ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.splits import random_words
from bench.errors import UsageError, did_you_mean

_STREAM = 0x1A7E
_DEFAULT_PX = {
    "none": None,
    "patch-permute": 4,
    "within-patch-permute": 4,
    "pixel-permute": None,
    "row-permute": None,
    "shift": 2,
}
"""The interventions and the size of each that has one, in pixels: the side of a patch, or how far a shift goes."""


@dataclass(frozen=True)
class Intervention:
    """What is done to every image."""

    name: str
    """`none`; `patch-permute`: patches change places; `within-patch-permute`: pixels do inside every patch, alike in
    all; `pixel-permute`: all pixels do; `row-permute`: rows of pixels do; `shift`: right and down, edges reflected."""
    px: int | None
    """Side of a patch, or how far a shift goes, in pixels; None where there is no size."""

    @property
    def text(self) -> str:
        """The one spelling: the size is left out where it is the usual one."""
        return self.name if self.px == _DEFAULT_PX[self.name] else f"{self.name}:{self.px}"


def parse_intervention(text: str, img_size: int) -> Intervention:
    """The intervention that `NAME` or `NAME:PX` means for images of `img_size` pixels. Raises UsageError."""
    name, colon, size = (part.strip() for part in text.partition(":"))
    if name not in _DEFAULT_PX:
        raise UsageError(
            f"unknown intervention {name!r}.{did_you_mean(name, _DEFAULT_PX)} There are: {', '.join(_DEFAULT_PX)}."
        )
    default = _DEFAULT_PX[name]
    if not colon:
        return _checked(Intervention(name, default), img_size)
    if default is None:
        raise UsageError(f"intervention {text!r}: {name} has no size.")
    if not re.fullmatch(r"[0-9]{1,6}", size):
        raise UsageError(f"intervention {text!r}: the size must be a whole number of pixels, not {size!r}.")
    return _checked(Intervention(name, int(size)), img_size)


def pixel_map(intervention: Intervention, img_size: int, seed: int) -> NDArray[np.int64]:
    """Which input pixel each output pixel shows, int64 [img_size²], pixels counted row by row."""
    side = np.arange(img_size)
    grid = side[:, None] * img_size + side
    px = intervention.px or 1
    if intervention.name == "none":
        return grid.ravel()
    if intervention.name == "pixel-permute":
        return _order(img_size**2, seed)
    if intervention.name == "row-permute":
        return grid[_order(img_size, seed)].ravel()
    if intervention.name == "shift":
        source = np.abs(side - px)
        return grid[source][:, source].ravel()
    tiles = grid.reshape(img_size // px, px, img_size // px, px).swapaxes(1, 2).reshape(-1, px * px)
    if intervention.name == "patch-permute":
        moved = tiles[_order(len(tiles), seed)]
    else:
        moved = tiles[:, _order(px * px, seed)]
    many = img_size // px
    return moved.reshape(many, many, px, px).swapaxes(1, 2).reshape(-1)


def _order(n: int, seed: int) -> NDArray[np.int64]:
    """A permutation of 0..n − 1 that depends on the seed alone."""
    return np.argsort(random_words(n, _STREAM, seed), kind="stable")


def _checked(intervention: Intervention, img_size: int) -> Intervention:
    name, px = intervention.name, intervention.px
    if name == "shift" and px is not None and not 0 < px < img_size:
        raise UsageError(f"intervention {name}:{px} must shift by 1 to {img_size - 1} pixels at {img_size} px.")
    if name.endswith("patch-permute") and px is not None and (px < 1 or img_size % px):
        raise UsageError(f"intervention {name}:{px} needs patches whose side divides the image's {img_size} pixels.")
    if name == "within-patch-permute" and px == 1:
        raise UsageError("intervention within-patch-permute:1 changes nothing: a patch of one pixel has no order.")
    return intervention
