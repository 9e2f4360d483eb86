"""The plan that `--dry-run` prints: every job, its state, and an estimate only where something was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from bench.measure.hardware import Hardware
from bench.plan import Plan, make_plan
from bench.protocol import Protocol
from bench.report.plan import plan_json, plan_table
from bench.store import Store
from bench.study import Study
from tests.samples import DATA, make_run

CPU = Hardware(device="cpu", name="Test CPU", threads=2, precision="fp32", memory_bytes=None)


def _plan(root: Path) -> Plan:
    protocol = replace(Protocol(), train_sizes=(0.1, 1.0), lr_trials=2)
    return make_plan(Study(models=("resnet18", "deit_ti"), protocol=protocol, output=root), DATA, CPU, Store(root))


def test_every_job_has_a_line_with_its_steps_and_images(tmp_path: Path) -> None:
    text = plan_table(_plan(tmp_path), {"resnet18": 100.0})
    for title in ("resnet18 cost", "resnet18 trial n=1293 seed 0 lr 0.000281", "deit_ti run n=129 seed 0"):
        assert title in text
    assert "Test CPU, 2 threads, fp32" in text
    assert "10 of 10 jobs left, estimated" in text
    assert text.count(" 1280 ") == 8


def test_without_a_measured_rate_the_time_is_unknown_not_invented(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    assert "estimated time unknown" in plan_table(plan, {})
    document = plan_json(plan, {})
    assert document["seconds_left"] is None
    assert [job["estimated_s"] is None for job in document["jobs"]] == [
        job["kind"] != "profile" for job in document["jobs"]
    ]


def test_a_faster_model_is_expected_to_take_less_time(tmp_path: Path) -> None:
    jobs = plan_json(_plan(tmp_path), {"resnet18": 1000.0, "deit_ti": 10.0})["jobs"]
    seconds = {job["model"]: job["estimated_s"] for job in jobs if job["kind"] == "run"}
    assert seconds["resnet18"] < seconds["deit_ti"]


def test_what_is_done_or_failed_is_marked_and_only_the_rest_is_left(tmp_path: Path) -> None:
    first, second = [job.cell for job in _plan(tmp_path).jobs if job.cell is not None][:2]
    store = Store(tmp_path)
    store.write_run(make_run(cell=first))
    store.write_run(make_run(cell=second, status="failed"))
    plan = _plan(tmp_path)
    text, document = plan_table(plan, {}), plan_json(plan, {})
    assert " done" in text
    assert "again (failed 1×)" in text
    assert (document["done"], document["left"]) == (1, 9)
    assert [job["done"] for job in document["jobs"]].count(True) == 1


def test_the_json_is_plain_and_names_what_will_run(tmp_path: Path) -> None:
    document = plan_json(_plan(tmp_path), {"resnet18": 100.0})
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    assert again["train_sizes"] == [129, 1293]
    assert again["seconds_left"] > 0
    assert len({job["id"] for job in again["jobs"]}) == 10


def test_a_long_plan_says_what_more_devices_would_bring(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    assert "devices" not in plan_table(plan, {"resnet18": 100.0, "deit_ti": 100.0})
    slow = {"resnet18": 1.0, "deit_ti": 1.0}
    spread = plan_json(plan, slow)["seconds_left_on_devices"]
    assert spread["8"] < plan_json(plan, slow)["seconds_left"]
    told = plan_table(plan, slow).splitlines()[-1]
    assert "; at least " in told
    assert "on 8 devices" in told
    assert told.endswith("on 64 devices")
