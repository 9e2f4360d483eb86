"""The plan: which cells a study has, in what order, and which are done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.measure.hardware import Hardware
from bench.plan import Branch, Job, Plan, choose_lr, make_plan, trial_results
from bench.protocol import PRESETS, Protocol
from bench.records import Failure, TrialResult
from bench.store import Store
from bench.study import Study
from tests.samples import DATA, make_run

CPU = Hardware(device="cpu", name="Test CPU", threads=2, precision="fp32", memory_bytes=None)
MODELS = ("resnet18", "deit_ti")


def _plan(root: Path, **changes: object) -> Plan:
    protocol = replace(Protocol(), seeds=(0, 1), train_sizes=(0.1, 1.0), lr_trials=2)
    study = replace(Study(models=MODELS, protocol=protocol, output=root), **changes)  # type: ignore[arg-type]
    return make_plan(study, DATA, CPU, Store(root))


def test_a_plan_has_a_profile_the_trials_and_every_size_and_seed_for_each_model(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    for model in MODELS:
        assert [job.kind for job in plan.of(model)] == ["profile", "trial", "trial", "run", "run", "run", "run"]
    assert plan.train_sizes[-1] == DATA.n_train - round(0.1 * DATA.n_train)


def test_models_differ_only_by_their_name_in_everything_they_are_asked(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    first, second = ([job.cell for job in plan.of(m) if job.cell] for m in MODELS)
    for a, b in zip(first, second, strict=True):
        assert a.model_copy(update={"model": b.model}) == b


def test_one_learning_rate_needs_no_trial(tmp_path: Path) -> None:
    plan = _plan(tmp_path, protocol=PRESETS["smoke"])
    assert all(job.kind != "trial" for job in plan.jobs)


def test_the_first_run_after_the_trials_is_the_one_its_best_trial_already_made(tmp_path: Path) -> None:
    jobs = _plan(tmp_path).of("resnet18")
    trial, run = jobs[1].cell, jobs[3].cell
    assert trial is not None
    assert run is not None
    assert (trial.train_size, trial.seed) == (run.train_size, run.seed)


@given(done=st.sets(st.integers(0, 13)))
def test_what_is_done_is_never_planned_again_and_the_rest_always_is(
    done: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("plan")
    before = _plan(root)
    for k in done:
        before.jobs[k].folder.mkdir(parents=True, exist_ok=True)
        (before.jobs[k].folder / "record.json").write_text("{}\n")
    after = _plan(root)
    assert [job.id for job in after.jobs] == [job.id for job in before.jobs]
    assert {k for k, job in enumerate(after.jobs) if job.done} == done
    assert len(after.left()) == len(after.jobs) - len(done)


def test_fresh_runs_everything_again(tmp_path: Path) -> None:
    for job in _plan(tmp_path).jobs:
        job.folder.mkdir(parents=True)
        (job.folder / "record.json").write_text("{}\n")
    assert not _plan(tmp_path).left()
    assert len(_plan(tmp_path, fresh=True).left()) == 14


def test_another_model_leaves_the_cells_of_the_others_as_they_are(tmp_path: Path) -> None:
    alone = {job.id for job in _plan(tmp_path, models=("resnet18",)).jobs}
    assert alone < {job.id for job in _plan(tmp_path).jobs}


def test_protocol_data_hardware_precision_and_weights_each_make_other_cells(tmp_path: Path) -> None:
    base = {job.id for job in _plan(tmp_path).jobs if job.kind == "run"}
    study = _plan(tmp_path).study
    others = [
        make_plan(replace(study, protocol=replace(study.protocol, lr=0.1)), DATA, CPU, Store(tmp_path)),
        make_plan(study, DATA.model_copy(update={"fingerprint": "e" * 64}), CPU, Store(tmp_path)),
        make_plan(study, DATA, replace(CPU, name="Other CPU"), Store(tmp_path)),
        make_plan(study, DATA, replace(CPU, threads=1), Store(tmp_path)),
        make_plan(study, DATA, replace(CPU, precision="bf16"), Store(tmp_path)),
        make_plan(replace(study, pretrained=True), DATA, CPU, Store(tmp_path)),
    ]
    for plan in others:
        assert base.isdisjoint(job.id for job in plan.jobs)


def test_a_checkpoint_is_named_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"one")
    first = _plan(tmp_path, checkpoint=(f"resnet18={file}",))
    file.write_bytes(b"two")
    second = _plan(tmp_path, checkpoint=(f"resnet18={file}",))
    assert {j.id for j in first.of("resnet18") if j.cell}.isdisjoint(j.id for j in second.of("resnet18"))
    assert [j.id for j in first.of("deit_ti")] == [j.id for j in second.of("deit_ti")]


def test_a_train_size_larger_than_the_data_is_refused_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="5000"):
        _plan(tmp_path, protocol=replace(Protocol(), train_sizes=(5000.0,)))


def test_the_rate_with_the_lowest_dev_loss_is_chosen_and_failed_trials_are_not() -> None:
    def trial(lr: float, loss: float | None) -> TrialResult:
        return TrialResult(lr=lr, dev_loss=loss, dev_top1=None)

    assert choose_lr([trial(0.1, 2.0), trial(0.2, 1.0), trial(0.3, None)]) == 0.2
    assert choose_lr([trial(0.2, 1.0), trial(0.1, 1.0)]) == 0.1
    assert choose_lr([trial(0.1, None)]) is None


def test_a_failed_trial_stands_in_the_sweep_without_a_result() -> None:
    failed = make_run(status="failed", failure=Failure(kind="NonFiniteLoss", message="nan"))
    assert trial_results({0.3: failed, 0.1: None}) == [
        TrialResult(lr=0.1, dev_loss=None, dev_top1=None),
        TrialResult(lr=0.3, dev_loss=None, dev_top1=None),
    ]


def test_every_intervention_has_trials_and_runs_of_its_own_and_a_model_is_measured_once(tmp_path: Path) -> None:
    jobs = _plan(tmp_path, interventions=("none", "patch-permute")).of("resnet18")
    kinds = [(job.kind, job.cell.intervention if job.cell else "") for job in jobs]
    own = [("trial", 2), ("run", 4)]
    expected = [(kind, what) for what in ("none", "patch-permute") for kind, count in own for _ in range(count)]
    assert kinds == [("profile", ""), *expected]
    assert len({job.id for job in jobs}) == len(jobs)
    assert len({job.folder for job in jobs}) == len(jobs)


def test_branches_say_exactly_what_is_trained(tmp_path: Path) -> None:
    protocol = replace(Protocol(), seeds=(0, 1), train_sizes=(0.1, 1.0), lr_trials=1)
    study = Study(models=MODELS, protocol=protocol, output=tmp_path)
    branches = [Branch("deit_ti", "pixel-permute", largest_only=True, keep_weights=True), Branch("resnet18")]
    jobs = make_plan(study, DATA, CPU, Store(tmp_path), branches).jobs
    cells = [(job.model, job.cell.intervention, job.cell.train_size, job.keep_weights) for job in jobs if job.cell]
    largest = max(size for _, _, size, _ in cells)
    assert cells == [
        *[("deit_ti", "pixel-permute", largest, True)] * 2,
        *[("resnet18", "none", size, False) for _ in range(2) for size in (largest, min(c[2] for c in cells))],
    ]
    assert {job.kind for job in jobs} == {"run"}


def test_a_run_whose_weights_are_wanted_is_done_only_with_them(tmp_path: Path) -> None:
    def job(*, keep: bool) -> Job:
        study = Study(models=MODELS, protocol=PRESETS["smoke"], output=tmp_path)
        return make_plan(study, DATA, CPU, Store(tmp_path), [Branch("deit_ti", keep_weights=keep)]).jobs[0]

    job(keep=False).folder.mkdir(parents=True)
    (job(keep=False).folder / "record.json").write_text("{}\n")
    assert job(keep=False).done
    assert not job(keep=True).done
    (job(keep=True).folder / "weights.safetensors").write_bytes(b"")
    assert job(keep=True).done
