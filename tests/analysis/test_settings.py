"""The profiles on a leaderboard: equal settings in all rows, and a row without them says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.analysis.settings import Settings, settings_of
from bench.analysis.table import table
from bench.profiles import ProfileRecord
from bench.protocol import content_hash
from bench.records import Failure
from bench.store import Store
from tests.cost_samples import make_device, make_profile, make_timing
from tests.samples import ENVIRONMENT, Fake, make_study, model_info

MODELS = (Fake("a", 0.9), Fake("b", 0.7))
LATER, LATEST = "2026-02-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"


def _add(root: Path, name: str, created: str = LATER, **timing: Any) -> ProfileRecord:
    """Write one more profile of a model of the study, timed with other settings."""
    changes = {part: make_timing(8, 50.0, name=name, **timing) for part in ("latency", "inference", "training")}
    identity = content_hash([name, created, {k: str(v) for k, v in timing.items()}])
    profile = make_profile(
        name, model_info(Fake(name), 32), ENVIRONMENT, 32, 10, created=created, id=identity, **changes
    )
    Store(root).write_profile(profile)
    return profile


def _board(root: Path) -> Board:
    (board,) = build_board(load_records(root))
    return board


def _settings(board: Board) -> dict[str, Settings | None]:
    return {row.model: settings_of(row.profile) if row.profile else None for row in board.rows}


def test_the_settings_that_cover_the_most_rows_are_shown_even_if_others_are_newer(tmp_path: Path) -> None:
    make_study(tmp_path, models=MODELS)
    _add(tmp_path, "a", compiled=True)
    assert {settings and settings.compiled for settings in _settings(_board(tmp_path)).values()} == {False}


def test_of_settings_that_cover_as_many_rows_the_newest_are_shown(tmp_path: Path) -> None:
    make_study(tmp_path, models=MODELS)
    _add(tmp_path, "a", compiled=True)
    _add(tmp_path, "b", LATEST, compiled=True)
    assert {settings and settings.compiled for settings in _settings(_board(tmp_path)).values()} == {True}


def test_training_in_the_boards_own_arithmetic_comes_before_newer_profiles(tmp_path: Path) -> None:
    make_study(tmp_path, models=MODELS)
    for model in ("a", "b"):
        _add(tmp_path, model, precision="bf16")
    assert {settings and settings.training_precision for settings in _settings(_board(tmp_path)).values()} == {"fp32"}


def test_a_row_that_was_only_measured_with_other_settings_shows_no_cost_and_says_so(tmp_path: Path) -> None:
    make_study(tmp_path, models=(*MODELS, Fake("c", 0.8)))
    next(tmp_path.glob("profiles/b-*/record.json")).unlink()
    _add(tmp_path, "b", memory_format="contiguous")
    row = next(row for row in _board(tmp_path).rows if row.model == "b")
    assert (row.profile, row.inference_img_per_s) == (None, None)
    assert any(n.short == "cost unknown" and "settings of the other rows" in n.long for n in row.notes)


def test_of_equal_settings_the_newest_profile_is_shown_and_a_failed_one_only_without_a_good_one(tmp_path: Path) -> None:
    make_study(tmp_path, models=MODELS)
    newer = _add(tmp_path, "a")
    failure = Failure(kind="WorkerDied", message="killed")
    for model in ("a", "b"):
        failed = newer.model_copy(
            update={"id": f"{model}-failed", "model": model, "status": "failed", "failure": failure}
        )
        Store(tmp_path).write_profile(failed.model_copy(update={"created": LATEST}))
    next(tmp_path.glob("profiles/b-*/record.json")).unlink()
    rows = {row.model: row for row in _board(tmp_path).rows}
    assert rows["a"].profile == newer
    assert any("WorkerDied: killed" in note.long for note in rows["b"].notes)


def test_an_invalid_timing_and_a_smaller_batch_are_notes_of_the_row(tmp_path: Path) -> None:
    doubtful = make_timing(16, 50.0, invalid=["drifted by +9.0 %"], requested_batch_size=32)
    problems = ["training: RuntimeError: no backward"]
    make_study(tmp_path, models=(Fake("a", cost=(("inference", doubtful), ("problems", problems))),))
    board = _board(tmp_path)
    notes = {note.short: note.long for note in board.rows[0].notes}
    assert {"INVALID", "smaller batch", "training unknown"} <= set(notes)
    assert table(board.rows)[0]["inference_state"] == "INVALID"


def test_the_leaderboards_table_holds_cost_with_interval_memory_and_utilisation(tmp_path: Path) -> None:
    make_study(tmp_path, models=MODELS[:1])
    device = make_device(ENVIRONMENT)
    Store(tmp_path).write_device(device)
    board = _board(tmp_path)
    (line,) = table(board.rows)
    profile = board.rows[0].profile
    assert profile is not None
    assert profile.memory is not None
    assert line["inference_low_img_per_s"] == pytest.approx(800 / 1.006)
    assert line["inference_high_img_per_s"] == pytest.approx(800 / 0.995)
    assert (line["inference_batch"], line["inference_state"]) == (32, "valid")
    assert line["training_step_img_per_s"] == pytest.approx(250.0)
    assert line["training_peak_bytes"] == profile.memory.training_peak_bytes
    assert line["mfu"] == pytest.approx(800 * 2 * 600e6 / device.flops_per_s["fp32"].median_per_s)
    assert line["energy_mj_per_image"] is None
    Store(tmp_path).write_device(device.model_copy(update={"invalid": ["busy"]}))
    assert table(_board(tmp_path).rows)[0]["mfu"] is None
    frame = board.to_frame()
    assert str(frame["weights_bytes"].dtype) == "Int64"


def test_a_setting_that_one_profile_does_not_tell_keeps_nothing_apart() -> None:
    known = Settings("fp32", "bf16", "channels_last", False, "none")
    assert known.fits(known._replace(training_precision=None, switches=None))
    assert not known.fits(known._replace(training_precision=None, compiled=True))
    assert known._replace(switches=None).completed(known) == known
