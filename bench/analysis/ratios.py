"""How many times as fast: ratios of timings that took turns, paired by turn so that drift cancels.

While models take turns (A B C A B C …), whatever slows the machine for a while slows all of them. The ratio within
one turn is free of it; medians over whole series are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, combinations, pairwise
from math import comb
from statistics import median
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.analysis.intervals import LEVEL
from bench.analysis.settings import timings
from bench.profiles import ProfileRecord, Timing

Quantity = Literal["inference", "training", "latency"]
LEAST_TURNS = 5
"""Turns from which an interval is told: five give the range of the ratios, which covers their median in 94 %."""


@dataclass(frozen=True)
class Ratio:
    """One model's speed over another's."""

    quantity: Quantity
    """`inference` and `training` compare images per second, `latency` milliseconds."""
    model: str
    """Whose speed is divided."""
    against: str
    """By whose."""
    ratio: float
    """Median over the turns of the ratio within a turn."""
    low: float | None
    """Lower end of its 95 % interval over turns; None from fewer than five turns."""
    high: float | None
    """Upper end."""
    turns: int
    """Turns that both models took."""

    @property
    def apart(self) -> bool:
        """Whether the two can be told apart: the interval does not cover 1."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high

    def inverse(self) -> Ratio:
        """The same the other way round."""
        low = 1 / self.high if self.high is not None else None
        high = 1 / self.low if self.low is not None else None
        return Ratio(self.quantity, self.against, self.model, 1 / self.ratio, low, high, self.turns)


def ratios(profiles: Iterable[ProfileRecord]) -> list[Ratio]:
    """Every pair of models that took turns (equal `session`), for each quantity that both have."""
    together: dict[str, list[ProfileRecord]] = {}
    for profile in profiles:
        if profile.session:
            together.setdefault(profile.session, []).append(profile)
    found = []
    for quantity in get_args(Quantity):
        for group in together.values():
            found += [r for a, b in combinations(group, 2) if (r := ratio(quantity, a, b)) is not None]
    return found


def ratio(quantity: Quantity, a: ProfileRecord, b: ProfileRecord) -> Ratio | None:
    """The ratio of `a` to `b` in one quantity; None where they took no turn together."""
    ours, theirs = timings(a).get(quantity), timings(b).get(quantity)
    if ours is None or theirs is None:
        return None
    pairs = [
        (x, y)
        for x, y in zip(turn_medians(ours), turn_medians(theirs), strict=False)
        if x is not None and y is not None
    ]
    if not pairs:
        return None
    times = np.log([x / y for x, y in pairs])
    logs = times if quantity == "latency" else np.log(ours.batch_size / theirs.batch_size) - times
    ends = paired_interval(logs)
    low, high = (None, None) if ends is None else (float(np.exp(ends[0])), float(np.exp(ends[1])))
    return Ratio(quantity, a.model, b.model, float(np.exp(np.median(logs))), low, high, len(pairs))


def turn_medians(timing: Timing) -> list[float | None]:
    """Median milliseconds of each turn, None for a turn without samples; empty where turns were not recorded."""
    if sum(timing.turns) != len(timing.samples_ms):
        return []
    ends = list(accumulate(timing.turns, initial=0))
    return [median(timing.samples_ms[start:end]) if end > start else None for start, end in pairwise(ends)]


def paired_interval(logs: Sequence[float] | NDArray[np.float64]) -> tuple[float, float] | None:
    """Interval of the median over turns, at `LEVEL`; None from fewer than `LEAST_TURNS`.

    `logs` are the logarithms of the ratios, one a turn. Order statistics, interpolated between the two sign-test
    intervals around the level (Hettmansperger and Sheather 1986, Stat. Probab. Lett. 4:75): no distribution is
    assumed, a turn in which one model was disturbed does no harm, and the coverage holds for few turns, where a
    percentile bootstrap of the median falls to 89 %.
    """
    values = np.sort(np.asarray(logs, dtype=np.float64))
    n = len(values)
    if n < LEAST_TURNS:
        return None
    depth, part = _depth(n)
    low = (1 - part) * values[depth - 1] + part * values[depth]
    high = (1 - part) * values[n - depth] + part * values[n - depth - 1]
    return float(low), float(high)


@lru_cache(maxsize=1024)
def _depth(n: int) -> tuple[int, float]:
    """How many of `n` sorted values lie outside each end of the interval, plus one, and the part of the way inwards."""
    depth, outer = 1, 1 - 2 / 2**n
    while True:
        inner = outer - 2 * comb(n, depth) / 2**n
        if inner < LEVEL:
            break
        depth, outer = depth + 1, inner
    share = max(0.0, (outer - LEVEL) / (outer - inner))
    return depth, (n - depth) * share / (depth + (n - 2 * depth) * share)
