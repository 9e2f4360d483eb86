"""The workflows: pinned, read-only, bounded in time, and made of commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.gates.baseline import read
from bench.options import parse

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
COMMANDS = {"python", "ruff", "mypy"}


def _steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def _load(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def _lines(file: Path) -> list[str]:
    return [line for step in _steps(_load(file)) for line in step.get("run", "").splitlines()]


def test_there_are_workflows_for_changes_and_for_the_newest_dependencies() -> None:
    triggers = [_load(file).get("on", _load(file).get(True)) for file in FILES]  # YAML 1.1 reads `on` as true
    assert any("pull_request" in trigger for trigger in triggers)
    assert any({"schedule", "workflow_dispatch"} <= set(trigger) for trigger in triggers)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(file: Path) -> None:
    used = [line.strip() for line in file.read_text().splitlines() if "uses:" in line]
    assert used
    for line in used:
        assert re.fullmatch(r"(- )?uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_a_workflow_may_only_read_ends_in_time_and_leaves_no_credentials(file: Path) -> None:
    workflow = _load(file)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 90
    for step in _steps(workflow):
        if str(step.get("uses", "")).startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_no_text_from_outside_is_pasted_into_a_command(file: Path) -> None:
    assert not [line for line in _lines(file) if "${{" in line]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_every_command_exists_with_the_options_it_is_given(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parse(["--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    for line in _lines(file):
        words = shlex.split(line)
        assert words[0] in COMMANDS, line
        if "run_bench.py" in words:
            options = [word.partition("=")[0] for word in words if word.startswith("--")]
            assert set(options) <= known, line


def test_the_gates_compare_with_a_baseline_that_is_there_and_can_be_read() -> None:
    named = {m.group(1) for f in FILES for line in _lines(f) if (m := re.search(r"run_bench.py --check (\S+)", line))}
    assert named
    for file in named:
        assert read(ROOT / file).references
