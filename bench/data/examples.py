"""What every source hands over: named, labelled images of a train and a test split, not yet decoded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.data.splits import Indices, stratified_holdout
from bench.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

HOLDOUT_FRACTION = 0.2
HOLDOUT_SEED = 0
HOLDOUT_NOTE = "no test split in the source: a fixed stratified fifth of its images is held out for test"
JPEG_NOTE = "images are JPEG-encoded"

_LABEL_CHANGED_BY_FLIP = frozenset({"digits", "mnist", "kmnist", "qmnist", "emnist", "svhn", "usps", "omniglot"})
_PUBLISHED_LOSSLESS = frozenset({"cifar10", "cifar100", "mnist", "fashionmnist", "kmnist", "svhn", "stl10"})


class Slice(NamedTuple):
    """An image file that is part of another file."""

    path: Path
    offset: int
    size: int
    """Bytes."""

    def read(self) -> bytes:
        """The image file's content. Raises OSError where the file has gone or has become too short."""
        if hasattr(os, "pread"):  # which moves no position that threads and loader processes share
            content = os.pread(_kept_open(self.path).fileno(), self.size, self.offset)
        else:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                content = file.read(self.size)
        if len(content) < self.size:
            raise OSError(f"{self.path} ends before the image at byte {self.offset}")
        return content


if TYPE_CHECKING:
    Encoded = bytes | Path | Slice | Image
    """An image file's content, an image file, an image file within another file, or an image already decoded."""


class Example(NamedTuple):
    """One image and the name to report it by; reading is put off so that many threads can share it."""

    name: str
    read: Callable[[], Encoded]


@dataclass(frozen=True)
class Split:
    """Labels of a split, and a walk over its images in the same order, afresh at each call."""

    labels: Indices
    walk: Callable[[], Iterator[Example]]
    files: bool = False
    """Whether every image is a file, or a `Slice` of one, which can be read again in any order."""

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, indices: Indices) -> Split:
        """The images at `indices`, in the order of this split."""
        keep = np.zeros(len(self), dtype=bool)
        keep[indices] = True
        return replace(
            self,
            labels=self.labels[keep],
            walk=lambda: (e for e, kept in zip(self.walk(), keep, strict=False) if kept),
        )


@dataclass(frozen=True)
class Source:
    """A dataset as its source declares it. Sizes and channels are read off the images themselves."""

    name: str
    """The name to show."""
    classes: list[str]
    """Class names, in label order."""
    train: Split
    test: Split
    flip: bool
    """Whether a horizontal flip keeps every label."""
    notes: tuple[str, ...] = ()
    """What a reader should know."""


EMPTY = Split(np.empty(0, dtype=np.int64), lambda: iter(()))
"""A split without images."""


def with_held_out_test(source: Source) -> Source:
    """The source with a stratified fifth of its train split as the test split, and a note that says so."""
    rest, held_out = stratified_holdout(source.train.labels, HOLDOUT_FRACTION, HOLDOUT_SEED)
    return replace(
        source,
        train=source.train.only(rest),
        test=source.train.only(held_out),
        notes=(*source.notes, HOLDOUT_NOTE),
    )


def class_codes(names: Sequence[str] | None, raw: Iterable[Any]) -> tuple[list[str], dict[Any, int]]:
    """Class names in label order, and the label that each raw value of a label column stands for.

    Where the source names its classes, values are positions in `names`; else the classes are the distinct
    values of `raw`, the train split's, sorted.
    """
    if names:
        return list(names), {k: k for k in range(len(names))}
    values = sorted({v for v in raw if v is not None}, key=lambda v: (type(v).__name__, v))
    return [str(v) for v in values], {v: k for k, v in enumerate(values)}


def encode_labels(raw: Sequence[Any], code: dict[Any, int], where: str) -> Indices:
    """Labels int64 of raw values. Raises UsageError, beginning with `where`, for a value that `code` lacks."""
    for value in set(raw) - code.keys():
        raise UsageError(f"{where}: label {value!r} is not among the {len(code)} classes of train.")
    return np.array([code[v] for v in raw], dtype=np.int64)


def flip_keeps_labels(name: str, classes: Sequence[str]) -> bool:
    """False where a mirrored image would be another class: known sets of characters, single-character classes.

    `classes` is empty where the source has labels but no names for them.
    """
    characters = len(classes) > 0 and all(len(c) == 1 for c in classes)
    return _plain(name) not in _LABEL_CHANGED_BY_FLIP and not characters


def shown_name(name: str, formats: set[str | None]) -> str:
    """`name`, or `name-jpeg` for a copy as JPEG of a set published without loss: its numbers are its own."""
    return f"{name}-jpeg" if "JPEG" in formats and _plain(name) in _PUBLISHED_LOSSLESS else name


def check_classes(name: str, classes: Sequence[str], train_counts: Sequence[int], n_test: int) -> None:
    """Raise UsageError for a set that nothing can be learnt from: one class, a class or split without images."""
    if len(classes) < 2:
        raise UsageError(f"{name} has one class only ({', '.join(classes)}): classification needs at least two.")
    for label, count in enumerate(train_counts):
        if count == 0:
            raise UsageError(f"{name}: class {classes[label]!r} is empty: it has no readable training image.")
    if n_test == 0:
        raise UsageError(f"{name}: the test split has no readable image.")


@lru_cache(maxsize=64)
def _kept_open(path: Path) -> IO[bytes]:
    """The file, opened once in a process; closed when too many others have been read since."""
    return path.open("rb", buffering=0)


def _plain(name: str) -> str:
    """The last part of a dataset's name, so that cifar-10, CIFAR_10 and cifar10 are one."""
    return name.lower().rpartition("/")[2].replace("-", "").replace("_", "")
