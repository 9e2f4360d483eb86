"""Costs are measured in processes of their own, in turns; what goes wrong costs one figure and not the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import Study, load_records, run
from bench.execution import costs
from bench.execution.costs import TOGETHER, measure_costs
from bench.execution.meter import CostRequest
from bench.execution.process import WorkerDied, WorkFailed
from bench.measure.hardware import Hardware
from bench.measure.roofline import device_id
from bench.measure.settings import METRICS, CostSettings
from bench.profiles import DeviceRecord, ProfileRecord
from bench.protocol import PRESETS, content_hash
from bench.records import Failure
from bench.store import Store
from tests.cost_samples import make_device, make_timing
from tests.samples import ENVIRONMENT

SMALL = CostSettings(budget_s=0.6, memory_batch=2)


def _request(model: str, **changes: Any) -> CostRequest:
    request = CostRequest(
        model=model,
        id=content_hash(model),
        img_size=32,
        num_classes=10,
        settings=SMALL,
        hardware=Hardware("cpu", "Test CPU", 1, "fp32", None),
        environment=ENVIRONMENT,
        plugins=("tests.broken_models",),
    )
    return replace(request, **changes)


class Script:
    """Stands in for worker processes: notes every request, answers as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.alive: set[str] = set()
        self.turns_needed = 3
        self.raising: dict[tuple[str, ...], Exception] = {}

    def worker(self, target: Any, arguments: tuple[Any, ...], name: str, on_images: Any = None) -> Script._Worker:
        return Script._Worker(self, target.__name__, name)

    class _Worker:
        def __init__(self, script: Script, task: str, name: str) -> None:
            self.script, self.task, self.name = script, task, name
            self.turns = dict.fromkeys(METRICS, 0)

        def __enter__(self) -> Script._Worker:
            self.script.alive.add(f"{self.task} {self.name}")
            return self

        def __exit__(self, *_: object) -> None:
            self.script.alive.discard(f"{self.task} {self.name}")

        def ask(self, request: tuple[Any, ...]) -> Any:
            key = (self.name, *(str(part) for part in request if not isinstance(part, float)))
            self.script.asked.append(key)
            if (error := self.script.raising.pop(key, None)) is not None:
                raise error
            if request[0] == "turn":
                self.turns[request[1]] += 1
                return self.turns[request[1]] >= self.script.turns_needed
            if request[0] == "memory":
                assert not [name for name in self.script.alive if name.startswith("measure")], "timing is over by then"
                return None
            answers = {"close": {"latency": make_timing(1, 50.0), "problems": []}, "count": {"macs": 7, "problems": []}}
            return answers.get(request[0])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """A script in place of processes, and a device that needs no measuring."""
    found = Script()
    monkeypatch.setattr(costs, "Worker", found.worker)
    monkeypatch.setattr(costs, "ensure_device", lambda request, store: None)
    return found


def test_in_every_round_all_models_take_a_turn_of_each_metric(script: Script, tmp_path: Path) -> None:
    list(measure_costs([_request(name) for name in "abc"], Store(tmp_path)))
    turns = [key[:1] + key[2:] for key in script.asked if key[1] == "turn"]
    rounds = range(script.turns_needed)
    assert turns == [(name, metric) for _ in rounds for metric in METRICS for name in "abc"]


def test_models_that_took_turns_share_a_session_and_a_single_one_has_none(script: Script, tmp_path: Path) -> None:
    together = list(measure_costs([_request("a"), _request("b")], Store(tmp_path)))
    assert len({record.session for record in together}) == 1
    assert together[0].session
    (alone,) = measure_costs([_request("c")], Store(tmp_path))
    assert alone.session == ""


def test_many_models_are_measured_in_groups(script: Script, tmp_path: Path) -> None:
    records = list(measure_costs([_request(f"m{k}") for k in range(TOGETHER + 2)], Store(tmp_path)))
    assert [record.model for record in records] == [f"m{k}" for k in range(TOGETHER + 2)]
    assert len({record.session for record in records}) == 2


def test_a_metric_that_fails_is_a_problem_of_its_own(script: Script, tmp_path: Path) -> None:
    script.raising["a", "start", "training"] = WorkFailed(Failure(kind="RuntimeError", message="no backward"))
    first, second = measure_costs([_request("a"), _request("b")], Store(tmp_path))
    assert (first.status, first.problems, first.macs) == ("ok", ["training: RuntimeError: no backward"], 7)
    assert second.problems == []
    assert ("a", "turn", "training") not in script.asked
    assert ("b", "turn", "training") in script.asked


def test_a_process_that_dies_in_one_metric_is_started_again_for_the_others(script: Script, tmp_path: Path) -> None:
    script.raising["a", "start", "training"] = WorkerDied("ended by SIGKILL")
    (record,) = measure_costs([_request("a")], Store(tmp_path))
    after = script.asked[script.asked.index(("a", "start", "training")) + 1 :]
    assert after[:3] == [("a", "open"), ("a", "start", "latency"), ("a", "start", "inference")]
    assert record.status == "ok"
    assert record.problems == ["training: WorkerDied: ended by SIGKILL"]


