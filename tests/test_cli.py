"""The command from end to end, as a user calls it: a process of its own, its streams, its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.store import load_records
from tests.command import HASTE, ROOT, TINY, call, command, run
from tests.samples import make_study


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The command in `smoke` with two small models, run once for several tests."""
    output = tmp_path_factory.mktemp("smoke") / "results"
    return output, run(*TINY, "--pictures", "--output", str(output))


def test_smoke_writes_every_output_and_prints_the_board(
    smoke: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    output, done = smoke
    assert done.returncode == 0, done.stderr
    assert "test_resnet" in done.stdout
    assert "test_vit" in done.stdout
    for name in (
        "leaderboard.md",
        "leaderboard.csv",
        "leaderboard.json",
        "figures/data_efficiency.svg",
        "figures/data_efficiency.png",
        "figures/accuracy_vs_macs.svg",
        "figures/accuracy_vs_throughput.png",
        "confusion/test_vit.svg",
        "confusion/test_vit.png",
        "confusion/test_vit.csv",
    ):
        assert (output / name).stat().st_size > 100, name
    board = (output / "leaderboard.md").read_text()
    assert "python run_bench.py --models test_resnet,test_vit --protocol smoke" in board


def test_the_images_that_the_board_shows_are_kept_with_it(
    smoke: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    output, done = smoke
    (file,) = (output / "images").rglob("thumbnails.npz")
    with np.load(file) as arrays:
        index, pixels = arrays["index"], arrays["pixels"]
    assert 0 < len(index) <= 400
    assert pixels.shape == (len(index), 8, 8, 1)
    assert "thumbnails" not in done.stderr


def test_results_go_to_stdout_and_everything_else_to_stderr_without_colours_or_bars(
    smoke: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = smoke
    assert "\x1b[" not in done.stdout + done.stderr
    assert "\r" not in done.stderr
    assert "run n=" in done.stderr
    assert "run n=" not in done.stdout
    assert "Warning" not in done.stderr


def test_a_second_identical_call_runs_nothing_and_needs_no_torch(
    smoke: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    output, _ = smoke
    before = {p: p.stat().st_mtime_ns for p in output.rglob("record.json")}
    again = run(*TINY, "--output", str(output), "-v", PYTHONPROFILEIMPORTTIME="1")
    assert again.returncode == 0
    assert {p: p.stat().st_mtime_ns for p in output.rglob("record.json")} == before
    assert not re.search(r"\| +torch$", again.stderr, re.MULTILINE)


def test_report_only_redraws_the_board_without_torch(
    smoke: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    output, _ = smoke
    rows = json.loads((output / "leaderboard.json").read_text())
    (output / "leaderboard.md").unlink()
    again = run("--report-only", "--output", str(output), "--json", PYTHONPROFILEIMPORTTIME="1")
    assert again.returncode == 0
    assert not re.search(r"\| +torch$", again.stderr, re.MULTILINE)
    assert (output / "leaderboard.md").exists()
    printed = json.loads(again.stdout)
    assert [r["model"] for r in printed["boards"][0]["rows"]] == [r["model"] for r in rows["boards"][0]["rows"]]


def test_a_budget_is_printed_instead_of_the_board_and_stands_on_the_page(tmp_path: Path) -> None:
    make_study(tmp_path)
    budget = "params_m<25 & inference_img_per_s>200"
    redraw = ("--report-only", "--no-pictures", "--output", str(tmp_path))
    done = run(*redraw, "--where", budget, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    assert not re.search(r"\| +torch$", done.stderr, re.MULTILINE)
    assert "2 of 4 models fit the budget, 2 do not." in done.stdout
    assert "Beyond the budget: swin_t and vit_b16." in done.stdout
    assert f"### Under the budget `{budget}`" in (tmp_path / "leaderboard.md").read_text()
    printed = json.loads(run(*redraw, "--where", budget, "--json").stdout)
    assert {row["name"] for row in printed["budgets"][0]["fits"]} == {"resnet50", "cvt_13"}
    assert len(printed["boards"][0]["rows"]) == 4
    again = run(*redraw)
    assert "the budget" not in again.stdout
    assert "### Under the budget" not in (tmp_path / "leaderboard.md").read_text()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--where", "latency<5"], "Did you mean latency_ms?"),
        (["--where", "latency_ms<"], "cannot be read at its end"),
        (["--where", "params_m<5", "--cost-only"], "--cost-only measures none"),
        (["--where", "params_m<5", "--check", "gates.json"], "belongs to a board"),
    ],
)
def test_a_mistake_in_a_budget_is_one_line_before_anything_runs(argv: list[str], message: str, tmp_path: Path) -> None:
    done = run(*TINY, "--output", str(tmp_path / "results"), *argv)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.fixture(scope="module")
def cost(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """`--cost-only` with two models that work and one that is broken, run once for several tests."""
    output = tmp_path_factory.mktemp("cost") / "results"
    return output, call(*COST, "--models", "test_resnet,test_vit,broken_build", "--output", str(output))


COST = [
    "--cost-only",
    "--img-size",
    "32",
    "--device",
    "cpu",
    "--plugins",
    "tests.broken_models",
    "--time-budget",
    "0.8",
]


def test_cost_only_prints_what_models_cost_and_a_failed_one_with_its_reason(
    cost: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    output, done = cost
    assert done.returncode == 1, done.stderr
    for words in ("test_resnet", "test_vit", "broken_build", "this model only exists on paper", "GMACs"):
        assert words in done.stdout
    for name in ("costs.md", "costs.csv", "costs.json"):
        assert (output / name).stat().st_size > 100, name
    assert not (output / "leaderboard.md").exists()
    assert not (output / "runs").exists()
    assert "--cost-only" in (output / "costs.md").read_text()


def _written(output: Path) -> dict[Path, int]:
    """When each run and profile was written. What a device can do is measured again where it was disturbed."""
    records = [p for part in ("runs", "profiles") for p in (output / part).rglob("record.json")]
    return {p: p.stat().st_mtime_ns for p in records}


def test_a_second_cost_only_call_measures_only_what_failed(
    cost: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    output, _ = cost
    before = _written(output)
    again = call(*COST, "--models", "test_resnet,test_vit", "--output", str(output), "--json")
    assert again.returncode == 0, again.stderr
    assert _written(output) == before
    assert "test_vit" in again.stdout
    json.loads(again.stdout)


def test_report_only_redraws_costs_where_nothing_was_trained(
    cost: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    output, _ = cost
    (output / "costs.md").unlink()
    again = run("--report-only", "--output", str(output), PYTHONPROFILEIMPORTTIME="1")
    assert again.returncode == 0, again.stderr
    assert (output / "costs.md").exists()
    assert not re.search(r"\| +torch$", again.stderr, re.MULTILINE)


def test_a_size_that_a_model_refuses_is_its_own_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    done = call(*COST, "--models", "fine_linear,broken_size", "--output", str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "Input height (32) doesn't match model (224)" in done.stdout
    (good,) = [p for p in load_records(tmp_path).profiles if p.status == "ok"]
    assert good.model == "fine_linear"
    assert "Traceback" not in done.stdout + done.stderr


GATES = ["--plugins", "tests.broken_models", "--device", "cpu"]


@pytest.mark.slow
def test_a_saved_baseline_is_passed_by_the_same_code_and_a_change_is_exit_code_3(tmp_path: Path) -> None:
    file, summary = tmp_path / "gates.json", tmp_path / "summary.md"
    short = ["--samples-seen", "160", "--lr", "0.1", "--augment", "none", "--models", "fine_linear"]
    saved = run(*GATES, *short, "--save-baseline", str(file))
    assert saved.returncode == 0, saved.stderr
    passed = run(*GATES, "--check", str(file), GITHUB_STEP_SUMMARY=str(summary))
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "not run" in passed.stdout, "without --base, speed must not look checked"
    assert summary.read_text().strip() == passed.stdout.strip()
    changed = json.loads(file.read_text())
    changed["models"]["fine_linear"]["macs"] += 1
    file.write_text(json.dumps(changed))
    failed = run(*GATES, "--check", str(file))
    assert failed.returncode == 3
    assert "FAIL" in failed.stdout
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--check", "nowhere.json"], "nowhere.json"),
        (["--base", "."], "--base belongs to --check"),
        (["--check", "a.json", "--save-baseline", "b.json"], "exclude each other"),
    ],
)
def test_a_mistake_about_the_gates_is_one_line_and_exit_code_2(argv: list[str], message: str) -> None:
    done = run(*argv)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    done = run(*TINY, "--dry-run", "--output", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    assert "to do" in done.stdout
    assert re.search(r"6 of 6 jobs left, estimated \d+", done.stdout)
    assert not (tmp_path / "results").exists()


def test_a_failed_model_is_exit_code_1_and_a_row_with_its_reason(tmp_path: Path) -> None:
    models = ["--plugins", "tests.broken_models", "--models", "broken_kill,fine_linear"]
    done = run(*models, *HASTE, "--output", str(tmp_path), PYTHONPATH=str(ROOT))
    assert done.returncode == 1
    board = (tmp_path / "leaderboard.md").read_text()
    assert "fine_linear" in board
    assert "SIGKILL" in board
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--models", "resnt50"], "unknown model 'resnt50'"),
        (["--dataset", "no/such/folder"], "no/such/folder"),
        (["--train-sizes", "99999"], "99999"),
        (["--batch-size", "x"], "--batch-size"),
        (["--report-only", "--output", "no_such_results"], "no_such_results"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(argv: list[str], message: str, tmp_path: Path) -> None:
    done = run("--output", str(tmp_path / "r"), "--protocol", "smoke", *argv)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_an_output_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    done = run(*TINY, "--output", str(tmp_path / "taken"))
    assert done.returncode == 2
    assert "choose another folder with --output" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_our_names_are_listed_without_importing_torch() -> None:
    done = run("--list-models", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    for name in ("resnet50", "vit_b16", "swin_t", "cvt_13", "sequencer2d_s"):
        assert re.search(rf"^{name} ", done.stdout, re.MULTILINE)
    assert not re.search(r"\| +(torch|timm|numpy|pydantic)$", done.stderr, re.MULTILINE)


def _wait_for_records(output: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while len(list((output / "runs").rglob("record.json"))) < count:
        assert process.poll() is None, "the command ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def long_study(tmp_path: Path) -> Iterator[tuple[Path, list[str], subprocess.Popen[bytes]]]:
    """A study that is under way, with many short cells left."""
    argv = [*TINY, "--seeds", "0,1,2,3,4,5,6,7,8,9", "--output", str(tmp_path)]
    process = subprocess.Popen(
        command(*argv), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    _wait_for_records(tmp_path, 4, process)
    yield tmp_path, argv, process
    process.kill()
    process.wait()


def _workers_of(group: int) -> list[int]:
    """Processes of a session that are still alive."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == group and fields[0] != "Z":
            alive.append(int(stat.parent.name))
    return alive


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_kill_9_loses_at_most_the_running_cell_and_leaves_no_process_behind(
    long_study: tuple[Path, list[str], subprocess.Popen[bytes]],
) -> None:
    output, argv, process = long_study
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while _workers_of(process.pid):
        assert time.monotonic() < deadline, "a worker outlived the command"
        time.sleep(0.05)
    survived = _written(output)
    assert load_records(output).problems == []
    assert run(*argv).returncode == 0
    records = load_records(output)
    assert records.problems == []
    assert len(records.runs) == 40
    assert all(p.stat().st_mtime_ns == then for p, then in survived.items())


def test_ctrl_c_is_exit_code_130_and_the_same_command_goes_on(
    long_study: tuple[Path, list[str], subprocess.Popen[bytes]],
) -> None:
    output, argv, process = long_study
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 130
    kept = len(load_records(output).runs)
    assert kept >= 3
    assert run(*argv).returncode == 0
    assert len(load_records(output).runs) == 40


def test_two_commands_on_one_folder_share_the_work_and_corrupt_nothing(
    long_study: tuple[Path, list[str], subprocess.Popen[bytes]],
) -> None:
    output, argv, process = long_study
    second = run(*argv)
    assert second.returncode == 0
    assert "waiting" in second.stderr
    assert process.wait(timeout=120) == 0
    records = load_records(output)
    assert records.problems == []
    assert len(records.runs) == 40
