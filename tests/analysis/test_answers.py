"""Answers are read once, lined up, and left out where they are not those of their record or of other images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.analysis import answers
from bench.analysis.answers import read_answers
from bench.store import load_records
from tests.answer_samples import answered_study, rewrite
from tests.samples import Fake

TWO = (Fake("resnet18", 0.9), Fake("deit_ti", 0.8))


def test_every_seed_of_every_row_is_there_in_the_order_of_the_board(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO)
    found = read_answers(board, store)
    assert [row.name for row in found.rows] == [row.name for row in board.rows] == ["resnet18", "deit_ti"]
    for row, known in zip(found.rows, board.rows, strict=True):
        assert row.seeds == (0, 1)
        accuracy = found.correct(row).mean(axis=1)
        assert accuracy == pytest.approx([run.test.top1 for run in known.runs if run.test])
        assert [s.correct.mean() for s in row.scores] == pytest.approx(accuracy)
    assert found.of("resnet18") is found.rows[0]
    assert found.of("unknown") is None


def test_probabilities_are_read_for_the_best_rows_only_and_only_where_all_seeds_have_them(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO)
    assert [bool(row.scores) for row in read_answers(board, store, scored=1).rows] == [True, False]
    run = board.rows[0].runs[0]
    arrays = store.predictions(run.cell)
    store.write_run(run, {name: array for name, array in arrays.items() if name != "logits"})
    found = read_answers(board, store)
    assert [len(row.scores) for row in found.rows] == [0, 2]
    assert [len(row.seeds) for row in found.rows] == [2, 2]


def test_only_the_best_rows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_ROWS", 1)
    board, store = answered_study(tmp_path, TWO, logits=False)
    assert [row.name for row in read_answers(board, store).rows] == ["resnet18"]


def test_predictions_that_are_not_those_of_their_record_are_left_out(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO, logits=False)
    run = board.rows[1].runs[1]
    arrays = store.predictions(run.cell)
    store.write_run(run, {**arrays, "prediction": np.asarray(arrays["label"])})
    assert read_answers(board, store).rows[1].seeds == (0,)


@pytest.mark.parametrize("torn", [b"", b"PK\x03\x04 torn"])
def test_missing_and_damaged_predictions_leave_the_others_as_they_are(tmp_path: Path, torn: bytes) -> None:
    board, store = answered_study(tmp_path, TWO, logits=False)
    for run in board.rows[0].runs:
        (store.cell_folder(run.cell) / "predictions.npz").write_bytes(torn)
    assert [row.name for row in read_answers(board, store).rows] == ["deit_ti"]
    for path in tmp_path.rglob("predictions.npz"):
        path.unlink()
    assert read_answers(board, store).rows == ()


def test_answers_to_other_images_are_not_lined_up_with_those_of_the_others(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, (*TWO, Fake("vit_b16", 0.7)), logits=False)
    for record in load_records(tmp_path).runs:
        if record.cell.model == "resnet18" and record.test is not None:
            prediction = np.asarray(store.predictions(record.cell)["prediction"], dtype=np.int64)
            rewrite(store, record, prediction, index=np.arange(len(prediction))[::-1].copy())
    assert [row.name for row in read_answers(board, store).rows] == ["deit_ti", "vit_b16"]
