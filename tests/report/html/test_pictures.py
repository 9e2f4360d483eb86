"""Confusions, answers and images are packed without loss, and only as far as there is room."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import build_board, load_records
from bench.analysis.answers import Answers, read_answers
from bench.analysis.board import Board
from bench.analysis.confusions import most_confused, pooled_confusion
from bench.protocol import PRESETS
from bench.report.html import pictures
from bench.report.html.pictures import MOST_CLASSES, answers_of, confusions_of, figures_of, thumbnails_of
from bench.store import Store
from tests.samples import CANONICAL_FAKES, make_study

FORTY = [f"class {k}" for k in range(40)]


def _board(root: Path, classes: list[str] | None = None) -> tuple[Board, Answers]:
    chosen = {"classes": classes} if classes else {}
    make_study(root, CANONICAL_FAKES, replace(PRESETS["quick"], seeds=(0, 1)), **chosen)  # type: ignore[arg-type]
    (board,) = build_board(load_records(root))
    return board, read_answers(board, Store(root))


def test_confusions_read_back_as_the_pooled_counts(tmp_path: Path) -> None:
    board, _ = _board(tmp_path)
    for k, row in enumerate(board.rows):
        found = confusions_of(board)[str(k)]
        counts = np.zeros(100, dtype=np.int64)
        counts[found["cells"][::2]] = found["cells"][1::2]
        assert np.array_equal(counts.reshape(10, 10), pooled_confusion(row))
        assert found["images"] == pooled_confusion(row).sum(axis=1).tolist()  # type: ignore[union-attr]


def test_of_many_classes_those_of_the_worst_confusions_are_kept(tmp_path: Path) -> None:
    board, _ = _board(tmp_path, FORTY)
    counts = pooled_confusion(board.rows[0])
    assert counts is not None
    kept = confusions_of(board)["0"]["classes"]
    assert len(kept) <= MOST_CLASSES
    assert kept == sorted(set(kept))
    for pair in most_confused(counts, MOST_CLASSES // 2):
        assert {pair.true, pair.predicted} <= set(kept)


@pytest.mark.parametrize(("classes", "kind"), [(None, "<u1"), ([f"k{k}" for k in range(300)], "<u2")])
def test_answers_read_back_exactly(tmp_path: Path, classes: list[str] | None, kind: str) -> None:
    board, answers = _board(tmp_path, classes)
    found = answers_of(board, answers)
    assert found is not None
    assert found["bits"] == 8 * np.dtype(kind).itemsize
    names = [row.name for row in board.rows]
    for row in answers.rows:
        for seed, prediction in zip(row.seeds, row.prediction, strict=True):
            packed = found["rows"][str(names.index(row.name))][str(seed)]
            assert np.array_equal(np.frombuffer(base64.b64decode(packed), kind), prediction)
    assert np.array_equal(np.frombuffer(base64.b64decode(found["index"]), "<u4"), answers.index)
    assert np.array_equal(np.frombuffer(base64.b64decode(found["label"]), kind), answers.label)


def test_what_does_not_fit_is_left_out_from_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board, answers = _board(tmp_path)
    monkeypatch.setattr(pictures, "ANSWER_BYTES", 2 * 2 * 480 + 1)
    monkeypatch.setattr(pictures, "IMAGE_BYTES", 8)
    monkeypatch.setattr(pictures, "CONFUSION_NUMBERS", 0)
    monkeypatch.setattr(pictures, "FIGURE_BYTES", 60)
    found = answers_of(board, answers)
    assert found is not None
    assert set(found["rows"]) == {"0", "1"}
    assert set(thumbnails_of({7: b"abc", 3: b"abc", 5: b"abc"})) == {"7", "3"}
    assert confusions_of(board) == {}
    small = figures_of({"kept": {".svg": b"<svg/>", ".png": bytes(90)}, "left out": {".svg": bytes(90)}})
    assert [told for told, _ in small] == ["kept"]
    assert small[0][1].startswith("data:image/svg+xml;base64,")


def test_without_answers_there_are_none(tmp_path: Path) -> None:
    board, answers = _board(tmp_path)
    assert answers_of(board, None) is None
    assert answers_of(board, replace(answers, rows=())) is None
