"""How a running study shows itself on stderr: a bar on a terminal, a line per finished job elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Protocol as Interface

from bench.plan import Job, Plan
from bench.profiles import ProfileRecord
from bench.records import RunRecord

log = logging.getLogger("bench")

PROFILE_S = 6.0
"""Rough seconds that a profile takes, for estimates only."""
BUILD_S = 2.0
"""Rough seconds that building a model takes, for estimates only."""
EVAL_SPEEDUP = 3.0
"""Evaluation is about this much faster than training per image, for estimates only."""


class Reporter(Interface):
    """What the launcher tells whoever watches."""

    def started(self, job: Job) -> None:
        """A job begins."""

    def images(self, count: int) -> None:
        """The running job has shown its model `count` more training images."""

    def finished(self, job: Job, record: RunRecord | ProfileRecord) -> None:
        """A job left a record, good or failed."""

    def close(self) -> None:
        """Nothing more comes."""


class Silent:
    """A reporter that shows nothing."""

    def started(self, job: Job) -> None:
        """Show nothing."""

    def images(self, count: int) -> None:
        """Show nothing."""

    def finished(self, job: Job, record: RunRecord | ProfileRecord) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


class Clock:
    """Estimates how long the rest of a study takes from measured training rates."""

    def __init__(self, plan: Plan, rates: Mapping[str, float]) -> None:
        self.plan = plan
        self.rates = dict(rates)

    def seconds(self, job: Job) -> float | None:
        """Estimated seconds of one job; None where no model has a measured rate yet."""
        if job.cell is None:
            return PROFILE_S
        rate = self.rate(job.model)
        if rate is None:
            return None
        data = self.plan.dataset
        judged = 2 * self.plan.study.protocol.dev_fraction * data.n_train + (data.n_test if job.kind == "run" else 0)
        return BUILD_S + self.plan.images(job) / rate + judged / (EVAL_SPEEDUP * rate)

    def rate(self, model: str) -> float | None:
        """Training images per second of a model: its own, else the mean time per image of the others."""
        if model in self.rates:
            return self.rates[model]
        if not self.rates:
            return None
        return len(self.rates) / sum(1 / rate for rate in self.rates.values())

    def total(self, jobs: list[Job]) -> float | None:
        """Estimated seconds of several jobs; None where one cannot be estimated."""
        parts = [self.seconds(job) for job in jobs]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    def on_devices(self, jobs: list[Job], count: int) -> float | None:
        """Seconds that several jobs take at least on so many devices: all are busy, or the last ones wait for a model's
        trials and then its longest run; None where one cannot be estimated."""
        total = self.total(jobs)
        if total is None:
            return None
        chains: dict[tuple[str, str], dict[str, float]] = {}
        for job in jobs:
            longest = chains.setdefault((job.model, job.cell.intervention if job.cell else ""), {})
            longest[job.kind] = max(longest.get(job.kind, 0.0), self.seconds(job) or 0.0)
        return max([total / count, *(sum(longest.values()) for longest in chains.values())])


class Console:
    """The reporter of the command line."""

    def __init__(self, plan: Plan, rates: Mapping[str, float], *, bars: bool) -> None:
        from tqdm import tqdm

        self.clock = Clock(plan, rates)
        self.queue = list(plan.left())
        self.all = len(self.queue)
        self.job_start = time.monotonic()
        self.job_images = 0
        self.bar = tqdm(
            total=sum(plan.images(job) for job in self.queue),
            unit="img",
            unit_scale=True,
            disable=not bars,
            file=sys.stderr,
            dynamic_ncols=True,
            smoothing=0.05,
            bar_format="{desc} |{bar}| {percentage:3.0f} %, {elapsed}{postfix}",
        )

    def started(self, job: Job) -> None:
        """Name the job and say how long the rest will take."""
        self.job_start, self.job_images = time.monotonic(), 0
        self.bar.set_description_str(job.title)
        self._time_left()

    def images(self, count: int) -> None:
        """Move the bar."""
        self.job_images += count
        self.bar.update(count)
        self._time_left()

    def finished(self, job: Job, record: RunRecord | ProfileRecord) -> None:
        """One line for the finished job; its rate sharpens the estimate."""
        if isinstance(record, RunRecord) and record.train is not None:
            self.clock.rates[job.model] = record.train.throughput_img_per_s
            self.bar.update(self.clock.plan.images(job) - self.job_images)
        if job in self.queue:
            self.queue.remove(job)
        line = f"[{self.all - len(self.queue)}/{self.all}] {job.title}: {describe(record)}"
        with _lines_above(self.bar):
            log.log(logging.INFO if record.status == "ok" else logging.WARNING, "%s", line)
        self._time_left()

    def close(self) -> None:
        """Remove the bar."""
        self.bar.leave = False
        self.bar.close()

    def _time_left(self) -> None:
        seconds = self.clock.total(self.queue)
        if seconds is not None:
            spent = time.monotonic() - self.job_start if self.queue else 0.0
            own = self.clock.seconds(self.queue[0]) or 0.0 if self.queue else 0.0
            self.bar.set_postfix_str(f"about {duration(seconds - min(spent, own))} left", refresh=False)


def describe(record: RunRecord | ProfileRecord) -> str:
    """The result of one job in a few words."""
    if record.failure is not None:
        return f"FAILED: {record.failure.line}"
    if isinstance(record, ProfileRecord):
        speed = f"{record.inference.throughput_img_per_s:,.0f} img/s inference" if record.inference else ""
        return f"{(record.macs or 0) / 1e9:.3f} GMACs, {speed}"
    train, linear = record.train, record.linear
    if linear is not None and record.test is not None:
        taken = duration(linear.extract_s + linear.fit_s)
        return f"test top-1 {100 * record.test.top1:.1f} %, l2 {linear.l2:g}, {linear.features:,} features, {taken}"
    if train is None:
        return "no result"
    speed = f"{train.throughput_img_per_s:,.0f} img/s, {duration(train.total_s)}"
    if record.test is None:
        return f"dev top-1 {100 * train.dev_top1:.1f} %, dev loss {train.dev_loss:.3f}, {speed}"
    return f"test top-1 {100 * record.test.top1:.1f} %, lr {train.lr:g}, {speed}"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _lines_above(bar: object):  # type: ignore[no-untyped-def]
    """Let log lines appear above a bar instead of through it."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    return logging_redirect_tqdm(loggers=[log])
