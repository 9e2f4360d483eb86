"""A finished study of made-up records, for benchmarks of what is done with many of them."""

from __future__ import annotations

from pathlib import Path

from bench.measure.hardware import Hardware
from bench.plan import make_plan
from bench.protocol import Protocol
from bench.store import RECORD, Store
from bench.study import CANONICAL, Study
from tests.samples import DATA, ENVIRONMENT, make_run

CPU = Hardware(ENVIRONMENT.device, ENVIRONMENT.hardware, ENVIRONMENT.threads, ENVIRONMENT.precision, 1 << 30)
"""The machine that the records are of."""


def finished_study(output: Path, protocol: Protocol, models: tuple[str, ...] = CANONICAL) -> Study:
    """Every run of a study, written below `output` without waiting for the disk."""
    study = Study(models=models, protocol=protocol, output=output)
    for job in make_plan(study, DATA, CPU, Store(output)).jobs:
        if job.cell is not None:
            job.folder.mkdir(parents=True)
            record = make_run(cell=job.cell, protocol=protocol.to_dict())
            (job.folder / RECORD).write_text(record.model_dump_json(indent=1) + "\n")
    return study
