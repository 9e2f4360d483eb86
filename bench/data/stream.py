"""Images that do not fit in memory: where to find each one, in any order."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

import numpy as np

from bench.data.decode import Layout, read_square
from bench.data.examples import Slice

if TYPE_CHECKING:
    from bench.data.decode import Pixels
    from bench.data.examples import Encoded


class StreamWriter:
    """Writes down where the images of a split are.

    Images that are files are listed by path, those within shards by path, offset and size. Others (Parquet rows, which
    can only be read a group at a time) are copied, still encoded, one after the other into one file. Does nothing
    unless `enabled`.
    """

    def __init__(self, folder: Path, split: str, files: bool, layout: Layout, *, enabled: bool) -> None:
        self.folder, self.split, self.files, self.layout, self.enabled = folder, split, files, layout, enabled
        self.ends = [0]
        self._out: IO[bytes] | None = None

    def __enter__(self) -> StreamWriter:
        if self.enabled:
            suffix = "paths" if self.files else "images"
            self._out = (self.folder / f"{self.split}_{suffix}.bin").open("wb")
        return self

    def add(self, encoded: Sequence[Encoded]) -> None:
        """Write down the next images."""
        if self._out is None:
            return
        for item in encoded:
            content = _place(item) if self.files and isinstance(item, Path | Slice) else _content(item)
            self._out.write(content)
            self.ends.append(self.ends[-1] + len(content))

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._out is None:
            return
        self._out.close()
        if kind is not None:
            return
        np.save(self.folder / f"{self.split}_ends.npy", np.array(self.ends, dtype=np.int64))
        about = {"files": self.files, "px": self.layout.px, "channels": self.layout.channels}
        (self.folder / f"{self.split}_stream.json").write_text(json.dumps(about))


class Stream:
    """The images of a streamed split by index; picklable, so that loader processes can have a copy."""

    def __init__(self, folder: Path, split: str) -> None:
        about = json.loads((folder / f"{split}_stream.json").read_text())
        self.files = bool(about["files"])
        self.layout = Layout(px=about["px"], channels=about["channels"], native=False)
        self.ends = np.load(folder / f"{split}_ends.npy", mmap_mode="r")
        self.path = folder / f"{split}_{'paths' if self.files else 'images'}.bin"

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: int) -> Pixels:
        """uint8 [px, px, channels]. Raises OSError for a file that has gone or changed since it was prepared."""
        start, end = int(self.ends[index]), int(self.ends[index + 1])
        with self.path.open("rb") as file:
            file.seek(start)
            content = file.read(end - start)
        return read_square(_at(content) if self.files else content, self.layout)


def _place(item: Path | Slice) -> bytes:
    """Where an image is: a path, and for a part of a file its offset and size, after bytes that no path has."""
    if isinstance(item, Path):
        return os.fsencode(item)
    return b"\0".join((os.fsencode(item.path), b"%d" % item.offset, b"%d" % item.size))


def _at(place: bytes) -> Path | Slice:
    path, *part = place.split(b"\0")
    return Slice(Path(os.fsdecode(path)), *map(int, part)) if part else Path(os.fsdecode(path))


def _content(item: Encoded) -> bytes:
    """An image's file content; PNG for one that was never a file."""
    if isinstance(item, bytes):
        return item
    if isinstance(item, Path):
        return item.read_bytes()
    if isinstance(item, Slice):
        return item.read()
    buffer = io.BytesIO()
    item.save(buffer, "PNG")
    return buffer.getvalue()
