"""The two roofs of a device, measured: how fast it copies memory and how fast it multiplies matrices.

A model cannot beat min(matrix rate, copy bandwidth × arithmetic intensity) (Williams, Waterman and Patterson 2009).
Both roofs come from one large, plain operation of torch, timed until it has settled; the median counts, not the best.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.measure.hardware import Hardware
from bench.measure.sampling import has_settled, median_interval, summarise
from bench.profiles import DeviceRecord, Rate
from bench.protocol import content_hash
from bench.records import Environment
from bench.values import now

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

MIB = 1 << 20
CACHES, LEAST_COPY_MIB, MOST_COPY_MIB, MEMORY_SHARE = 4, 256, 2048, 16
"""The copied array is this many times the last-level caches, within these limits and this part of the memory."""
LEAST_SIDE, MOST_SIDE, SIDE_STEP = 512, 8192, 256
"""Sides of the square matrices, a multiple of the last number."""
PRODUCT_S = 0.1
"""Seconds that one product should take on a CPU."""
SLOW_S = 1.5
"""Seconds of one product from which a precision is left out: the processor only imitates it."""
SAMPLE_S = 0.02
"""Shortest sample, so that the synchronisation around it does not count: several steps share one where needed."""
LEAST_CPU_SHARE = 0.85
"""Part of the time that each thread should have had a processor to itself."""
LEAST_SAMPLES = 5
"""Samples at least, however long they take."""


def device_id(hardware: Hardware, versions: Mapping[str, str]) -> str:
    """Content hash of what a DeviceRecord depends on: hardware, kind of device, threads and torch's version."""
    request = {
        "hardware": hardware.name,
        "device": hardware.device.partition(":")[0],
        "threads": hardware.threads,
        "torch": versions.get("torch", ""),
    }
    return content_hash(request)


def measure_device(hardware: Hardware, environment: Environment, *, seconds: float = 4.0) -> DeviceRecord:
    """Measure both roofs with the hardware's threads, in about `seconds` seconds.

    `fp32` products use TensorFloat-32 where torch is set to, as the models do. `bf16` is missing where the device
    needs more than `SLOW_S` for one product. A roof that was measured while something else kept the processors busy
    would be too low for as long as it is kept: `invalid` says so.
    """
    import torch

    device = torch.device(hardware.device)
    copy_mib = _copy_mib(hardware)
    with _threads(hardware.threads), torch.inference_mode():
        side = _matrix_side(device)
        matrix = {"fp32": _multiply(device, torch.float32, side, seconds / 3)}
        if not _is_imitated(device, torch.bfloat16, side):
            matrix["bf16"] = _multiply(device, torch.bfloat16, side, seconds / 3)
        copied = _copy(device, copy_mib, seconds / 3)
    watched = hardware.threads if device.type == "cpu" else 0
    return DeviceRecord(
        id=device_id(hardware, environment.versions),
        created=now(),
        environment=environment,
        copy_bytes_per_s=copied.rate(2 * copy_mib * MIB),
        flops_per_s={name: series.rate(2 * side**3) for name, series in matrix.items()},
        matrix_size=side,
        copy_mib=copy_mib,
        invalid=[f"{name}: {why}" for name, s in {"copy": copied, **matrix}.items() for why in s.doubts(watched)],
    )


def last_level_cache_bytes(root: Path = Path("/")) -> int:
    """All caches of the highest level together (a processor may have several); 0 where the system does not tell."""
    levels: dict[int, dict[str, int]] = {}
    for folder in (root / "sys" / "devices" / "system" / "cpu").glob("cpu[0-9]*/cache/index[0-9]*"):
        try:
            level, size, shared = ((folder / name).read_text().strip() for name in ("level", "size", "shared_cpu_list"))
        except OSError:
            continue
        kib = re.fullmatch(r"(\d+)([KM]?)", size)
        if kib and level.isdigit():
            unit = {"": 1, "K": 1 << 10, "M": MIB}[kib.group(2)]
            levels.setdefault(int(level), {})[shared] = int(kib.group(1)) * unit
    return sum(levels[max(levels)].values()) if levels else 0


def _copy_mib(hardware: Hardware) -> int:
    """Size of the copied array: far beyond the caches, but a small part of the memory. A GPU's caches are small."""
    wanted = CACHES * last_level_cache_bytes() // MIB if hardware.device == "cpu" else MOST_COPY_MIB // 2
    allowed = (hardware.memory_bytes or MOST_COPY_MIB * MIB) // MEMORY_SHARE // MIB
    return max(1, min(max(wanted, LEAST_COPY_MIB), MOST_COPY_MIB, allowed))


