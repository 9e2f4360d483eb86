"""Conducts the measuring of costs: processes take turns, one at a time, so that drift hits all models alike."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.errors import UsageError
from bench.execution.meter import CostRequest, measure, size_up, survey
from bench.execution.process import Worker, WorkerDied, WorkFailed
from bench.measure.settings import METRICS, Metric
from bench.profiles import DeviceRecord, ProfileRecord
from bench.records import Failure, ModelInfo
from bench.store import Store
from bench.values import now

TOGETHER = 8
"""Models that take turns at most: each keeps a process with its weights."""
DEVICE_S = 4.0
"""Seconds for measuring what the device can do, or half the time budget of a model where that is less."""
TURN_S = 0.2
"""Seconds of a turn, or one sample where that takes longer."""


@dataclass
class Candidate:
    """One model among those that take turns: its process and what is known of it so far."""

    request: CostRequest
    worker: Worker
    info: ModelInfo | None = None
    running: list[Metric] = field(default_factory=list)
    started: list[Metric] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    failure: Failure | None = None

    def open(self) -> None:
        """Build, sweep and warm up, metric by metric; a metric that fails is a problem, the first one a failure."""
        for metric in METRICS:
            try:
                self._open_once()
                self.worker.ask(("start", metric))
            except (WorkerDied, WorkFailed, UsageError) as error:
                if metric == METRICS[0]:
                    self.failure = describe(error)
                    return
                self._go_on_without(metric, error)
            else:
                self.started.append(metric)
        self.running = list(self.started)

    def turn(self, metric: Metric) -> None:
        """One turn of one metric, if it still needs any."""
        if metric not in self.running or self.failure is not None:
            return
        try:
            if self.worker.ask(("turn", metric, TURN_S)):
                self.running.remove(metric)
        except (WorkerDied, WorkFailed) as error:
            self.failure = describe(error)

    def close(self) -> dict[str, Any]:
        """The timed fields of the profile; none after a failure."""
        if self.failure is not None:
            return {}
        try:
            return dict(self.worker.ask(("close",)))
        except (WorkerDied, WorkFailed) as error:
            self.failure = describe(error)
            return {}

    def _open_once(self) -> None:
        if self.info is None:
            self.info = self.worker.ask(("open",))

    def _go_on_without(self, metric: Metric, error: Exception) -> None:
        """Note that a metric has failed; where it took the process with it, bring the others back."""
        self.problems.append(f"{metric}: {describe(error).line}")
        if not isinstance(error, WorkerDied):
            return
        try:
            self.worker.ask(("open",))
            for earlier in self.started:
                self.worker.ask(("start", earlier))
        except (WorkerDied, WorkFailed) as again:
            self.failure = describe(again)


def measure_costs(requests: Sequence[CostRequest], store: Store) -> Iterator[ProfileRecord]:
    """Measure every request, up to `TOGETHER` models in turns, and write and yield their records.

    What the device can do at best is measured first where the store does not know it yet. Raises StoreError.
    """
    if not requests:
        return
    ensure_device(requests[0], store)
    for first in range(0, len(requests), TOGETHER):
        group = requests[first : first + TOGETHER]
        session = uuid.uuid4().hex[:12] if len(group) > 1 else ""
        for request, fields in zip(group, _in_turns(group), strict=True):
            record = profile_of(request, fields, session)
            store.write_profile(record)
            yield record


def ensure_device(request: CostRequest, store: Store) -> DeviceRecord | None:
    """What the device can do at best: as the store knows it, else measured now; None where it cannot be measured.

    A record that says of itself that the machine was busy is measured again.
    """
    from bench.measure.roofline import device_id

    identity = device_id(request.hardware, request.environment.versions)
    with contextlib.suppress(OSError, ValueError):
        known = store.read_device(store.device_folder(request.hardware.name, identity))
        if not known.invalid:
            return known
    seconds = min(DEVICE_S, request.settings.budget_s / 2)
    try:
        with Worker(survey, (request.hardware, request.environment, seconds), "device") as worker:
            record: DeviceRecord = worker.ask(("device",))
    except (WorkerDied, WorkFailed):
        return None
    store.write_device(record)
    return record


def _in_turns(group: Sequence[CostRequest]) -> Iterator[dict[str, Any]]:
    """For each request, in order, the fields of its profile, `failure` among them where there is one."""
    with contextlib.ExitStack() as stack:
        candidates = [
            Candidate(request, stack.enter_context(Worker(measure, (request,), request.model))) for request in group
        ]
        for candidate in candidates:
            candidate.open()
        # All metrics in every round: the longer the time that the samples of a metric are spread over, the less a
        # restless neighbour on the same host decides, and the better the interval knows it.
        while any(c.running and c.failure is None for c in candidates):
            for metric in METRICS:
                for candidate in candidates:
                    candidate.turn(metric)
        timed = [candidate.close() for candidate in candidates]
    for candidate, fields in zip(candidates, timed, strict=True):
        problems = candidate.problems + fields.pop("problems", [])
        if candidate.failure is not None:
            yield {"info": candidate.info, "failure": candidate.failure, "problems": problems}
            continue
        sized = _sized(candidate.request)
        problems += sized.pop("problems")
        yield {"info": candidate.info, **fields, **sized, "problems": problems}


def _sized(request: CostRequest) -> dict[str, Any]:
    """Memory and counts, from a process that has done nothing else."""
    found: dict[str, Any] = {}
    problems: list[str] = []
    with Worker(size_up, (request,), request.model) as worker:
        try:
            found["memory"] = worker.ask(("memory",))
        except (WorkerDied, WorkFailed) as error:
            problems.append(f"memory: {describe(error).line}")
        try:
            found |= worker.ask(("count",))
        except (WorkerDied, WorkFailed) as error:
            problems.append(f"macs: {describe(error).line}")
    return {**found, "problems": problems + found.get("problems", [])}


def profile_of(request: CostRequest, fields: dict[str, Any], session: str = "") -> ProfileRecord:
    """The record of a profile with these fields, `failure` among them where it has failed."""
    failed = fields.get("failure") is not None
    return ProfileRecord(
        id=request.id,
        status="failed" if failed else "ok",
        created=now(),
        model=request.model,
        img_size=request.img_size,
        num_classes=request.num_classes,
        environment=request.environment,
        session="" if failed else session,
        **fields,
    )


def describe(error: Exception) -> Failure:
    """An error of a worker as it stands in a record."""
    if isinstance(error, WorkFailed):
        return error.failure
    return Failure(kind=type(error).__name__, message=str(error))
