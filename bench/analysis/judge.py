"""Puts an interval on every accuracy, compares every row with the best, and ranks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.comparisons import holm, mcnemar, shared_ranks, told_apart
from bench.analysis.intervals import Estimate, Resampled, hierarchical, resample_images, wilson
from bench.analysis.rows import Comparison, Point, Row
from bench.records import RunRecord
from bench.store import Records

Correct = NDArray[np.bool_]

NO_PREDICTIONS = "there are no per-image predictions at the largest train size that fit its record."
OTHER_IMAGES = "its predictions are for other test images, or in another order, than those of the other rows."
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Difference:
    """One row minus another on the seeds and images both have."""

    value: float | None
    p: float
    test: Literal["mcnemar", "bootstrap", "none"]
    seeds: int


class Evidence:
    """Which test image each run gets right, for the runs that saw the same test images in the same order."""

    def __init__(self, records: Records, rows: Sequence[Row]) -> None:
        self.correct: dict[str, Correct] = {}
        self.misaligned: set[str] = set()
        images: dict[str, str] = {}
        for row in rows:
            for run in row.runs:
                if _needed(row, run):
                    self._load(records, run, images)
        if images:
            shared = Counter(images.values()).most_common(1)[0][0]
            self.misaligned = {run for run, digest in images.items() if digest != shared}
            self.correct = {run: hits for run, hits in self.correct.items() if run not in self.misaligned}

    def _load(self, records: Records, run: RunRecord, images: dict[str, str]) -> None:
        """Keep a run's hits and the digest of its images, if there are predictions and they are those of its record."""
        try:
            arrays = records.predictions(run.id, ("index", "label", "prediction"))
            index, label, prediction = arrays["index"], arrays["label"], arrays["prediction"]
        except KeyError:
            return
        if not index.shape == label.shape == prediction.shape or run.test is None:
            return
        hits = np.asarray(prediction == label)
        if len(hits) != run.test.n or abs(float(hits.mean()) - run.test.top1) > _ROUNDING:
            return
        digest = hashlib.sha256(np.ascontiguousarray(index, dtype=np.int64).tobytes())
        digest.update(np.ascontiguousarray(label, dtype=np.int64).tobytes())
        images[run.id] = digest.hexdigest()
        self.correct[run.id] = hits

    @cached_property
    def resampled(self) -> dict[str, Resampled]:
        """Accuracy of each run under the same resamples of the test images, float32 [draws]."""
        if not self.correct:
            return {}
        accuracies = resample_images(np.stack(list(self.correct.values())))
        return dict(zip(self.correct, accuracies, strict=True))

    def usable(self, runs: Sequence[RunRecord]) -> dict[int, str]:
        """Run id by seed, of the runs that can be compared."""
        return {run.cell.seed: run.id for run in runs if run.id in self.correct}

    def estimate(self, ids: Sequence[str]) -> Estimate:
        """Mean accuracy over several seeds' runs."""
        hits = [self.correct[k] for k in ids]
        return hierarchical(
            np.array([h.mean() for h in hits]), np.stack([self.resampled[k] for k in ids]), len(hits[0])
        )

    def difference(self, first: Row, second: Row) -> Difference:
        """`first` minus `second` at the largest train size: exact McNemar on one common seed, bootstrap on several."""
        one, other = self.usable(first.of_size(first.largest)), self.usable(second.of_size(second.largest))
        seeds = sorted(one.keys() & other.keys())
        if not seeds:
            return Difference(None, 1.0, "none", 0)
        pairs = [(one[s], other[s]) for s in seeds]
        gaps = np.array([self.correct[a].mean() - self.correct[b].mean() for a, b in pairs])
        if len(seeds) == 1:
            a, b = (self.correct[k] for k in pairs[0])
            return Difference(float(gaps[0]), mcnemar(a, b), "mcnemar", 1)
        resampled = np.stack([self.resampled[a] - self.resampled[b] for a, b in pairs])
        estimate = hierarchical(gaps, resampled, len(self.correct[pairs[0][0]]))
        return Difference(estimate.mean, estimate.p_value(), "bootstrap", len(seeds))


