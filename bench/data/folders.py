"""A folder of class folders, with or without `train/` and `val/` or `test/` above them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench.data.examples import EMPTY, Example, Source, Split, flip_keeps_labels, with_held_out_test
from bench.errors import UsageError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
TEST_FOLDERS = ("test", "val", "validation", "valid")


def open_folder(root: Path) -> Source:
    """The dataset in `root`; classes are the names of the class folders, sorted.

    Raises UsageError where there is no class folder, a class folder without images, or a test split whose
    classes are not those of train.
    """
    train = root / "train"
    if not (train.is_dir() and _subfolders(train)):
        return _open_flat(root)
    classes = _subfolders(train)
    tests = [f for f in TEST_FOLDERS if (root / f).is_dir()]
    source = Source(
        name=root.name,
        classes=classes,
        train=_split(root, train, classes),
        test=EMPTY,
        flip=flip_keeps_labels(root.name, classes),
    )
    if not tests:
        return with_held_out_test(source)
    _check_same_classes(root, classes, tests[0])
    notes = tuple(f"{f}/ is not used: dev is carved from train/" for f in tests[1:])
    if tests[0] != "test":
        notes += (f"{tests[0]}/ is the test split",)
    test = _split(root, root / tests[0], classes)
    return Source(source.name, classes, source.train, test, source.flip, notes)


def _open_flat(root: Path) -> Source:
    classes = _subfolders(root)
    if not classes:
        raise UsageError(
            f"{root} holds neither class folders, nor train/ with class folders, nor tar or Parquet shards."
        )
    if {c.lower() for c in classes} <= {"train", *TEST_FOLDERS}:
        raise UsageError(f"{root} has no train/ folder with class folders in it, only {', '.join(classes)}/.")
    split = _split(root, root, classes)
    return with_held_out_test(Source(root.name, classes, split, EMPTY, flip_keeps_labels(root.name, classes)))


def _subfolders(folder: Path) -> list[str]:
    return sorted(e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith("."))


def _check_same_classes(root: Path, classes: Sequence[str], test: str) -> None:
    others = _subfolders(root / test)
    for name in sorted(set(classes) ^ set(others)):
        there, not_there = ("train", test) if name in classes else (test, "train")
        raise UsageError(
            f"{root}: both splits must have the same classes, but {name!r} is in {there}/ and not in {not_there}/."
        )


def _split(root: Path, folder: Path, classes: Sequence[str]) -> Split:
    """All images below each class folder, sorted by path within a class."""
    paths: list[str] = []
    counts = []
    for name in classes:
        found = sorted(_images(folder / name))
        if not found:
            raise UsageError(f"class folder {folder / name} is empty: put images in it or remove it.")
        paths += found
        counts.append(len(found))
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), counts)
    return Split(labels, partial(_walk, root, paths), files=True)


def _images(folder: Path) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _images(Path(entry.path))
        elif entry.name.lower().endswith(IMAGE_SUFFIXES):
            yield entry.path


def _walk(root: Path, paths: Sequence[str]) -> Iterator[Example]:
    for path in paths:
        yield Example(os.path.relpath(path, root), partial(Path, path))
