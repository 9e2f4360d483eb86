"""Backbone Bench: vision backbones under one protocol, with every number honest."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.analysis.board import build_board as build_board
    from bench.execution.launch import run as run
    from bench.protocol import Protocol as Protocol
    from bench.store import Records as Records
    from bench.store import load_records as load_records
    from bench.study import Study as Study

__version__ = "0.1.0"
__all__ = ["Protocol", "Records", "Study", "__version__", "build_board", "load_records", "run"]

_HOMES = {
    "Protocol": "bench.protocol",
    "Study": "bench.study",
    "run": "bench.execution.launch",
    "Records": "bench.store",
    "load_records": "bench.store",
    "build_board": "bench.analysis.board",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use, so that `import bench` costs nothing."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
