"""When a ratio of times is a regression: pure functions of the times of ABBA quads.

A quad is four blocks of equal work, base – head – head – base. Its ratio is the geometric mean of the two head blocks
over that of the two base blocks: a machine that gets steadily slower or faster gives the same to both. A block counts
with the median of its steps, which a burst of other work on less than half of them does not move; and the workers
take off the time in which the operating system had given the processor to others.

The rule: a regression is a median ratio over the quads above `MEDIAN_LIMIT` *and* a lower end of its 95 % bootstrap
interval above `LOW_LIMIT`. The first asks that it matters, the second that it is not the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median

from bench.measure.sampling import median_interval

MEDIAN_LIMIT, LOW_LIMIT = 1.10, 1.03
"""A regression exceeds both: the median ratio the first, the lower end of its interval the second."""
FEWEST_QUADS, MOST_QUADS = 8, 24
"""Quads of a case: at least the first number, then until it is clear or the second number is reached."""
LOOK_EVERY = 4
"""Quads between two looks at whether it is clear."""
CLEAR_LEVEL = 0.99
"""Coverage of the interval that must lie on one side of `MEDIAN_LIMIT` to stop early."""


@dataclass(frozen=True)
class Ratio:
    """Head's time over base's."""

    median: float
    """Median over the quads."""
    low: float
    """Lower end of its 95 % bootstrap interval."""
    high: float
    """Upper end of its 95 % bootstrap interval."""
    quads: int
    """Quads measured."""

    @property
    def slower(self) -> bool:
        """Whether this is a regression by the rule."""
        return self.median > MEDIAN_LIMIT and self.low > LOW_LIMIT


def quad_ratio(base: Sequence[Sequence[float]], head: Sequence[Sequence[float]]) -> float:
    """Ratio of one quad from the step times of its two base and two head blocks."""
    over = sum(log(median(block)) for block in head) / len(head)
    under = sum(log(median(block)) for block in base) / len(base)
    return exp(over - under)


def summarise(ratios: Sequence[float]) -> Ratio:
    """Median and interval of the quads' ratios, in the order they were measured."""
    low, high = median_interval(ratios)
    return Ratio(median=median(ratios), low=low, high=high, quads=len(ratios))


def is_clear(ratios: Sequence[float]) -> bool:
    """Whether more quads would hardly change the verdict.

    A look is taken every `LOOK_EVERY` quads; it is clear where the interval of the median lies on one side of
    `MEDIAN_LIMIT`, at `CLEAR_LEVEL` instead of 95 % because there are several looks.
    """
    n = len(ratios)
    if n < FEWEST_QUADS:
        return False
    if n >= MOST_QUADS:
        return True
    if (n - FEWEST_QUADS) % LOOK_EVERY:
        return False
    low, high = median_interval(ratios, level=CLEAR_LEVEL)
    return low > MEDIAN_LIMIT or high < MEDIAN_LIMIT
