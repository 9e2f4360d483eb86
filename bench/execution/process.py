"""A worker process: forked from a server that has torch imported, asked over a pipe, waited for without spinning."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import BaseContext
from typing import Any

from bench.errors import UsageError
from bench.records import Failure
from bench.store import StoreError


class WorkerDied(RuntimeError):
    """The worker process ended without an answer."""


class WorkFailed(RuntimeError):
    """What the worker was asked for raised an error, which `failure` describes."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.line)
        self.failure = failure


class Worker:
    """One process that runs `target(connection, *arguments, parent_pid)`, started when it is first asked.

    It answers every request with any number of ("images", n) and then ("done", result), ("store", message),
    ("error", message) or ("failed", Failure). After it has died the next request starts a new one.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: tuple[Any, ...],
        name: str,
        on_images: Callable[[int], None] = lambda images: None,
    ) -> None:
        self.target, self.arguments, self.name, self.on_images = target, arguments, name, on_images
        self._process: Any = None
        self._connection: Any = None
        self._idle = True

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, request: tuple[Any, ...]) -> Any:
        """Send one request and wait for its answer. Raises WorkerDied, WorkFailed, StoreError or UsageError."""
        if self._process is None:
            self._start()
        self._idle = False
        try:
            self._connection.send(request)
            while True:
                multiprocessing.connection.wait([self._connection, self._process.sentinel])
                if not self._connection.poll():
                    raise EOFError
                kind, value = self._connection.recv()
                self._idle = kind != "images"
                if kind == "images":
                    self.on_images(value)
                elif kind == "done":
                    return value
                else:
                    raise _error(kind, value)
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            self._process.join()
            code = self._process.exitcode
            self._process = None
            raise WorkerDied(_cause_of_death(code)) from error

    def stop(self) -> None:
        """End the worker: it leaves by itself when the pipe closes, and is ended if it is in the middle of work."""
        if self._process is not None:
            self._connection.close()
            if not self._idle:
                self._process.terminate()
            self._process.join(timeout=10)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process = None

    def end(self) -> None:
        """End the process in the middle of its work; another thread that waits for it gets WorkerDied."""
        process = self._process
        if process is not None:
            process.terminate()

    def _start(self) -> None:
        context = _context()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(  # type: ignore[attr-defined]
            target=self.target, args=(theirs, *self.arguments, os.getpid()), name=f"bench-{self.name}"
        )
        self._process.start()
        theirs.close()


def warm_up() -> None:
    """Start the server that workers are forked from; it imports torch while the caller does other things."""
    context = _context()
    if context.get_start_method() == "forkserver":
        from multiprocessing.forkserver import ensure_running

        ensure_running()


def _error(kind: str, value: Any) -> Exception:
    if kind == "failed":
        return WorkFailed(value)
    return StoreError(value) if kind == "store" else UsageError(value)


def _cause_of_death(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (most often the system ran out of memory)" if name == "SIGKILL" else ""
        return f"the worker process was ended by {name}{hint}"
    return f"the worker process ended with exit code {exitcode}"


def _context() -> BaseContext:
    """Fork from a server that has torch imported and no threads; a fresh interpreter where there is no fork."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.execution.preload"])
    return context
