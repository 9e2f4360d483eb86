"""How far the data goes: area under each learning curve, power laws, sample-efficiency ratios, crossovers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.crossover import Crossover, crossovers
from bench.analysis.curves import Curve
from bench.analysis.power_law import Fit, fit_curves
from bench.analysis.replicates import student_quantile
from bench.analysis.sample_ratio import SampleRatio, ratios_against

MOST = 12
"""Rows among which crossovers are looked for: the best ones at the largest train size."""


@dataclass(frozen=True)
class Area:
    """Area under a learning curve over ln n, divided by the range of ln n: its mean accuracy over that range."""

    value: float
    """A fraction."""
    low: float | None
    """Lower end of its 95 % interval; None without replicates."""
    high: float | None
    """Upper end."""
    smallest: int
    """First train size."""
    largest: int
    """Last train size; areas over different ranges must not be compared."""


@dataclass(frozen=True)
class Efficiency:
    """What the learning curves of a board say, by name of the row."""

    best: str
    """The row with the highest accuracy at the largest train size; empty without any curve."""
    areas: Mapping[str, Area]
    """Of every row with at least two train sizes."""
    fits: Mapping[str, Fit]
    """Of every row with enough of them."""
    ratios: Mapping[str, tuple[SampleRatio, ...]]
    """Of every row but the best: data needed for what the best has at each of its train sizes, ascending."""
    compared: tuple[str, ...]
    """Rows among which crossovers were looked for, the best first."""
    crossovers: tuple[Crossover, ...]
    """Of every pair of them."""


def efficiency_of(curves: Sequence[Curve], most: int = MOST) -> Efficiency:
    """Everything about the curves of a board, whose names differ; crossovers among the `most` best rows.

    Best is whoever has the highest accuracy at the largest train size of any curve; equal ones keep their order.
    """
    if not curves:
        return Efficiency("", {}, {}, {}, (), ())
    largest = max(int(curve.sizes[-1]) for curve in curves)
    order = sorted(curves, key=lambda c: (int(c.sizes[-1]) != largest, -float(c.values[-1])))
    best, others = order[0], order[1:]
    fits = dict(zip((c.name for c in curves), fit_curves(curves), strict=True))
    leading = order[:most]
    return Efficiency(
        best=best.name,
        areas={c.name: found for c, found in zip(curves, areas(curves), strict=True) if found is not None},
        fits={name: fit for name, fit in fits.items() if fit is not None},
        ratios=dict(zip((c.name for c in others), ratios_against(best, others), strict=True)),
        compared=tuple(c.name for c in leading),
        crossovers=crossovers(leading, [fits[c.name] for c in leading]),
    )


def area(curve: Curve) -> Area | None:
    """Trapezoid of accuracy over ln n, divided by the range of ln n; None below two train sizes.

    The interval is the value ± Student's t times the standard error of the replicates' areas.
    """
    return areas([curve])[0]


def areas(curves: Sequence[Curve]) -> list[Area | None]:
    """`area` of many curves; those with the same sizes and seeds are computed together."""
    groups: dict[tuple[tuple[int, ...], int, int | None], list[int]] = {}
    for k, curve in enumerate(curves):
        if len(curve.sizes) > 1:
            draws = None if curve.replicates is None else curve.replicates.shape[1]
            groups.setdefault((tuple(curve.sizes.tolist()), curve.seeds, draws), []).append(k)
    found: list[Area | None] = [None] * len(curves)
    for (sizes, seeds, _), members in groups.items():
        weights = _trapezoid(np.log(sizes))
        values = np.stack([curves[k].values for k in members]) @ weights
        halves = _halves([curves[k].replicates for k in members], weights, seeds)
        for k, value, half in zip(members, values.tolist(), halves, strict=True):
            low, high = (None, None) if half is None else (max(0.0, value - half), min(1.0, value + half))
            found[k] = Area(value, low, high, sizes[0], sizes[-1])
    return found


def _halves(
    replicates: Sequence[NDArray[np.float32] | None], weights: NDArray[np.float64], seeds: int
) -> Sequence[float | None]:
    """Half the width of the interval of each area; None without replicates."""
    drawn = [weights.astype(r.dtype) @ r for r in replicates if r is not None]
    if len(drawn) < len(replicates):
        return [None] * len(replicates)
    sample = np.stack(drawn)
    return [float(half) for half in student_quantile(sample, seeds) * sample.std(axis=-1, ddof=1)]


def _trapezoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights float64 [sizes], of sum 1, of the trapezoidal rule at the places `x`."""
    steps = np.diff(x)
    weights = np.zeros(len(x))
    weights[:-1] += steps / 2
    weights[1:] += steps / 2
    return np.asarray(weights / steps.sum())
