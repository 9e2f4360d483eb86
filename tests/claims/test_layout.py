"""What claims ask for is laid out so that nothing is trained or looked at twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.claims import layout
from bench.claims.claim import MAIN, Arm, Claim, Look
from bench.claims.lab import lay_out
from bench.measure.hardware import Hardware
from bench.plan import Branch
from bench.probes.registry import PROBES, Probe
from bench.protocol import claims_protocol
from bench.study import Study
from tests.claims.fakes import make_claim
from tests.samples import DATA

CPU = Hardware(device="cpu", name="Test CPU", threads=2, precision="fp32", memory_bytes=None)
PLAIN, PERMUTED = Arm("test_vit"), Arm("test_vit", "patch-permute")
SYNTHETIC = DATA.model_copy(update={"dataset": "synthetic/texture", "fingerprint": "e" * 64, "classes": ["a", "b"]})


@pytest.fixture(autouse=True)
def _probes(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**PROBES, "blind": Probe("nowhere:blind"), "seeing": Probe("nowhere:seeing", version=3, images=True)}
    monkeypatch.setattr("bench.probes.registry.PROBES", known)


def _layout(root: Path, *claims: Claim) -> layout.Plan:
    study = Study(models=("test_vit",), protocol=claims_protocol("quick"), output=root)
    return lay_out(study, claims, CPU, lambda own: DATA if own.protocol.dataset == "digits" else SYNTHETIC)


def test_an_arm_asked_for_twice_is_trained_once_at_all_sizes_that_anyone_wants() -> None:
    one = make_claim("C01", arms=(PLAIN, PERMUTED))
    other = make_claim("C02", arms=(replace(PLAIN, sizes="all"),))
    assert layout.branches([one, other]) == {
        MAIN: [Branch("test_vit"), Branch("test_vit", "patch-permute", largest_only=True)]
    }


def test_only_what_a_probe_looks_at_keeps_its_weights() -> None:
    claim = make_claim(arms=(PLAIN, PERMUTED), looks=(Look("seeing", "test_vit", arm=PLAIN),))
    kept = {branch.intervention: branch.keep_weights for branch in layout.branches([claim])[MAIN]}
    assert kept == {"none": True, "patch-permute": False}


def test_the_main_task_comes_first_and_each_task_has_its_own_protocol(tmp_path: Path) -> None:
    claim = make_claim(arms=(Arm("test_vit", task="synthetic/texture"), PLAIN))
    found = _layout(tmp_path, claim)
    assert list(found.plans) == [MAIN, "synthetic/texture"]
    datasets = [plan.study.protocol.dataset for plan in found.plans.values()]
    assert datasets == ["digits", "synthetic/texture"]
    assert len({plan.study.protocol.id for plan in found.plans.values()}) == 2


def test_two_claims_with_the_same_arms_and_looks_ask_for_the_same_records(tmp_path: Path) -> None:
    look = Look("seeing", "test_vit", arm=PLAIN, seeds="each")
    alone = _layout(tmp_path, make_claim("C01", arms=(PLAIN,), looks=(look,)))
    both = _layout(tmp_path, *(make_claim(name, arms=(PLAIN,), looks=(look,)) for name in ("C01", "C02")))
    assert [job.id for job in both.plans[MAIN].jobs] == [job.id for job in alone.plans[MAIN].jobs]
    assert both.looks == alone.looks
    assert [asked.spec.seed for asked in alone.looks] == [0, 1, 2]


def test_a_look_at_all_seeds_holds_the_cells_of_all_and_each_is_at_the_largest_size(tmp_path: Path) -> None:
    look = Look("seeing", "test_vit", arm=replace(PLAIN, sizes="all"), seeds="all")
    found = _layout(tmp_path, make_claim(looks=(look,)))
    (asked,) = found.looks
    assert [cell.seed for cell in asked.cells] == [0, 1, 2]
    assert {cell.train_size for cell in asked.cells} == {found.plans[MAIN].train_sizes[-1]}
    assert asked.spec.version == 3
    assert asked.spec.data_fingerprint == DATA.fingerprint


def test_a_structural_look_needs_no_dataset(tmp_path: Path) -> None:
    claim = make_claim(looks=(Look("blind", "swin_t", img_size=224, num_classes=1000),))
    study = Study(models=("test_vit",), protocol=claims_protocol("quick"), output=tmp_path)
    found = lay_out(study, [claim], CPU, lambda own: pytest.fail("a dataset was asked for"))
    (asked,) = found.looks
    assert (asked.spec.img_size, asked.spec.num_classes, asked.spec.data_fingerprint) == (224, 1000, None)


def test_an_untrained_model_can_be_shown_the_images_of_a_task_that_nothing_is_trained_on(tmp_path: Path) -> None:
    claim = make_claim(looks=(Look("seeing", "test_vit", task="synthetic/texture"),))
    found = _layout(tmp_path, claim)
    (asked,) = found.looks
    assert asked.spec.data_fingerprint == SYNTHETIC.fingerprint
    assert asked.spec.num_classes == 2
    assert found.plans["synthetic/texture"].jobs == ()
