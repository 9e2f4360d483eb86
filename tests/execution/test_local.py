"""The local launcher: a study runs to its records whatever its models do, and goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import Protocol, Records, Study, load_records, run
from bench.errors import UsageError
from bench.protocol import PRESETS

TINY = replace(PRESETS["smoke"], batch_size=8, samples_seen=24, train_sizes=(40.0, 1.0), lr_trials=2, augment="light")


def _study(output: Path, *models: str, protocol: Protocol = TINY, **changes: object) -> Study:
    return Study(
        models=models,
        protocol=protocol,
        output=output,
        device="cpu",
        plugins=("tests.broken_models",),
        **{"time_budget": 0.2, **changes},  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Records]:
    """A small study of a CNN and a ViT, run once for several tests."""
    study = _study(tmp_path_factory.mktemp("study"), "test_resnet", "test_vit")
    return study, run(study)


def test_a_study_leaves_a_whole_record_for_every_job(finished: tuple[Study, Records]) -> None:
    _, records = finished
    assert records.problems == []
    assert [p.status for p in records.profiles] == ["ok", "ok"]
    assert sorted((r.cell.model, r.cell.kind, r.status) for r in records.runs) == sorted(
        (model, kind, "ok") for model in ("test_resnet", "test_vit") for kind in ("trial", "trial", "run", "run")
    )


def test_equal_seeds_give_every_model_the_same_images(finished: tuple[Study, Records]) -> None:
    _, records = finished
    for size in {r.cell.train_size for r in records.runs}:
        hashes = {r.subset.index_sha256 for r in records.runs if r.subset and r.cell.train_size == size}
        assert len(hashes) == 1
    assert len({r.subset.dev_sha256 for r in records.runs if r.subset}) == 1


def test_trials_never_open_the_test_split_and_runs_do_once(finished: tuple[Study, Records]) -> None:
    _, records = finished
    for record in records.runs:
        assert (record.test is None) == (record.cell.kind == "trial")
        if record.cell.kind == "trial":
            with pytest.raises(KeyError):
                records.predictions(record.id)


def test_predictions_agree_with_the_metrics_in_the_record(finished: tuple[Study, Records]) -> None:
    _, records = finished
    for record in (r for r in records.runs if r.test is not None):
        arrays = records.predictions(record.id)
        assert record.test is not None
        assert record.test.n == len(arrays["label"]) == record.data.n_test
        assert record.test.top1 == pytest.approx(float((arrays["prediction"] == arrays["label"]).mean()))
        assert (arrays["logits"].argmax(1) == arrays["prediction"]).all()


def test_the_chosen_rate_is_the_best_of_a_sweep_that_stands_in_the_record(finished: tuple[Study, Records]) -> None:
    _, records = finished
    for record in (r for r in records.runs if r.cell.kind == "run"):
        assert record.train is not None
        assert [t.lr for t in record.trials] == list(TINY.learning_rates())
        best = min(record.trials, key=lambda t: t.dev_loss if t.dev_loss is not None else np.inf)
        assert record.train.lr == best.lr


def test_the_winning_trial_is_the_run_and_is_not_trained_again(finished: tuple[Study, Records]) -> None:
    _, records = finished
    runs = [r for r in records.runs if r.cell.kind == "run" and r.cell.train_size > 40]
    for record in runs:
        trial = next(
            r
            for r in records.runs
            if r.cell.kind == "trial" and r.cell.model == record.cell.model and r.cell.lr == _lr(record)
        )
        assert trial.train is not None
        assert record.train is not None
        assert record.train.loss_curve == trial.train.loss_curve
        assert record.train.train_s == trial.train.train_s


def test_schedules_finish_and_every_budget_is_the_same(finished: tuple[Study, Records]) -> None:
    _, records = finished
    trains = [r.train for r in records.runs if r.train is not None]
    assert {t.samples_seen for t in trains} == {24}
    assert all(t.final_lr < t.lr for t in trains)


def test_two_runs_with_the_same_seed_give_bit_identical_predictions(
    finished: tuple[Study, Records], tmp_path: Path
) -> None:
    study, first = finished
    # without trials to reuse, every cell is trained by itself: the reused winner must be equal to that, too
    second = run(replace(study, output=tmp_path, limit=None))
    for record in (r for r in first.runs if r.cell.kind == "run"):
        mine, other = first.predictions(record.id), second.predictions(record.id)
        assert mine["logits"].tobytes() == other["logits"].tobytes()


def test_a_second_call_runs_nothing_and_changes_nothing(finished: tuple[Study, Records]) -> None:
    study, _ = finished
    before = {p: p.stat().st_mtime_ns for p in study.output.rglob("record.json")}
    again = run(study)
    assert {p: p.stat().st_mtime_ns for p in study.output.rglob("record.json")} == before
    assert len(again.runs) == 8


def test_a_limit_stops_early_and_the_rest_is_bit_identical_to_an_uninterrupted_study(
    finished: tuple[Study, Records], tmp_path: Path
) -> None:
    study, whole = finished
    only = replace(study, models=("test_vit",), output=tmp_path)
    assert len(run(replace(only, limit=3)).runs) == 2
    resumed = run(only)
    assert len(resumed.runs) == 4
    for record in (r for r in resumed.runs if r.cell.kind == "run"):
        assert resumed.predictions(record.id)["logits"].tobytes() == whole.predictions(record.id)["logits"].tobytes()


def test_models_that_fail_become_records_with_their_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    single = replace(TINY, lr_trials=1, train_sizes=(1.0,))
    models = ("broken_nan", "broken_kill", "broken_raise", "broken_build", "fine_linear")
    records = run(_study(tmp_path, *models, protocol=single))
    outcome = {r.cell.model: r for r in records.runs}
    assert set(outcome) == set(models)
    assert outcome["fine_linear"].status == "ok"
    reasons = {name: outcome[name].failure for name in models[:-1]}
    assert reasons["broken_nan"] is not None
    assert reasons["broken_nan"].kind == "NonFiniteLoss"
    assert reasons["broken_kill"] is not None
    assert reasons["broken_kill"].kind == "WorkerDied"
    assert "SIGKILL" in reasons["broken_kill"].message
    assert reasons["broken_raise"] is not None
    assert reasons["broken_raise"].message == "a kernel is missing"
    assert reasons["broken_build"] is not None
    assert "only exists on paper" in reasons["broken_build"].message
    assert load_records(tmp_path).problems == []


def test_where_every_trial_fails_the_runs_say_so_instead_of_guessing_a_rate(tmp_path: Path) -> None:
    records = run(_study(tmp_path, "broken_nan", protocol=replace(TINY, train_sizes=(1.0,))))
    failures = [r.failure.kind for r in records.runs if r.cell.kind == "run" and r.failure]
    assert failures == ["NoLearningRate"]


def test_a_plugin_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UsageError, match="cannot import 'nowhere_at_all'"):
        Study(models=("resnet18",), plugins=("nowhere_at_all",))


def _lr(record: object) -> float:
    return record.train.lr  # type: ignore[attr-defined,no-any-return]
