"""How the files of a report get to their places: atomically, and without leaving outdated ones behind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.store import StoreError, atomic_write


def remove_outdated(output: Path, listing: str, planned: Sequence[str], *folders: str) -> None:
    """Remove what the last call lists under `files` in `listing` and this one does not write.

    Only files below one of `folders` (relative to `output`) go, never anything else.
    """
    try:
        earlier = json.loads((output / listing).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    kept = set(planned)
    for name in earlier if isinstance(earlier, list) else []:
        path = Path(str(name))
        ours = any(path.is_relative_to(folder) for folder in folders) and ".." not in path.parts
        if name not in kept and ours and not (output / path).is_dir():
            (output / path).unlink(missing_ok=True)


def write_all(folder: Path, files: Iterator[tuple[str, dict[str, bytes]]]) -> None:
    """Write (name, bytes by ending) as files below `folder`."""
    for name, contents in files:
        for ending, data in contents.items():
            write_file(folder / f"{name}{ending}", data)


def write_file(path: Path, data: bytes) -> None:
    """Write one file atomically, its folder too; StoreError says what to do where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, data)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; the runs are safe: make room or make the folder "
            "writable, then run again with --report-only."
        ) from error
