"""Trains several models at a time, each in a worker of its own: small models leave cores idle one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Protocol as Interface

from bench.execution.progress import Reporter
from bench.plan import Job
from bench.profiles import ProfileRecord
from bench.records import RunRecord

POLL_S = 0.2
"""Seconds between looks at whether Ctrl-C was pressed."""


class Hand(Interface):
    """What runs the jobs of one model, such as a `Launcher`."""

    def __enter__(self) -> Hand:
        """Start."""

    def __exit__(self, *_: object) -> None:
        """Clean up."""

    def run(self, job: Job) -> RunRecord:
        """Run one job to its record."""

    def abandon(self) -> None:
        """End the running job at once and without a record; called from another thread."""


class Shared:
    """A reporter that several threads may talk to."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter, self._lock = reporter, threading.Lock()

    def started(self, job: Job) -> None:
        """A job begins."""
        with self._lock:
            self._reporter.started(job)

    def images(self, count: int) -> None:
        """A running job has shown its model `count` more training images."""
        with self._lock:
            self._reporter.images(count)

    def finished(self, job: Job, record: RunRecord | ProfileRecord) -> None:
        """A job left a record."""
        with self._lock:
            self._reporter.finished(job, record)

    def close(self) -> None:
        """Nothing more comes."""
        with self._lock:
            self._reporter.close()


class Crew:
    """Runs groups of jobs, each group in order and with a hand of its own, several groups at a time."""

    def __init__(self, size: int, budget: int, ask: Callable[[], None]) -> None:
        """At most `size` groups at a time and `budget` jobs in all; `ask` raises where Ctrl-C was pressed."""
        self.size, self.ask = size, ask
        self.records: list[RunRecord] = []
        self._budget, self._lock, self._stopped = budget, threading.Lock(), False
        self._hands: set[Hand] = set()

    def run(self, groups: Sequence[tuple[Callable[[], Hand], Sequence[Job]]]) -> list[RunRecord]:
        """The records of all jobs that were run. Whatever a hand raises, or Ctrl-C, ends the others at once."""
        with ThreadPoolExecutor(max_workers=self.size) as pool:
            waiting = {pool.submit(self._serve, make, jobs) for make, jobs in groups}
            try:
                while waiting:
                    done, waiting = wait(waiting, timeout=POLL_S, return_when=FIRST_COMPLETED)
                    self.ask()
                    for future in done:
                        future.result()
            except BaseException:
                with self._lock:
                    self._stopped = True
                    hands = list(self._hands)
                for hand in hands:
                    hand.abandon()
                for future in waiting:
                    future.cancel()
                raise
        return self.records

    def _serve(self, make: Callable[[], Hand], jobs: Sequence[Job]) -> None:
        """Run the jobs of one group until there is no budget left."""
        with self._lock:
            if self._stopped or self._budget <= 0:
                return
            hand = make()
            self._hands.add(hand)
        with hand:
            for job in jobs:
                with self._lock:
                    if self._stopped or self._budget <= 0:
                        break
                    self._budget -= 1
                record = hand.run(job)
                with self._lock:
                    self.records.append(record)
        with self._lock:
            self._hands.discard(hand)
