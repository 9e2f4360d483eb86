"""A board is redrawn from records alone: no torch, and within seconds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.samples import CANONICAL_FAKES, make_study

ROOT = Path(__file__).parents[2]
BUILD_EVERYTHING = """
import importlib, pkgutil, sys
from pathlib import Path

import pytest
import bench.analysis, bench.report
for package in (bench.analysis, bench.report):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
from bench import load_records
from bench.report.markdown.board import terminal_table
from bench.report.costs.write import cost_table, write_costs
from bench.report.write import write_boards
for costs in write_costs(load_records(sys.argv[1]), Path(sys.argv[1]), ""):
    cost_table(costs)
for board in write_boards(load_records(sys.argv[1]), Path(sys.argv[1]), ""):
    board.to_frame()
    terminal_table(board)
print(sorted({"torch", "timm", "torchvision"} & set(sys.modules)))
"""


def test_no_module_of_analysis_or_report_ever_imports_torch_timm_or_torchvision(tmp_path: Path) -> None:
    make_study(tmp_path, models=CANONICAL_FAKES[:1])
    done = subprocess.run(
        [sys.executable, "-c", BUILD_EVERYTHING, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


@pytest.mark.slow
def test_report_only_draws_every_picture_without_torch(tmp_path: Path) -> None:
    make_study(tmp_path)
    command = [sys.executable, "-X", "importtime", str(ROOT / "run_bench.py"), "--report-only", "--output"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "swin_t" in done.stdout
    assert (tmp_path / "confusion" / "swin_t.png").exists()
    assert (tmp_path / "figures" / "costs" / "macs_by_kind.png").exists()
    assert not re.search(r"\|\s+(torch|timm)\b", done.stderr)
