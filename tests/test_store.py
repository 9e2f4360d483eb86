"""The store: atomic, resumable, and never fatal when it finds something broken."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.files import atomic_write
from bench.profiles import DeviceRecord, ProfileRecord, Rate
from bench.records import SCHEMA_VERSION, CellSpec, Failure, RunRecord
from bench.store import RECORD, Store, StoreError, cell_id, load_records, slug
from tests.samples import ENVIRONMENT, make_cell, make_run


def test_a_written_run_is_read_back_equal_with_its_predictions(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    record = make_run()
    folder = store.write_run(record, {"prediction": np.arange(5)})
    assert store.is_done(folder)
    records = load_records(tmp_path)
    assert records.runs == [record]
    assert records.problems == []
    assert records.predictions(record.id)["prediction"].tolist() == [0, 1, 2, 3, 4]
    assert records.run_path(record.id) == folder.relative_to(tmp_path).as_posix()


def test_a_failed_run_is_kept_but_not_done_and_each_attempt_has_its_own_file(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    record = make_run(status="failed", failure=Failure(kind="NonFiniteLoss", message="nan"))
    folder = store.write_run(record)
    store.write_run(record)
    assert not store.is_done(folder)
    assert store.failures(folder) == 2
    assert [r.status for r in load_records(tmp_path).runs] == ["failed", "failed"]


def test_a_failure_after_a_success_does_not_undo_it(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    store.write_run(make_run())
    folder = store.write_run(make_run(status="failed", failure=Failure(kind="X", message="later")))
    assert store.is_done(folder)


@settings(max_examples=30, deadline=None)
@given(cut=st.floats(0, 0.999))
def test_a_record_cut_off_anywhere_counts_as_not_done_and_is_named(
    cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("store")
    store = Store(root).open()
    folder = store.write_run(make_run())
    whole = (folder / RECORD).read_bytes()
    (folder / RECORD).write_bytes(whole[: int(len(whole) * cut)])
    assert not store.is_done(folder)
    records = load_records(root)
    assert records.runs == []
    assert len(records.problems) == 1
    assert "record.json" in records.problems[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, "schema version"),
        ({"surprise": 1}, "surprise"),
        ({"status": "fine"}, "status"),
        ({"id": "0" * 64}, "not the hash"),
    ],
)
def test_a_foreign_or_newer_record_is_left_out_and_named(
    change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    store = Store(tmp_path).open()
    folder = store.write_run(make_run())
    values = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps({**values, **change}) + "\n")
    records = load_records(tmp_path)
    assert records.runs == []
    assert reason in records.problems[0]


def _device(**changes: object) -> DeviceRecord:
    rate = Rate(median_per_s=2e9, low_per_s=1.9e9, high_per_s=2.1e9)
    values: dict[str, object] = {
        "id": "a" * 64,
        "created": "2026-01-01T00:00:00+00:00",
        "environment": ENVIRONMENT,
        "copy_bytes_per_s": rate,
        "flops_per_s": {"fp32": rate},
        "matrix_size": 1024,
        "copy_mib": 256,
    }
    return DeviceRecord.model_validate({**values, **changes})


def test_a_devices_record_is_read_back_equal_from_the_folder_of_its_id(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    record = _device()
    folder = store.device_folder(ENVIRONMENT.hardware, record.id)
    assert not store.is_done(folder)
    assert store.write_device(record) == folder == tmp_path / "devices" / "Test_CPU-aaaaaaaaaaaa"
    assert store.is_done(folder)
    assert store.read_device(folder) == record
    records = load_records(tmp_path)
    assert records.devices == [record]
    assert (records.runs, records.profiles, records.problems) == ([], [], [])
    assert records.run_path(record.id) == "devices/Test_CPU-aaaaaaaaaaaa"


def test_a_device_measured_again_replaces_its_record_and_another_one_stands_beside_it(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    again = _device(created="2026-02-01T00:00:00+00:00")
    other = _device(id="b" * 64)
    for record in (_device(), other, again):
        store.write_device(record)
    assert load_records(tmp_path).devices == [again, other]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"schema_version": SCHEMA_VERSION + 1}, "schema version"), ({"surprise": 1}, "surprise"), (None, "JSON")],
)
def test_a_broken_or_foreign_device_is_named_and_the_others_are_read(
    change: dict[str, object] | None, reason: str, tmp_path: Path
) -> None:
    store = Store(tmp_path).open()
    store.write_device(_device(id="b" * 64))
    file = store.write_device(_device()) / RECORD
    text = file.read_text()
    file.write_text(text[:100] if change is None else json.dumps({**json.loads(text), **change}) + "\n")
    records = load_records(tmp_path)
    assert [device.id for device in records.devices] == ["b" * 64]
    assert len(records.problems) == 1
    assert "devices/Test_CPU-aaaaaaaaaaaa/record.json" in records.problems[0]
    assert reason in records.problems[0]
    with pytest.raises(ValueError, match=reason):
        store.read_device(file.parent)


def test_a_missing_predictions_file_is_a_key_error_not_a_crash(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    folder = store.write_run(make_run())
    records = load_records(tmp_path)
    with pytest.raises(KeyError):
        records.predictions(make_run().id)
    (folder / "predictions.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(KeyError):
        records.predictions(make_run().id)


def test_predictions_are_found_by_their_cell_whole_or_in_part(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    arrays = {"label": np.arange(3), "prediction": np.arange(3)[::-1].copy()}
    store.write_run(make_run(), arrays)
    found = store.predictions(make_run().cell)
    assert sorted(found) == ["label", "prediction"]
    assert (found["prediction"] == arrays["prediction"]).all()
    assert list(store.predictions(make_run().cell, ("label",))) == ["label"]
    (store.cell_folder(make_run().cell) / "predictions.npz").write_bytes(b"")
    with pytest.raises(KeyError):
        store.predictions(make_run().cell)


def test_thumbnails_are_kept_by_dataset_and_replaced_as_a_whole(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    rng = np.random.default_rng(0)
    images = {k: rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for k in (41, 7)}
    path = store.write_thumbnails("a" * 64, images)
    assert path == tmp_path / "images" / ("a" * 12) / "thumbnails.npz"
    found = store.thumbnails("a" * 64)
    assert list(found) == [7, 41]
    assert all((found[k] == images[k]).all() for k in images)
    assert store.thumbnails("b" * 64) == {}
    store.write_thumbnails("a" * 64, {7: images[7]})
    assert list(store.thumbnails("a" * 64)) == [7]
    store.write_thumbnails("a" * 64, {})
    assert store.thumbnails("a" * 64) == {}


@pytest.mark.parametrize("arrays", [None, {"index": np.arange(2)}, {"index": np.arange(3), "pixels": np.zeros((2, 1))}])
def test_damaged_or_foreign_thumbnails_count_as_none(tmp_path: Path, arrays: dict[str, np.ndarray] | None) -> None:
    store = Store(tmp_path).open()
    path = store.write_thumbnails("a" * 64, {0: np.zeros((2, 2, 1), dtype=np.uint8)})
    if arrays is None:
        path.write_bytes(path.read_bytes()[:-30])
    else:
        np.savez(path, **arrays)
    assert store.thumbnails("a" * 64) == {}


def test_different_requests_have_different_names_and_equal_ones_the_same() -> None:
    assert cell_id(make_cell()) == cell_id(make_cell())
    names = {cell_id(make_cell(**change)) for change in ({}, {"seed": 1}, {"train_size": 7}, {"precision": "bf16"})}
    assert len(names) == 4


@given(st.text())
def test_any_name_becomes_one_safe_folder_name(name: str) -> None:
    folder = slug(name)
    assert folder
    assert "/" not in folder
    assert folder not in (".", "..")
    assert folder.isascii()


def test_a_full_disk_is_one_line_that_says_what_to_do_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path).open()
    good = store.write_run(make_run())

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"No space left on device; free some space and run the same command"):
        store.write_run(make_run(cell=make_cell(seed=9)))
    monkeypatch.undo()
    assert store.is_done(good)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [RECORD]


def test_an_output_that_cannot_be_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*file.*choose another folder with --output"):
        Store(tmp_path / "file" / "results").open()


def test_an_atomic_write_replaces_whole_files_and_leaves_no_temporary_ones(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", b"old")
    atomic_write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def _hold(root: str, ready: str) -> None:
    with Store(root).exclusive():
        Path(ready).touch()
        time.sleep(60)


def test_a_second_command_waits_and_a_killed_owner_frees_the_folder(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    owner = multiprocessing.get_context("spawn").Process(target=_hold, args=(str(tmp_path), str(ready)))
    owner.start()
    while not ready.exists():
        time.sleep(0.02)
    waited: list[bool] = []

    def on_wait() -> None:
        waited.append(True)
        owner.kill()

    with Store(tmp_path).exclusive(on_wait):
        assert waited == [True]
    owner.join()


def test_two_writers_of_the_same_cell_leave_one_whole_record(tmp_path: Path) -> None:
    script = (
        "import sys; from bench.store import Store; from tests.samples import make_run\n"
        "for _ in range(40): Store(sys.argv[1]).write_run(make_run())"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert load_records(tmp_path).runs == [make_run()]


def test_records_name_every_unit_and_document_every_field() -> None:
    for model in (CellSpec, RunRecord, ProfileRecord, DeviceRecord):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no docstring"