def judge(rows: Sequence[Row], records: Records) -> tuple[list[Row], dict[str, str]]:
    """Rows with points, comparison and rank, best first and failed last; and why a row could not be compared.

    The second value is by row name.
    """
    evidence = Evidence(records, rows)
    pointed = [replace(row, points=_points(row, evidence)) for row in rows]
    refused = {row.name: why for row in pointed if (why := _refusal(row, evidence))}
    able = sorted(
        (row for row in pointed if row.top1 is not None and row.name not in refused),
        key=lambda row: (-(row.top1.value if row.top1 else 0.0), row.name),
    )
    compared = {row.name for row in able}
    others = [row for row in pointed if row.name not in compared]
    return [*_ranked(able, evidence), *sorted(others, key=_unranked_order)], refused


def _needed(row: Row, run: RunRecord) -> bool:
    """Predictions count at the largest size, where rows are compared, and wherever there are several seeds."""
    return run.cell.train_size == row.largest or len(row.of_size(run.cell.train_size)) > 1


def _points(row: Row, evidence: Evidence) -> tuple[Point, ...]:
    return tuple(_point(size, row.of_size(size), evidence) for size in sorted({r.cell.train_size for r in row.runs}))


def _point(size: int, runs: Sequence[RunRecord], evidence: Evidence) -> Point:
    per_seed = {run.cell.seed: run.test.top1 for run in runs if run.test is not None}
    value = float(np.mean(list(per_seed.values())))
    if len(runs) == 1 and runs[0].test is not None:
        n = runs[0].test.n
        low, high = wilson(round(value * n), n)
        return Point(size, per_seed, value, low, high, "wilson")
    usable = evidence.usable(runs)
    if len(usable) < len(runs):
        return Point(size, per_seed, value, None, None, "none")
    low, high = evidence.estimate(list(usable.values())).interval()
    return Point(size, per_seed, value, max(0.0, low), min(1.0, high), "bootstrap")


def _refusal(row: Row, evidence: Evidence) -> str | None:
    """Why a row that has an accuracy cannot be compared; None where it can."""
    runs = row.of_size(row.largest)
    if not runs or evidence.usable(runs):
        return None
    return OTHER_IMAGES if any(run.id in evidence.misaligned for run in runs) else NO_PREDICTIONS


def _ranked(rows: Sequence[Row], evidence: Evidence) -> list[Row]:
    """Rows, given best first, with rank and comparison; by rank, then accuracy."""
    cache: dict[tuple[int, int], Difference] = {}

    def difference(k: int, anchor: int) -> Difference:
        if (k, anchor) not in cache:
            cache[k, anchor] = evidence.difference(rows[k], rows[anchor])
        return cache[k, anchor]

    def differs(anchor: int, others: Sequence[int]) -> Sequence[bool]:
        found = [difference(k, anchor) for k in others]
        return told_apart([d.value or 0.0 for d in found], [d.p for d in found])

    ranks = shared_ranks(len(rows), differs)
    from_best = [difference(k, 0) for k in range(1, len(rows))]
    adjusted = holm([d.p for d in from_best])
    compared: list[Comparison | None] = [None] * min(1, len(rows))
    compared += [
        Comparison(rows[0].name, d.value, d.p, p, d.test, d.seeds) for d, p in zip(from_best, adjusted, strict=True)
    ]
    ranked = [
        replace(row, rank=rank, comparison=comparison)
        for row, rank, comparison in zip(rows, ranks, compared, strict=True)
    ]
    return sorted(ranked, key=lambda row: row.rank or 0)


def _unranked_order(row: Row) -> tuple[bool, float, str]:
    return row.status == "failed", -(row.top1.value if row.top1 else 0.0), row.name
