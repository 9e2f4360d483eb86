"""The lab from end to end, on two tiny claims: everything once, resumable, judged again from records alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.claims import lab
from bench.claims.claim import Arm, Claim, Judgement, Look, Missing
from bench.claims.contrast import difference
from bench.claims.evidence import Evidence
from bench.claims.judging import judge_all
from bench.claims.lab import LabNote, evidence_of, lab_of, read_note, run_lab
from bench.errors import UsageError
from bench.execution.progress import Silent
from bench.protocol import PRESETS
from bench.study import Study
from tests.claims.fakes import make_claim

TINY = replace(PRESETS["smoke"], samples_seen=16, train_sizes=(0.1, 1.0), seeds=(0, 1), lr_trials=1)
PLAIN, PERMUTED = Arm("test_vit"), Arm("test_resnet", "pixel-permute")
SHIFTS = Look("shift_consistency", "test_vit", arm=PLAIN, seeds="each", options=(("images", 16),))


def _differ(evidence: Evidence) -> Judgement:
    found = difference(evidence, PLAIN, PERMUTED)
    looked = evidence.found(SHIFTS)
    assert [evidence.arrays(record)["same"].shape for record in looked] == [(5, 16), (5, 16)]
    return Judgement("supported", found.words, "It is. The notes are right.", findings=(found.finding("a difference"),))


def _missing(evidence: Evidence) -> Judgement:
    raise Missing("nobody looked")


def _broken(evidence: Evidence) -> Judgement:
    raise ZeroDivisionError("a fault")


CLAIMS: tuple[Claim, ...] = (
    make_claim("C01", judge=_differ, arms=(PLAIN, PERMUTED), looks=(SHIFTS,)),
    make_claim("C02", judge=_missing, arms=(PLAIN,)),
    make_claim("C03", judge=_broken),
)


def _study(output: Path, **changes: object) -> Study:
    return Study(models=("test_vit",), protocol=TINY, output=output, device="cpu", **changes)  # type: ignore[arg-type]


def _run(output: Path, **changes: object) -> bool:
    return run_lab(_study(output, **changes), CLAIMS, command="a test", reporter=lambda plan: Silent())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished lab."""
    output = tmp_path_factory.mktemp("lab")
    assert _run(output) is False
    return output


def _evidence(output: Path) -> tuple[LabNote, Evidence]:
    note = read_note(output)
    return note, evidence_of(note, CLAIMS, output, [])


def test_everything_asked_for_is_made_once_below_the_labs_own_folder(finished: Path) -> None:
    note, evidence = _evidence(finished)
    runs = [run for run in evidence.records.runs if run.cell.kind == "run"]
    assert sorted((r.cell.model, r.cell.intervention, r.cell.seed) for r in runs) == sorted(
        (arm.model, arm.intervention, seed) for arm in (PLAIN, PERMUTED) for seed in (0, 1)
    )
    assert len({r.cell.train_size for r in runs}) == 1
    kept = {path.parent.parent.name for path in (finished / "claims" / "runs").rglob("weights.safetensors")}
    assert kept == {"test_vit"}
    assert not (finished / "runs").exists()
    assert note.claims == ["C01", "C02", "C03"]


def test_the_same_seed_gives_arms_the_same_images_whatever_the_intervention(finished: Path) -> None:
    _, evidence = _evidence(finished)
    by_seed: dict[int, set[str]] = {}
    for run in evidence.records.runs:
        assert run.subset is not None
        by_seed.setdefault(run.cell.seed, set()).add(run.subset.index_sha256)
    assert all(len(found) == 1 for found in by_seed.values())


def test_a_second_call_makes_nothing_again(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished / "claims").rglob("record.json")}
    assert _run(finished) is False
    assert {path: path.stat().st_mtime_ns for path in (finished / "claims").rglob("record.json")} == before


def test_what_is_missing_or_breaks_is_told_and_the_rest_is_judged(finished: Path) -> None:
    note, evidence = _evidence(finished)
    judged = judge_all(CLAIMS, evidence)
    assert [judged[name].verdict for name in ("C01", "C02", "C03")] == [
        "supported",
        "not testable here",
        "not testable here",
    ]
    assert "nobody looked" in judged["C02"].reason
    assert "ZeroDivisionError" in judged["C03"].reason
    found = lab_of(note, CLAIMS, evidence, judged)
    assert (found.trainings, found.probes) == (4, 2)
    assert len(found.results[0].records) == 6
    assert all((finished / "claims" / path / "record.json").is_file() for path in found.results[0].records)


def test_a_limit_stops_early_and_the_same_call_goes_on(tmp_path: Path) -> None:
    _run(tmp_path, limit=3)
    _, evidence = _evidence(tmp_path)
    assert len(evidence.records.runs) == 3
    assert evidence.records.probes == []
    _run(tmp_path)
    _, evidence = _evidence(tmp_path)
    assert len(evidence.records.runs) == 4
    assert len(evidence.records.probes) == 2


def test_an_earlier_claim_stays_on_the_page_when_another_is_asked_for(tmp_path: Path) -> None:
    study = _study(tmp_path)
    for claim in CLAIMS[1:]:
        run_lab(study, [claim], command="a test", reporter=lambda plan: Silent())
    assert read_note(tmp_path).claims == ["C02", "C03"]
    other = replace(study, protocol=replace(TINY, samples_seen=24))
    run_lab(other, CLAIMS[2:], command="a test", reporter=lambda plan: Silent())
    assert read_note(tmp_path).claims == ["C03"]


def test_without_a_lab_there_is_one_line_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no claims were tested"):
        read_note(tmp_path)
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "lab.json").write_text("{")
    with pytest.raises(UsageError, match="broken or of another version"):
        read_note(tmp_path)


def test_a_cpu_trains_as_many_small_models_at_once_as_it_has_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    def many(**changes: Any) -> int:
        study = _study(Path("unused"), **changes)
        plan = SimpleNamespace(study=study, hardware=lab.device_of(study))
        return lab.at_once(plan, Path(), "")  # type: ignore[arg-type]

    monkeypatch.setattr(lab, "cpu_threads", lambda: 6)
    assert many() == 6
    assert many(threads=4) == 1
    monkeypatch.setattr(lab, "cpu_threads", lambda: 64)
    assert many() == lab.MOST_AT_ONCE


def test_judging_again_needs_no_torch(finished: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.claims.test_lab import CLAIMS, _evidence; "
        "from bench.claims.judging import judge_all; _, e = _evidence(Path(sys.argv[1])); judge_all(CLAIMS, e); "
        "assert not {'torch', 'timm'} & set(sys.modules), 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", script, str(finished)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
