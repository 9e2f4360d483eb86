"""Where a number comes from: commit, changes, versions."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from bench.measure import environment as module
from bench.measure.environment import environment
from bench.measure.hardware import Hardware

CPU = Hardware("cpu", "Test CPU", 2, "fp32", 1 << 30)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that takes the place of this project's own."""
    monkeypatch.setattr(module, "ROOT", tmp_path)
    module._git.cache_clear()
    yield tmp_path
    module._git.cache_clear()


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_outside_a_checkout_there_is_no_commit(checkout: Path) -> None:
    found = environment(CPU, "command")
    assert found.git_commit is None
    assert found.git_dirty is None


def test_a_checkout_with_changes_is_flagged(checkout: Path) -> None:
    _git(checkout, "init")
    (checkout / "run_bench.py").write_text("one")
    _git(checkout, "add", "run_bench.py")
    _git(checkout, "commit", "-m", "first")
    clean = environment(CPU, "command")
    assert clean.git_commit is not None
    assert len(clean.git_commit) == 40
    assert clean.git_dirty is False
    for path, dirty in (("data/image.png", False), ("run_bench.py", True)):
        module._git.cache_clear()
        (checkout / path).parent.mkdir(exist_ok=True)
        (checkout / path).write_text("two")
        assert environment(CPU, "command").git_dirty is dirty
    _git(checkout, "checkout", "run_bench.py")
    (checkout / "bench").mkdir()
    (checkout / "bench" / "new.py").write_text("three")
    module._git.cache_clear()
    assert environment(CPU, "command").git_dirty is True


def test_versions_are_those_installed() -> None:
    found = environment(CPU, "command")
    assert found.versions["torch"] == version("torch")
    assert found.hardware == "Test CPU"
    assert found.memory_bytes == 1 << 30
