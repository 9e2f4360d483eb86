"""Batches of a prepared dataset, made by indexing what lies on the device, or streamed where it does not fit."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from bench.data.augment import Augment
from bench.data.cache import content_folder
from bench.data.decode import usable_cpus
from bench.data.info import DataInfo
from bench.data.interventions import parse_intervention, pixel_map
from bench.data.share import ALONE, Share
from bench.data.stream import Stream
from bench.data.transfer import onto
from bench.errors import UsageError

Numbers = TypeVar("Numbers", NDArray[np.int64], Tensor)

RESIDENT_PART = 0.4
"""Largest part of the device's memory that decoded images may take."""
RESIZE_CHUNK = 1024
"""Images resized at a time."""
_ORDER, _AUGMENT = 0x0DE2, 0xA06
"""Keep the streams of order and augmentation apart."""


class Pictures(Protocol):
    """One split's images, by index."""

    def walk(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[Tensor]:
        """uint8 [b, px, px, channels] on the device for each batch of indices."""

    def walk_once(self, indices: NDArray[np.int64], batch_size: int) -> Iterator[Tensor]:
        """The same for consecutive parts of `indices`, all known beforehand."""


class ImageData:
    """A prepared dataset at the protocol's image size, on one device."""

    def __init__(self, info: DataInfo, splits: dict[str, Pictures], labels: dict[str, NDArray[np.int64]],
                 *, img_size: int, device: torch.device) -> None:  # fmt: skip
        self.info, self.img_size, self.device = info, img_size, device
        self._splits, self._labels = splits, labels
        self._targets = {name: torch.from_numpy(values).to(device) for name, values in labels.items()}
        self._normalise_by(info.mean, info.std)
        self._map: Tensor | None = None

    def under(self, intervention: str, seed: int) -> ImageData:
        """The same images, every one changed as `bench.data.interventions` says, in training and in evaluation alike.

        Shares all memory with this one. Raises UsageError for an unknown intervention.
        """
        parsed = parse_intervention(intervention, self.img_size)
        changed = copy(self)
        changed._map = None
        if parsed.name != "none":
            changed._map = torch.from_numpy(pixel_map(parsed, self.img_size, seed)).to(self.device)
        return changed

    def normalised(self, mean: Sequence[float], std: Sequence[float]) -> ImageData:
        """The same images, normalised by these moments of each channel instead of the train split's own.

        Shares all memory with this one. With three channels, grey images become three equal ones first.
        """
        changed = copy(self)
        changed._normalise_by(mean, std)
        return changed

    def _normalise_by(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set the moments of each channel, and what bytes are multiplied by and then made less by for them."""
        self.moments = list(mean), list(std)
        means, deviations = (torch.tensor(v, device=self.device).view(1, -1, 1, 1) for v in self.moments)
        self._scale, self._shift = 1 / (255 * deviations), means / deviations

    def labels(self, split: str) -> NDArray[np.int64]:
        """Labels int64 [n] of `train` or `test`, in the order that indices refer to."""
        return self._labels[split]

    def eval_batches(self, split: str, indices: NDArray[np.int64], batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(images, labels) in the order of `indices`, not augmented; the last batch may be smaller.

        Images float32 [b, 3, img_size, img_size], normalised by the train split's moments; labels int64 [b].
        """
        labels = self._targets[split][onto(self.device, torch.from_numpy(indices))]
        batches = self._splits[split].walk_once(indices, batch_size)
        for part, pixels in zip(in_order(labels, batch_size), batches, strict=True):
            yield self._shown(self._normalise(resize(pixels, self.img_size))), part

    def train_batches(
        self,
        indices: NDArray[np.int64],
        *,
        steps: int,
        batch_size: int,
        seed: int,
        augment: str,
        generator: Generator | None = None,
        first: int = 0,
        share: Share = ALONE,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """`steps` whole batches from endless reshuffled passes over `indices` of the train split, augmented.

        Order and augmentation depend on `seed` alone. Targets are int64 [b], or float [b, classes] where images
        were mixed. No batch is ever incomplete: a subset smaller than a batch fills it by repetition. A training that
        goes on begins at batch `first`, with `generator` of augmentation in the state that it then had. With a `share`
        only its part of each batch is loaded, augmented and given, the same as it would be in the whole batch.
        """
        recipe = Augment(augment, flip=self.info.flip, classes=len(self.info.classes))
        generator = augmentation(seed) if generator is None else generator
        own = share.of(batch_size)

        def orders() -> Iterator[NDArray[np.int64]]:
            return islice(epochs(indices, steps, batch_size, seed), first, None)

        parts = self._splits["train"].walk(part[own] for part in orders())
        for part, pixels in zip(orders(), parts, strict=True):
            pixels = recipe.on_pixels(resize(pixels, self.img_size), generator, share)
            if recipe.mixes:
                pixels = share.whole(pixels)
            targets = self._targets["train"][onto(self.device, torch.from_numpy(part))]
            images, targets = recipe.on_normalised(self._normalise(pixels), targets, generator)
            yield self._shown(images[own] if recipe.mixes else images), targets[own]

    def _normalise(self, pixels: Tensor) -> Tensor:
        """uint8 [b, h, w, c] → float32 [b, c, h, w], less the mean and over the deviation of each channel."""
        values = pixels.permute(0, 3, 1, 2)
        if values.shape[1] < self._scale.shape[1]:
            values = values.expand(-1, self._scale.shape[1], -1, -1)
        return values.float().mul_(self._scale).sub_(self._shift)

    def _shown(self, images: Tensor) -> Tensor:
        """What a model sees: changed by the intervention, in three channels, channels last in memory.

        A grey image becomes three equal channels.
        """
        if self._map is not None:
            images = images.flatten(2)[:, :, self._map].view(images.shape)
        wide = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        return wide.contiguous(memory_format=torch.channels_last)


def load(info: DataInfo, *, cache_dir: Path, img_size: int, device: torch.device) -> ImageData:
    """Bring a prepared dataset onto `device`. Raises UsageError where its files have been deleted or damaged.

    Images are resized once where the result fits into memory, else batch by batch with the same outcome.
    """
    folder = content_folder(info, cache_dir)
    splits: dict[str, Pictures] = {}
    labels: dict[str, NDArray[np.int64]] = {}
    try:
        for split in ("train", "test"):
            labels[split] = np.load(folder / f"{split}_labels.npy")
            if info.cached_px is None:
                splits[split] = Streamed(Stream(folder, split), device)
            else:
                splits[split] = Resident(_resident(np.load(folder / f"{split}_images.npy"), img_size, device), device)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(
            f"the prepared images of {info.dataset} in {folder} are damaged ({error}): delete that folder and "
            "start the command again."
        ) from error
    return ImageData(info, splits, labels, img_size=img_size, device=device)


class Resident:
    """Decoded images in memory, on the device if they fit."""

    def __init__(self, images: Tensor, device: torch.device) -> None:
        self.images, self.device = images, device

    def walk(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[Tensor]:
        """uint8 [b, px, px, channels] on the device for each batch of indices."""
        for part in batches:
            index = onto(self.images.device, torch.from_numpy(part))
            yield self.images[index].to(self.device, non_blocking=True)

    def walk_once(self, indices: NDArray[np.int64], batch_size: int) -> Iterator[Tensor]:
        """The same for consecutive parts of `indices`, which go to the device together."""
        for index in in_order(onto(self.images.device, torch.from_numpy(indices)), batch_size):
            yield self.images[index].to(self.device, non_blocking=True)


class Streamed:
    """Images decoded anew whenever they are asked for, by loader processes that stay ahead of the training."""

    def __init__(self, stream: Stream, device: torch.device, workers: int | None = None) -> None:
        self.stream, self.device = stream, device
        self.workers = min(16, usable_cpus()) if workers is None else workers

    def walk(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[Tensor]:
        """uint8 [b, px, px, channels] on the device for each batch of indices."""
        from torch.utils.data import DataLoader

        loader: Any = DataLoader(
            self.stream,  # type: ignore[arg-type]
            batch_sampler=(part.tolist() for part in batches),  # type: ignore[arg-type]
            num_workers=self.workers,
            collate_fn=_stack,
            pin_memory=self.device.type == "cuda",
            multiprocessing_context=_loader_context() if self.workers else None,
        )
        for pixels in loader:
            yield pixels.to(self.device, non_blocking=True)

    def walk_once(self, indices: NDArray[np.int64], batch_size: int) -> Iterator[Tensor]:
        """The same for consecutive parts of `indices`."""
        return self.walk(in_order(indices, batch_size))


def resize(pixels: Tensor, img_size: int) -> Tensor:
    """uint8 [n, px, px, c] → uint8 [n, img_size, img_size, c], bicubic with antialiasing; unchanged if it fits."""
    if pixels.shape[1] == img_size:
        return pixels
    wide = pixels.permute(0, 3, 1, 2).float()
    wide = interpolate(wide, size=(img_size, img_size), mode="bicubic", antialias=True, align_corners=False)
    return wide.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def in_order(indices: Numbers, batch_size: int) -> Iterator[Numbers]:
    """Consecutive parts of an array or tensor, each of `batch_size` but for the last one."""
    for start in range(0, len(indices), batch_size):
        yield indices[start : start + batch_size]


def augmentation(seed: int) -> Generator:
    """What augmentation draws from, at the beginning of a training."""
    return torch.Generator().manual_seed(_seed(seed, _AUGMENT))


def epochs(indices: NDArray[np.int64], steps: int, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """`steps` arrays of `batch_size` indices: consecutive parts of endless passes, each pass in a new order."""
    generator = torch.Generator().manual_seed(_seed(seed, _ORDER))
    waiting = np.empty(0, np.int64)
    for _ in range(steps):
        if (missing := batch_size - len(waiting)) > 0:
            passes = range(-(-missing // len(indices)))
            orders = [torch.randperm(len(indices), generator=generator).numpy() for _ in passes]
            waiting = np.concatenate([waiting, *(indices[order] for order in orders)])
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


def _resident(images: NDArray[np.uint8], img_size: int, device: torch.device) -> Tensor:
    """Images as they will be indexed: resized and on the device, as far as memory allows."""
    pixels = torch.from_numpy(images)
    free = _memory_bytes(device) * RESIDENT_PART
    if pixels.numel() <= free:
        pixels = pixels.to(device)
    if pixels.numel() * (img_size / pixels.shape[1]) ** 2 > free:
        return pixels
    if pixels.shape[1] == img_size:
        return pixels
    return torch.cat([resize(part, img_size).contiguous() for part in torch.split(pixels, RESIZE_CHUNK)])


def _memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().total)


def _loader_context() -> str | None:
    """Fork, where it is sound: loader processes only decode, and any other way each pass waits for new interpreters."""
    return "fork" if sys.platform == "linux" else None


def _stack(images: list[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(images))


def _seed(seed: int, stream: int) -> int:
    """A seed of its own for each random stream of a run."""
    return int(np.random.SeedSequence((seed, stream)).generate_state(1, np.uint64)[0] >> 1)
