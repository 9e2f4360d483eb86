"""The machine, the software and the command behind a record, found without importing what it names."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.measure.hardware import Hardware
from bench.records import Environment

LIBRARIES = ("backbone-bench", "torch", "torchvision", "timm", "fvcore", "numpy", "pillow", "scikit-learn")
"""Packages whose version can change a number."""
ROOT = Path(__file__).resolve().parents[2]
"""The checkout, where the project runs from one."""
CODE = ("bench", "run_bench.py", "pyproject.toml")
"""What in the checkout can change a number; a virtual environment or a folder of data beside it cannot."""


def environment(hardware: Hardware, command: str) -> Environment:
    """What goes into every record of a call of the command."""
    commit, dirty = _git()
    return Environment(
        hardware=hardware.name,
        device=hardware.device,
        threads=hardware.threads,
        precision=hardware.precision,
        platform=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=versions(),
        git_commit=commit,
        git_dirty=dirty,
        command=command,
        memory_bytes=hardware.memory_bytes,
    )


@cache
def versions() -> dict[str, str]:
    """Each of `LIBRARIES` that is installed, and its version."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def _git() -> tuple[str | None, bool | None]:
    """Commit of the checkout and whether its code has uncommitted changes; (None, None) outside one."""
    if not (ROOT / ".git").exists():
        return None, None
    commit = _ask_git("rev-parse", "HEAD")
    changes = _ask_git("status", "--porcelain", "--", *CODE)
    return commit, None if changes is None else bool(changes)


def _ask_git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
