"""What is known of a board's mistakes: from logits where they are, from records elsewhere, images as far as kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.analysis.mistakes import mistakes_of
from bench.store import Store
from tests.answer_samples import answered_study, keep_images
from tests.samples import Fake

TWO = (Fake("resnet18", 0.9), Fake("deit_ti", 0.8))


def test_calibration_comes_from_the_logits_and_agrees_with_the_records(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO)
    found = mistakes_of(board, store)
    assert list(found.calibrations) == list(found.curves) == ["resnet18", "deit_ti"]
    for row in board.rows:
        tests = [run.test for run in row.runs if run.test is not None]
        known = found.calibrations[row.name]
        assert known.ece == pytest.approx(sum(t.ece for t in tests) / len(tests), abs=1e-6)
        assert known.nll == pytest.approx(sum(t.nll for t in tests) / len(tests), abs=1e-6)
        assert known.brier is not None
        assert known.ece_low is not None


def test_without_logits_or_predictions_the_records_are_what_there_is(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO, logits=False)
    found = mistakes_of(board, store)
    assert (found.calibrations["resnet18"].ece, found.calibrations["resnet18"].brier) == (pytest.approx(0.05), None)
    assert found.curves == {}
    alone = mistakes_of(board, Store(tmp_path / "elsewhere"))
    assert alone.calibrations == found.calibrations
    assert alone.agreement.names == ()
    assert alone.disagreements == ()


def test_kept_images_are_there_by_their_position(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, TWO)
    assert mistakes_of(board, store).images == {}
    wanted = keep_images(board, store, but=2)
    assert sorted(mistakes_of(board, store).images) == sorted(wanted[2:])
