"""A folder of tar shards: samples of an image and its label (webdataset), class folders, or one tar file a class.

A pass over the shards' headers finds every image, which is then read where it lies, in any order.
"""

from __future__ import annotations

import json
import logging
import os
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bench.data.examples import (
    EMPTY,
    Example,
    Slice,
    Source,
    Split,
    class_codes,
    encode_labels,
    flip_keeps_labels,
    with_held_out_test,
)
from bench.data.folders import IMAGE_SUFFIXES
from bench.data.shard_files import SPLITS, SUBFOLDERS, TEST_SPLITS, find_shards
from bench.data.splits import Indices
from bench.data.tar import TarBroken, members
from bench.errors import UsageError

SUFFIXES = (".tar", ".tar.gz", ".tgz")
"""What a shard's name ends in; those that are compressed are found so that it can be said."""
LABEL_KEYS = ("label", "cls", "class_id")
"""Where a sample's JSON may tell its class, the first one that is there."""
NAME_FILES = ("classnames.txt", "classes.txt")
"""Files beside the shards that name the classes 0, 1, … a line each."""
NAMED = 3
"""Images named in a note."""
ORDER = {suffix[1:]: k for k, suffix in enumerate(dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", *IMAGE_SUFFIXES)))}
"""Which of several images in a sample is the sample's own, the lowest first."""
NO_IMAGE_OF_SAMPLE = 99
"""For an image with a part before its suffix, such as `seg.png`."""
NONE = -1

log = logging.getLogger("bench")


@dataclass(frozen=True)
class Index:
    """Every labelled image of some shards, in their order. Picklable; about 100 bytes an image."""

    root: Path
    shards: list[Path]
    values: list[Any]
    """Each class as the shards tell it: a number, or a name."""
    codes: Indices
    """[images]: each image's class, by its position in `values`."""
    places: Indices
    """[images, 3]: shard, offset and bytes."""
    names: bytes
    """All images' names, one after the other."""
    spans: Indices
    """[images, 2]: where each image's name begins and ends."""
    broken: tuple[str, ...] = ()
    """A line for each shard that is cut off or damaged."""
    unlabelled: tuple[str, ...] = ()
    """A line about images that have no label, where there are some."""

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing."""
        return (*self.broken, *self.unlabelled)

    @property
    def classes(self) -> set[Any]:
        """The classes that have images."""
        return {self.values[code] for code in np.unique(self.codes)}

    def member(self, k: int) -> str:
        """The name of an image within its shard."""
        return self.names[slice(*self.spans[k].tolist())].decode(errors="surrogateescape")

    def place(self, k: int) -> Slice:
        """Where an image lies."""
        shard, offset, size = self.places[k].tolist()
        return Slice(self.shards[shard], offset, size)

    def labels(self, code: dict[Any, int], where: str) -> Indices:
        """Labels int64 [images]. Raises UsageError, beginning with `where`, for a class that `code` lacks."""
        present = np.unique(self.codes)
        table = np.zeros(len(self.values), np.int64)
        table[present] = encode_labels([self.values[c] for c in present], code, where)
        return table[self.codes]

    def walk(self) -> Iterator[Example]:
        """Every image and its name, in order."""
        shards = [os.path.relpath(path, self.root) for path in self.shards]
        for k in range(len(self)):
            yield Example(f"{shards[self.places[k, 0]]}/{self.member(k)}", partial(self.place, k))


def open_shards(root: Path) -> Source:
    """The dataset in `root`; class names from `classnames.txt` for classes that are numbers, else the sorted classes.

    Raises UsageError for files that are no tar files, a split whose images have no labels, and labels of test that
    train does not know. What is cut off is said in the notes and in a warning.
    """
    shards = splits(root)
    if "train" not in shards:
        raise UsageError(f"{root} has no train-*.tar and no train/ with tar files, only {', '.join(sorted(shards))}.")
    index = read_index(root, shards["train"], warn=True)
    names = _class_names(root, index)
    classes, code = class_codes(names, index.classes)
    named = names or [value for value in index.classes if isinstance(value, str)]
    train = Split(index.labels(code, f"{root} train"), index.walk, files=True)
    source = Source(
        root.name, classes, train, EMPTY, flip_keeps_labels(root.name, named), (*_unused(root), *index.notes)
    )
    tests = [name for name in TEST_SPLITS if name in shards]
    for name in tests:
        found = read_index(root, shards[name], needs_labels=False, warn=True)
        if not len(found):
            continue
        test = Split(found.labels(code, f"{root} {name}"), found.walk, files=True)
        told = () if name == "test" else (f"{name} is the test split",)
        source = Source(root.name, classes, train, test, source.flip, (*source.notes, *told, *found.notes))
        break
    return source if len(source.test) else with_held_out_test(source)


def splits(root: Path) -> dict[str, list[Path]]:
    """Tar files of each split; all of them are `train` where no name tells another."""
    found = find_shards(root, SUFFIXES)
    known = {name: paths for name, paths in found.items() if name in SPLITS}
    return known or ({"train": sorted(path for paths in found.values() for path in paths)} if found else {})


def holds_tars(root: Path) -> bool:
    """Whether tar files are the dataset, and not an archive that lies beside class folders."""
    if not splits(root):
        return False
    train = root / "train"
    try:
        above = {entry.name.lower() for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith(".")}
        below = train.is_dir() and any(entry.is_dir() for entry in os.scandir(train))
    except OSError:
        return False
    return above <= {*SPLITS, *SUBFOLDERS} and not below


def read_index(root: Path, shards: Sequence[Path], *, needs_labels: bool = True, warn: bool = False) -> Index:
    """Find the labelled images in `shards`; warn of those that are cut off or damaged, if asked to.

    The class is what the sample says (`.cls`, or `label`, `cls` or `class_id` in `.json`); where no sample says any,
    the folder that an image is in, or else the tar file's name. Raises UsageError for what is no tar file, and, if
    labels are needed, where no image has one.
    """
    found = _Found()
    broken = []
    for number, shard in enumerate(shards):
        before, name = len(found.rank), os.path.relpath(shard, root)
        try:
            _scan(shard, number, found)
        except TarBroken as why:
            broken.append(f"{name} {why} after {_images(len(found.rank) - before)}: the rest is missing")
            if warn:
                log.warning("%s", broken[-1])
        except OSError as error:
            raise UsageError(f"cannot read {shard}: {error.strerror or error}.") from error
    index = found.index(root, list(shards), tuple(broken))
    if not found.rank:
        raise UsageError(f"{root}: no image is in {shards[0].name}: where it holds tar files, unpack it once.")
    if not len(index) and needs_labels:
        raise UsageError(
            f"{root}: none of the {len(found.rank)} images in {shards[0].name}{' …' * (len(shards) > 1)} has a label: "
            "put a .cls or a .json with a label beside each, or images into class folders, or each class into a tar "
            "file named after it."
        )
    return index


@dataclass
class _Found:
    """The images of some shards, as far as they have been read."""

    rank: array[int] = field(default_factory=lambda: array("b"))
    """0 for a sample's image, 1 for other images in the sample."""
    places: array[int] = field(default_factory=lambda: array("q"))
    said: array[int] = field(default_factory=lambda: array("i"))
    """The class that the sample says."""
    folder: array[int] = field(default_factory=lambda: array("i"))
    """The folder that the image is in."""
    ends: array[int] = field(default_factory=lambda: array("q", [0]))
    names: bytearray = field(default_factory=bytearray)
    values: dict[Any, int] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)

    def add(self, sample: Sequence[tuple[str, int, int, int]], number: int, value: Any) -> None:
        """Take in the images of a sample: (name, offset, bytes, order among the sample's images)."""
        best = min((order for *_, order in sample), default=0)
        for name, offset, size, order in sample:
            self.rank.append(order > best or order == NO_IMAGE_OF_SAMPLE)
            self.places.extend((number, offset, size))
            self.said.append(NONE if value is None else self.values.setdefault(value, len(self.values)))
            above = PurePosixPath(name).parent.name
            self.folder.append(self.folders.setdefault(above, len(self.folders)) if above else NONE)
            self.names += name.encode(errors="surrogateescape")
            self.ends.append(len(self.names))

    def index(self, root: Path, shards: list[Path], broken: tuple[str, ...]) -> Index:
        """The images that have a label, by whichever way of labelling is the first that any image has."""
        rank, said, folder = (np.array(a, np.int64) for a in (self.rank, self.said, self.folder))
        places = np.array(self.places, np.int64).reshape(-1, 3)
        ends = np.array(self.ends, np.int64)
        samples = np.flatnonzero(rank == 0)
        every = np.arange(len(rank))
        if (said[samples] != NONE).any():
            rows, codes, values = samples, said, list(self.values)
        elif (folder != NONE).any():
            rows, codes, values = every, folder, list(self.folders)
        else:
            stems = [path.stem for path in shards]
            named = len(set(stems)) > 1 and not all(_split_named(stem) for stem in stems)
            rows, codes, values = every, places[:, 0] if named else np.full(len(rank), NONE), stems
        missing = rows[codes[rows] == NONE]
        rows = rows[codes[rows] != NONE]
        spans = np.stack([ends[:-1], ends[1:]], 1)
        index = Index(root, shards, values, codes[rows], places[rows], bytes(self.names), spans[rows], broken)
        if not len(rows) or not len(missing):
            return index
        unlabelled = replace(index, codes=codes[missing], places=places[missing], spans=spans[missing])
        first = [example.name for example in islice(unlabelled.walk(), NAMED)]
        told = f"{len(missing)} of {len(missing) + len(rows)} images have no label and are left out: {', '.join(first)}"
        return replace(index, unlabelled=(told + " …" * (len(missing) > NAMED),))


def _scan(shard: Path, number: int, found: _Found) -> None:
    """Add the images of a shard, sample by sample: neighbours whose names are the same up to the first point."""
    key: str | None = None
    images: list[tuple[str, int, int, int]] = []
    value: Any = None
    try:
        for path, offset, size in members(shard):
            name = path.removeprefix("./")
            folder, slash, file = name.rpartition("/")
            stem, _, suffix = file.partition(".")
            if not stem:
                continue
            if key != (own := folder + slash + stem):
                found.add(images, number, value)
                key, images, value = own, [], None
            suffix = suffix.lower()
            if f".{suffix.rpartition('.')[2]}" in IMAGE_SUFFIXES:
                images.append((name, offset, size, ORDER.get(suffix, NO_IMAGE_OF_SAMPLE)))
            elif suffix == "cls" or (suffix == "json" and value is None):
                value = _class(suffix, Slice(shard, offset, size).read())
    except TarBroken:
        if value is None and found.values:
            images = []  # what says its class is beyond the end
        raise
    finally:
        found.add(images, number, value)


def _class(suffix: str, content: bytes) -> Any:
    """The class that a sample's `.cls` or `.json` says: a number from 0, a name, or None."""
    text: Any = content.decode(errors="replace").strip()
    if suffix == "json":
        try:
            about = json.loads(text)
        except ValueError:
            return None
        if not isinstance(about, dict):
            return None
        text = next((about[key] for key in LABEL_KEYS if key in about), None)
    if isinstance(text, str) and re.fullmatch(r"-?\d+", text):
        text = int(text)
    if isinstance(text, bool) or not isinstance(text, int | str):
        return None
    return text if text != "" and (isinstance(text, str) or text >= 0) else None


def _class_names(root: Path, index: Index) -> list[str] | None:
    """The names in a file beside the shards, where classes are numbers and all of them have one."""
    for name in NAME_FILES:
        try:
            names = [line.strip() for line in (root / name).read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, ValueError):
            continue
        if all(isinstance(value, int) and value < len(names) for value in index.classes):
            return names
    return None


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"


def _unused(root: Path) -> Iterator[str]:
    """A line about tar files that are left out, where others name a split and they do not."""
    found = find_shards(root, SUFFIXES)
    others = [path.name for name, paths in found.items() if name not in SPLITS for path in paths]
    if others and not found.keys().isdisjoint(SPLITS):
        more = " …" * (len(others) > NAMED)
        yield f"not used, since their names tell no split: {', '.join(sorted(others)[:NAMED])}{more}"


def _split_named(stem: str) -> bool:
    return any(part in SPLITS for part in re.split(r"[-_.]", stem.lower()))
