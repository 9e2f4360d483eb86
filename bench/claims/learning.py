"""Learning curves of arms, with joint bootstrap replicates: how many images it takes to reach an accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.curves import Curve
from bench.analysis.hits import Hits
from bench.analysis.intervals import image_counts
from bench.analysis.replicates import ends, stretched
from bench.analysis.sample_ratio import reached
from bench.claims.chart import Series
from bench.claims.claim import Arm, Missing
from bench.claims.contrast import accuracy, aligned, curve
from bench.claims.evidence import Evidence


@dataclass(frozen=True)
class Needed:
    """How many times the training images that a second arm needs a first one needs to reach an accuracy."""

    ratio: float
    """The point estimate; 0 or infinite where only one of them gets there; not a number where neither does."""
    low: float
    """Lower end of its 95 % interval; 0 where open."""
    high: float
    """Upper end; infinite where open."""
    p: float
    """Twice the smaller part of the draws in which the ratio is below, or above, 1; draws without an answer count for
    both."""
    first: float
    """Images that the first arm needs: infinite where it does not get there, at most the smallest size where that is
    more than enough."""
    second: float
    """The same of the second."""


def curves(evidence: Evidence, arms: Sequence[Arm]) -> list[Curve]:
    """The learning curve of each arm, on common seeds and sizes, drawn jointly. Raises Missing."""
    sizes = sorted(set.intersection(*(set(evidence.sizes(arm)) for arm in arms)))
    if not sizes:
        raise Missing("the arms have no train size in common")
    found: list[list[np.ndarray]] = []
    counts = None
    values = np.empty((len(arms), len(sizes)))
    for k, size in enumerate(sizes):
        seen = aligned([evidence.seen(arm, size) for arm in arms])
        packed = np.packbits(np.stack([one.right for one in seen]), axis=-1)
        images = len(seen[0].label)
        counts = image_counts(images) if counts is None else counts
        names = tuple(arm.words for arm in arms)
        hits = Hits(names, seen[0].seeds, images, packed, np.ones(packed.shape[:2], dtype=np.bool_))
        found.append(list(hits.replicates(counts)))
        values[:, k] = [one.accuracy for one in seen]
    seeds = min(len(evidence.seen(arm, sizes[-1]).seeds) for arm in arms)
    return [
        Curve(arm.words, np.array(sizes), values[k], np.stack([replicates[k] for replicates in found]), seeds)
        for k, arm in enumerate(arms)
    ]


def needed(first: Curve, second: Curve, level: float) -> Needed:
    """How many times the images of `second` the arm `first` needs to reach `level`, both curves paired draw by draw.

    Between train sizes linear in ln n and monotone, as in `bench.analysis.sample_ratio`; nothing is extrapolated: an
    arm that does not get there needs more than there were, and one that is there from the start at most the smallest.
    """
    assert first.replicates is not None
    assert second.replicates is not None
    points = [_reached(curve, curve.values[:, None], level)[0] for curve in (first, second)]
    seeds = min(first.seeds, second.seeds)
    drawn = [
        _reached(curve, stretched(curve.values, curve.replicates, seeds), level)  # type: ignore[arg-type]
        for curve in (first, second)
    ]
    with np.errstate(invalid="ignore"):
        logs = drawn[0] - drawn[1]
        point = points[0] - points[1]
    unknown = np.isnan(logs)
    low, high = (
        float(np.exp(end))
        for end in ends(np.where(unknown, -np.inf, logs))[:1] + ends(np.where(unknown, np.inf, logs))[1:]
    )
    p = 2 * min(float(((logs >= 0) | unknown).mean()), float(((logs <= 0) | unknown).mean()))
    images = [
        float(np.exp(max(value, np.log(curve.sizes[0])))) for value, curve in zip(points, (first, second), strict=True)
    ]
    return Needed(float(np.exp(point)), low, high, min(p, 1.0), *images)


def series(evidence: Evidence, arm: Arm, label: str, panel: str = "") -> Series:
    """The learning curve of one arm as a curve of a chart, in percent. Raises Missing."""
    return curve(label, {size: accuracy(evidence, arm, size) for size in evidence.sizes(arm)}, panel=panel)


def _reached(curve: Curve, values: np.ndarray, level: float) -> np.ndarray:
    """ln n at which each column of `values` [sizes, draws] reaches `level`: −∞ where from the start, ∞ where never."""
    x = np.log(curve.sizes)
    gaps = np.asarray(values - level, dtype=np.float64)
    return np.where(gaps[0] >= 0, -np.inf, reached(gaps[None], x)[0])
