"""The worker process: receives cells over a pipe, one at a time, and reports what became of them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from bench.errors import UsageError
from bench.execution.cells import Bench, Site
from bench.store import StoreError
from bench.study import import_plugins

KEEP_FREED_BYTES = 256 << 20
"""Memory that glibc takes from the system at a time; freed memory is kept for the next step."""


def work(connection: Connection, site: Site, parent: int) -> None:
    """Serve requests until the pipe closes.

    ("profile", model, id, weights), ("cell", spec, lr, trials), ("rate", model, weights) or ("weights", model): each
    is answered by any number of ("images", n) and then ("done", result), ("store", message) or ("error", message).
    """
    _live_and_die_with(parent)
    os.dup2(2, 1)  # whatever a library prints must not reach the results on stdout
    warnings.simplefilter("ignore", FutureWarning)  # of libraries among themselves; nothing a user could act on
    _tune(site)
    import_plugins(site.plugins)
    bench = Bench(site, on_images=lambda images: connection.send(("images", images)))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            request = connection.recv()
            try:
                connection.send(("done", _serve(bench, request)))
            except StoreError as error:
                connection.send(("store", str(error)))
            except UsageError as error:
                connection.send(("error", str(error)))
            except Exception as error:
                connection.send(("error", f"{type(error).__name__}: {error}"))


def _serve(bench: Bench, request: tuple[Any, ...]) -> Any:
    kind, *arguments = request
    tasks: dict[str, Callable[..., Any]] = {
        "profile": bench.run_profile,
        "cell": bench.run_cell,
        "rate": bench.training_rate,
        "weights": bench.check_weights,
    }
    return tasks[kind](*arguments)


def _live_and_die_with(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import threading

        def watch() -> None:
            with contextlib.suppress(OSError):
                handle = os.pidfd_open(parent)
                import select

                select.select([handle], [], [])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _tune(site: Site) -> None:
    """Threads, and an allocator that does not return every activation to the system after each step.

    By default glibc maps and unmaps each large tensor anew, and the page faults cost a third of the
    training throughput of small batches; M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD keep the memory.
    """
    import torch

    torch.set_num_threads(site.hardware.threads)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
            libc.mallopt(m_mmap_threshold, 1 << 30)
            libc.mallopt(m_trim_threshold, (1 << 31) - 1)
            libc.mallopt(m_top_pad, KEEP_FREED_BYTES)
