"""The registry of dataset sources: what a dataset's name means, and whether what it names has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.data.examples import Source
from bench.data.parquet import SUFFIXES
from bench.data.shard_files import find_shards
from bench.data.shards import holds_tars
from bench.data.timm_sets import TORCH_SETS, hfds_copy
from bench.errors import UsageError, did_you_mean, nearest

Kind = Literal["digits", "synthetic", "torch", "hfds", "folder", "parquet", "shards"]
SYNTHETIC = ("texture", "distant-pair", "same-different", "path")
"""The tasks of `bench.data.synthetic`."""


@dataclass(frozen=True)
class Request:
    """A dataset's name, understood."""

    kind: Kind
    name: str
    """The name after the prefix, or the folder's path as asked for."""
    root: Path
    """The folder that holds the data, or the folder to download it into."""


def parse(dataset: str, data_dir: Path | None, download_dir: Path) -> Request:
    """What `dataset` means: `digits`, `synthetic/TASK`, `torch/NAME`, `hfds/NAME`, or a folder (also `folder:…`).

    A relative folder is looked for in the current folder, then in `data_dir`. Raises UsageError for an unknown
    name and for a folder that is not there. Imports nothing heavy.
    """
    prefix, slash, rest = dataset.partition("/")
    data_dir = None if data_dir is None else data_dir.expanduser()
    if dataset == "digits":
        return Request("digits", dataset, download_dir)
    if slash and prefix.lower() == "synthetic":
        if rest.lower() not in SYNTHETIC:
            raise UsageError(
                f"unknown dataset {dataset!r}.{did_you_mean(rest, SYNTHETIC)} "
                f"After synthetic/ there are: {', '.join(SYNTHETIC)}."
            )
        return Request("synthetic", f"synthetic/{rest.lower()}", download_dir)
    if slash and prefix.lower() in ("torch", "hfds"):
        if not rest:
            raise UsageError(f"dataset {dataset!r} has no name after the slash, such as torch/cifar10.")
        root = (data_dir or download_dir).resolve()
        if prefix.lower() == "hfds":
            return Request("hfds", f"hfds/{rest}", root)
        if rest.lower() not in TORCH_SETS:
            raise UsageError(
                f"unknown dataset {dataset!r}.{did_you_mean(rest, TORCH_SETS)} "
                f"After torch/ there are: {', '.join(TORCH_SETS)}."
            )
        return Request("torch", f"torch/{rest.lower()}", root)
    if slash and prefix.lower() in ("hfids", "tfds", "wds"):
        raise UsageError(
            f"dataset {dataset!r}: {prefix} can only be read in order, and subsets need random access; "
            "give the path of a folder that holds tar shards, Parquet shards or class folders, or use hfds/."
        )
    folder = _find_folder(dataset, data_dir)
    kind: Kind = "parquet" if _holds_parquet(folder) else "shards" if holds_tars(folder) else "folder"
    return Request(kind, dataset, folder)


def identity(request: Request) -> str:
    """A cheap text that changes when the source does, as far as can be told without reading the images.

    digits: the packaged file's hash; synthetic tasks: their version. Others: paths, sizes and modification times of
    the files that are read; for `hfds/` those of its local copy. Raises UsageError where they cannot be listed.
    """
    if request.kind == "digits":
        from bench.data.digits import digits_identity

        return digits_identity()
    if request.kind == "synthetic":
        from bench.data.synthetic import synthetic_identity

        return synthetic_identity(request.name)
    parts: Sequence[str] = ("",)
    if request.kind == "torch":
        parts = TORCH_SETS[request.name.partition("/")[2]]
    elif request.kind == "hfds":
        parts = (hfds_copy(request.name, request.root),)
    digest = hashlib.sha256(str(request.root).encode(errors="surrogateescape"))
    try:
        for part in parts:
            for path, size, mtime_ns in sorted(_listing(os.path.join(request.root, part))):
                digest.update(f"{part}/{path}\0{size}\0{mtime_ns}\n".encode(errors="surrogateescape"))
    except OSError as error:
        raise UsageError(f"cannot read the dataset folder {error.filename}: {error.strerror}.") from error
    return digest.hexdigest()


def open_source(request: Request, *, download: bool) -> Source:
    """Labels and undecoded images of both splits. Raises UsageError where the source is not sound."""
    if request.kind == "digits":
        from bench.data.digits import open_digits

        return open_digits()
    if request.kind == "synthetic":
        from bench.data.synthetic import open_synthetic

        return open_synthetic(request.name.partition("/")[2])
    if request.kind == "torch":
        from bench.data.timm_sets import open_torch

        return open_torch(request.name, request.root, download)
    if request.kind == "hfds":
        from bench.data.timm_sets import open_hfds

        return open_hfds(request.name, request.root, download)
    if request.kind == "parquet":
        from bench.data.parquet import open_parquet

        return open_parquet(request.root)
    if request.kind == "shards":
        from bench.data.shards import open_shards

        return open_shards(request.root)
    from bench.data.folders import open_folder

    return open_folder(request.root)


def _holds_parquet(folder: Path) -> bool:
    """Whether Parquet shards are the dataset, and not a table that lies beside folders of images."""
    shards = find_shards(folder, SUFFIXES)
    return "train" in shards or (bool(shards) and not (folder / "train").is_dir())


def _find_folder(dataset: str, data_dir: Path | None) -> Path:
    explicit = dataset.startswith("folder:")
    text = dataset.removeprefix("folder:")
    if not text.strip():
        raise UsageError("--dataset is empty: give digits, synthetic/TASK, torch/NAME, hfds/NAME, or a folder's path.")
    path = Path(text).expanduser()
    candidates = [path] if data_dir is None else [path, data_dir / path]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate.resolve()
    for candidate in candidates:
        if candidate.exists():
            raise UsageError(f"dataset {dataset!r}: {candidate} is a file; give the folder that holds the data.")
    if explicit or dataset.startswith((".", "~")) or os.sep in dataset:
        raise UsageError(f"dataset {dataset!r}: there is no folder {' or '.join(map(str, candidates))}.")
    known = {"digits": "digits", **{name: f"torch/{name}" for name in TORCH_SETS}}
    near = [known[name] for name in nearest(dataset, known)]
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise UsageError(
        f"unknown dataset {dataset!r}: neither a folder nor a known name.{hint} "
        "Known: digits, synthetic/TASK, torch/NAME, hfds/NAME, or the path of a folder."
    )


def _listing(path: str, below: str = "") -> Iterator[tuple[str, int, int]]:
    """(relative path, bytes, modification time in ns) of every file at or below `path` that is not hidden.

    Nothing where `path` is missing; (path, -1, -1) for a link that leads nowhere. Lock files are no data.
    """
    if not os.path.isdir(path):
        if os.path.lexists(path):
            yield (below, *_size_and_time(path))
        return
    for entry in os.scandir(path):
        if entry.name.startswith(".") or entry.name.endswith(".lock"):
            continue
        if entry.is_dir():
            yield from _listing(entry.path, f"{below}{entry.name}/")
        else:
            yield (f"{below}{entry.name}", *_size_and_time(entry))


def _size_and_time(file: str | os.DirEntry[str]) -> tuple[int, int]:
    try:
        status = os.stat(file)
    except FileNotFoundError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
