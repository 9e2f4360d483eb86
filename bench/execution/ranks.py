"""Several worker processes that train one model together; whoever asks them sees one worker."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.execution.process import Worker

if TYPE_CHECKING:
    from bench.execution.site import Site


def worker_of(site: Site, name: str, on_images: Callable[[int], None] = lambda images: None) -> Worker | Ranks:
    """Whoever runs the cells of a site: a worker process, or as many as train its model together."""
    from bench.execution.worker import work

    def of_rank(rank: int, meeting: Path) -> Worker:
        heard = on_images if rank == 0 else lambda images: None
        return Worker(work, (site.of_rank(rank, meeting),), f"{name}-{rank}", heard)

    return Worker(work, (site,), name, on_images) if site.ranks == 1 else Ranks(site.ranks, of_rank)


class Ranks:
    """As many workers as share one training: all are asked the same, and the first one's answer counts.

    Where one fails, the others would wait for it for ever: all are ended, and the next request starts new ones.
    """

    def __init__(self, count: int, make: Callable[[int, Path], Worker]) -> None:
        """`make` gives the worker of a rank; all meet at the file that it is told, which is not there yet."""
        self.count, self.make = count, make
        self._workers: Sequence[Worker] = ()
        self._folder = ""

    def ask(self, request: tuple[Any, ...]) -> Any:
        """Send one request to all. Raises what the first one that fails raises, as `Worker.ask` does."""
        if not self._workers:
            self._folder = tempfile.mkdtemp(prefix="backbone-bench-")
            self._workers = [self.make(rank, Path(self._folder, "meeting")) for rank in range(self.count)]
        with ThreadPoolExecutor(self.count) as pool:
            asked = [pool.submit(worker.ask, request) for worker in self._workers]
            done, others = wait(asked, return_when=FIRST_EXCEPTION)
            failed = next((each for each in asked if each in done and each.exception()), None)
            if failed is not None:
                self.end()
                wait(others)
                self.stop()
                raise failed.exception() or RuntimeError
        return asked[0].result()

    def stop(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.stop()
        self._workers = ()
        shutil.rmtree(self._folder, ignore_errors=True)

    def end(self) -> None:
        """End all workers in the middle of their work; another thread that waits for them gets WorkerDied."""
        for worker in self._workers:
            worker.end()
