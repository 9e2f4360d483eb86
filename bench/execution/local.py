"""The local launcher: one worker process per model, one cell at a time, nothing lost when a worker dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, cast

from bench.errors import UsageError
from bench.execution.progress import Reporter, Silent
from bench.measure.environment import environment
from bench.measure.hardware import detect
from bench.profiles import ProfileRecord
from bench.records import DataInfo, Failure, RunRecord, TrialResult
from bench.store import Records, Store, StoreError, load_records
from bench.study import Job, Plan, Study, choose_lr, make_plan, trial_results

NO_RATE = "no learning-rate trial of this model succeeded"


class WorkerDied(RuntimeError):
    """The worker process ended without an answer."""


@dataclass(frozen=True)
class Tally:
    """What one call of the launcher did."""

    finished: int
    """Jobs that left a good record in this call."""
    failed: int
    """Jobs that left a failed record in this call."""
    left: int
    """Jobs not tried, because of `--limit`."""


def run(study: Study, reporter: Reporter | None = None) -> Records:
    """Run everything in `study` that is not done, and return all records of its output folder.

    Raises UsageError for bad input. Interrupted or killed, the same call goes on where it stopped.
    """
    hardware = detect(study.device, study.protocol.precision)
    store = Store(study.output).open()
    with store.exclusive():
        data, cache_dir = prepare_data(study)
        plan = make_plan(study, data, hardware, store)
        execute(plan, cache_dir, command="bench.run(study)", reporter=reporter or Silent())
    return load_records(study.output)


def prepare_data(study: Study, progress: Callable[[int, int], None] | None = None) -> tuple[DataInfo, Path]:
    """The dataset, decoded into the cache if it is not there yet, and the cache's folder."""
    from bench.data.cache import default_cache_dir, lookup, prepare

    cache_dir = default_cache_dir()
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


def execute(plan: Plan, cache_dir: Path, *, command: str, reporter: Reporter) -> Tally:
    """Run the jobs of `plan` that are left, up to the study's limit.

    Raises UsageError for a checkpoint that does not fit, before anything runs; StoreError when the output folder
    cannot be written, KeyboardInterrupt on Ctrl-C: in both cases every finished job is on disk.
    """
    budget = plan.study.limit if plan.study.limit is not None else len(plan.jobs)
    finished = failed = 0
    for model in plan.study.checkpoints():
        if any(not job.done for job in plan.of(model)):
            with Launcher(plan, model, cache_dir, command, reporter) as launcher:
                launcher.check_weights()
    try:
        for model in plan.study.models:
            if all(job.done for job in plan.of(model)):
                continue
            with Launcher(plan, model, cache_dir, command, reporter) as launcher:
                for job in plan.of(model):
                    if job.done or finished + failed >= budget:
                        continue
                    record = launcher.run(job)
                    finished += record.status == "ok"
                    failed += record.status == "failed"
    finally:
        reporter.close()
    return Tally(finished, failed, len(plan.left()) - finished - failed)


def warm_up() -> None:
    """Start the server that workers are forked from; it imports torch while the caller does other things."""
    context = _context()
    if context.get_start_method() == "forkserver":
        from multiprocessing.forkserver import ensure_running

        ensure_running()


class Launcher:
    """Runs the jobs of one model in a worker process, and a new one whenever a worker dies."""

    def __init__(self, plan: Plan, model: str, cache_dir: Path, command: str, reporter: Reporter) -> None:
        from bench.execution.cells import Site

        self.plan, self.model, self.reporter = plan, model, reporter
        self.site = Site(
            protocol=plan.study.protocol,
            data=plan.data,
            cache_dir=cache_dir,
            hardware=plan.hardware,
            environment=environment(plan.hardware, command),
            root=plan.study.output,
            checkpoint=plan.study.checkpoints().get(model),
            plugins=plan.study.plugins,
        )
        self.store = Store(plan.study.output)
        self.trials = self._earlier_trials()
        self._process: Any = None
        self._connection: Any = None
        self._idle = True

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, job: Job) -> RunRecord | ProfileRecord:
        """Run one job to its record, whatever happens to the worker."""
        self.reporter.started(job)
        try:
            record = self._ask_for(job)
        except WorkerDied as death:
            record = self._write_failure(job, Failure(kind="WorkerDied", message=str(death)))
        if job.kind == "trial" and job.cell is not None and job.cell.lr is not None:
            self.trials[job.cell.lr] = cast(RunRecord, record)
        self.reporter.finished(job, record)
        return record

    def training_rate(self, weights: str) -> float:
        """Training images per second of the model, measured over a few steps; UsageError where it cannot run."""
        return float(self._ask(("rate", self.model, weights)))

    def check_weights(self) -> None:
        """Raise UsageError where the checkpoint of this model cannot be read or does not fit."""
        with contextlib.suppress(WorkerDied):  # its cells will say so
            self._ask(("weights", self.model))

    def stop(self) -> None:
        """End the worker: it leaves by itself when the pipe closes, and is ended if it is in the middle of a cell."""
        if self._process is not None:
            self._connection.close()
            if not self._idle:
                self._process.terminate()
            self._process.join(timeout=10)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process = None

    def _ask_for(self, job: Job) -> RunRecord | ProfileRecord:
        if job.cell is None:
            weights = next(j.cell.weights for j in self.plan.of(self.model) if j.cell is not None)
            return cast(ProfileRecord, self._ask(("profile", self.model, job.id, weights)))
        sweep = trial_results(self.trials) if job.kind == "run" else []
        lr = job.cell.lr if job.cell.lr is not None else self._rate(sweep)
        if lr is None:
            return self._write_failure(job, Failure(kind="NoLearningRate", message=NO_RATE))
        return cast(RunRecord, self._ask(("cell", job.cell, lr, sweep)))

    def _rate(self, sweep: list[TrialResult]) -> float | None:
        """The learning rate of a run: the only one there is, or the one that its trials chose."""
        rates = self.plan.study.protocol.learning_rates()
        return rates[0] if len(rates) == 1 else choose_lr(sweep)

    def _earlier_trials(self) -> dict[float, RunRecord | None]:
        """Trial records of earlier calls, by learning rate; those not run yet are absent."""
        found: dict[float, RunRecord | None] = {}
        for job in self.plan.of(self.model):
            if job.kind == "trial" and job.done and job.cell is not None and job.cell.lr is not None:
                found[job.cell.lr] = self.store.read_run(job.folder)
        return found

    def _ask(self, request: tuple[Any, ...]) -> Any:
        """Send one request to the worker and wait for its answer, without spinning. Raises WorkerDied."""
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
                    self.reporter.images(value)
                elif kind == "store":
                    raise StoreError(value)
                elif kind == "error":
                    raise UsageError(value)
                else:
                    return value
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            self._process.join()
            code = self._process.exitcode
            self._process = None
            raise WorkerDied(_cause_of_death(code)) from error

    def _start(self) -> None:
        from bench.execution.worker import work

        context = _context()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(  # type: ignore[attr-defined]
            target=work, args=(theirs, self.site, os.getpid()), name=f"bench-{self.model}"
        )
        self._process.start()
        theirs.close()

    def _write_failure(self, job: Job, why: Failure) -> RunRecord | ProfileRecord:
        """Write the record that a dead worker could not."""
        from bench.execution.cells import failed_run, profile_identity

        if job.cell is None:
            profile = ProfileRecord(status="failed", failure=why, **profile_identity(self.site, job.model, job.id))
            self.store.write_profile(profile)
            return profile
        record = failed_run(self.site, job.cell, why, trial_results(self.trials) if job.kind == "run" else [])
        self.store.write_run(record)
        return record


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
