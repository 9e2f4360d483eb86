"""Timings as speeds: intervals turned over, and what can be said of their validity."""

from __future__ import annotations

from bench.profiles import Timing

INVALID = "INVALID"
"""What stands beside a figure that must not be relied on."""


def low_img_per_s(timing: Timing) -> float | None:
    """Lower end of the throughput's interval, which is that of the slowest median; None without an interval."""
    return 1000 * timing.batch_size / timing.high_ms if timing.high_ms else None


def high_img_per_s(timing: Timing) -> float | None:
    """Upper end of the throughput's interval; None without an interval."""
    return 1000 * timing.batch_size / timing.low_ms if timing.low_ms else None


def is_judged(timing: Timing) -> bool:
    """Whether the timing has an interval, without which nothing can be said of its validity."""
    return timing.low_ms is not None


def state_of(timing: Timing) -> str:
    """`valid`, `INVALID`, or `not judged` where the interval is missing."""
    return INVALID if timing.invalid else "valid" if is_judged(timing) else "not judged"
