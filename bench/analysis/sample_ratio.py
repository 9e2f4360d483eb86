"""How many times the data one model needs to reach what another reaches: the sample-efficiency ratio.

For the accuracy that the reference has with n images, the other's curve is read backwards: between train sizes linear
in ln n, and monotone (the best accuracy so far), since a dip is noise. The estimand is this interpolated ratio: a power
law lies above its chords, so between sizes that are far apart the ratio comes out a little too high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.analysis.curves import Curve
from bench.analysis.replicates import Floats, ends, stretched


@dataclass(frozen=True)
class SampleRatio:
    """How many times the reference's data a model needs for what the reference has at one train size."""

    model: str
    """Who needs it."""
    against: str
    """The reference."""
    size: int
    """Training images of the reference."""
    accuracy: float
    """What it reaches with them, a fraction."""
    bound: Literal["=", ">", "<"]
    """`>` where the model does not get there within its train sizes, `<` where its smallest is more than enough."""
    value: float
    """The ratio, or the limit that it lies above or below."""
    low: float | None
    """Lower end of its 95 % interval; None where that end is open (out of range) or nothing is known."""
    high: float | None
    """Upper end of its 95 % interval; None where open or unknown."""
    known: bool
    """Whether an interval could be computed."""


def sample_ratios(model: Curve, reference: Curve) -> tuple[SampleRatio, ...]:
    """The ratio at every train size of the reference, ascending."""
    return ratios_against(reference, [model])[0]


def ratios_against(reference: Curve, models: Sequence[Curve]) -> list[tuple[SampleRatio, ...]]:
    """`sample_ratios` of many models; those with the same sizes and seeds are computed together."""
    groups: dict[tuple[tuple[int, ...], int, int | None], list[int]] = {}
    for k, curve in enumerate(models):
        draws = None if curve.replicates is None else curve.replicates.shape[1]
        groups.setdefault((tuple(curve.sizes.tolist()), curve.seeds, draws), []).append(k)
    found: list[tuple[SampleRatio, ...]] = [()] * len(models)
    for (sizes, seeds, draws), members in groups.items():
        curves = [models[k] for k in members]
        replicates = None
        if reference.replicates is not None and draws == reference.replicates.shape[1]:
            replicates = np.stack([curve.replicates for curve in curves if curve.replicates is not None])
        grid = _group(reference, curves, np.log(sizes), replicates, min(seeds, reference.seeds))
        for k, *ratios in zip(members, *grid, strict=True):
            found[k] = tuple(ratios)
    return found


def _group(
    reference: Curve, curves: Sequence[Curve], x: Floats, replicates: Floats | None, seeds: int
) -> list[list[SampleRatio]]:
    """For each size of the reference the ratio of each curve; all curves have their sizes at `x` = ln n.

    `replicates` is float32 [curves, sizes, draws].
    """
    values = np.stack([curve.values for curve in curves])
    found = []
    for k, (size, accuracy) in enumerate(zip(reference.sizes.tolist(), reference.values.tolist(), strict=True)):
        gaps = values - accuracy
        points = reached(gaps[..., None], x)[:, 0] - np.log(size)
        lows = highs = np.full(len(curves), np.nan)
        if replicates is not None and reference.replicates is not None:
            drawn = stretched(gaps, replicates - reference.replicates[k], seeds)
            lows, highs = ends(reached(drawn, x) - np.float32(np.log(size)))
        found.append(
            [
                _ratio(curve.name, reference.name, size, accuracy, (point, low, high), x - np.log(size))
                for curve, point, low, high in zip(curves, points.tolist(), lows.tolist(), highs.tolist(), strict=True)
            ]
        )
    return found


def reached(gaps: Floats, x: Floats) -> Floats:
    """ln n at which the best so far of `gaps` [curves, sizes, draws] first reaches 0: [curves, draws].

    −∞ where it is above 0 from the start, ∞ where it never gets there. `x` is ln n, ascending [sizes].
    """
    best = gaps[:, 0]
    found = np.where(best > 0, -np.inf, np.where(best == 0, x[0], np.inf)).astype(gaps.dtype)
    for k, step in enumerate(np.diff(x).astype(gaps.dtype), 1):
        after = np.maximum(best, gaps[:, k])
        here = (best < 0) & (after >= 0)
        part = np.divide(best, best - after, out=np.zeros_like(best), where=here)
        found = np.where(here, gaps.dtype.type(x[k - 1]) + step * part, found)
        best = after
    return found


def _ratio(
    model: str, against: str, size: int, accuracy: float, logs: tuple[float, float, float], x: Floats
) -> SampleRatio:
    """One ratio from its logarithm and the logarithms of the ends of its interval (NaN: unknown)."""
    point, low, high = logs
    bound: Literal["=", ">", "<"] = "=" if np.isfinite(point) else ">" if point > 0 else "<"
    value = float(np.exp(point if bound == "=" else x[-1] if bound == ">" else x[0]))
    return SampleRatio(
        model,
        against,
        size,
        accuracy,
        bound,
        value,
        float(np.exp(low)) if np.isfinite(low) else None,
        float(np.exp(high)) if np.isfinite(high) else None,
        known=not np.isnan(low),
    )
