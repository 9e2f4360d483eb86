"""Which device a study runs on. Without a GPU nothing here needs torch, so that a finished study is told at once."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import UsageError, did_you_mean

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})
"""Processor features (x86 and Arm, as Linux names them) that multiply bfloat16 numbers in hardware."""


@dataclass(frozen=True)
class Hardware:
    """A device as resolved. Plain and picklable."""

    device: str
    """`cpu` or `cuda:i`."""
    name: str
    """Name of the processor or GPU."""
    threads: int
    """Threads that torch computes with."""
    precision: str
    """Training arithmetic as resolved: `fp32` or `bf16`."""
    memory_bytes: int | None
    """Memory of the device; None where the system does not tell."""


def several(name: str, count: int) -> str:
    """`2 × NAME` where several devices of a name train one model together; the name itself for one."""
    return name if count == 1 else f"{count} × {name}"


def one_of(name: str) -> str:
    """The inverse: the name of one of them."""
    count, times, one = name.partition(" × ")
    return one if times and count.isdigit() else name


def detect(device: str, precision: str, threads: int | None = None) -> Hardware:
    """Resolve `auto`, `cpu`, `cuda` or `cuda:i`, and `auto`, `fp32` or `bf16`.

    `auto` precision is bfloat16 where the device multiplies it in hardware; without `threads`, `cpu_threads()` are
    used. Raises UsageError for an unknown device and for one that this machine does not have.
    """
    threads = threads or cpu_threads()
    known = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", device)
    if not known:
        hint = did_you_mean(device, ["auto", "cpu", "cuda"])
        raise UsageError(f"--device must be auto, cpu, cuda or cuda:i, not {device!r}.{hint}")
    if device == "cpu" or (device == "auto" and _gpus() == 0):
        return _cpu(precision, threads)
    return _gpu(int(known.group(1) or 0), precision, threads)


def _cpu(precision: str, threads: int) -> Hardware:
    resolved = precision if precision != "auto" else "bf16" if BF16_FLAGS & cpu_flags() else "fp32"
    return Hardware("cpu", cpu_name(), threads, resolved, _physical_memory())


def _gpu(index: int, precision: str, threads: int) -> Hardware:
    count = _gpus()
    if index >= count:
        has = "no GPU that torch can use" if count == 0 else f"only {count} GPU{'s' if count > 1 else ''}"
        raise UsageError(f"--device cuda:{index} is not there: this machine has {has}; use --device cpu or auto.")
    import torch

    bf16 = torch.cuda.get_device_capability(index) >= (8, 0)
    return Hardware(
        device=f"cuda:{index}",
        name=torch.cuda.get_device_name(index),
        threads=threads,
        precision=precision if precision != "auto" else "bf16" if bf16 else "fp32",
        memory_bytes=int(torch.cuda.get_device_properties(index).total_memory),
    )


@cache
def _gpus() -> int:
    """GPUs that torch can use. Where there is no driver, torch is not imported to find that out."""
    if sys.platform == "darwin" or (sys.platform == "linux" and not Path("/proc/driver/nvidia").exists()):
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


@cache
def cpu_name() -> str:
    """The processor's name as the system gives it."""
    match = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return " ".join(match.group(1).split()) if match else platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Features of the processor, as Linux names them; empty elsewhere."""
    match = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return frozenset(match.group(1).split()) if match else frozenset()


def cpu_threads() -> int:
    """Threads to compute with: OMP_NUM_THREADS if set, else the physical cores that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


@cache
def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace") if path.is_file() else ""


def _physical_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().total)
