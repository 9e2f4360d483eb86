"""Small valid records for tests."""

from __future__ import annotations

from typing import Any

from bench.protocol import PRESETS
from bench.records import CellSpec, DataInfo, Environment, RunRecord
from bench.store import cell_id

DATA = DataInfo(
    dataset="digits",
    fingerprint="d" * 64,
    classes=[str(k) for k in range(10)],
    n_train=1437,
    n_test=360,
    train_counts=[144] * 7 + [143] * 3,
    channels=1,
    native_px=8,
    cached_px=8,
    mean=[0.3],
    std=[0.4],
    flip=False,
)
"""A dataset like digits."""

ENVIRONMENT = Environment(
    hardware="Test CPU",
    device="cpu",
    threads=2,
    precision="fp32",
    platform="Linux",
    python="3.12",
    versions={"torch": "2.9"},
    git_commit=None,
    git_dirty=None,
    command="python run_bench.py",
)
"""A machine."""


def make_cell(**changes: Any) -> CellSpec:
    """A valid cell, with some fields changed."""
    values: dict[str, Any] = {
        "kind": "run",
        "model": "resnet18",
        "protocol_id": PRESETS["smoke"].id,
        "data_fingerprint": DATA.fingerprint,
        "hardware": ENVIRONMENT.hardware,
        "threads": 2,
        "precision": "fp32",
        "train_size": 129,
        "seed": 0,
        "lr": None,
    }
    return CellSpec(**{**values, **changes})


def make_run(**changes: Any) -> RunRecord:
    """A valid record of `make_cell()`, without results, with some fields changed."""
    cell = changes.pop("cell", make_cell())
    values: dict[str, Any] = {
        "id": cell_id(cell),
        "cell": cell,
        "status": "ok",
        "created": "2026-01-01T00:00:00+00:00",
        "protocol": PRESETS["smoke"].to_dict(),
        "data": DATA,
        "environment": ENVIRONMENT,
    }
    return RunRecord(**{**values, **changes})
