"""Boards of weights that were evaluated as published: on the same images, so every comparison is paired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.comparisons import ALPHA, holm, mcnemar, one_seed_interval
from bench.analysis.intervals import wilson
from bench.analysis.rows import settle
from bench.records import EvaluationRecord
from bench.store import Records


@dataclass(frozen=True)
class EvaluationRow:
    """One model's weights on one folder."""

    record: EvaluationRecord
    """What was measured."""
    low: float | None = None
    """Lower end of the 95 % interval of top-1 (Wilson): which images the folder holds."""
    high: float | None = None
    """Upper end."""
    difference: float | None = None
    """Top-1 minus the best's, on the images of both; None for the best and for failed ones."""
    difference_low: float | None = None
    """Lower end of its 95 % interval."""
    difference_high: float | None = None
    """Upper end."""
    p_holm: float | None = None
    """Exact McNemar p-value against the best, adjusted for all rows (Holm)."""
    rank: int | None = None
    """Shared with the best of its tier by rows that cannot be told apart from it; None for failed ones."""

    @property
    def name(self) -> str:
        """The model, and which file its weights are from."""
        weights = self.record.spec.weights
        told = "" if weights == "pretrained" else f" (file {weights.partition(':')[2][:8]})"
        return f"{self.record.spec.model}{told}"


@dataclass(frozen=True)
class EvaluationBoard:
    """All weights that were evaluated on one folder with one machine."""

    dataset: str
    """The folder as it was named."""
    rows: tuple[EvaluationRow, ...]
    """Best first, failed last."""

    @property
    def updated(self) -> str:
        """UTC time of the newest record."""
        return max(row.record.created for row in self.rows)


def build_evaluations(records: Records) -> list[EvaluationBoard]:
    """Every board of evaluations that the records hold, the newest first. Reads predictions."""
    groups: dict[tuple[str, str], list[EvaluationRecord]] = {}
    for record in settle(records.evaluations):
        groups.setdefault((record.spec.folder_sha256, record.spec.hardware), []).append(record)
    boards = [EvaluationBoard(group[-1].dataset, _rows(group, records)) for group in groups.values()]
    return sorted(boards, key=lambda board: board.updated, reverse=True)


def _rows(group: Sequence[EvaluationRecord], records: Records) -> tuple[EvaluationRow, ...]:
    good = [r for r in group if r.metrics is not None]
    good.sort(key=lambda r: (-(r.metrics.top1 if r.metrics else 0), r.spec.model, r.spec.weights))
    failed = sorted((r for r in group if r.metrics is None), key=lambda r: r.spec.model)
    rows = [_alone(record) for record in good]
    hits = [_hits(record, records) for record in good]
    for k, (difference, low, high, p) in enumerate(_behind(hits), start=1):
        rows[k] = replace(rows[k], difference=difference, difference_low=low, difference_high=high, p_holm=p)
    return (*_ranked(rows, hits), *(EvaluationRow(record) for record in failed))


def _alone(record: EvaluationRecord) -> EvaluationRow:
    assert record.metrics is not None
    low, high = wilson(record.metrics.right, record.metrics.n)
    return EvaluationRow(record, low=low, high=high)


def _hits(record: EvaluationRecord, records: Records) -> dict[str, bool]:
    """Whether each image was told, by its file."""
    arrays = records.predictions(record.id, ("image", "label", "prediction"))
    told = (arrays["label"] == arrays["prediction"]).tolist()
    return dict(zip(arrays["image"].tolist(), told, strict=True))


def _behind(hits: Sequence[dict[str, bool]]) -> list[tuple[float, float, float, float]]:
    """`_against` the first of these, for every other one; the p-values adjusted together (Holm)."""
    found = [_against(hits[0], other) for other in hits[1:]]
    adjusted = holm(np.array([p for *_, p in found], np.float64))
    return [(gap, low, high, float(p)) for (gap, low, high, _), p in zip(found, adjusted, strict=True)]


def _against(best: dict[str, bool], other: dict[str, bool]) -> tuple[float, float, float, float]:
    """(difference, its interval, p) of another model against the best, on the files of both."""
    common = best.keys() & other.keys()
    only_best = np.array([sum(best[f] and not other[f] for f in common)])
    only_other = np.array([sum(other[f] and not best[f] for f in common)])
    p = mcnemar(only_other, only_best)
    low, high = one_seed_interval(only_other, only_best, len(common), p)
    return float((only_other - only_best)[0] / max(1, len(common))), float(low[0]), float(high[0]), float(p[0])


def _ranked(rows: list[EvaluationRow], hits: list[dict[str, bool]]) -> list[EvaluationRow]:
    """Tiers: the best without a rank opens one; in it are the following that cannot be told apart from it."""
    ranked: list[EvaluationRow] = []
    first, p = 0, [row.p_holm for row in rows]
    for k, row in enumerate(rows):
        behind = p[k - first]
        if k > first and behind is not None and behind < ALPHA:
            first, p = k, [None, *(adjusted for *_, adjusted in _behind(hits[k:]))]
        ranked.append(replace(row, rank=first + 1))
    return ranked