def test_a_model_that_cannot_even_infer_is_a_failed_record_and_the_rest_goes_on(script: Script, tmp_path: Path) -> None:
    script.raising["a", "open"] = WorkFailed(Failure(kind="ValueError", message="only exists on paper"))
    script.raising["c", "turn", "inference"] = WorkerDied("ended by SIGKILL")
    records = list(measure_costs([_request(name) for name in "abc"], Store(tmp_path)))
    assert [record.status for record in records] == ["failed", "ok", "failed"]
    assert records[0].failure is not None
    assert records[0].failure.message == "only exists on paper"
    assert sorted(p.status for p in load_records(tmp_path).profiles) == ["failed", "failed", "ok"]


def test_what_cannot_be_sized_up_is_a_problem_and_the_timing_stays(script: Script, tmp_path: Path) -> None:
    script.raising["a", "memory"] = WorkerDied("ended by SIGKILL")
    script.raising["a", "count"] = WorkFailed(Failure(kind="TraceError", message="cannot be traced"))
    (record,) = measure_costs([_request("a")], Store(tmp_path))
    assert record.latency is not None
    assert record.problems == ["memory: WorkerDied: ended by SIGKILL", "macs: TraceError: cannot be traced"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ProfileRecord]:
    """Real processes: two models that work, and three that do not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "ensure_device", lambda request, store: None)
        store = Store(tmp_path_factory.mktemp("costs"))
        names = ("test_resnet", "fine_linear", "broken_kill", "broken_raise", "broken_build")
        list(measure_costs([_request(name) for name in names], store))
    return {profile.model: profile for profile in load_records(store.root).profiles}


def test_a_measured_model_has_every_figure(measured: dict[str, ProfileRecord]) -> None:
    profile = measured["test_resnet"]
    assert profile.problems == []
    assert profile.info is not None
    assert profile.output_shape == [1, 10]
    assert profile.macs == profile.flop_counter_macs == sum(profile.macs_by_kind.values())
    assert sum(layer.macs for layer in profile.layers) == profile.macs
    for timing in (profile.latency, profile.inference, profile.training):
        assert timing is not None
        assert sum(timing.turns) == len(timing.samples_ms) == timing.repeats
        assert timing.low_ms is not None
        assert timing.high_ms is not None
        assert timing.low_ms <= timing.median_ms <= timing.high_ms
        assert timing.first_ms is not None
    assert profile.latency is not None
    assert profile.latency.batch_size == 1
    chosen = profile.inference.batch_size if profile.inference else 0
    assert chosen in [point.batch_size for point in profile.inference_curve]
    assert profile.training_curve[0].batch_size == 2
    assert profile.memory is not None
    assert profile.memory.batch_size == SMALL.memory_batch
    assert profile.energy is None
    assert profile.switches is not None
    assert profile.before is not None
    assert profile.after is not None


def test_a_model_that_dies_or_raises_in_training_keeps_its_inference(measured: dict[str, ProfileRecord]) -> None:
    for name, why in (("broken_kill", "SIGKILL"), ("broken_raise", "a kernel is missing")):
        profile = measured[name]
        assert profile.status == "ok"
        assert profile.inference is not None
        assert profile.training is None
        assert any(line.startswith("training:") and why in line for line in profile.problems)


def test_a_model_that_cannot_be_built_is_a_failed_profile(measured: dict[str, ProfileRecord]) -> None:
    failure = measured["broken_build"].failure
    assert failure is not None
    assert failure.message == "this model only exists on paper"


@pytest.mark.slow
def test_cost_only_needs_no_dataset_and_measures_the_device_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(
        models=("test_resnet",),
        protocol=replace(PRESETS["smoke"], img_size=32, dataset="no/such/place"),
        output=tmp_path,
        device="cpu",
        cost_only=True,
        time_budget=0.5,
    )
    first = run(study)
    assert (first.runs, [p.status for p in first.profiles]) == ([], ["ok"])
    (device,) = first.devices
    assert device.copy_bytes_per_s.median_per_s > 0
    again = run(replace(study, models=("test_resnet", "test_vit")))
    assert len(again.profiles) == 2
    assert [d.id for d in again.devices] == [device.id]


@pytest.mark.parametrize("doubts", [[], ["copy: something else was running"]])
def test_what_a_device_can_do_is_measured_again_only_where_the_figures_are_invalid(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doubts: list[str]
) -> None:
    monkeypatch.undo()  # the pretended workers and the device that is never measured
    request = _request("a")
    environment = ENVIRONMENT.model_copy(update={"hardware": request.hardware.name})
    known = make_device(environment, invalid=doubts)
    known = known.model_copy(update={"id": device_id(request.hardware, environment.versions)})
    store = Store(tmp_path)
    store.write_device(known)
    asked: list[str] = []

    class Counted:
        def __init__(self, *_: object) -> None:
            asked.append("device")

        def __enter__(self) -> Counted:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def ask(self, request: tuple[str, ...]) -> DeviceRecord:
            return known

    monkeypatch.setattr(costs, "Worker", Counted)
    assert costs.ensure_device(request, store) == known
    assert bool(asked) is bool(doubts)
