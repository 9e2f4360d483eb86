"""Workers find what is slow to import already there."""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

from bench.execution.process import Worker
from bench.execution.worker import serve


def _look(connection: Connection, parent: int) -> None:
    serve(connection, {"modules": lambda: {"torch", "timm", "fvcore.nn.jit_analysis"} & set(sys.modules)})


def test_a_worker_is_forked_with_torch_and_timm_imported() -> None:
    with Worker(_look, (), "look") as worker:
        assert worker.ask(("modules",)) == {"torch", "timm", "fvcore.nn.jit_analysis"}
