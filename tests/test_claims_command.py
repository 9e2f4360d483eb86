"""`--claims` from end to end, as a user calls it: verdicts on stdout, pages beside the board, one line for mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.store import load_records
from tests.command import ROOT, SMOKE, command, run


@pytest.fixture(scope="module")
def structural(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Two structural claims, tested once for several tests."""
    output = tmp_path_factory.mktemp("claims")
    return output, run("--claims", "C11,c17", "--device", "cpu", "--output", str(output))


def test_structural_claims_need_no_dataset_and_write_every_page(
    structural: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    output, done = structural
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("≡ by structure") == 2
    assert "Of 2 claims 2 are settled by structure." in done.stdout
    for name in ("claims.md", "claims.json", "claims.html", "claims/C11.svg", "claims/C17.png", "claims/lab.json"):
        assert (output / name).stat().st_size > 0, name
    assert not (output / "claims" / "runs").exists()
    assert not (output / "leaderboard.md").exists()
    claims = json.loads((output / "claims.json").read_text())["claims"]
    assert [claim["id"] for claim in claims] == ["C11", "C17"]
    assert all(check["holds"] for claim in claims for check in claim["checks"])


def test_judging_again_from_records_imports_no_torch_and_says_the_same(
    structural: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    output, before = structural
    page = (output / "claims.md").read_text()
    command = [sys.executable, "-X", "importtime", str(ROOT / "run_bench.py"), "--claims", "--report-only"]
    done = subprocess.run([*command, "--output", str(output)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == before.stdout
    assert (output / "claims.md").read_text() == page
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert not imported & {"torch", "timm", "torchvision"}


@pytest.mark.slow
def test_a_claim_that_trains_says_what_it_measured_and_a_second_call_trains_nothing(tmp_path: Path) -> None:
    done = run("--claims", "C21", *SMOKE, "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "LSTM's loss minus ViT's" in done.stdout
    runs = load_records(tmp_path / "claims").runs
    assert {run.cell.intervention for run in runs} == {"none", "patch-permute", "row-permute"}
    assert {run.environment.threads for run in runs} == {1}
    again = run("--claims", "C21", *SMOKE, "--output", str(tmp_path))
    assert again.stdout == done.stdout
    assert " trial " not in again.stderr
    assert " run " not in again.stderr


@pytest.mark.slow
def test_ctrl_c_stops_every_worker_and_the_same_command_goes_on(tmp_path: Path) -> None:
    argv = ("--claims", "C09", *SMOKE, "--samples-seen", "200", "--output", str(tmp_path))
    process = subprocess.Popen(command(*argv), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("record.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    before = {run.id for run in load_records(tmp_path / "claims").runs}
    assert before
    assert all(run.status == "ok" for run in load_records(tmp_path / "claims").runs)
    assert run(*argv).returncode == 0
    assert before <= {run.id for run in load_records(tmp_path / "claims").runs}


def test_a_dry_run_prints_every_task_and_writes_nothing(tmp_path: Path) -> None:
    done = run("--claims", "C12", *SMOKE, "--dry-run", "--json", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout)
    assert list(planned["tasks"]) == ["main", "synthetic/distant-pair"]
    assert {job["kind"] for task in planned["tasks"].values() for job in task["jobs"]} == {"run"}
    assert planned["probes"] == planned["probes_left"] == 2
    assert os.listdir(tmp_path) == []


def test_the_claims_are_listed_without_importing_torch() -> None:
    command = [sys.executable, "-X", "importtime", str(ROOT / "run_bench.py"), "--list-claims"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line[:3] for line in done.stdout.splitlines()] == [f"C{k:02d}" for k in range(1, 22)]
    assert "| torch\n" not in done.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--claims", "C99"], "unknown claim 'C99'"),
        (["--claims", "--cost-only"], "--claims excludes"),
        (["--claims", "--where", "top1>5"], "--claims excludes"),
        (["--claims", "--report-only"], "no claims were tested"),
        (["--models", "vit_mini[pos_embed=2d]"], "pos_embed is none, learned"),
        (["--models", "resnet50[depth=3]"], "resnet50 takes no arguments"),
        (["--interventions", "patch-permut"], "Did you mean patch-permute"),
        (["--interventions", "patch-permute:5"], "divides the image's 32 pixels"),
        (["--dataset", "synthetic/textures"], "Did you mean texture"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(argv: list[str], said: str, tmp_path: Path) -> None:
    done = run(*argv, "--device", "cpu", "--output", str(tmp_path / "r"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
