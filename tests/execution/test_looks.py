"""Probes are made on the very weights that were trained, and every outcome becomes a record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.claims.claim import MAIN, Arm, Look
from bench.claims.lab import lay_out
from bench.data.cache import default_cache_dir
from bench.data.info import DataInfo
from bench.execution.local import execute, prepare_data
from bench.execution.looks import Looker, LookRequest, LookSite, run_looks
from bench.execution.progress import Silent
from bench.measure.environment import environment
from bench.measure.hardware import detect
from bench.probes.registry import PROBES, Probe
from bench.probes.subject import Findings, NotProbable, Subject
from bench.protocol import PRESETS
from bench.records import ProbeSpec
from bench.store import Store, load_records
from bench.study import Study
from tests.claims.fakes import make_claim

CPU = detect("cpu", "fp32", 1)
TINY = replace(PRESETS["smoke"], seeds=(0, 1), lr_trials=1, samples_seen=16)
ARM = Arm("test_vit", "patch-permute")


def answers(subject: Subject, *, images: int = 64) -> Findings:
    """Test accuracy of each model, on the first images."""
    index = np.arange(images)
    found = []
    for model in subject.models:
        assert not model.training
        with torch.inference_mode():
            batches = subject.images.eval_batches("test", index, 32)
            logits = torch.cat([model(shown.to(subject.device)) for shown, _ in batches])
        found.append(logits.argmax(1).numpy())
    return Findings({"images": images}, {"answers": np.stack(found)})


def refuses(subject: Subject) -> Findings:
    """Never says anything."""
    raise NotProbable("there is nothing to see")


def breaks(subject: Subject) -> Findings:
    """Has a fault."""
    raise RuntimeError("a fault\nand more of it")


def dies(subject: Subject) -> Findings:
    """Takes the worker with it."""
    import os

    os._exit(3)


@pytest.fixture(autouse=True)
def _probes(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {name: Probe(f"{__name__}:{name}") for name in ("refuses", "breaks", "dies")}
    known = {**PROBES, **own, "answers": Probe(f"{__name__}:answers", images=True)}
    monkeypatch.setattr("bench.probes.registry.PROBES", known)


def _site(root: Path, data: DataInfo | None) -> LookSite:
    return LookSite(data, TINY.img_size, default_cache_dir(), CPU, environment(CPU, "a test"), root)


def _spec(probe: str, **changes: Any) -> ProbeSpec:
    values: dict[str, Any] = {
        "probe": probe,
        "version": 1,
        "model": "test_vit",
        "cells": [],
        "data_fingerprint": None,
        "img_size": 32,
        "num_classes": 10,
        "seed": 0,
    }
    return ProbeSpec(**(values | changes))


def test_a_trained_model_answers_as_it_did_when_it_was_tested_under_its_own_intervention(tmp_path: Path) -> None:
    study = Study(models=("test_vit",), protocol=TINY, output=tmp_path, device="cpu")
    look = Look("answers", ARM.model, arm=ARM, seeds="each", options=(("images", 200),))
    layout = lay_out(study, [make_claim(looks=(look,))], CPU, lambda own: prepare_data(own)[0])
    plan = layout.plans[MAIN]
    assert execute(plan, default_cache_dir(), command="a test", reporter=Silent()).failed == 0
    assert [asked.spec.seed for asked in layout.looks] == [0, 1]
    assert layout.looks_left() == list(layout.looks)
    looker = Looker(_site(layout.root, plan.dataset))
    found = [looker.look(LookRequest(asked.spec, asked.cells)) for asked in layout.looks]
    records = load_records(layout.root)
    assert sorted(record.id for record in records.probes) == sorted(record.id for record in found)
    for record in found:
        (run,) = record.spec.cells
        assert (record.status, record.values) == ("ok", {"images": 200})
        tested = records.predictions(run)["prediction"][:200]
        assert (records.probe_arrays(record.id)["answers"] == tested).all()
    assert layout.looks_left() == []
    assert layout.looks_left(fresh=True) == list(layout.looks)


def test_what_a_probe_cannot_say_is_a_record_that_is_not_tried_again(tmp_path: Path) -> None:
    found = Looker(_site(tmp_path, None)).look(LookRequest(_spec("refuses")))
    assert found.status == "refused"
    assert found.failure is not None
    assert found.failure.message == "there is nothing to see"
    store = Store(tmp_path)
    assert store.is_done(store.probe_folder(found.spec))


@pytest.mark.parametrize("spec", [_spec("breaks"), _spec("breaks", model="vit_mini[depth=99]")])
def test_a_fault_is_a_failed_record_and_the_probe_is_still_to_be_made(spec: ProbeSpec, tmp_path: Path) -> None:
    found = Looker(_site(tmp_path, None)).look(LookRequest(spec))
    assert found.status == "failed"
    assert found.failure is not None
    assert "\n" not in found.failure.message
    store = Store(tmp_path)
    assert not store.is_done(store.probe_folder(spec))
    assert load_records(tmp_path).probes == [found]


def test_an_untrained_model_depends_on_the_seed_alone(tmp_path: Path) -> None:
    study = Study(models=("test_vit",), protocol=TINY, output=tmp_path, device="cpu")
    data = prepare_data(study)[0]
    assert data is not None
    looker = Looker(_site(tmp_path, data))
    specs = [_spec("answers", data_fingerprint=data.fingerprint, seed=seed) for seed in (0, 1)]
    first, other = (looker.look(LookRequest(spec)) for spec in specs)
    records = load_records(tmp_path)
    once = records.probe_arrays(first.id)["answers"]
    looker.look(LookRequest(specs[0]))
    assert (load_records(tmp_path).probe_arrays(first.id)["answers"] == once).all()
    assert (records.probe_arrays(other.id)["answers"] != once).any()


def test_a_worker_that_dies_leaves_a_failed_record_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.execution.looks.work", _work_with_own_probes)
    requests = [LookRequest(_spec("dies")), LookRequest(_spec("refuses"))]
    found = run_looks(requests, _site(tmp_path, None))
    assert [record.status for record in found] == ["failed", "refused"]
    assert found[0].failure is not None
    assert "exit code 3" in found[0].failure.message


def _work_with_own_probes(*arguments: Any) -> None:
    """The worker's main function in a process that knows this file's probes."""
    import bench.probes.registry
    from bench.execution import looks

    own = {name: Probe(f"{__name__}:{name}") for name in ("refuses", "dies")}
    bench.probes.registry.PROBES = {**PROBES, **own}  # type: ignore[misc]
    looks.work(*arguments)
