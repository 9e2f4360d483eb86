"""The local launcher: one worker process per model, one cell at a time, nothing lost when a worker dies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bench.execution.costs import describe, measure_costs
from bench.execution.crew import Crew, Shared
from bench.execution.interrupt import heeded
from bench.execution.meter import CostRequest
from bench.execution.process import WorkerDied, WorkFailed
from bench.execution.progress import Reporter, Silent
from bench.execution.ranks import worker_of
from bench.execution.sweeps import NO_RATE, Sweeps
from bench.measure.environment import environment
from bench.measure.hardware import Hardware
from bench.plan import Job, Plan
from bench.records import DataInfo, Failure, RunRecord
from bench.store import Store
from bench.study import Study, initial_weights

if TYPE_CHECKING:
    from bench.execution.site import Site


@dataclass(frozen=True)
class Tally:
    """What one call of the launcher did."""

    finished: int
    """Jobs that left a good record in this call."""
    failed: int
    """Jobs that left a failed record in this call."""
    left: int
    """Jobs not tried, because of `--limit`."""


def prepare_data(study: Study, progress: Callable[[int, int], None] | None = None) -> tuple[DataInfo | None, Path]:
    """The dataset, decoded into the cache if it is not there yet (None where only cost is asked for), and the cache."""
    from bench.data.cache import default_cache_dir, lookup, prepare

    cache_dir = default_cache_dir()
    if study.cost_only:
        return None, cache_dir
    name, size = study.protocol.dataset, study.protocol.img_size
    found = lookup(name, data_dir=study.data_dir, img_size=size, cache_dir=cache_dir)
    if found is not None:
        return found, cache_dir
    prepared = prepare(
        name,
        data_dir=study.data_dir,
        img_size=size,
        download=study.download,
        cache_dir=cache_dir,
        progress=progress,
    )
    return prepared, cache_dir


def execute(plan: Plan, cache_dir: Path, *, command: str, reporter: Reporter, at_once: int = 1) -> Tally:
    """Run the jobs of `plan` that are left, up to the study's limit: what models cost first, then their cells.

    With `at_once` above 1 so many models are trained side by side, in which case the speeds in their records are those
    of a shared machine. Raises UsageError for a checkpoint that does not fit, before anything runs; StoreError when
    the output folder cannot be written, KeyboardInterrupt on Ctrl-C: in both cases every finished job is on disk.
    """
    study = plan.study
    budget = study.limit if study.limit is not None else len(plan.jobs)
    check_checkpoints(plan, cache_dir, command)
    with heeded() as ask, contextlib.closing(reporter):
        profiles = [job for job in plan.left() if job.cell is None][:budget]
        requests = cost_requests(study, profiles, plan.num_classes, plan.hardware, command)
        tally = run_profiles(profiles, requests, Store(study.output), reporter)
        shared = Shared(reporter) if at_once > 1 else reporter
        groups = [
            (partial(Launcher, plan, model, cache_dir, command, shared, at_once), cells)
            for model in study.models
            if (cells := [job for job in plan.of(model) if job.cell is not None and not job.done])
        ]
        budget -= tally.finished + tally.failed
        records = Crew(at_once, budget, ask).run(groups) if at_once > 1 else _one_by_one(groups, budget, ask)
        ask()
    finished = tally.finished + sum(record.status == "ok" for record in records)
    failed = tally.failed + sum(record.status == "failed" for record in records)
    return Tally(finished, failed, len(plan.left()) - finished - failed)


def _one_by_one(
    groups: Sequence[tuple[Callable[[], Launcher], Sequence[Job]]], budget: int, ask: Callable[[], None]
) -> list[RunRecord]:
    """Run up to `budget` jobs, group after group; `ask` raises where Ctrl-C was pressed."""
    records: list[RunRecord] = []
    for make, jobs in groups:
        if len(records) >= budget:
            break
        with make() as launcher:
            for job in jobs[: budget - len(records)]:
                ask()
                records.append(launcher.run(job))
    return records


def check_checkpoints(plan: Plan, cache_dir: Path, command: str) -> None:
    """Raise UsageError where the checkpoint of a model with work left cannot be read or does not fit."""
    for model in plan.study.checkpoints() if plan.data is not None else ():
        if any(not job.done for job in plan.of(model)):
            with Launcher(plan, model, cache_dir, command, Silent()) as launcher:
                launcher.check_weights()


def cost_requests(
    study: Study, jobs: Sequence[Job], num_classes: int, hardware: Hardware, command: str
) -> list[CostRequest]:
    """What is asked of the workers that measure the models of `jobs`, in the same order."""
    protocol, files, weights = study.protocol, study.checkpoints(), initial_weights(study)
    settings, here = study.cost_settings(hardware.precision), environment(hardware, command)
    return [
        CostRequest(
            model=job.model,
            id=job.id,
            img_size=protocol.img_size,
            num_classes=num_classes,
            settings=settings,
            hardware=hardware,
            environment=here,
            weights=weights[job.model],
            checkpoint=files.get(job.model),
            drop=protocol.drop,
            drop_path=protocol.drop_path,
            seed=protocol.seeds[0],
            plugins=study.plugins,
            other_sizes=study.cost_only,
        )
        for job in jobs
    ]


def run_profiles(jobs: Sequence[Job], requests: Sequence[CostRequest], store: Store, reporter: Reporter) -> Tally:
    """Measure what the models of `jobs` cost; they take turns, so their records come together. Raises StoreError."""
    finished = failed = 0
    waiting = list(jobs)
    if waiting:
        reporter.started(waiting[0])
    for record in measure_costs(requests, store):
        reporter.finished(waiting.pop(0), record)
        finished += record.status == "ok"
        failed += record.status == "failed"
        if waiting:
            reporter.started(waiting[0])
    return Tally(finished, failed, 0)


def site_of(plan: Plan, model: str, cache_dir: Path, command: str, at_once: int = 1) -> Site:
    """What the worker of a model needs besides its cells, where so many models are trained side by side."""
    from bench.execution.site import Site

    study = plan.study
    return Site(
        protocol=study.protocol,
        data=plan.dataset,
        cache_dir=cache_dir,
        hardware=plan.hardware,
        environment=environment(plan.hardware, command).model_copy(update={"cells_per_device": at_once}),
        root=study.output,
        images_left=plan.images_left(model),
        checkpoint=study.checkpoints().get(model),
        plugins=study.plugins,
        ranks=study.gpus_per_cell,
        parts=study.parts,
        save_every_s=60 * study.save_every,
    )


class Launcher:
    """Runs the jobs of one model in a worker process, and a new one whenever a worker dies."""

    def __init__(
        self, plan: Plan, model: str, cache_dir: Path, command: str, reporter: Reporter, at_once: int = 1
    ) -> None:
        self.plan, self.model, self.reporter = plan, model, reporter
        self.site = site_of(plan, model, cache_dir, command, at_once)
        self.store = Store(plan.study.output)
        self.abandoned = False
        self.sweeps = Sweeps(plan, model, self.store)
        self._worker = worker_of(self.site, model, reporter.images)

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()

    def run(self, job: Job) -> RunRecord:
        """Run one job to its record, whatever happens to the worker."""
        self.reporter.started(job)
        if self.plan.study.fresh and job.cell is not None:
            self.store.drop_state(job.cell)
        try:
            record = self._ask_for(job)
        except (WorkerDied, WorkFailed) as error:
            if self.abandoned:
                raise
            if isinstance(error, WorkFailed) and job.cell is not None:
                self.store.drop_state(job.cell)
            record = self._write_failure(job, describe(error))
        self.sweeps.add(record)
        self.reporter.finished(job, record)
        return record

    def abandon(self) -> None:
        """End the running job at once and without a record; called from another thread."""
        self.abandoned = True
        self._worker.end()

    def training_rate(self, weights: str, seconds: float = 0.0) -> float:
        """Training images per second of the model, over a few steps and so many seconds at least.

        UsageError where it cannot run.
        """
        return float(self._worker.ask(("rate", self.model, weights, seconds)))

    def check_weights(self) -> None:
        """Raise UsageError where the checkpoint of this model cannot be read or does not fit."""
        with contextlib.suppress(WorkerDied, WorkFailed):  # its cells will say so
            self._worker.ask(("weights", self.model))

    def _ask_for(self, job: Job) -> RunRecord:
        assert job.cell is not None
        lr = self.sweeps.rate(job.cell)
        if lr is None:
            return self._write_failure(job, Failure(kind="NoLearningRate", message=NO_RATE))
        return cast(RunRecord, self._worker.ask(("cell", job.cell, lr, self.sweeps.of(job.cell), job.keep_weights)))

    def _write_failure(self, job: Job, why: Failure) -> RunRecord:
        """Write the record that a dead worker could not."""
        from bench.execution.site import failed_run

        assert job.cell is not None
        record = failed_run(self.site, job.cell, why, self.sweeps.of(job.cell))
        self.store.write_run(record)
        return record
