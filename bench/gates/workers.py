"""The two processes that time base and head: started by path, asked in turn, never both at work."""

from __future__ import annotations

import contextlib
import json
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("timing_worker.py")
"""What a worker process runs, also for an older checkout."""
PATIENCE_S = 600.0
"""Longest wait for one answer."""


class WorkerFailed(RuntimeError):
    """A worker gave an error instead of an answer, or none at all; the message is one line."""


class TimingWorker:
    """One side's process. It idles on a pipe, without spinning, whenever it is not asked."""

    def __init__(self, side: str) -> None:
        self.side = side
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def __enter__(self) -> TimingWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, op: str, **request: Any) -> dict[str, Any]:
        """The answer to one request; raises WorkerFailed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"op": op, **request}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise WorkerFailed(self._last_words()) from error
        answer: dict[str, Any] = json.loads(self._line())
        if "error" in answer:
            raise WorkerFailed(str(answer["error"]))
        return answer

    def start(self, path: Sequence[str], plugins: Sequence[str], device: str, threads: int) -> dict[str, str]:
        """Tell the worker where to find modules; gives the file that each plugin, and `bench`, was loaded from."""
        answer = self.ask("start", path=list(path), plugins=list(plugins), device=device, threads=threads)
        return dict(answer["files"])

    def stop(self) -> None:
        """End the process: it leaves by itself when its pipe closes."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(PATIENCE_S):
                self._process.kill()
                raise WorkerFailed(f"no answer within {PATIENCE_S:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(self._last_words())
        return line

    def _last_words(self) -> str:
        """Why a process that has ended did so, as far as it said."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip().splitlines()
        return f"its process ended with code {self._process.returncode}" + (f": {said[-1][:200]}" if said else "")
