"""How much memory a model takes: weights, the peak of inference, the peak of a training step."""

from __future__ import annotations

import contextlib
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure.operation import Operation, Subject
from bench.measure.settings import Metric
from bench.measure.sweep import is_out_of_memory
from bench.profiles import Memory

if TYPE_CHECKING:
    from torch import nn

STEPS = 2
"""Steps of a pass: the second training step holds gradients, optimiser state and activations at once."""


def weights_bytes(model: nn.Module) -> int:
    """Bytes of parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))


def measure_memory(subject: Subject, batch_size: int) -> Memory:
    """Peaks of inference and of a training step; halves the batch, visibly, only where memory truly runs out.

    On a CPU the peaks are growth of the process's resident size since `subject` was ready, plus its weights: meant for
    a fresh process that has done nothing else. On a GPU they are what torch's allocator has handed out and reserved.
    """
    held, start = weights_bytes(subject.model), resident_bytes()
    batch, inference, training = batch_size, None, None
    while inference is None:
        inference = _peak(subject, "inference", batch, held, start)
        if inference is None:
            batch = _half(batch, batch_size)
    while training is None and batch >= 2:
        training = _peak(subject, "training", batch, held, start)
        if training is None:
            batch //= 2
            inference = _peak(subject, "inference", batch, held, start) or inference
    allocated = subject.device.type == "cuda"
    return Memory(
        batch_size=batch,
        requested_batch_size=batch_size,
        method="allocated" if allocated else "resident",
        weights_bytes=held,
        inference_peak_bytes=inference[0],
        training_peak_bytes=training[0] if training else None,
        inference_reserved_bytes=inference[1] if allocated else None,
        training_reserved_bytes=training[1] if training and allocated else None,
    )


def _half(batch: int, asked: int) -> int:
    if batch == 1:
        raise MemoryError(f"not even one image fits into memory (asked for {asked})")
    return batch // 2


def _peak(subject: Subject, metric: Metric, batch: int, held: int, start: int) -> tuple[int, int] | None:
    """(peak, reserved) bytes of a few steps, weights included; None where memory runs out."""
    gc.collect()
    _forget_peak(subject)
    try:
        operation = Operation(subject, metric, batch)
        operation.queue(STEPS)
        operation.wait()
        peak, reserved = _read_peak(subject, start, held)
        operation.release()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        subject.model.zero_grad(set_to_none=True)
        return None
    return peak, reserved


def _forget_peak(subject: Subject) -> None:
    """Forget earlier peaks as far as the system allows."""
    if subject.device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(subject.device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def _read_peak(subject: Subject, start: int, held: int) -> tuple[int, int]:
    if subject.device.type == "cuda":
        import torch

        return (
            int(torch.cuda.max_memory_allocated(subject.device)),
            int(torch.cuda.max_memory_reserved(subject.device)),
        )
    return max(0, peak_resident_bytes() - start) + held, 0


def resident_bytes() -> int:
    """Resident size of this process now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def peak_resident_bytes() -> int:
    """Largest resident size that this process has had, or has had since the peak was last reset (Linux)."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
