"""How fast each model trains here: from earlier records of the same hardware, else measured over a few steps."""

from __future__ import annotations

from pathlib import Path

from bench.errors import UsageError
from bench.execution.local import Launcher
from bench.execution.process import WorkerDied, WorkFailed
from bench.execution.progress import Silent
from bench.measure.hardware import several
from bench.plan import Plan
from bench.store import load_records


def known_rates(plan: Plan) -> dict[str, float]:
    """Training images per second by model, from records of this hardware, image size and batch; may be empty."""
    rates: dict[str, float] = {}
    protocol = plan.study.protocol
    for record in load_records(plan.study.output).runs:
        same = (
            record.train is not None
            and record.cell.hardware == several(plan.hardware.name, plan.study.gpus_per_cell)
            and record.cell.precision == plan.hardware.precision
            and record.protocol.get("img_size") == protocol.img_size
            and record.protocol.get("batch_size") == protocol.batch_size
        )
        if same and record.train is not None:
            rates[record.cell.model] = record.train.throughput_img_per_s
    return rates


def rates_of_plan(plan: Plan, cache_dir: Path, command: str) -> dict[str, float]:
    """`known_rates`, and for models with work left but no record, a measurement over a few training steps.

    A model that cannot run is left out.
    """
    rates = known_rates(plan)
    for model in plan.study.models:
        left = [job for job in plan.of(model) if not job.done and job.cell is not None]
        if model in rates or not left or left[0].cell is None:
            continue
        with Launcher(plan, model, cache_dir, command, Silent()) as launcher:
            try:
                rates[model] = launcher.training_rate(left[0].cell.weights)
            except (UsageError, WorkerDied, WorkFailed):
                continue
    return rates
