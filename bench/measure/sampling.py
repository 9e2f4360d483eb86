"""When to stop measuring and when to believe it: warm-up, the interval of a median, drift, spread. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES, FEWEST_RESAMPLES, MOST_DRAWS = 1000, 200, 1_000_000
"""Bootstrap resamples behind an interval; fewer where there are so many samples that they would cost more draws."""
WINDOW = 5
"""Samples in the rolling median that tells the end of a warm-up."""
SETTLED = 0.02
"""Relative change between two windows next to each other below which a warm-up has settled."""
TARGET = 0.01
"""Relative half-width of the 95 % interval of the median at which measuring may stop."""
WIDEST = 0.03
"""Relative half-width of that interval from which a figure is invalid."""
MOST_DRIFT = 0.05
"""Relative change between the first and the last third of the samples from which a figure is invalid."""
MOST_CV = 0.25
"""Coefficient of variation from which a figure is invalid: a median stands some stalls, but not a restless machine."""
FOR_P90, FOR_P99 = 64, 662
"""Samples from which the 90th and the 99th percentile are told: fewer leave their upper confidence bound open."""


@dataclass(frozen=True)
class Summary:
    """What a series of samples says; times in milliseconds."""

    median_ms: float
    q25_ms: float
    q75_ms: float
    low_ms: float
    high_ms: float
    p90_ms: float | None
    p99_ms: float | None
    drift: float | None
    cv: float
    invalid: list[str]

    @property
    def half_width(self) -> float:
        """Larger distance from the median to an end of its interval, relative to the median."""
        return max(self.high_ms - self.median_ms, self.median_ms - self.low_ms) / self.median_ms


def median_interval(samples: ArrayLike, *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Moving-block bootstrap interval of the median (Künsch 1989), blocks of n^(1/3) samples.

    Timings next to each other resemble each other; blocks keep that, where resampling single ones would make the
    interval too narrow. A single sample gives itself twice.
    """
    values = np.asarray(samples, dtype=np.float64)
    n = len(values)
    if n == 0:
        raise ValueError("an interval needs at least one sample")
    length = max(1, round(n ** (1 / 3)))
    blocks = -(-n // length)
    resamples = max(FEWEST_RESAMPLES, min(RESAMPLES, MOST_DRAWS // n))
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, n - length + 1, size=(resamples, blocks))
    index = (starts[:, :, None] + np.arange(length)).reshape(resamples, -1)[:, :n]
    medians = np.median(values[index], axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return float(low), float(high)


def has_settled(samples: Sequence[float]) -> bool:
    """Whether the medians of the last two windows of `WINDOW` samples differ by at most `SETTLED`."""
    if len(samples) < 2 * WINDOW:
        return False
    before, after = np.median(samples[-2 * WINDOW : -WINDOW]), np.median(samples[-WINDOW:])
    return bool(abs(after / before - 1) <= SETTLED)


def summarise(samples_ms: Sequence[float]) -> Summary:
    """Quantiles, interval and validity of samples in the order they were taken."""
    values: NDArray[np.float64] = np.asarray(samples_ms, dtype=np.float64)
    low, high = median_interval(values)
    q25, median, q75 = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    third = len(values) // 3
    drift = float(np.median(values[-third:]) / np.median(values[:third]) - 1) if third >= 3 else None
    cv = float(values.std(ddof=1) / values.mean()) if len(values) > 1 else 0.0
    return Summary(
        median_ms=median,
        q25_ms=q25,
        q75_ms=q75,
        low_ms=low,
        high_ms=high,
        p90_ms=float(np.quantile(values, 0.9)) if len(values) >= FOR_P90 else None,
        p99_ms=float(np.quantile(values, 0.99)) if len(values) >= FOR_P99 else None,
        drift=drift,
        cv=cv,
        invalid=_doubts(len(values), median, low, high, drift, cv),
    )


def is_precise(samples_ms: Sequence[float]) -> bool:
    """Whether the interval of the median is within `TARGET` of it on both sides."""
    median = float(np.median(samples_ms))
    low, high = median_interval(samples_ms)
    return max(high - median, median - low) <= TARGET * median


def _doubts(n: int, median: float, low: float, high: float, drift: float | None, cv: float) -> list[str]:
    found = []
    if n < WINDOW:
        found.append(f"only {n} sample{'s' if n != 1 else ''} in the time there was; --time-budget gives more")
    width = max(high - median, median - low) / median
    if width > WIDEST:
        found.append(f"the 95 % interval reaches {100 * width:.1f} % from the median (limit {100 * WIDEST:.0f} %)")
    if drift is not None and abs(drift) > MOST_DRIFT:
        found.append(f"drifted by {100 * drift:+.1f} % while it was measured (limit {100 * MOST_DRIFT:.0f} %)")
    if cv > MOST_CV:
        found.append(f"coefficient of variation {100 * cv:.0f} % (limit {100 * MOST_CV:.0f} %)")
    return found
