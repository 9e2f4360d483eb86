"""Measures one metric of one model in turns: sweep, warm-up, samples until the figure is good, the finished Timing."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.measure.operation import Operation, Subject
from bench.measure.sampling import has_settled, is_precise, summarise
from bench.measure.settings import Metric
from bench.measure.sweep import Sweep, sweep
from bench.profiles import CurvePoint, Timing

LEAST_SAMPLES = {"latency": 64, "inference": 10, "training": 10}
"""Samples of a finished figure (latency: so many that a 90th percentile can be told)."""
LEAST_S = 1.0
"""Seconds of samples of a finished figure."""
SAMPLING_SHARE = 0.8
"""Largest part of a model's time budget that the samples of all its metrics may take; the rest is for sweeps and
warm-up. A metric that is good early leaves its time to the others."""
WARM_UP_SHARE, SWEEP_SHARE, LONGEST_STEP_SHARE = 0.05, 0.2, 1 / 60
"""Largest part of the budget for one warm-up, for a sweep as long as nobody names its batches, for a step in it."""
RE_WARM_BELOW_MS = 300.0
"""After another model's turn the caches are cold: steps shorter than this get one untimed sample first."""
MOST_WAITED = 0.1
"""Time that threads waited for a processor, over the time of the samples, from which a figure is invalid."""
CROWDED = "the threads waited for a processor for {:.0f} % of the time: something else was running"
MOST_SAMPLES = 20_000
"""Raw samples kept of one metric at most."""


@dataclass
class Series:
    """The state of one metric of one model, while models take turns."""

    subject: Subject
    metric: Metric
    found: Sweep
    operation: Operation
    first_ms: float
    warm_up_steps: int
    settled: bool
    start_s: float
    samples_ms: list[float] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    spent_s: float = 0.0
    waited_s: float | None = 0.0

    @property
    def is_good(self) -> bool:
        """Whether more samples would not make the figure better."""
        if len(self.samples_ms) >= MOST_SAMPLES:
            return True
        enough = len(self.samples_ms) >= LEAST_SAMPLES[self.metric] and self.spent_s >= self.least_s
        return enough and is_precise(self.samples_ms)

    @property
    def least_s(self) -> float:
        """Seconds of samples before the figure may be finished."""
        return min(LEAST_S, self.subject.settings.budget_s / 20)

    def turn(self, seconds: float) -> bool:
        """Take samples for about `seconds`, at least one; whether the figure is good."""
        begin, waited = time.perf_counter(), queue_wait_s()
        if self._has_cooled():
            self.operation.sample()
        taken = 0
        while taken == 0 or time.perf_counter() - begin < seconds:
            self.samples_ms.append(self.operation.sample())
            taken += 1
        self.turns.append(taken)
        after = queue_wait_s()
        known = None not in (waited, after, self.waited_s) and self.subject.device.type == "cpu"
        self.waited_s = self.waited_s + after - waited if known else None  # type: ignore[operator]
        self.spent_s += time.perf_counter() - begin
        return self.is_good

    def _has_cooled(self) -> bool:
        """Whether what others did since the last turn shows in the first sample: always where memory was given back."""
        if not self.samples_ms:
            return False
        short = median(self.samples_ms) * self.operation.queued < RE_WARM_BELOW_MS
        return short or self.subject.device.type == "cuda"

    def timing(self) -> Timing:
        """The figure, whatever it is worth; `invalid` says so."""
        said = summarise(self.samples_ms)
        waited = self.waited_s / self.spent_s if self.waited_s is not None and self.spent_s else None
        crowded = [CROWDED.format(100 * waited)] if waited is not None and waited > MOST_WAITED else []
        settings = self.subject.settings
        return Timing(
            batch_size=self.operation.batch_size,
            requested_batch_size=max(self.found.requested_batch_size, self.operation.batch_size),
            repeats=len(self.samples_ms),
            steps_per_sample=self.operation.queued,
            median_ms=said.median_ms,
            q25_ms=said.q25_ms,
            q75_ms=said.q75_ms,
            low_ms=said.low_ms,
            high_ms=said.high_ms,
            p90_ms=said.p90_ms if self.metric == "latency" else None,
            p99_ms=said.p99_ms if self.metric == "latency" else None,
            throughput_img_per_s=1e3 * self.operation.batch_size / said.median_ms,
            precision=self.operation.precision,
            memory_format=settings.memory_format,
            compiled=settings.compiled,
            first_ms=self.first_ms,
            warm_up_steps=self.warm_up_steps,
            settled=self.settled,
            seconds=self.start_s + self.spent_s,
            drift=said.drift,
            cv=said.cv,
            samples_ms=[float(f"{ms:.5g}") for ms in self.samples_ms],
            turns=self.turns,
            waited=waited,
            invalid=said.invalid + crowded,
        )

    @property
    def curve(self) -> list[CurvePoint]:
        """The sweep that chose the batch; empty for latency."""
        return self.found.curve


def used_up(series: Collection[Series]) -> bool:
    """Whether the metrics of one model have had all the time that its budget leaves for samples."""
    budget_s = next(iter(series)).subject.settings.budget_s
    return sum(one.spent_s for one in series) >= SAMPLING_SHARE * budget_s


def queue_wait_s() -> float | None:
    """Seconds that the threads of this process have been ready to run without running; None where nobody counts.

    A steady competing load shows up as neither drift nor spread, but as waiting.
    """
    total = 0
    for path in Path("/proc/self/task").glob("*/schedstat"):
        try:
            total += int(path.read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return total / 1e9 if total else None


def start(subject: Subject, metric: Metric) -> Series:
    """Choose the batch of a metric and warm up at it. Raises what the model raises."""
    began = time.perf_counter()
    settings = subject.settings
    found = Sweep(1, 1) if metric == "latency" else _sweep_eagerly(subject, metric)
    operation = Operation(subject, metric, found.batch_size)
    first_ms = operation.sample()
    steps, settled = _warm_up(operation, WARM_UP_SHARE * settings.budget_s)
    if found.first_ms is not None and not settings.compiled:
        first_ms = found.first_ms
    return Series(subject, metric, found, operation, first_ms, steps, settled, time.perf_counter() - began)


def _sweep_eagerly(subject: Subject, metric: Metric) -> Sweep:
    """A sweep without torch.compile, which would compile anew for every batch."""
    compiled, subject.forward = subject.forward, subject.model
    budget_s = subject.settings.budget_s
    try:
        return sweep(
            subject,
            metric,
            subject.settings.batch_sizes,
            longest_step_s=LONGEST_STEP_SHARE * budget_s,
            limit_s=SWEEP_SHARE * budget_s,
        )
    finally:
        subject.forward = compiled


def _warm_up(operation: Operation, limit_s: float) -> tuple[int, bool]:
    """Steps until the rolling median settles or the time is up, at least two samples; (steps, whether it settled)."""
    taken: list[float] = []
    begin = time.perf_counter()
    while len(taken) < 2 or (not has_settled(taken) and time.perf_counter() - begin < limit_s):
        taken.append(operation.sample())
        if len(taken) == 2:
            operation.queue_for(taken[-1])
    return operation.steps, has_settled(taken)
