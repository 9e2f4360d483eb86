"""Tasks with controlled locality, drawn from a fixed seed: what decides the label lies in one patch, or far apart.

`synthetic/texture`: which of four stripe directions fills the image. Any patch of 4×4 pixels decides it: the local
control. The others are relations with two answers, and no part of the image decides one alone:

- `synthetic/distant-pair`: whether two equal bars, one at each side, are in the same half, upper or lower.
- `synthetic/same-different`: whether two figures at random places are the same (after Fleuret et al. 2011).
- `synthetic/path`: whether two dots at the side edges lie on the same one of two strands, which cross or turn back
  (after Linsley et al. 2018).

All are grey, 32×32 pixels, under noise. Mean and histogram of an image are alike for every class by construction, and
so is what any single place shows on average; positions are not aligned with patches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.examples import Example, Source, Split

PX = 32
"""Side of the images in pixels."""
N_TRAIN, N_TEST = 6000, 1000
"""Images of the two splits."""
VERSION = 2
"""Raised whenever a task draws other images."""
_SEED = 0x5E7
_GREY, _INK, _NOISE = 110.0, 110.0, 14.0

Rng = np.random.Generator
Canvas = NDArray[np.float64]


def synthetic_identity(name: str) -> str:
    """A text that changes when the task draws other images."""
    return hashlib.sha256(f"{name} {VERSION} {N_TRAIN} {N_TEST}".encode()).hexdigest()


def open_synthetic(name: str) -> Source:
    """One task as a source of images: balanced classes, train and test from one stream, so that no image is in both."""
    classes, draw = TASKS[name]
    rng = np.random.default_rng((_SEED, VERSION, list(TASKS).index(name)))
    labels = np.arange(N_TRAIN + N_TEST) % len(classes)
    rng.shuffle(labels[:N_TRAIN])
    rng.shuffle(labels[N_TRAIN:])
    pixels = np.stack([_seen(draw(int(label), rng), rng) for label in labels])
    whole = Split(labels.astype(np.int64), partial(_walk, name, pixels))
    return Source(
        name=f"synthetic/{name}",
        classes=list(classes),
        train=whole.only(np.arange(N_TRAIN)),
        test=whole.only(np.arange(N_TRAIN, N_TRAIN + N_TEST)),
        flip=False,
        notes=("drawn by the program, not photographed",),
    )


def texture(label: int, rng: Rng) -> Canvas:
    """Stripes four pixels apart, of random phase: horizontal, vertical, rising, falling."""
    rows, columns = np.mgrid[:PX, :PX]
    along = (rows, columns, rows + columns, rows - columns)[label]
    return np.asarray(((along + rng.integers(4)) % 4 < 2) * (_INK / 2))


def distant_pair(label: int, rng: Rng) -> Canvas:
    """Two bars of 14×6 pixels, one at the left and one at the right side, in the same half (1) or not (0).

    The lower place is 16 pixels below the upper one, from a common offset, so that both bars always cut patches alike;
    each bar's own place is even whatever the label. No unit after one block of two 3×3 convolutions on 4×4 patches
    reaches both: it sees 20 columns from a multiple of 4 on.
    """
    canvas = np.zeros((PX, PX))
    offset, low = rng.integers(1, 3), rng.integers(2)
    for place, left in ((low, rng.integers(1, 3)), (low if label else 1 - low, rng.integers(24, 26))):
        top = offset + 16 * place
        canvas[top : top + 14, left : left + 6] = _INK
    return canvas


def same_different(label: int, rng: Rng) -> Canvas:
    """Two figures at random places in the left and the right half, the same one (1) or not (0).

    A figure is a bright square above a dark one, or the reverse, with four pixels between, so that no 4×4 part of the
    image shows which of the two it is.
    """
    canvas = np.zeros((PX, PX))
    first = int(rng.integers(2))
    for figure, left in ((first, rng.integers(5, 11)), (first if label else 1 - first, rng.integers(17, 23))):
        top, ink = rng.integers(5, 16), _INK / 1.25 if figure else -_INK / 1.25
        canvas[top : top + 4, left : left + 4] = ink
        canvas[top + 8 : top + 12, left : left + 4] = -ink
    return canvas


def path(label: int, rng: Rng) -> Canvas:
    """Two strands from left to right that approach each other and cross, or part again; a dot at a left end and one at
    a right end, on the same strand (1) or not (0)."""
    canvas = np.zeros((PX, PX))
    crosses, starts_low = bool(rng.integers(2)), bool(rng.integers(2))
    columns = np.arange(2, PX - 2)
    middle, reach = rng.integers(13, 19), rng.uniform(7.0, 10.0)
    wiggle = np.sin(columns * rng.uniform(0.25, 0.45) + rng.uniform(0, 6.3)) * 1.5
    gap = np.maximum(reach * np.minimum(1.0, np.abs(columns - middle) / 8.0), 0.0 if crosses else 2.5)
    side = np.where(columns < middle, 1.0, -1.0) if crosses else np.ones(len(columns))
    high, low = PX / 2 + wiggle - side * gap, PX / 2 + wiggle + side * gap
    for strand in (high, low):
        for column, row in zip(columns, strand, strict=True):
            top = int(np.clip(round(row), 2, PX - 4))
            canvas[top : top + 2, column] = _INK
    strands = (low, high) if starts_low else (high, low)
    start, end = strands[0][0], strands[0 if label else 1][-1]
    for row, left in ((start, 0), (end, PX - 5)):
        top = int(np.clip(round(row) - 1, 0, PX - 5))
        canvas[top : top + 5, left : left + 5] = _INK
    return canvas


TASKS: dict[str, tuple[tuple[str, ...], Callable[[int, Rng], Canvas]]] = {
    "texture": (("horizontal", "vertical", "rising", "falling"), texture),
    "distant-pair": (("different", "same"), distant_pair),
    "same-different": (("different", "same"), same_different),
    "path": (("apart", "joined"), path),
}
"""Class names in label order and what draws an image, by the task's name."""


def _seen(canvas: Canvas, rng: Rng) -> NDArray[np.uint8]:
    """The drawing on grey, under noise."""
    noisy = _GREY + canvas + rng.normal(0.0, _NOISE, canvas.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _walk(name: str, pixels: NDArray[Any]) -> Iterator[Example]:
    from PIL import Image

    for i, array in enumerate(pixels):
        yield Example(f"{name}[{i}]", partial(Image.fromarray, array))
