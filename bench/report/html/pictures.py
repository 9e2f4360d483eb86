"""What lies behind accuracies, packed for the page: confusions, answers to each test image, thumbnails."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.answers import Answers
from bench.analysis.board import Board
from bench.analysis.confusions import Counts, most_confused, pooled_confusion

ANSWER_BYTES = 500_000
"""Room for answers in the page, base64 included; the rows that no longer fit show no single images."""
CONFUSION_NUMBERS = 80_000
"""Room for confusion counts; the rows that no longer fit have theirs in `confusion/` only."""
IMAGE_BYTES = 350_000
"""Room for thumbnails, base64 included; the images that no longer fit are named by their number only."""
FIGURE_BYTES = 300_000
"""Room for the pictures that a reader without scripts sees, base64 included."""
MOST_CLASSES = 24
"""Classes of a matrix in the page: so many cells a side can still be told apart."""
_WORST = 200
_KINDS = {".svg": "image/svg+xml", ".png": "image/png"}


def confusions_of(board: Board) -> dict[str, dict[str, list[int]]]:
    """Confusion counts by position of the row, seeds summed, at the row's largest train size.

    `classes` are all classes, or those of the worst confusions where there are more than `MOST_CLASSES`; `images` are
    the test images of each; `cells` are (place of the true class × classes + place of the one named, count) of every
    cell that is not empty. Rows come in the order of the board as long as there is room.
    """
    found: dict[str, dict[str, list[int]]] = {}
    room = CONFUSION_NUMBERS
    for k, row in enumerate(board.rows):
        counts = pooled_confusion(row)
        if counts is None:
            continue
        classes = _classes(counts)
        part = counts[np.ix_(classes, classes)].reshape(-1)
        at = np.flatnonzero(part)
        room -= 2 * len(at)
        if room < 0:
            break
        found[str(k)] = {
            "classes": classes,
            "images": counts.sum(axis=1)[classes].tolist(),
            "cells": np.stack([at, part[at]], axis=1).reshape(-1).tolist(),
        }
    return found


def _classes(counts: Counts) -> list[int]:
    """All classes where they fit, else those of the worst confusions, in label order."""
    if len(counts) <= MOST_CLASSES:
        return list(range(len(counts)))
    chosen: set[int] = set()
    for pair in most_confused(counts, _WORST):
        wider = chosen | {pair.true, pair.predicted}
        if len(wider) <= MOST_CLASSES:
            chosen = wider
    return sorted(chosen)


def answers_of(board: Board, answers: Answers | None) -> dict[str, Any] | None:
    """Classes named for each test image by position of the row and seed; the images' labels stand there once.

    Rows come in the order of the board as long as there is room. Arrays are little-endian, base64: uint8 up to 256
    classes, else uint16; positions in the test split are uint32. None where there are no answers.
    """
    if answers is None or not answers.rows:
        return None
    kind = "<u1" if len(board.data.classes) <= 256 else "<u2"
    place = {row.name: k for k, row in enumerate(board.rows)}
    rows: dict[str, dict[str, str]] = {}
    room = ANSWER_BYTES
    for row in answers.rows:
        named = {str(seed): _packed(line, kind) for seed, line in zip(row.seeds, row.prediction, strict=True)}
        room -= sum(map(len, named.values()))
        if room < 0:
            break
        rows[str(place[row.name])] = named
    return {
        "bits": 8 * np.dtype(kind).itemsize,
        "index": _packed(answers.index, "<u4"),
        "label": _packed(answers.label, kind),
        "rows": rows,
    }


def thumbnails_of(images: Mapping[int, bytes]) -> dict[str, str]:
    """PNG images by position in the test split, base64, in the order given as long as there is room."""
    found: dict[str, str] = {}
    room = IMAGE_BYTES
    for index, png in images.items():
        text = base64.b64encode(png).decode()
        room -= len(text)
        if room < 0:
            break
        found[str(index)] = text
    return found


def figures_of(figures: Mapping[str, Mapping[str, bytes]]) -> list[tuple[str, str]]:
    """(title, `data:` URL) of pictures given as bytes by ending: of SVG and PNG the smaller, while there is room."""
    found: list[tuple[str, str]] = []
    room = FIGURE_BYTES
    for told, contents in figures.items():
        url = picture_url(contents)
        if len(url) <= room:
            room -= len(url)
            found.append((told, url))
    return found


def picture_url(contents: Mapping[str, bytes]) -> str:
    """A picture given as bytes by ending as a `data:` URL: of SVG and PNG the smaller."""
    ending = min((ending for ending in _KINDS if ending in contents), key=lambda e: len(contents[e]))
    return f"data:{_KINDS[ending]};base64,{base64.b64encode(contents[ending]).decode()}"


def _packed(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()
