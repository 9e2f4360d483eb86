"""What a row is asked for in numbers: accuracy and costs, each with its unit, its interval and whether it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.analysis.cost_notes import completeness
from bench.analysis.rows import Point, Row
from bench.analysis.speeds import INVALID, high_img_per_s, is_judged, low_img_per_s
from bench.profiles import Timing

READ_ONCE = 0.05
"""Allowance, as a fraction to both sides, for a figure that is read once and so has no interval: energy and resident
memory. It is the accuracy that NVIDIA states for a power reading (NVML documentation, nvmlDeviceGetPowerUsage: within
5 % on the generations for which it states any), and as far as a timing may drift before it is INVALID."""
NOT_MEASURED = "not measured"
"""Why a figure is missing."""
NO_INTERVAL = "no interval"
"""Why a figure decides nothing although it is there."""
_MIB = 2**20


@dataclass(frozen=True)
class Reading:
    """One figure of one row."""

    value: float | None
    """The figure; None where there is none."""
    low: float | None = None
    """Lower end of its 95 % interval; the value itself where it is exact; a lower quartile where `why` says so."""
    high: float | None = None
    """Upper end."""
    why: str = ""
    """Why nothing may be decided by it, in a few words; empty for a sound figure."""

    @property
    def sound(self) -> bool:
        """Whether something may be decided by it."""
        return self.value is not None and self.low is not None and self.high is not None and not self.why

    @property
    def exact(self) -> bool:
        """Whether it is certain: counted, not measured."""
        return self.sound and self.low == self.high


@dataclass(frozen=True)
class Quantity:
    """Something that every row has or could have."""

    name: str
    """As it is written in a condition; the unit is part of it."""
    unit: str
    """The unit in words."""
    text: str
    """What it is, in a few words."""
    less_is_better: bool
    """Whether a smaller figure is the better one."""
    of: Callable[[Row], Reading]
    """The figure of one row."""


def _exactly(value: float | None, why: str = "") -> Reading:
    return Reading(value, value, value, why) if value is not None else Reading(None, why=why or NOT_MEASURED)


def _about(value: float | None) -> Reading:
    """A figure that was read once."""
    if value is None:
        return Reading(None, why=NOT_MEASURED)
    return Reading(value, (1 - READ_ONCE) * value, (1 + READ_ONCE) * value)


def _accuracy(point: Point | None) -> Reading:
    if point is None:
        return Reading(None, why="no result")
    if point.low is None or point.high is None:
        return Reading(100 * point.value, why=NO_INTERVAL)
    return Reading(100 * point.value, 100 * point.low, 100 * point.high)


def _doubt(timing: Timing) -> str:
    return INVALID if timing.invalid else "" if is_judged(timing) else NO_INTERVAL


def _speed(timing: Timing | None) -> Reading:
    """Images per second; between the quartiles where there is no interval."""
    if timing is None:
        return Reading(None, why=NOT_MEASURED)
    low = low_img_per_s(timing) or 1000 * timing.batch_size / timing.q75_ms
    high = high_img_per_s(timing) or 1000 * timing.batch_size / timing.q25_ms
    return Reading(timing.throughput_img_per_s, low, high, _doubt(timing))


def _latency(row: Row) -> Reading:
    timing = row.profile.latency if row.profile else None
    if timing is None:
        return Reading(None, why=NOT_MEASURED)
    low, high = timing.low_ms or timing.q25_ms, timing.high_ms or timing.q75_ms
    return Reading(timing.median_ms, low, high, _doubt(timing))


def _gmacs(row: Row) -> Reading:
    if row.profile is None or row.profile.macs is None:
        return Reading(None, why=NOT_MEASURED)
    state = completeness(row.profile)
    return _exactly(row.profile.macs / 1e9, "" if state == "complete" else f"MACs {state}")


def _runs_speed(row: Row) -> Reading:
    speeds = row.train_speeds
    if not speeds:
        return Reading(None, why="no result")
    return Reading(row.train_img_per_s, speeds[0], speeds[-1], "" if len(speeds) > 1 else NO_INTERVAL)


def _train_time(row: Row) -> Reading:
    times = [run.train.train_s for run in row.runs if run.train is not None]
    if not times:
        return Reading(None, why="no result")
    return _exactly(sum(times), "runs missing" if row.missing else "")


def _memory(row: Row, use: str) -> Reading:
    """A peak in MiB; peaks at different batch sizes must not be compared."""
    memory = row.profile.memory if row.profile else None
    peak = None if memory is None else memory.inference_peak_bytes if use == "inference" else memory.training_peak_bytes
    if memory is None or peak is None:
        return Reading(None, why=NOT_MEASURED)
    found = _exactly(peak / _MIB) if memory.method == "allocated" else _about(peak / _MIB)
    if memory.batch_size < memory.requested_batch_size:
        return Reading(found.value, found.low, found.high, "smaller batch")
    return found


def _weights(row: Row) -> Reading:
    memory = row.profile.memory if row.profile else None
    return _exactly(memory.weights_bytes / _MIB if memory else None)


def _energy(row: Row) -> Reading:
    energy = row.profile.energy if row.profile else None
    return _about(energy.millijoule_per_image if energy else None)


def _params(row: Row) -> Reading:
    return _exactly(row.params / 1e6 if row.params is not None else None, "" if row.info else "never built")


_ALL = (
    Quantity("top1", "%", "test accuracy at the largest train size", False, lambda row: _accuracy(row.top1)),
    Quantity("top1_smallest", "%", "test accuracy at the smallest", False, lambda row: _accuracy(row.at(row.smallest))),
    Quantity("params_m", "millions", "parameters", True, _params),
    Quantity("gmacs", "thousand millions", "multiply-accumulates for one image", True, _gmacs),
    Quantity("latency_ms", "ms", "median time for a single image", True, _latency),
    Quantity(
        "inference_img_per_s",
        "img/s",
        "batched inference, model only",
        False,
        lambda row: _speed(row.profile.inference if row.profile else None),
    ),
    Quantity(
        "training_step_img_per_s",
        "img/s",
        "training steps on one resident batch",
        False,
        lambda row: _speed(row.profile.training if row.profile else None),
    ),
    Quantity("train_img_per_s", "img/s", "training as it ran: median and range of the row's runs", False, _runs_speed),
    Quantity("train_s", "s", "all training steps of the row's runs", True, _train_time),
    Quantity("memory_mib", "MiB", "peak memory of inference", True, lambda row: _memory(row, "inference")),
    Quantity(
        "training_memory_mib", "MiB", "peak memory of a training step", True, lambda row: _memory(row, "training")
    ),
    Quantity("weights_mib", "MiB", "parameters and buffers", True, _weights),
    Quantity("energy_mj", "mJ", "energy above idle for one image of inference", True, _energy),
)
QUANTITIES: dict[str, Quantity] = {quantity.name: quantity for quantity in _ALL}
"""Every quantity by its name."""
