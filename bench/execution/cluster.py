"""The Ray launcher: cells on the nodes of a cluster, records by this process alone."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from bench.execution.interrupt import heeded
from bench.execution.local import Tally, check_checkpoints
from bench.execution.nodes import Member, joined, members_of
from bench.execution.packing import hardware_of
from bench.execution.progress import Reporter
from bench.measure.hardware import Hardware, detect
from bench.plan import Plan
from bench.study import Study


class Cluster:
    """Where the cells of a study run with `--launcher ray`; joined when it is first needed."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._members: list[Member] | None = None
        self._connection = contextlib.ExitStack()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def hardware(self) -> Hardware:
        """The device of the nodes; of this machine where Ray will be started on it. Raises UsageError."""
        return hardware_of(self.study) if self.study.ray_address is None else self._joined()[0].hardware

    def execute(self, plan: Plan, cache_dir: Path, *, command: str, reporter: Reporter) -> Tally:
        """Run the jobs of `plan` that are left, up to the study's limit, on every node that can take part.

        Raises UsageError where there is no such node, or none any more, and for a checkpoint that does not fit;
        StoreError when the output folder cannot be written, KeyboardInterrupt on Ctrl-C: every finished job is on disk.
        """
        from bench.execution.foreman import Foreman

        here = detect("cpu", "fp32", plan.hardware.threads)
        check_checkpoints(replace(plan, hardware=here), cache_dir, command)
        with heeded() as ask, contextlib.closing(reporter), self._connection:
            return Foreman(plan, self._joined(), cache_dir, command, reporter).run(ask)

    def _joined(self) -> list[Member]:
        if self._members is None:
            self._connection.enter_context(joined(self.study.ray_address))
            self._members = members_of(self.study)
        return self._members
