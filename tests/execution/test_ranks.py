"""Several processes train one model, and trainings that are ended go on: through the whole launcher, on a CPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import Protocol, Records, Study, load_records
from bench.errors import UsageError
from bench.execution.local import Launcher, execute, prepare_data
from bench.execution.packing import hardware_of
from bench.execution.process import WorkerDied, WorkFailed
from bench.execution.progress import Silent
from bench.execution.ranks import Ranks
from bench.plan import Branch, Plan, make_plan
from bench.protocol import PRESETS
from bench.records import Failure, RunRecord
from bench.store import Store

TINY = replace(PRESETS["smoke"], batch_size=8, samples_seen=64, train_sizes=(1.0,), lr=2e-3, augment="heavy")


def _study(output: Path, *models: str, protocol: Protocol = TINY, **changes: object) -> Study:
    return Study(
        models=models, protocol=protocol, output=output, device="cpu", plugins=("tests.broken_models",), **changes
    )  # type: ignore[arg-type]


def _plan(study: Study) -> tuple[Plan, Path]:
    """The trainings of a study, without its costs, and the cache."""
    data, cache_dir = prepare_data(study)
    branches = [Branch(model) for model in study.models]
    return make_plan(study, data, hardware_of(study), Store(study.output).open(), branches), cache_dir


def _trained(study: Study) -> Records:
    plan, cache_dir = _plan(study)
    execute(plan, cache_dir, command="", reporter=Silent())
    return load_records(study.output)


def _run_of(records: Records, model: str) -> RunRecord:
    (found,) = [r for r in records.runs if r.cell.model == model]
    return found


@pytest.mark.slow
def test_two_processes_leave_the_records_of_one_and_a_failure_ends_only_its_cell(tmp_path: Path) -> None:
    models = ("test_resnet", "broken_raise", "broken_kill", "fine_linear")
    one = _trained(_study(tmp_path / "one", "test_resnet", "fine_linear", threads=1))
    two = _trained(_study(tmp_path / "two", *models, gpus_per_cell=2, threads=1))
    for model in ("test_resnet", "fine_linear"):
        alone, together = _run_of(one, model), _run_of(two, model)
        assert alone.train is not None
        assert together.train is not None
        assert (alone.train.devices, together.train.devices) == (1, 2)
        assert together.train.train_loss == pytest.approx(alone.train.train_loss, abs=5e-3)
        assert together.cell.hardware == f"2 × {alone.cell.hardware}"
        assert together.subset == alone.subset
        logits = [records.predictions(found.id)["logits"] for records, found in ((one, alone), (two, together))]
        assert np.allclose(*logits, atol=0.05)
    normed, plain = _run_of(two, "test_resnet").train, _run_of(two, "fine_linear").train
    assert normed is not None
    assert plain is not None
    assert (normed.bn_batch, normed.bn_synchronised) == (8, True)
    assert (plain.bn_batch, plain.bn_synchronised) == (None, False)
    raised, killed = _run_of(two, "broken_raise").failure, _run_of(two, "broken_kill").failure
    assert raised is not None
    assert killed is not None
    assert raised.message == "a kernel is missing"
    assert "SIGKILL" in killed.message


class Killer(Silent):
    """Kills the process that trains as soon as it has been told of a few steps."""

    def __init__(self) -> None:
        self.seen = 0
        self.launcher: Launcher | None = None

    def images(self, count: int) -> None:
        self.seen += count
        if self.seen >= 80 and self.launcher is not None:
            self.launcher._worker._process.kill()  # type: ignore[union-attr]


def _killed(study: Study) -> RunRecord:
    """The record of a training whose process is killed in its middle."""
    plan, cache_dir = _plan(study)
    killer = Killer()
    with Launcher(plan, study.models[0], cache_dir, "", killer) as killer.launcher:
        return killer.launcher.run(plan.jobs[0])


def test_a_training_whose_process_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    protocol = replace(TINY, samples_seen=1600)
    study = _study(tmp_path / "ended", "fine_linear", protocol=protocol, save_every=1e-9)
    failed = _killed(study)
    assert failed.failure is not None
    assert "SIGKILL" in failed.failure.message
    (state,) = study.output.rglob("training.pt")
    records, whole = _trained(study), _trained(replace(study, output=tmp_path / "whole", save_every=0))
    found, want = (next(r for r in some.runs if r.status == "ok") for some in (records, whole))
    assert found.train is not None
    assert want.train is not None
    assert (found.train.resumed, want.train.resumed) == (1, 0)
    assert not state.exists()
    assert found.train.loss_curve == want.train.loss_curve
    assert np.array_equal(records.predictions(found.id)["logits"], whole.predictions(want.id)["logits"])


def test_a_training_that_fails_by_itself_leaves_no_state(tmp_path: Path) -> None:
    records = _trained(_study(tmp_path, "broken_nan", save_every=1e-9))
    assert _run_of(records, "broken_nan").failure is not None
    assert not list(tmp_path.rglob("training.pt"))


def test_a_fresh_start_forgets_the_state_that_was_kept(tmp_path: Path) -> None:
    study = _study(tmp_path, "fine_linear", protocol=replace(TINY, samples_seen=1600), save_every=1e-9)
    _killed(study)
    found = next(r for r in _trained(replace(study, fresh=True)).runs if r.status == "ok")
    assert found.train is not None
    assert found.train.resumed == 0


def test_processes_of_one_training_share_the_threads_of_a_cpu() -> None:
    many = hardware_of(_study(Path("unused"), "test_vit")).threads
    assert hardware_of(_study(Path("unused"), "test_vit", gpus_per_cell=2)).threads == max(1, many // 2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gpus_per_cell": 3}, "--gpus-per-cell must divide --batch-size 8, and 3 does not"),
        ({"gpus_per_cell": 0}, "--gpus-per-cell must divide"),
        ({"gpus_per_cell": 2, "cells_per_device": "2"}, "exclude each other"),
        (
            {"gpus_per_cell": 2, "protocol": replace(TINY, task="linear", augment="none")},
            "--task linear trains nothing",
        ),
        ({"accumulate": "9"}, "--accumulate must be auto or a number up to --batch-size"),
        ({"accumulate": "some"}, "--accumulate must be auto"),
        ({"save_every": -1.0}, "--save-every must be 0 minutes or more"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        _study(Path("unused"), "test_vit", **changes)


class Made:
    """A worker that answers, fails, or waits until it is ended."""

    def __init__(self, answer: object) -> None:
        from threading import Event

        self.answer, self.ended, self.stopped = answer, Event(), 0

    def ask(self, request: tuple[object, ...]) -> object:
        if self.answer == "waits":
            assert self.ended.wait(10)
            raise WorkerDied("ended")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer, request

    def end(self) -> None:
        self.ended.set()

    def stop(self) -> None:
        self.stopped += 1


def test_the_first_one_answers_for_all() -> None:
    workers = [Made("first"), Made("second")]
    ranks = Ranks(2, lambda rank, meeting: workers[rank])  # type: ignore[arg-type, return-value]
    assert ranks.ask(("cell",)) == ("first", ("cell",))
    ranks.stop()
    assert [worker.stopped for worker in workers] == [1, 1]


def test_where_one_fails_the_others_do_not_wait_and_new_ones_meet_elsewhere() -> None:
    meetings: list[Path] = []
    why = WorkFailed(Failure(kind="NonFiniteLoss", message="nan"))
    generations = [[Made("waits"), Made(why)], [Made("fine"), Made("fine")]]

    def make(rank: int, meeting: Path) -> Made:
        meetings.append(meeting)
        return generations[(len(meetings) - 1) // 2][rank]

    ranks = Ranks(2, make)  # type: ignore[arg-type]
    with pytest.raises(WorkFailed) as raised:
        ranks.ask(("cell",))
    assert raised.value is why
    assert all(worker.stopped for worker in generations[0])
    assert ranks.ask(("cell",))[0] == "fine"
    assert len(set(meetings)) == 2
    assert not meetings[0].parent.exists()
