"""How costs look in text: throughputs with intervals, ratios, sizes in memory, and INVALID where it applies."""

from __future__ import annotations

from bench.analysis.costs import CostRow
from bench.analysis.ratios import Ratio
from bench.analysis.roofline import RoofPoint
from bench.analysis.speeds import INVALID, high_img_per_s, low_img_per_s
from bench.profiles import Timing
from bench.report.words import NOTHING, significant

ALIKE = "≈"
"""What stands beside a ratio whose interval covers 1."""


def rate(timing: Timing | None) -> str:
    """`410 [407–412]` images per second; with `INVALID` behind it where the figure must not be relied on."""
    if timing is None:
        return NOTHING
    low, high = low_img_per_s(timing), high_img_per_s(timing)
    interval = f" [{significant(low)}–{significant(high)}]" if low is not None and high is not None else ""
    return f"{significant(timing.throughput_img_per_s)}{interval}{doubt(timing)}"


def milliseconds(timing: Timing | None) -> str:
    """`12.3`, or `12.3 INVALID`."""
    return NOTHING if timing is None else f"{significant(timing.median_ms)}{doubt(timing)}"


def doubt(timing: Timing | None) -> str:
    """` INVALID` for a figure that must not be relied on, else nothing."""
    return f" {INVALID}" if timing is not None and timing.invalid else ""


def times(ratio: Ratio | None) -> str:
    """`0.621 [0.615–0.628]`; `0.993 [0.974–1.021] ≈` where the two cannot be told apart."""
    if ratio is None:
        return NOTHING
    digits = 3 if ratio.ratio < 2 else 2 if ratio.ratio < 20 else 1
    if ratio.low is None or ratio.high is None:
        return f"{ratio.ratio:.{digits}f} [unknown]"
    ends = f"{ratio.ratio:.{digits}f} [{ratio.low:.{digits}f}–{ratio.high:.{digits}f}]"
    return ends if ratio.apart else f"{ends} {ALIKE}"


def batches(row: CostRow) -> str:
    """`64 / 16`: images per step of inference and of training; one that memory forced down shows both numbers."""
    return _pair(_batch(row.inference), _batch(row.training))


def utilisation(row: CostRow) -> str:
    """`62 / 55`: model FLOPs utilisation of inference and of training in percent."""
    return _pair(_mfu(row, row.inference_point), _mfu(row, row.training_point))


def roof_doubt(row: CostRow, point: RoofPoint) -> str:
    """` INVALID` where the timing behind a point or the roofs above it must not be relied on, else nothing."""
    timing = row.inference if point.use == "inference" else row.training
    return f" {INVALID}" if row.device is not None and row.device.invalid else doubt(timing)


def mebibytes(count: int | None) -> str:
    """Bytes in MiB."""
    return NOTHING if count is None else significant(count / 2**20)


def giga(count: float | None) -> str:
    """A count in thousand millions: GMACs, GFLOP/s, GB/s."""
    return NOTHING if count is None else significant(count / 1e9)


def signed_percent(fraction: float | None, digits: int = 1) -> str:
    """`-0.021` → `−2.1`."""
    return NOTHING if fraction is None else f"{100 * fraction:+.{digits}f}".replace("-", "−")


def _batch(timing: Timing | None) -> str:
    if timing is None:
        return NOTHING
    asked = timing.requested_batch_size
    less = f" of {asked}" if asked is not None and asked > timing.batch_size else ""
    return f"{timing.batch_size}{less}"


def _mfu(row: CostRow, point: RoofPoint | None) -> str:
    return NOTHING if point is None or point.mfu is None else f"{100 * point.mfu:.0f}{roof_doubt(row, point)}"


def _pair(inference: str, training: str) -> str:
    return NOTHING if inference == training == NOTHING else f"{inference} / {training}"
