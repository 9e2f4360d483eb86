"""The call from Python: everything in a study, whatever its task, to its records."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Protocol as Interface

from bench.execution.evaluation import evaluate, requests_of
from bench.execution.local import Tally, execute, prepare_data
from bench.execution.packing import hardware_of, try_to_pack
from bench.execution.process import warm_up
from bench.execution.progress import Reporter, Silent
from bench.measure.hardware import Hardware
from bench.plan import Plan, make_plan
from bench.store import Records, Store, load_records
from bench.study import Study

COMMAND = "bench.run(study)"
"""What stands as the command in records of studies that were started from Python."""


class Launcher(Interface):
    """Where the jobs of a study run, and how."""

    def hardware(self) -> Hardware:
        """The device that cells run on, as resolved. Raises UsageError."""

    def execute(self, plan: Plan, cache_dir: Path, *, command: str, reporter: Reporter) -> Tally:
        """Run the jobs of `plan` that are left, up to the study's limit, with the dataset prepared in `cache_dir`.

        Raises UsageError or StoreError, or KeyboardInterrupt on Ctrl-C: every finished job is on disk.
        """


class Here:
    """This machine: as many models side by side as the study asks for."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def hardware(self) -> Hardware:
        """The device of this machine."""
        return hardware_of(self.study)

    def execute(self, plan: Plan, cache_dir: Path, *, command: str, reporter: Reporter) -> Tally:
        """Run the jobs that are left in worker processes of this machine."""
        warm_up()
        many = try_to_pack(plan, cache_dir, command)
        return execute(plan, cache_dir, command=command, reporter=reporter, at_once=many)


def launcher_of(study: Study) -> contextlib.AbstractContextManager[Launcher]:
    """The launcher that a study asks for; a cluster is joined when it is first needed, and left at the end."""
    if study.launcher == "ray":
        from bench.execution.cluster import Cluster

        return Cluster(study)
    return contextlib.nullcontext(Here(study))


def run(study: Study, reporter: Reporter | None = None) -> Records:
    """Run everything in `study` that is not done, and return all records of its output folder.

    Raises UsageError for bad input. Interrupted or killed, the same call goes on where it stopped.
    """
    store = Store(study.output).open()
    with store.exclusive(), launcher_of(study) as launcher:
        if study.protocol.task == "evaluate":
            list(evaluate(requests_of(study, hardware_of(study), COMMAND), fresh=study.fresh))
            return load_records(study.output)
        data, cache_dir = prepare_data(study)
        plan = make_plan(study, data, launcher.hardware(), store)
        if plan.left():
            launcher.execute(plan, cache_dir, command=COMMAND, reporter=reporter or Silent())
    return load_records(study.output)
