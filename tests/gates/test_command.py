"""Saving and checking a baseline from end to end, on a model that trains in a moment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.gates import command
from bench.gates.accuracy import Trainer
from bench.gates.baseline import Baseline, read, torch_minor, write
from bench.gates.calibration import SEEDS
from bench.gates.command import CheckResult, check, save_baseline
from bench.protocol import Protocol
from bench.study import Study

PROTOCOL = Protocol(samples_seen=160, train_sizes=(1.0,), lr=0.1, lr_trials=1, augment="none")
STUDY = Study(models=("fine_linear",), protocol=PROTOCOL, plugins=("tests.broken_models",), device="cpu")


def _quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline as the command writes it."""
    file = tmp_path_factory.mktemp("gates") / "baseline.json"
    save_baseline(STUDY, file, log=_quiet)
    return file


def _check(file: Path, **changes: Any) -> CheckResult:
    return check(replace(STUDY, **changes), file, base=None, log=_quiet)


def _changed(saved: Path, tmp_path: Path, **update: Any) -> Path:
    file = tmp_path / "changed.json"
    write(read(saved).model_copy(update=update), file)
    return file


def _this_torch(baseline: Baseline) -> str:
    return next(iter(baseline.references))


def test_the_file_holds_ten_trainings_for_this_version_of_torch(saved: Path) -> None:
    import torch

    baseline = read(saved)
    assert list(baseline.references) == [torch_minor(torch.__version__)]
    runs = baseline.references[_this_torch(baseline)].models["fine_linear"]
    assert len(runs.predictions) == SEEDS
    assert len(set(runs.predictions)) == SEEDS  # every seed trains another model
    assert baseline.models["fine_linear"].params == 40


def test_untouched_code_passes_repeats_every_training_and_says_that_speed_was_not_run(saved: Path) -> None:
    result = _check(saved)
    assert result.passed
    assert [o.status for o in result.outcomes] == ["passed", "passed", "not run"]
    repeated = next(f for f in result.outcomes[1].findings if f.quantity == "repeated bit for bit")
    assert (repeated.head, repeated.change) == ("4 of 4", "none")
    assert "--base" in result.outcomes[2].reason


def test_a_change_of_the_model_fails_the_first_gate_and_names_it(saved: Path, tmp_path: Path) -> None:
    facts = read(saved).models["fine_linear"]
    file = _changed(saved, tmp_path, models={"fine_linear": facts.model_copy(update={"macs": facts.macs + 1})})
    result = _check(file)
    assert not result.passed
    assert result.outcomes[0].status == "failed"
    assert "| fine_linear | MACs" in result.markdown
    assert f"--save-baseline {file}" in result.markdown


def test_models_that_learn_worse_fail_the_second_gate(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Trainer.predictions

    def spoilt(self: Trainer, model: str, seed: int) -> Any:
        return (sound(self, model, seed) + (seed + self.labels) % 3) % 10

    monkeypatch.setattr(Trainer, "predictions", spoilt)
    result = _check(saved)
    assert [o.status for o in result.outcomes[:2]] == ["passed", "failed"]
    assert {f.quantity for f in result.outcomes[1].findings if f.verdict == "FAIL"} >= {"accuracy %"}


def test_a_training_that_breaks_fails_the_second_gate_with_its_reason(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Trainer, model: str, seed: int) -> Any:
        raise RuntimeError("the optimiser is gone\nand more")

    monkeypatch.setattr(Trainer, "predictions", broken)
    result = _check(saved)
    assert result.outcomes[1].status == "failed"
    assert "RuntimeError: the optimiser is gone" in result.markdown


def test_another_torch_is_not_passed_as_checked(saved: Path, tmp_path: Path) -> None:
    baseline = read(saved)
    file = _changed(saved, tmp_path, references={"1.13": baseline.references[_this_torch(baseline)]})
    outcome = _check(file).outcomes[1]
    assert outcome.status == "not run"
    assert "knows torch 1.13" in outcome.reason
    assert "--save-baseline" in outcome.reason


def test_other_data_fail_the_second_gate_by_their_fingerprint(saved: Path, tmp_path: Path) -> None:
    baseline = read(saved)
    key = _this_torch(baseline)
    other = baseline.references[key].model_copy(update={"data_fingerprint": "0" * 64})
    outcome = _check(_changed(saved, tmp_path, references={key: other})).outcomes[1]
    assert outcome.status == "failed"
    assert "fingerprint" in outcome.findings[0].quantity


def test_saving_again_keeps_other_versions_of_torch_only_while_the_study_is_the_same(
    saved: Path, tmp_path: Path
) -> None:
    baseline = read(saved)
    key = _this_torch(baseline)
    both = {key: baseline.references[key], "1.13": baseline.references[key]}
    file = _changed(saved, tmp_path, references=both)
    save_baseline(STUDY, file, log=_quiet)
    assert list(read(file).references) == ["1.13", key]
    said: list[str] = []
    save_baseline(replace(STUDY, protocol=replace(PROTOCOL, lr=0.05)), file, log=said.append)
    assert list(read(file).references) == [key]
    assert any("torch 1.13 is dropped" in line for line in said)


def test_a_baseline_of_another_machine_holds_and_says_so(saved: Path, tmp_path: Path) -> None:
    result = _check(_changed(saved, tmp_path, hardware="Some other processor"))
    assert result.passed
    assert "made on another machine, Some other processor" in result.markdown


def test_a_model_named_beyond_the_baseline_is_told_and_fails_nothing(saved: Path) -> None:
    result = check(STUDY, saved, base=None, log=_quiet, named=("test_vit",))
    assert result.passed
    assert [f.verdict for f in result.outcomes[0].findings] == ["new"]


def test_a_file_that_holds_something_else_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "precious.json"
    file.write_text('{"my": "data"}')
    with pytest.raises(UsageError, match="holds something else"):
        save_baseline(STUDY, file, log=_quiet)
    assert json.loads(file.read_text()) == {"my": "data"}


def test_a_model_that_cannot_be_built_is_left_out_and_told(tmp_path: Path) -> None:
    study = replace(STUDY, models=("fine_linear", "broken_build"))
    summary = save_baseline(study, tmp_path / "b.json", log=_quiet)
    assert "broken_build was left out: ValueError: this model only exists on paper" in summary
    with pytest.raises(UsageError, match="not one model can be measured"):
        save_baseline(replace(STUDY, models=("broken_build",)), tmp_path / "c.json", log=_quiet)


def test_pretrained_weights_and_an_unusable_base_are_refused_before_anything_is_measured(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("measured although the request is refused")

    monkeypatch.setattr(command, "_place", never)
    with pytest.raises(UsageError, match="--pretrained"):
        _check(saved, pretrained=True)
    with pytest.raises(UsageError, match="there is no folder"):
        check(STUDY, saved, base=tmp_path / "nowhere", log=_quiet)
