"""What the runs of a board answered to each test image at the largest train size: read once, lined up, reduced."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.board import Board
from bench.analysis.calibration import ImageScores, image_scores
from bench.analysis.predictions import PER_IMAGE, images_digest, right_answers
from bench.analysis.rows import Row
from bench.records import RunRecord
from bench.store import Store

MOST_ROWS = 30
"""Rows, best first, whose answers are compared."""
SCORED_ROWS = 12
"""Rows, best first, whose probabilities are looked at."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Answered:
    """The answers of one row's seeds."""

    name: str
    """Name of the row."""
    seeds: tuple[int, ...]
    """Seeds with predictions, ascending."""
    prediction: Ints
    """Classes named, int64 [seeds, images]."""
    scores: tuple[ImageScores, ...]
    """What the probabilities of each seed are worth; empty unless the logits of every seed are there."""


@dataclass(frozen=True)
class Answers:
    """The answers of the best rows of a board to the same test images, in the same order."""

    index: Ints
    """Position of each image in the test split, int64 [images]."""
    label: Ints
    """Position of its true class, int64 [images]."""
    rows: tuple[Answered, ...]
    """In the order of the board; rows without usable predictions, or of other images, are left out."""

    def of(self, name: str) -> Answered | None:
        """The answers of one row; None where there are none."""
        return next((row for row in self.rows if row.name == name), None)

    def correct(self, row: Answered) -> NDArray[np.bool_]:
        """Which images each seed gets right, bool [seeds, images]."""
        return np.asarray(row.prediction == self.label)


@dataclass(frozen=True)
class _Read:
    """One run's predictions."""

    run: RunRecord
    images: str
    """Digest of which images with which labels, in which order."""
    arrays: dict[str, NDArray[Any]]
    scores: ImageScores | None


def read_answers(board: Board, store: Store, scored: int = SCORED_ROWS) -> Answers:
    """The answers of the best `MOST_ROWS` rows at the largest train size; logits of the best `scored` only.

    Predictions that are missing, or are not those of their record, count as not there. Logits are reduced to a few
    numbers an image at once, since those of many runs would not fit into memory.
    """
    ranked = [row for row in board.rows if row.of_size(row.largest)][:MOST_ROWS]
    found = {
        row.name: [
            read for run in row.of_size(row.largest) if (read := _read(store, run, scored=k < scored)) is not None
        ]
        for k, row in enumerate(ranked)
    }
    digests = [read.images for reads in found.values() for read in reads]
    if not digests:
        nothing = np.empty(0, dtype=np.int64)
        return Answers(nothing, nothing, ())
    shared = Counter(digests).most_common(1)[0][0]
    kept = {name: [read for read in reads if read.images == shared] for name, reads in found.items()}
    first = next(read for reads in kept.values() for read in reads)
    rows = tuple(_answered(row, kept[row.name]) for row in ranked if kept[row.name])
    return Answers(first.arrays["index"], first.arrays["label"], rows)


def _answered(row: Row, reads: list[_Read]) -> Answered:
    scores = tuple(read.scores for read in reads if read.scores is not None)
    return Answered(
        name=row.name,
        seeds=tuple(read.run.cell.seed for read in reads),
        prediction=np.stack([read.arrays["prediction"] for read in reads]),
        scores=scores if len(scores) == len(row.of_size(row.largest)) else (),
    )


def _read(store: Store, run: RunRecord, *, scored: bool) -> _Read | None:
    """A run's predictions; None where they are missing or do not fit its record."""
    try:
        found = store.predictions(run.cell, (*PER_IMAGE, *(("logits",) if scored else ())))
    except KeyError:
        return None
    if run.test is None or right_answers(found, run) is None:
        return None
    arrays = {name: np.asarray(found[name], dtype=np.int64) for name in PER_IMAGE}
    logits = found.get("logits")
    scores = None
    if logits is not None and logits.shape == (run.test.n, len(run.data.classes)):
        scores = image_scores(logits, arrays["label"])
    return _Read(run, images_digest(arrays["index"], arrays["label"]), arrays, scores)
