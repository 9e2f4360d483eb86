"""Energy of one image by the device's own counter, above what the device draws when idle.

The counter moves in steps (NVML's by about 20 to 100 ms), so a value read at some moment is up to one step old. Idle
power is taken from one step of the counter to another. The busy window starts at a step too; it ends after a whole
number of model steps, and the next step of the counter closes the account, less the idle power in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bench.measure.nvml import NvmlDevice, nvml_device
from bench.profiles import Energy

POLL_S = 0.001
"""Seconds between two looks at the counter while waiting for it to move."""
STUCK_S = 2.0
"""Seconds without movement after which the counter counts as broken: an idle GPU draws tens of watts."""
QUEUED_S = 0.25
"""Seconds of work queued on the device at a time: enough to keep it busy, and it ends soon after the window."""
SETTLE_S = 1.0
"""Seconds of rest before the idle window, and of work before the busy one, in which clocks change."""


class EnergyError(RuntimeError):
    """The counter gave nothing that can be told; one line that says why."""


class EnergyCounter(Protocol):
    """Something that counts the energy of a device since some moment in the past."""

    @property
    def name(self) -> str:
        """What is read, for the record."""

    def millijoules(self) -> int:
        """Energy so far in millijoules; raises EnergyError where it cannot be read."""


@dataclass(frozen=True)
class NvmlEnergy:
    """The energy counter of a whole NVIDIA GPU, memory and board included (Volta and newer)."""

    gpu: NvmlDevice
    """The GPU."""
    name: str = "NVML total energy consumption"
    """What is read, for the record."""

    def millijoules(self) -> int:
        """Energy in millijoules since the driver was loaded; raises EnergyError where it cannot be read."""
        value = self.gpu.read("TotalEnergyConsumption")
        if value is None:
            raise EnergyError("NVML's energy counter can no longer be read.")
        return int(value)


def energy_counter(device: str) -> EnergyCounter | None:
    """The counter of `cuda:i`.

    None on a CPU, without nvidia-ml-py (the `[gpu]` extra), on a GPU that has no such counter, and on one that is
    cut into instances, where it would count other people's work too.
    """
    gpu = nvml_device(device)
    if gpu is None or gpu.is_partitioned() or gpu.read("TotalEnergyConsumption") is None:
        return None
    return NvmlEnergy(gpu)


def measure_energy(
    step: Callable[[], object],
    wait: Callable[[], None],
    *,
    images_per_step: int,
    counter: EnergyCounter,
    window_s: float = 5.0,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Energy:
    """Energy per image of `step`, which handles `images_per_step` images; `wait` returns when the device has finished.

    Two windows of at least `window_s` seconds each, idle first; about 2·`window_s` + 3 seconds in all. Nothing else may
    use the device. `clock` (seconds) and `sleep` stand in for time in tests. Raises EnergyError where the counter
    stands still, runs backwards or tells no more when busy than when idle.
    """
    meter = _Meter(counter, clock, sleep)
    wait()
    idle_watt = _idle_watt(meter, window_s)
    begin = clock()
    rate = _work(step, wait, clock, SETTLE_S, queued=1) / (clock() - begin)
    start = meter.edge()
    steps = _work(step, wait, clock, window_s, queued=max(1, int(QUEUED_S * rate)))
    seconds = clock() - start.at_s
    end = meter.edge()
    tail_mj = 1000 * idle_watt * (end.at_s - start.at_s - seconds)
    busy_mj = end.millijoules - start.millijoules - tail_mj
    idle_mj = 1000 * idle_watt * seconds
    if busy_mj <= idle_mj:
        raise EnergyError(
            f"the energy counter tells {busy_mj / 1000 / seconds:.1f} W at work and {idle_watt:.1f} W at rest; "
            "something else may be using the device."
        )
    images = steps * images_per_step
    return Energy(
        millijoule_per_image=(busy_mj - idle_mj) / images,
        gross_millijoule_per_image=busy_mj / images,
        idle_watt=idle_watt,
        busy_watt=busy_mj / 1000 / seconds,
        window_s=seconds,
        images=images,
        counter=counter.name,
    )


@dataclass(frozen=True)
class _Reading:
    at_s: float
    millijoules: int


@dataclass(frozen=True)
class _Meter:
    """A counter with a clock beside it."""

    counter: EnergyCounter
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def edge(self) -> _Reading:
        """Wait until the counter moves; the moment it did (at most `POLL_S` late) and its new value."""
        before, begin = self.counter.millijoules(), self.clock()
        while True:
            value, now = self.counter.millijoules(), self.clock()
            if value < before:
                raise EnergyError("the energy counter ran backwards; was the driver reloaded?")
            if value > before:
                return _Reading(now, value)
            if now - begin > STUCK_S:
                raise EnergyError(f"the energy counter stood still for {STUCK_S:g} s.")
            self.sleep(POLL_S)


def _idle_watt(meter: _Meter, window_s: float) -> float:
    """Mean power of the quiet device over at least `window_s` seconds."""
    meter.sleep(SETTLE_S)
    start = meter.edge()
    meter.sleep(window_s)
    end = meter.edge()
    return (end.millijoules - start.millijoules) / 1000 / (end.at_s - start.at_s)


def _work(
    step: Callable[[], object], wait: Callable[[], None], clock: Callable[[], float], seconds: float, *, queued: int
) -> int:
    """Run whole steps, `queued` at a time between two waits, until `seconds` have passed. Returns how many."""
    begin, steps = clock(), 0
    while steps == 0 or clock() - begin < seconds:
        for _ in range(queued):
            step()
        wait()
        steps += queued
    return steps
