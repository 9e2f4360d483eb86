"""Which batch is fastest: a sweep over powers of two, or over the batches asked for, that survives a lack of memory."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from bench.measure.operation import Operation, Subject
from bench.measure.settings import LARGEST_BATCH, Metric
from bench.profiles import CurvePoint

if TYPE_CHECKING:
    import torch

LEAST_STEPS, LEAST_S = 3, 0.1
"""Timed steps of one batch, and their seconds, both at least; slow steps are timed less often."""
AS_GOOD = 0.03
"""A smaller batch is chosen if its throughput is lower by no more than this."""
WORSE_IN_A_ROW = 2
"""Batches in a row that bring no gain, after which the sweep ends."""
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "std::bad_alloc")
"""What torch's CPU allocator and the drivers say; nothing else reduces a batch."""


@dataclass
class Sweep:
    """What a sweep found."""

    batch_size: int
    """The batch to measure at."""
    requested_batch_size: int
    """The batch that was asked for; larger where memory ran out."""
    curve: list[CurvePoint] = field(default_factory=list)
    """Every batch tried, ascending."""
    first_ms: float | None = None
    """The very first step of the sweep."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error truly says that memory ran out, as opposed to any other RuntimeError."""
    import torch

    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in OUT_OF_MEMORY)


def sweep(
    subject: Subject, metric: Metric, batches: Sequence[int], longest_step_s: float, limit_s: float = math.inf
) -> Sweep:
    """Time a few steps at each batch and choose the smallest that is practically as fast as the fastest.

    `batches` empty: powers of two, from 1 (from 2 in training, for BatchNorm), until larger ones bring nothing, a step
    takes longer than `longest_step_s`, `limit_s` are over, or memory runs out. Given batches are all tried; one that
    does not fit is halved until it does. Raises the out-of-memory error where not even the smallest batch fits.
    """
    found, begin = Sweep(0, 0), time.perf_counter()
    least = 2 if metric == "training" else 1
    for batch in batches or _powers(least, LARGEST_BATCH[subject.device.type]):
        fitted = _fit(subject, metric, batch, found, halve=bool(batches), least=least)
        if fitted is None:
            break
        late = fitted > 1e3 * longest_step_s or time.perf_counter() - begin > limit_s
        if not batches and (late or _is_flat(found.curve)):
            break
    found.curve.sort(key=lambda point: point.batch_size)
    best = _choose(found.curve)
    unfit = [point.batch_size for point in found.curve if point.median_ms is None]
    found.batch_size = best.batch_size
    found.requested_batch_size = max([best.batch_size, *unfit]) if batches else best.batch_size
    return found


def _powers(first: int, last: int) -> Iterator[int]:
    batch = first
    while batch <= last:
        yield batch
        batch *= 2


def _fit(subject: Subject, metric: Metric, batch: int, found: Sweep, *, halve: bool, least: int) -> float | None:
    """Milliseconds of a step at `batch`, or at the largest half, quarter, … of it that fits; None where none does."""
    if any(point.batch_size == batch for point in found.curve):
        return None
    try:
        ms = _step_ms(subject, metric, batch, found)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        if batch <= least and not any(point.median_ms for point in found.curve):
            raise
        found.curve.append(CurvePoint(batch_size=batch, median_ms=None, throughput_img_per_s=None))
    else:
        found.curve.append(CurvePoint(batch_size=batch, median_ms=ms, throughput_img_per_s=1e3 * batch / ms))
        return ms
    give_back_memory(subject.device)
    return _fit(subject, metric, max(batch // 2, least), found, halve=True, least=least) if halve else None


def _step_ms(subject: Subject, metric: Metric, batch: int, found: Sweep) -> float:
    """Median of a few steps, the first at this batch left out."""
    operation = Operation(subject, metric, batch)
    try:
        first = operation.sample()
        if found.first_ms is None:
            found.first_ms = first
        begin, taken = time.perf_counter(), [operation.sample()]
        while time.perf_counter() - begin < LEAST_S or len(taken) < _wanted(taken[0]):
            taken.append(operation.sample())
    finally:
        operation.release()
    return median(taken)


def _wanted(step_ms: float) -> int:
    return LEAST_STEPS if step_ms < 500 else 1


def _is_flat(curve: Sequence[CurvePoint]) -> bool:
    """Whether the last batches were no faster, image by image, than the best before them."""
    rates = [point.throughput_img_per_s or 0.0 for point in curve]
    earlier = rates[:-WORSE_IN_A_ROW]
    return bool(earlier) and max(rates[-WORSE_IN_A_ROW:]) < max(earlier) * (1 + AS_GOOD)


def _choose(curve: Sequence[CurvePoint]) -> CurvePoint:
    fitting = [point for point in curve if point.throughput_img_per_s]
    best = max(point.throughput_img_per_s or 0.0 for point in fitting)
    return min(
        (p for p in fitting if (p.throughput_img_per_s or 0) >= (1 - AS_GOOD) * best), key=lambda p: p.batch_size
    )


def give_back_memory(device: torch.device) -> None:
    """Let go of what a failed step held, so that the next one finds the memory it needs."""
    gc.collect()
    if device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
