"""Gate 3: base and head take turns, only what looks slower twice fails, and an unusable base is one clear line."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.gates import speed
from bench.gates.ratios import FEWEST_QUADS
from bench.gates.speed import Case, Measured, Setting, check_base, compare_speed, measure
from bench.gates.workers import WorkerFailed
from bench.measure.hardware import Hardware
from bench.protocol import Protocol
from tests.benchmarks.gate_trials import speed_trial

CPU = Hardware(device="cpu", name="Test CPU", threads=1, precision="fp32", memory_bytes=None)
CASE = Case("m", training=False, batch_size=4)


class _Fake:
    """A worker whose steps take a fixed time; it writes down when it was asked."""

    def __init__(self, side: str, ms: float, order: list[str]) -> None:
        self.side, self.ms, self.order = side, ms, order
        self.cores: list[int | None] = []

    def ask(self, op: str, **request: Any) -> dict[str, Any]:
        if op == "prepare":
            return {"ms": self.ms}
        self.order.append(self.side[0])
        self.cores.append(request["cpu"])
        return {"ms": [self.ms] * request["steps"]}


def _setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path, (), "cpu", 1, False, 32, 10)


def _pair(base_ms: float, head_ms: float, order: list[str]) -> tuple[Any, Any]:
    return _Fake("base", base_ms, order), _Fake("head", head_ms, order)


def test_the_sides_take_turns_and_each_goes_first_as_often(tmp_path: Path) -> None:
    order: list[str] = []
    found = measure(*_pair(10.0, 11.0, order), CASE, _setting(tmp_path))
    assert "".join(order[:8]) == "bhhbhbbh"
    assert found.ratio.median == pytest.approx(1.1)
    assert found.ratio.quads == FEWEST_QUADS
    assert (found.base_ms, found.head_ms) == (10.0, 11.0)


def test_both_sides_of_a_quad_run_on_the_same_core_and_the_next_quad_on_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "_cores", lambda setting: [3, 5])
    base, head = _pair(1.0, 1.0, [])
    measure(base, head, CASE, _setting(tmp_path))
    assert base.cores == head.cores
    assert base.cores[:6] == [3, 3, 5, 5, 3, 3]


def test_steps_on_several_threads_or_on_a_gpu_are_not_confined_to_a_core(tmp_path: Path) -> None:
    assert speed._cores(replace(_setting(tmp_path), threads=2)) == [None]
    assert speed._cores(replace(_setting(tmp_path), device="cuda:0")) == [None]
    assert None not in speed._cores(_setting(tmp_path)) or not hasattr(os, "sched_getaffinity")


def test_a_slow_model_ends_after_its_time_with_a_few_quads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "CASE_S", 0.0)
    found = measure(*_pair(1e4, 1e4, []), CASE, _setting(tmp_path))
    assert found.ratio.quads == speed.FEWEST_IN_TIME


def test_a_base_whose_modules_would_come_from_elsewhere_is_refused(tmp_path: Path) -> None:
    asked: dict[str, list[str]] = {"head": []}

    class _Loads(_Fake):
        def start(self, path: list[str], *_: Any) -> dict[str, str]:
            asked[self.side] = path
            return {"mine": "/elsewhere/mine.py", "bench": "/elsewhere/bench/models/build.py"}

    base: Any = _Loads("base", 1.0, [])
    head: Any = _Loads("head", 1.0, [])
    setting = Setting(tmp_path, ("mine",), "cpu", 1, False, 32, 10)
    with pytest.raises(UsageError, match=r"mine was loaded from /elsewhere/mine\.py, not from there"):
        speed._start(base, head, setting)
    assert asked["base"][0] == str(tmp_path)
    assert str(tmp_path) not in asked["head"]  # nobody's but the base's


def _results(monkeypatch: pytest.MonkeyPatch, *attempts: float | WorkerFailed) -> list[int]:
    """Let the k-th attempt at every case find the k-th ratio; gives the number of cases of each attempt."""
    sizes: list[int] = []

    def found(setting: Setting, cases: list[Case], log: Any) -> dict[Case, Any]:
        attempt = attempts[min(len(sizes), len(attempts) - 1)]
        if cases:
            sizes.append(len(cases))
        return {c: attempt if isinstance(attempt, WorkerFailed) else _measured(attempt) for c in cases}

    monkeypatch.setattr(speed, "_measure_all", found)
    return sizes


def _measured(ratio: float) -> Measured:
    return Measured(speed.summarise([ratio] * 8), 10.0, 10.0 * ratio)


def _compare(tmp_path: Path) -> Any:
    (tmp_path / "mine.py").write_text("")
    return compare_speed(
        ["a", "b"], Protocol(), 10, base=tmp_path, plugins=["mine"], hardware=CPU, log=lambda line: None
    )


def test_what_is_slower_twice_fails_and_both_attempts_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = _results(monkeypatch, 1.2, 1.3)
    outcome = _compare(tmp_path)
    assert outcome.status == "failed"
    assert sizes == [4, 4]
    assert "+20.0 %" in outcome.findings[0].change
    assert "again: +30.0 %" in outcome.findings[0].change


def test_what_is_slower_once_and_not_again_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _results(monkeypatch, 1.2, 1.01)
    assert _compare(tmp_path).status == "passed"


def test_what_is_not_slower_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = _results(monkeypatch, 1.05)
    assert _compare(tmp_path).status == "passed"
    assert sizes == [4]


def test_what_became_faster_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _results(monkeypatch, 0.7)
    assert {f.verdict for f in _compare(tmp_path).findings} == {"better"}


def test_a_model_that_only_the_head_can_run_is_told_and_one_that_it_cannot_run_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _results(monkeypatch, WorkerFailed("base: UsageError: unknown model 'a'"))
    outcome = _compare(tmp_path)
    assert outcome.status == "not run"
    assert {f.verdict for f in outcome.findings} == {"not compared"}
    _results(monkeypatch, WorkerFailed("head: RuntimeError: a kernel is missing"))
    assert _compare(tmp_path).status == "failed"


def test_a_base_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        check_base(tmp_path / "nowhere", [])
    with pytest.raises(UsageError, match="holds no bench/"):
        check_base(tmp_path, [])
    with pytest.raises(UsageError, match="holds no module my_models"):
        check_base(tmp_path, ["my_models"])
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("")
    check_base(tmp_path, [])


@pytest.mark.slow
def test_thirty_percent_more_work_in_a_users_repository_is_caught_by_the_real_gate() -> None:
    found = speed_trial(30)
    assert found["alarm"], found
    assert "planted_model" not in sys.modules  # base and head are loaded by the workers alone


@pytest.mark.slow
def test_a_base_whose_model_does_not_build_is_no_failure_of_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "lonely_plugin.py").write_text("")
    (tmp_path / "lonely_plugin.py").write_text("import tests.broken_models\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    outcome = compare_speed(
        ["fine_linear"],
        Protocol(batch_size=2),
        10,
        base=tmp_path / "base",
        plugins=["lonely_plugin"],
        hardware=CPU,
        log=lambda line: None,
    )
    assert outcome.status == "not run"
    assert "fine_linear" in outcome.findings[0].base
