"""The plan of a study as a table: what `--dry-run` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.execution.progress import Clock, duration
from bench.plan import Job, Plan

DEVICES = (8, 64)
"""Numbers of devices for which the shortest time is told too."""
WORTH_MORE_S = 3600.0
"""Seconds from which more than one device is worth a thought."""


def plan_json(plan: Plan, rates: Mapping[str, float]) -> dict[str, Any]:
    """The plan as JSON values; `seconds_left` is None where nothing could be measured."""
    clock = Clock(plan, rates)
    return {
        "protocol": plan.study.protocol.to_dict(),
        "protocol_id": plan.study.protocol.id,
        "dataset": plan.data.dataset if plan.data else None,
        "data_fingerprint": plan.data.fingerprint if plan.data else None,
        "hardware": plan.hardware.name,
        "precision": plan.hardware.precision,
        "train_sizes": list(plan.train_sizes),
        "jobs": [_job_json(plan, job, clock) for job in plan.jobs],
        "done": len(plan.jobs) - len(plan.left()),
        "left": len(plan.left()),
        "seconds_left": clock.total(list(plan.left())),
        "seconds_left_on_devices": {str(n): clock.on_devices(list(plan.left()), n) for n in DEVICES},
    }


def plan_table(plan: Plan, rates: Mapping[str, float]) -> str:
    """The plan for a terminal."""
    from tabulate import tabulate

    clock = Clock(plan, rates)
    rows = []
    for job in plan.jobs:
        steps = plan.study.protocol.steps(job.cell.train_size) if job.cell else ""
        seconds = clock.seconds(job)
        state = "done" if job.done else f"again (failed {job.failures}×)" if job.failures else "to do"
        time = "" if job.done else duration(seconds) if seconds is not None else "unknown"
        rows.append([job.title, steps, plan.images(job) or "", state, time])
    protocol = plan.study.protocol
    left = clock.total(list(plan.left()))
    what = (
        f"protocol {protocol.preset} {protocol.short_id} · {plan.data.dataset} {plan.data.fingerprint[:8]}"
        if plan.data
        else "cost only"
    )
    head = f"{what} · {plan.hardware.name}, {plan.hardware.threads} threads, {plan.hardware.precision}"
    tail = (
        f"{len(plan.left())} of {len(plan.jobs)} jobs left, estimated "
        f"{duration(left) if left is not None else 'time unknown'}"
    )
    if left is not None and left > WORTH_MORE_S:
        spread = [(n, clock.on_devices(list(plan.left()), n)) for n in DEVICES]
        tail += "; at least " + ", ".join(f"{duration(seconds or 0.0)} on {n} devices" for n, seconds in spread)
    table = tabulate(rows, headers=["job", "steps", "images", "state", "estimated time"], tablefmt="simple")
    return f"{head}\n\n{table}\n\n{tail}"


def _job_json(plan: Plan, job: Job, clock: Clock) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "model": job.model,
        "cell": job.cell.model_dump(mode="json") if job.cell else None,
        "steps": plan.study.protocol.steps(job.cell.train_size) if job.cell else 0,
        "done": job.done,
        "failures": job.failures,
        "estimated_s": clock.seconds(job),
    }
