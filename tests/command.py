"""The command as a user calls it: in a process of its own, or, faster, in this one with its workers' server at hand."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
from pathlib import Path

from bench.cli import main

ROOT = Path(__file__).parents[1]
SMOKE = ["--protocol", "smoke", "--device", "cpu", "--no-pictures"]
HASTE = [*SMOKE, "--time-budget", "0.2"]
TINY = ["--models", "test_resnet,test_vit", *HASTE]
"""The smallest study, its costs measured in haste. Pictures take longer than all the rest; `smoke` draws them."""


def command(*argv: str) -> list[str]:
    """What starts it."""
    return [sys.executable, str(ROOT / "run_bench.py"), *argv]


def run(*argv: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, where what it imports, prints or leaves behind matters."""
    return subprocess.run(
        command(*argv),
        cwd=cwd or ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def call(*argv: str) -> subprocess.CompletedProcess[str]:
    """The command in this process: its exit code, what it prints, and the loggers as they were before."""
    out, err = io.StringIO(), io.StringIO()
    log = logging.getLogger("bench")
    before = log.handlers, log.propagate, log.level
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(argv)
    finally:
        log.handlers, log.propagate = before[:2]
        log.setLevel(before[2])
    return subprocess.CompletedProcess(list(argv), code, out.getvalue(), err.getvalue())
