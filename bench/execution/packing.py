"""How many models train side by side on one device: as many as asked for, or as many as raise the total."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.errors import UsageError
from bench.execution.local import Launcher
from bench.execution.process import WorkerDied, WorkFailed
from bench.execution.progress import Silent
from bench.measure.hardware import Hardware, detect
from bench.plan import Plan
from bench.study import Study

log = logging.getLogger("bench")

GAIN = 1.05
"""How many times the total of fewer models a larger number must reach to be taken."""
MEASURE_S, PAID_BACK_S = 3.0, 600.0
"""Seconds that each model trains for in a measurement, and seconds of work from which measuring pays."""


@dataclass(frozen=True)
class Packing:
    """How many models train at a time, and why."""

    cells: int
    """Models side by side."""
    measured: tuple[tuple[int, float], ...] = ()
    """(models side by side, training images/s of all together), where it was measured."""

    @property
    def words(self) -> str:
        """`2 at a time: 1,200 img/s in all (1: 900)`; empty where nothing was measured."""
        if not self.measured:
            return ""
        total = dict(self.measured)
        others = ", ".join(f"{n}: {rate:,.0f}" for n, rate in self.measured if n != self.cells)
        return f"{self.cells} at a time: {total[self.cells]:,.0f} img/s in all ({others})"


def hardware_of(study: Study) -> Hardware:
    """The device as resolved; on a CPU a fixed number of models side by side share its threads."""
    untrained = study.protocol.task in ("linear", "evaluate")  # so that nothing is in bfloat16
    precision = "fp32" if untrained else study.protocol.precision
    found = detect(study.device, precision, study.threads)
    together = study.fixed_cells * study.gpus_per_cell
    if found.device == "cpu" and study.threads is None and together > 1:
        return replace(found, threads=max(1, found.threads // together))
    if found.device != "cpu" and study.gpus_per_cell > 1 and study.launcher == "local":
        check_gpus(found.device, study.gpus_per_cell)
    return found


def check_gpus(device: str, wanted: int) -> None:
    """Raise UsageError where there are not so many GPUs from `device` on."""
    import torch

    first, there = int(device.partition(":")[2] or 0), torch.cuda.device_count()
    if first + wanted > there:
        raise UsageError(f"--gpus-per-cell {wanted} needs as many GPUs from {device} on, and there are {there} in all.")


def pack(plan: Plan, cache_dir: Path, command: str) -> Packing:
    """As many models side by side as the study asks for; `auto` measures it on a GPU, where that pays.

    On a CPU `auto` is one model with all threads: how many threads a training has is part of what it is, and must not
    depend on a measurement.
    """
    study = plan.study
    models = [model for model in study.models if any(job.cell is not None and not job.done for job in plan.of(model))]
    if study.cells_per_device != "auto":
        return Packing(max(1, min(study.fixed_cells, len(models))))
    if plan.hardware.device == "cpu" or len(models) < 2 or study.gpus_per_cell > 1:
        return Packing(1)

    def rates(names: Sequence[str]) -> list[float]:
        return side_by_side(plan, names, cache_dir, command)

    left = {model: plan.images_left(model) for model in models}
    return choose(models, left, rates)


def choose(models: Sequence[str], left: dict[str, int], rates: Callable[[Sequence[str]], list[float]]) -> Packing:
    """The number of models side by side with the highest total, doubled as long as that gains 5 %.

    `left` is the images that each has to see; `rates` trains models side by side and gives the images/s of each.
    Raises UsageError, WorkerDied or WorkFailed where a model does not run alone; packs that do not run are not taken.
    """
    alone = [rate for model in models for rate in rates([model])]
    seconds = sum(left[model] / rate for model, rate in zip(models, alone, strict=True))
    measured = [(1, total_rate([alone]))]
    if seconds < PAID_BACK_S:
        return Packing(1)
    best = 1
    while 2 * best <= len(models):
        cells = 2 * best
        try:
            packs = [rates(models[k : k + cells]) for k in range(0, len(models) - cells + 1, cells)]
        except (WorkerDied, WorkFailed):  # most often out of memory
            break
        measured.append((cells, cells * total_rate(packs)))
        if measured[-1][1] < GAIN * measured[-2][1]:
            break
        best = cells
    return Packing(best, tuple(measured))


def total_rate(packs: Sequence[Sequence[float]]) -> float:
    """Images/s of one place at which models of these rates train in turn, each for as many images."""
    every = [rate for pack in packs for rate in pack]
    return len(every) / sum(1 / rate for rate in every)


def side_by_side(
    plan: Plan, models: Sequence[str], cache_dir: Path, command: str, seconds: float = MEASURE_S
) -> list[float]:
    """Training images/s of each model while all of them train for so many seconds."""
    with ExitStack() as stack:
        launchers = [stack.enter_context(Launcher(plan, model, cache_dir, command, Silent())) for model in models]
        cells = [next(job.cell for job in plan.of(model) if job.cell is not None) for model in models]
        with ThreadPoolExecutor(len(models)) as pool:
            asked = [
                pool.submit(partial(launcher.training_rate, cell.weights, seconds))
                for launcher, cell in zip(launchers, cells, strict=True)
            ]
            return [future.result() for future in asked]


def try_to_pack(plan: Plan, cache_dir: Path, command: str) -> int:
    """`pack`, in one number; one model at a time where measuring fails, since its cells will say why."""
    try:
        packing = pack(plan, cache_dir, command)
    except (UsageError, WorkerDied, WorkFailed):
        return 1
    if packing.words:
        log.info("models side by side: %s", packing.words)
    return packing.cells