@dataclass(frozen=True)
class _Series:
    """Samples of one operation."""

    seconds: list[float]
    """Seconds per step of each sample."""
    cpu_share: float
    """Processor time of this process over wall time, while they were taken."""

    def rate(self, work: float) -> Rate:
        """`work` per step over the median time, with its interval."""
        low_s, high_s = median_interval(self.seconds)
        median = float(np.median(self.seconds))
        return Rate(median_per_s=work / median, low_per_s=work / high_s, high_per_s=work / low_s)

    def doubts(self, threads: int) -> list[str]:
        """Why the median must not be relied on; with `threads` above 0, they should have kept a processor busy each."""
        found = summarise([1e3 * s for s in self.seconds]).invalid
        if threads and self.cpu_share < LEAST_CPU_SHARE * threads:
            share = 100 * self.cpu_share / threads
            found.append(f"the threads had the processors for {share:.0f} % of the time; something else was running")
        return found


def _copy(device: torch.device, copy_mib: int, seconds: float) -> _Series:
    """Time copying an array of `copy_mib` MiB, which reads and writes each byte once."""
    import torch

    # Written, not zeros: untouched zero pages are one page of physical memory that never leaves the cache.
    source = torch.ones(copy_mib * MIB // 4, device=device)
    target = torch.ones_like(source)
    return _samples(lambda: target.copy_(source), _wait(device), seconds)


def _is_imitated(device: torch.device, dtype: torch.dtype, side: int) -> bool:
    """Whether a square product would take more than `SLOW_S`, judged by a small one."""
    return _product(device, dtype, LEAST_SIDE).fastest(5) * (side / LEAST_SIDE) ** 3 > SLOW_S


def _multiply(device: torch.device, dtype: torch.dtype, side: int, seconds: float) -> _Series:
    """Time a square product of 2·side³ floating-point operations."""
    product = _product(device, dtype, side)
    return _samples(product.step, product.wait, seconds)


def _matrix_side(device: torch.device) -> int:
    """Side at which a float32 product takes about `PRODUCT_S` on this CPU; the largest on a GPU."""
    import torch

    if device.type != "cpu":
        return MOST_SIDE
    second = _product(device, torch.float32, 2 * LEAST_SIDE).fastest(3)
    steps = round(2 * LEAST_SIDE * math.cbrt(PRODUCT_S / second) / SIDE_STEP)
    return min(max(steps * SIDE_STEP, LEAST_SIDE), MOST_SIDE)


@dataclass(frozen=True)
class _Product:
    step: Callable[[], object]
    wait: Callable[[], None]

    def fastest(self, calls: int) -> float:
        """Seconds of the fastest call, to choose a size by; no figure comes from it."""
        return min(_time(self.step, self.wait, 1) for _ in range(calls))


def _product(device: torch.device, dtype: torch.dtype, side: int) -> _Product:
    """A product of two random matrices; random, since a GPU draws less power, and clocks higher, on zeros."""
    import torch

    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty(side, side, device=device, dtype=dtype)
    return _Product(lambda: torch.mm(left, right, out=out), _wait(device))


def _samples(step: Callable[[], object], wait: Callable[[], None], seconds: float) -> _Series:
    """Time steps once they have settled (or half the time is over), until the time is over."""
    begin = time.perf_counter()
    _time(step, wait, 1)
    steps = max(1, round(SAMPLE_S / _time(step, wait, 1)))
    warm_up: list[float] = []
    while not has_settled(warm_up) and time.perf_counter() - begin < seconds / 2:
        warm_up.append(_time(step, wait, steps))
    taken: list[float] = []
    wall, cpu = time.perf_counter(), time.process_time()
    while len(taken) < LEAST_SAMPLES or time.perf_counter() - begin < seconds:
        taken.append(_time(step, wait, steps))
    cpu_share = (time.process_time() - cpu) / max(time.perf_counter() - wall, 1e-9)
    return _Series(taken, cpu_share)


def _time(step: Callable[[], object], wait: Callable[[], None], steps: int) -> float:
    """Seconds per step of `steps` queued between two quiet moments."""
    wait()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return (time.perf_counter() - start) / steps


def _wait(device: torch.device) -> Callable[[], None]:
    import torch

    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else lambda: None


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """torch computes with `count` threads inside, and with as many as before after."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
