"""Files on their way to nodes that do not have them: a prepared dataset, or a checkpoint."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError

CHUNK_BYTES = 256 << 20
"""Largest part of a file that travels at a time."""


@dataclass(frozen=True)
class Parcel:
    """Files of one folder below the cache, in parts."""

    name: str
    """The folder, relative to the cache."""
    files: tuple[tuple[str, tuple[Any, ...]], ...]
    """Each file's name and where its parts can be had."""


def wrap(name: str, files: list[Path], put: Callable[[bytes], Any], chunk_bytes: int = CHUNK_BYTES) -> Parcel:
    """A parcel for the folder `name` below the cache; `put` keeps a part of a file and says where it can be had."""
    return Parcel(name, tuple((file.name, tuple(_parts(file, put, chunk_bytes))) for file in sorted(files)))


def unwrap(parcel: Parcel, cache_dir: Path, get: Callable[[Any], bytes]) -> None:
    """Write a parcel's files, unless the folder is there. Half of a folder is never seen.

    Raises UsageError for a cache that cannot be written.
    """
    from filelock import FileLock

    target = cache_dir / parcel.name
    mark = hashlib.sha256(parcel.name.encode()).hexdigest()[:32]
    unfinished = cache_dir / f"unfinished-{mark}"
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir / f"{mark}.lock"):
            if target.is_dir():
                return
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            for name, parts in parcel.files:
                with (unfinished / name).open("wb") as file:
                    for part in parts:
                        file.write(get(part))
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished.rename(target)
    except OSError as error:
        raise UsageError(f"its cache folder {cache_dir} cannot be written: {error.strerror or error}") from error


def _parts(file: Path, put: Callable[[bytes], Any], chunk_bytes: int) -> list[Any]:
    found = []
    with file.open("rb") as source:
        while part := source.read(chunk_bytes):
            found.append(put(part))
    return found
