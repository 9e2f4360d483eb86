"""The worker process: receives cells over a pipe, one at a time, and reports what became of them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from bench.errors import UsageError
from bench.execution.cells import Bench
from bench.execution.process import WorkFailed
from bench.execution.site import Site, failure
from bench.store import StoreError
from bench.study import import_plugins

KEEP_FREED_BYTES = 256 << 20
"""Memory that glibc takes from the system at a time; freed memory is kept for the next step."""


def work(connection: Connection, site: Site, parent: int) -> None:
    """Serve one model: ("cell" or "make", spec, lr, trials, keep), ("rate", model, weights), ("weights", model)."""
    settle_in(parent, site.hardware.threads, site.plugins)
    keep_freed_memory()
    if not site.share.alone:
        meet(site)
    bench = Bench(site, on_images=lambda images: connection.send(("images", images)))
    serve(
        connection,
        {"cell": bench.run_cell, "make": bench.make, "rate": bench.training_rate, "weights": bench.check_weights},
    )


def meet(site: Site) -> None:
    """Join the process group of all workers that train a model together."""
    import torch
    from torch import distributed

    on_gpu = site.hardware.device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(torch.device(site.hardware.device))
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"file://{site.meeting}",
        rank=site.share.rank,
        world_size=site.share.ranks,
    )


def settle_in(parent: int, threads: int, plugins: Sequence[str]) -> None:
    """What every worker does first: watch its parent, keep stdout clean, set torch's threads, import plugins."""
    import torch

    _live_and_die_with(parent)
    os.dup2(2, 1)  # whatever a library prints must not reach the results on stdout
    warnings.simplefilter("ignore", FutureWarning)  # of libraries among themselves; nothing a user could act on
    torch.set_num_threads(threads)
    full_precision()
    import_plugins(plugins)


def full_precision() -> None:
    """Let float32 be float32 on a GPU too.

    torch shortens it to TensorFloat-32 in convolutions and recurrent layers by default, but not in matrix products:
    a CNN would be evaluated and timed in another arithmetic than a ViT.
    """
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def serve(connection: Connection, tasks: Mapping[str, Callable[..., Any]]) -> None:
    """Answer (task, *arguments) with ("done", result), ("store" or "error", message) or ("failed", Failure)."""
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            task, *arguments = connection.recv()
            try:
                connection.send(("done", tasks[task](*arguments)))
            except StoreError as error:
                connection.send(("store", str(error)))
            except UsageError as error:
                connection.send(("error", str(error)))
            except WorkFailed as error:
                connection.send(("failed", error.failure))
            except Exception as error:
                connection.send(("failed", failure(error)))


def keep_freed_memory() -> None:
    """Use an allocator that does not return every activation to the system after each step.

    By default glibc maps and unmaps each large tensor anew, and the page faults cost a third of the
    training throughput of small batches; M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD keep the memory.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
            libc.mallopt(m_mmap_threshold, 1 << 30)
            libc.mallopt(m_trim_threshold, (1 << 31) - 1)
            libc.mallopt(m_top_pad, KEEP_FREED_BYTES)


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
