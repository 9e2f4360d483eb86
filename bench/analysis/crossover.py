"""Where the better of two models changes with the number of training images, if that can be told.

Everything happens on the difference of two accuracies, paired draw by draw and linear in ln n between the train sizes
that both have. Rules, fixed here:

- A model is ahead *beyond doubt* at one of N sizes if it is in at least 1 − 0.025/N of the draws (two-sided 5 %, and
  Bonferroni over the sizes). A pair without a crossing is called `crossing` only if such a verdict is wrong: by
  simulation in less than 5 %, also in the worst case, one model ahead at one size and level at all others.
- `crossing`: beyond doubt one model is ahead at some size and the other at every larger one where any is. The interval
  runs from the 2.5th percentile of each draw's first change to the 97.5th of its last, between those two sizes.
- `none in range`: one model is ahead at all sizes at once in at least 95 % of the draws.
- `unresolved`: anything else, with the reason.

Beyond the largest size only a pair that is `none in range` is looked at, only up to twice that size, and only where
both power laws fit within noise and at twice the size the other model is ahead in at least 97.5 % of the draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.curves import Curve
from bench.analysis.intervals import LEVEL
from bench.analysis.power_law import Fit, drawn_accuracies
from bench.analysis.replicates import ends, stretched

State = Literal["crossing", "none in range", "unresolved"]
REACH = 2.0
"""How many times the largest train size a crossing is told at most."""
_FINE = 33

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Crossover:
    """What can be said of where two curves cross."""

    first: str
    """Name of the first row."""
    second: str
    """Name of the second row."""
    state: State
    """See the head of this module."""
    sizes: tuple[int, ...]
    """Train sizes that both have, ascending."""
    ahead: str = ""
    """Who is ahead at the largest size (beyond the crossing, if there is one); empty where unresolved."""
    n: float | None = None
    """Training images at which they are level; None unless `crossing`."""
    low: float | None = None
    """Lower end of its 95 % interval."""
    high: float | None = None
    """Upper end."""
    accuracy: float | None = None
    """Accuracy of both there, a fraction."""
    extrapolated: bool = False
    """Whether `n` lies beyond the largest size, by the two power laws."""
    reason: str = ""
    """Why nothing can be told; empty unless `unresolved`."""

    @property
    def behind(self) -> str:
        """The other of `ahead`; empty where unresolved."""
        return "" if not self.ahead else self.second if self.ahead == self.first else self.first


def crossovers(curves: Sequence[Curve], fits: Sequence[Fit | None] | None = None) -> tuple[Crossover, ...]:
    """Every pair once, in the order given; `fits` (one for each curve) allow a look beyond the largest size."""
    laws = fits if fits is not None else [None] * len(curves)
    return tuple(crossover(a, b, f, g) for (a, f), (b, g) in combinations(zip(curves, laws, strict=True), 2))


def crossover(first: Curve, second: Curve, fit: Fit | None = None, other: Fit | None = None) -> Crossover:
    """Whether and where the curves of two rows cross; `fit` and `other` are their power laws."""
    common, k, j = np.intersect1d(first.sizes, second.sizes, return_indices=True)
    sizes = tuple(common.tolist())

    def unresolved(reason: str) -> Crossover:
        return Crossover(first.name, second.name, "unresolved", sizes, reason=reason)

    if len(sizes) < 2:
        return unresolved("fewer than two train sizes in common")
    if first.replicates is None or second.replicates is None:
        return unresolved("the uncertainty of one is unknown")
    if first.replicates.shape[1] != second.replicates.shape[1]:
        return unresolved("they cannot be paired")
    values = first.values[k] - second.values[j]
    replicates = first.replicates[k] - second.replicates[j]
    draws = stretched(values, replicates, min(first.seeds, second.seeds)).astype(np.float64)
    sure = _sure(values, draws)
    changes = [m for m in range(1, len(sure)) if sure[m][1] != sure[m - 1][1]]
    if len(changes) > 1:
        return unresolved("they cross more than once")
    if changes:
        (start, _), (stop, after) = sure[changes[0] - 1], sure[changes[0]]
        between = slice(start, stop + 1)
        x = np.log(common)
        n, low, high = _located(x[between], values[between], draws[between])
        level = float(np.interp(np.log(n), x, first.values[k]))
        ahead = first.name if after > 0 else second.name
        return Crossover(first.name, second.name, "crossing", sizes, ahead, n, low, high, level)
    sign = np.sign(values[-1])
    if sign == 0 or float((sign * draws > 0).all(axis=0).mean()) < LEVEL:
        return unresolved(_reason(sizes, sure))
    found = _beyond(first, second, fit, other, sizes, sign)
    ahead = first.name if sign > 0 else second.name
    return found or Crossover(first.name, second.name, "none in range", sizes, ahead)


def _sure(values: Matrix, draws: Matrix) -> list[tuple[int, int]]:
    """(position, sign) of the sizes at which one is ahead beyond doubt."""
    level = 1 - (1 - LEVEL) / 2 / len(values)
    found = []
    for k, (value, drawn) in enumerate(zip(values, draws, strict=True)):
        sign = int(np.sign(value))
        if sign and float((sign * drawn > 0).mean()) >= level:
            found.append((k, sign))
    return found


def _reason(sizes: tuple[int, ...], sure: Sequence[tuple[int, int]]) -> str:
    if not sure:
        return "they cannot be told apart at any train size"
    known = {k for k, _ in sure}
    doubtful = [f"{size:,}" for k, size in enumerate(sizes) if k not in known]
    if not doubtful:
        return "who is ahead is likely the same at all train sizes, but not beyond doubt"
    return f"they cannot be told apart at n = {', '.join(doubtful)}"


def _located(x: Matrix, values: Matrix, draws: Matrix) -> tuple[float, float, float]:
    """Training images at which a difference that changes its sign from one end to the other is 0, with its interval.

    `x` is ln n, ascending [sizes]; `values` [sizes] and `draws` [sizes, draws] the difference at each.
    """
    before = np.sign(values[0])
    roots = np.sort(_roots(x, before * values[:, None]).ravel())
    roots = roots[~np.isnan(roots)]
    positions = _roots(x, before * draws)
    none = np.isnan(positions).all(axis=0)
    never = np.where(before * draws[0] > 0, x[-1], x[0])
    first = np.where(none, never, np.where(np.isnan(positions), np.inf, positions).min(axis=0))
    last = np.where(none, never, np.where(np.isnan(positions), -np.inf, positions).max(axis=0))
    found = roots[len(roots) // 2], ends(first)[0], ends(last)[1]
    n, low, high = (float(np.exp(value)) for value in found)
    return n, min(low, n), max(high, n)


def _roots(x: Matrix, oriented: Matrix) -> Matrix:
    """ln n at which each column of `oriented` [sizes, columns] changes its sign within each step; NaN where not."""
    left, right = oriented[:-1], oriented[1:]
    change = (left > 0) != (right > 0)
    part = np.divide(left, left - right, out=np.zeros_like(left), where=change)
    return np.where(change, x[:-1, None] + np.diff(x)[:, None] * part, np.nan)


def _beyond(
    first: Curve, second: Curve, fit: Fit | None, other: Fit | None, sizes: tuple[int, ...], sign: float
) -> Crossover | None:
    """A crossing of two power laws beyond the largest size, where one can be told; `sign` is who is ahead before."""
    if fit is None or other is None or fit.clashes is not False or other.clashes is not False:
        return None
    if fit.sizes[-1] != sizes[-1] or other.sizes[-1] != sizes[-1]:
        return None
    at = np.geomspace(sizes[-1], REACH * sizes[-1], _FINE)
    values = fit.accuracy(at) - other.accuracy(at)
    if sign * values[0] <= 0 or sign * values[-1] >= 0:
        return None
    draws = drawn_accuracies(first, fit, at) - drawn_accuracies(second, other, at)
    if float((sign * draws[-1] < 0).mean()) < (1 + LEVEL) / 2:
        return None
    n, low, high = _located(np.log(at), values, draws)
    ahead = second.name if sign > 0 else first.name
    level = float(fit.accuracy(n))
    return Crossover(first.name, second.name, "crossing", sizes, ahead, n, low, high, level, extrapolated=True)
