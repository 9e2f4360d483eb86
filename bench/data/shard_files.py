"""Which files of a folder are shards of a dataset, and which split each one belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

TEST_SPLITS = ("test", "validation", "valid", "val")
SPLITS = ("train", *TEST_SPLITS)
SUBFOLDERS = ("data", "default", "plain_text")


def find_shards(root: Path, suffixes: Sequence[str]) -> dict[str, list[Path]]:
    """Shards of each split, in order, in `root`, its `SUBFOLDERS` and the folders of splits below these.

    A split is told by the folder below `root` that the file is in, or else by the file's name up to the first `-` or
    `.`, the name of `root`, or any other part of the file's name (`imagenet1k-train-0000.tar`); where none is known, it
    is the first part of the file's name.
    """
    above = [root, *(root / name for name in SUBFOLDERS)]
    folders = [*above, *(folder / name for folder in above for name in SPLITS)]
    shards: dict[str, list[Path]] = {}
    for path in sorted(path for folder in folders for suffix in suffixes for path in folder.glob(f"[!.]*{suffix}")):
        first = path.name.partition("-")[0].partition(".")[0].lower()
        own = [first, path.parent.name.lower()]
        names = own if path.parent == root else own[::-1]
        split = next((n for n in (*names, *re.split(r"[-_.]", path.name.lower())) if n in SPLITS), first)
        shards.setdefault(split, []).append(path)
    return shards
