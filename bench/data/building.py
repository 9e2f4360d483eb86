"""One pass over a source: decode, count, hash, and write what batches are later made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.data.decode import (
    Chunk,
    Layout,
    LayoutBroken,
    decode_split,
    difference_hashes,
    probe_layout,
    square_side,
)
from bench.data.examples import JPEG_NOTE, Source, Split, check_classes, shown_name
from bench.data.info import DataInfo
from bench.data.stream import StreamWriter

if TYPE_CHECKING:
    from bench.data.decode import Pixels

Progress = Callable[[int, int], None]

CORRUPT_NAMES = 100
NEAR_DUPLICATE_LIMIT = 200_000
STREAM_NOTE = "too large for memory: decoded anew in every epoch"


@dataclass
class _Pass:
    """What one walk over a split has found so far."""

    split: Split
    images: Pixels | None
    """Where decoded pixels go; None where they are streamed."""
    hashes: list[NDArray[np.uint64]] | None
    """Where difference hashes go; None where there are too many images to compare."""
    rows: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    formats: set[str | None] = field(default_factory=set)
    total: NDArray[np.int64] | int = 0
    total_of_squares: NDArray[np.int64] | int = 0

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the images that decoded."""
        return self.split.labels[self.rows]

    def add(self, chunk: Chunk) -> None:
        """Take in the next chunk."""
        self.corrupt += chunk.corrupt
        if not chunk.rows:
            return
        if self.images is not None:
            self.images[len(self.rows) : len(self.rows) + len(chunk.rows)] = chunk.pixels
        if self.hashes is not None:
            self.hashes.append(difference_hashes(chunk.pixels))
        self.rows += chunk.rows
        self.digests += chunk.digests
        self.sizes |= chunk.sizes
        self.formats |= chunk.formats
        self.total = self.total + chunk.sums
        self.total_of_squares = self.total_of_squares + chunk.sums_of_squares


def build(
    source: Source, folder: Path, *, img_size: int, max_resident_bytes: int, progress: Progress | None
) -> tuple[DataInfo, Layout]:
    """Decode `source` into `folder` and describe it.

    Images that fit into `max_resident_bytes` are written as arrays, others as a list of what to stream.
    Raises UsageError for a set that nothing can be learnt from, OSError where `folder` cannot be written.
    """
    _check(source, source.train.labels, len(source.test))
    layout = probe_layout(source.train, img_size)
    while True:
        try:
            return _build(source, folder, layout, img_size, max_resident_bytes, progress), layout
        except LayoutBroken as broken:
            layout = broken.layout


def _build(
    source: Source,
    folder: Path,
    layout: Layout,
    img_size: int,
    max_resident_bytes: int,
    progress: Progress | None,
) -> DataInfo:
    total = len(source.train) + len(source.test)
    shape = (layout.px, layout.px, layout.channels)
    resident = total * int(np.prod(shape)) <= max_resident_bytes
    passes: dict[str, _Pass] = {}
    done = 0
    for name, split in (("train", source.train), ("test", source.test)):
        images = np.empty((len(split), *shape), dtype=np.uint8) if resident else None
        walked = passes[name] = _Pass(split, images, [] if total <= NEAR_DUPLICATE_LIMIT else None)
        with StreamWriter(folder, name, split.files, layout, enabled=not resident) as writer:
            for chunk in decode_split(split, layout, img_size):
                walked.add(chunk)
                writer.add(chunk.encoded)
                done += len(chunk.rows) + len(chunk.corrupt)
                if progress is not None:
                    progress(done, total)
        np.save(folder / f"{name}_labels.npy", walked.labels)
        if images is not None:
            np.save(folder / f"{name}_images.npy", images[: len(walked.rows)])
    _check(source, passes["train"].labels, len(passes["test"].rows))
    return _describe(source, passes["train"], passes["test"], layout, resident)


def _check(source: Source, train_labels: NDArray[np.int64], n_test: int) -> None:
    counts = np.bincount(train_labels, minlength=len(source.classes))
    check_classes(source.name, source.classes, counts.tolist(), n_test)


def _describe(source: Source, train: _Pass, test: _Pass, layout: Layout, resident: bool) -> DataInfo:
    formats = train.formats | test.formats
    notes = list(source.notes)
    if "JPEG" in formats:
        notes.append(JPEG_NOTE)
    if not resident:
        notes.append(STREAM_NOTE)
    known = set(train.digests)
    near = None
    if train.hashes is not None and test.hashes is not None:
        near = int(np.isin(np.concatenate(test.hashes), np.concatenate(train.hashes)).sum())
    mean, std = _moments(train, layout)
    corrupt = train.corrupt + test.corrupt
    return DataInfo(
        dataset=shown_name(source.name, formats),
        fingerprint=_fingerprint(source, layout, train, test),
        classes=source.classes,
        n_train=len(train.rows),
        n_test=len(test.rows),
        train_counts=np.bincount(train.labels, minlength=len(source.classes)).tolist(),
        channels=layout.channels,
        native_px=square_side(train.sizes | test.sizes),
        cached_px=layout.px if resident else None,
        mean=mean,
        std=std,
        flip=source.flip,
        corrupt=corrupt[:CORRUPT_NAMES],
        n_corrupt=len(corrupt),
        duplicates_train_test=sum(digest in known for digest in test.digests),
        near_duplicates_train_test=near,
        notes=notes,
    )


def _moments(train: _Pass, layout: Layout) -> tuple[list[float], list[float]]:
    """Per-channel mean and standard deviation in 0..1; a constant channel gets the smallest visible deviation."""
    n = len(train.rows) * layout.px**2
    mean = np.asarray(train.total) / n
    variance = np.asarray(train.total_of_squares) / n - mean**2
    std = np.sqrt(np.maximum(variance, 1.0))
    return (mean / 255).tolist(), (std / 255).tolist()


def _fingerprint(source: Source, layout: Layout, train: _Pass, test: _Pass) -> str:
    """SHA-256 over class names, shape, and each split's labels and SHA-256 of each image's pixels."""
    head = {"classes": source.classes, "px": layout.px, "channels": layout.channels}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for split in (train, test):
        digest.update(len(split.rows).to_bytes(8, "little"))
        digest.update(split.labels.astype("<i8").tobytes())
        digest.update(b"".join(split.digests))
    return digest.hexdigest()
