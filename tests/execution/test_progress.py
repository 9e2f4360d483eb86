"""What a running study says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.execution.progress import Clock, describe, duration
from bench.measure.hardware import Hardware
from bench.plan import Plan, make_plan
from bench.records import Failure
from bench.store import Store
from bench.study import Study
from tests.samples import DATA, make_run


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    study = Study(models=("resnet18", "deit_ti"), output=tmp_path)
    return make_plan(study, DATA, Hardware("cpu", "Test CPU", 2, "fp32", None), Store(tmp_path))


def test_durations_read_like_speech() -> None:
    assert [duration(s) for s in (0.2, 42, 200, 7500)] == ["0 s", "42 s", "3 min 20 s", "2 h 05 min"]


def test_nothing_is_estimated_before_anything_is_measured(plan: Plan) -> None:
    assert Clock(plan, {}).total(list(plan.left())) is None


def test_a_model_twice_as_slow_is_expected_to_take_about_twice_as_long(plan: Plan) -> None:
    clock = Clock(plan, {"resnet18": 100.0, "deit_ti": 50.0})
    fast, slow = (sum(clock.seconds(j) or 0 for j in plan.of(m) if j.cell) for m in ("resnet18", "deit_ti"))
    assert 1.4 < slow / fast < 2.0


def test_a_model_that_has_not_run_yet_is_expected_to_be_like_the_others(plan: Plan) -> None:
    clock = Clock(plan, {"resnet18": 100.0})
    assert clock.rate("deit_ti") == 100.0
    assert clock.total(list(plan.left())) is not None


def test_what_is_left_shrinks_as_jobs_finish(plan: Plan) -> None:
    clock = Clock(plan, {"resnet18": 100.0, "deit_ti": 50.0})
    whole, part = clock.total(list(plan.jobs)), clock.total(list(plan.jobs[3:]))
    assert whole is not None
    assert part is not None
    assert part < whole


def test_a_failure_is_told_with_its_reason() -> None:
    record = make_run(status="failed", failure=Failure(kind="NonFiniteLoss", message="the loss is NaN"))
    assert describe(record) == "FAILED: NonFiniteLoss: the loss is NaN"


def test_more_devices_take_less_time_but_no_less_than_a_model_needs_for_its_trials_and_a_run(plan: Plan) -> None:
    clock, jobs = Clock(plan, {"resnet18": 100.0, "deit_ti": 50.0}), list(plan.left())
    total = clock.total(jobs)
    assert total is not None
    assert clock.on_devices(jobs, 1) == total
    assert clock.on_devices(jobs, 2) == total / 2
    slow = [job for job in jobs if job.model == "deit_ti"]
    longest = sum(max(clock.seconds(j) or 0 for j in slow if j.kind == kind) for kind in ("trial", "run"))
    assert clock.on_devices(jobs, 1000) == longest
    assert Clock(plan, {}).on_devices(jobs, 8) is None
