"""How fast the command answers: `python -m pytest tests/benchmarks/test_start.py -n 0 --benchmark-enable`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.samples import make_study

ROOT = Path(__file__).parents[2]


def _run(*argv: str) -> None:
    subprocess.run([sys.executable, str(ROOT / "run_bench.py"), *argv], check=True, capture_output=True)


@pytest.mark.parametrize("argv", [["--help"], ["--list-models"]], ids=lambda argv: argv[0])
def test_the_command_answers(argv: list[str], benchmark: Any) -> None:
    benchmark.pedantic(_run, args=argv, rounds=5, warmup_rounds=1)


@pytest.mark.slow
def test_the_board_is_redrawn_with_every_figure(tmp_path: Path, benchmark: Any) -> None:
    make_study(tmp_path)
    benchmark.pedantic(_run, args=["--report-only", "--output", str(tmp_path)], rounds=3, warmup_rounds=1)
