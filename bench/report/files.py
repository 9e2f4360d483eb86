"""How the files of a report get to their places: atomically, without leaving outdated ones behind, each drawn once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from bench.files import atomic_write
from bench.store import StoreError

_DRAWN = ".drawn.json"
_DRAWN_BY = ("matplotlib", "seaborn", "altair", "vl-convert-python", "itables")


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


def drawing_of(output: Path, sources: Iterable[str]) -> str:
    """What pictures drawn now would be drawn from, as SHA-256: files below `output`, our code, the drawing libraries.

    `sources` are paths below `output`; one that is missing counts as empty.
    """
    digest = hashlib.sha256()
    code = Path(__file__).parents[1]
    for path in [*(output / name for name in sources), *sorted(code.rglob("*.py")), *sorted(code.rglob("templates/*"))]:
        digest.update(hashlib.sha256(path.read_bytes() if path.is_file() else b"").digest())
    digest.update(",".join(metadata.version(name) for name in _DRAWN_BY).encode())
    return digest.hexdigest()


def is_drawn(output: Path, what: str, drawing: str, files: Iterable[str]) -> bool:
    """Whether `what` was last drawn from the same and all of its files are still there."""
    return _drawn(output).get(what) == drawing and all((output / name).is_file() for name in files)


def note_drawn(output: Path, what: str, drawing: str) -> None:
    """Remember what `what` was drawn from, once all of its files are written."""
    write_file(output / _DRAWN, json.dumps({**_drawn(output), what: drawing}).encode())


def _drawn(output: Path) -> dict[str, str]:
    try:
        found = json.loads((output / _DRAWN).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_all(folder: Path, files: Iterator[tuple[str, dict[str, bytes]]]) -> None:
    """Write (name, bytes by ending) as files below `folder`."""
    for name, contents in files:
        for ending, data in contents.items():
            write_file(folder / f"{name}{ending}", data)


def write_file(path: Path, data: bytes) -> None:
    """Write one file atomically, its folder too; StoreError says what to do where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, data, durable=False)  # after a power cut --report-only makes it again
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; the runs are safe: make room or make the folder "
            "writable, then run again with --report-only."
        ) from error
