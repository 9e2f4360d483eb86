"""Augmentation of whole batches on the device, with parameters of their own for every image.

All random numbers come from one seeded CPU generator, so that equal seeds give equal augmentation on every device
and for every model. Images are uint8 [batch, height, width, channels] until they are normalised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from bench.data.randaugment import rand_augment
from bench.data.share import ALONE, Share
from bench.data.transfer import onto

CROP_FRACTION = 1 / 8
"""Largest shift of pad-and-crop, as a part of the image's side (4 pixels of 32, the usual choice for CIFAR)."""
MIX_PROBABILITY = 0.8
"""Part of the images that are mixed with another one, by mixup or CutMix, each half of the time."""
ERASE_PROBABILITY = 0.25
"""Part of the images from which a rectangle is erased."""


@dataclass(frozen=True)
class Augment:
    """What the protocol asks for, and what this dataset's labels allow."""

    name: str
    """`none`, `light` or `heavy`."""
    flip: bool
    """Whether a mirrored image keeps its label."""
    classes: int
    """Number of classes, for mixed targets."""

    @property
    def mixes(self) -> bool:
        """Whether an image needs others of its batch."""
        return self.name == "heavy"

    def on_pixels(self, images: Tensor, generator: Generator, share: Share = ALONE) -> Tensor:
        """Crop, flip and RandAugment: uint8 [b, h, w, c] in and out; of a batch of which these are a `share`."""
        if self.name == "none":
            return images
        images = crop_and_flip(images, generator, flip=self.flip, share=share)
        return rand_augment(images, generator, share) if self.name == "heavy" else images

    def on_normalised(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Mixing and erasing, of whole batches: float [b, c, h, w] and labels int64 [b]; targets come back as float
        [b, classes] where images were mixed."""
        if not self.mixes:
            return images, targets
        images, soft = mix(images, targets, self.classes, generator)
        return erase(images, generator), soft


def crop_and_flip(images: Tensor, generator: Generator, *, flip: bool, share: Share = ALONE) -> Tensor:
    """Shift every image by up to an eighth of its side, edges reflected, and mirror half of them if `flip`.

    One gather: both are maps from output to input rows and columns. Drawn for the batch, done for a `share` of it.
    """
    own, height, width, _ = images.shape
    batch = own * share.ranks
    rows = _shifted(height, batch, generator)
    columns = _shifted(width, batch, generator)
    if flip:
        mirrored = torch.rand(batch, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    rows, columns = (onto(images.device, places[share.of(batch)]) for places in (rows, columns))
    which = torch.arange(own, device=images.device)
    return images[which[:, None, None], rows[:, :, None], columns[:, None, :]]


def _shifted(side: int, batch: int, generator: Generator) -> Tensor:
    """[batch, side]: input positions of a window shifted at random, reflected at the borders."""
    reach = min(round(side * CROP_FRACTION), side - 1)
    offset = torch.randint(-reach, reach + 1, (batch, 1), generator=generator)
    position = (torch.arange(side) + offset).abs()
    return (side - 1) - (side - 1 - position).abs()


def mix(images: Tensor, labels: Tensor, classes: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019) with another image of the batch, weight uniform in 0..1.

    Targets float [b, classes]: each label by the part of the image that is left of it.
    """
    batch, _, height, width = images.shape
    partner = torch.randperm(batch, generator=generator)
    weight = torch.rand(batch, generator=generator)
    kind = torch.rand(batch, generator=generator)
    centre = torch.rand(2, batch, generator=generator)
    mixed, cut = kind < MIX_PROBABILITY, kind < MIX_PROBABILITY / 2
    box = _rectangles(centre, (1 - weight).sqrt(), (1 - weight).sqrt(), height, width)
    kept_by_cut = 1 - box.float().mean((1, 2))
    weight = torch.where(cut, kept_by_cut, torch.where(mixed, weight, torch.ones(())))
    share = torch.where(cut[:, None, None], (~box).float(), weight[:, None, None])[:, None]
    share, other, own = (onto(images.device, values) for values in (share, partner, weight[:, None]))
    soft = one_hot(labels, classes).float()
    return torch.lerp(images[other], images, share), torch.lerp(soft[other], soft, own)


def erase(images: Tensor, generator: Generator) -> Tensor:
    """Random erasing (Zhong et al. 2020) with the mean colour: 2 % to a third of the area, sides up to 3.3 : 1."""
    batch, _, height, width = images.shape
    chosen = torch.rand(batch, generator=generator) < ERASE_PROBABILITY
    area = torch.empty(batch).uniform_(0.02, 1 / 3, generator=generator)
    log_ratio = torch.empty(batch).uniform_(-math.log(3.3), math.log(3.3), generator=generator)
    stretch = (log_ratio / 2).exp()
    centre = torch.rand(2, batch, generator=generator)
    box = _rectangles(centre, area.sqrt() * stretch, area.sqrt() / stretch, height, width)
    hidden = onto(images.device, (box & chosen[:, None, None])[:, None])
    return images.masked_fill(hidden, 0.0)


def _rectangles(centre: Tensor, tall: Tensor, wide: Tensor, height: int, width: int) -> Tensor:
    """bool [b, height, width]: rectangles around `centre` [2, b], sizes as parts of the side, cut at the borders."""

    def inside(middle: Tensor, part: Tensor, side: int) -> Tensor:
        position = (torch.arange(side) + 0.5) / side
        return (position[None] - middle[:, None]).abs() < part[:, None] / 2

    return inside(centre[0], tall, height)[:, :, None] & inside(centre[1], wide, width)[:, None, :]
