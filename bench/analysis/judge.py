"""Puts an interval on every accuracy, compares all rows with each other at every train size, and ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.comparisons import compare
from bench.analysis.curves import Curve
from bench.analysis.evidence import Evidence
from bench.analysis.hits import Hits
from bench.analysis.intervals import Resampled, hierarchical, wilson
from bench.analysis.pairs import Pairs, PairsAtSize, pairs_of
from bench.analysis.ranking import rank_intervals, shared_ranks, shares_of_best
from bench.analysis.rows import Comparison, Point, Row
from bench.records import RunRecord
from bench.store import Records

NO_PREDICTIONS = "there are no per-image predictions at the largest train size that fit its record."
OTHER_IMAGES = "its predictions are for other test images, or in another order, than those of the other rows."


@dataclass(frozen=True)
class Judged:
    """Rows with all that comparing them with each other tells."""

    rows: list[Row]
    """With points, rank and comparison; best first, failed last."""
    refused: dict[str, str]
    """Why a row could not be compared, by its name."""
    pairs: Pairs
    """All pairs of rows at all train sizes."""
    curves: tuple[Curve, ...]
    """Learning curves of the rows that have a result and could be compared, in the order of the rows."""


def judge(rows: Sequence[Row], records: Records) -> Judged:
    """Points, pairs, ranks and curves of the rows of one board. Reads predictions, writes nothing."""
    evidence = Evidence(records, rows)
    pointed = [replace(row, points=_points(row, evidence)) for row in rows]
    refused = {row.name: why for row in pointed if (why := _refusal(row, evidence))}
    able = sorted((row for row in pointed if row.top1 is not None and row.name not in refused), key=_by_accuracy)
    ranked = {row.name for row in able}
    others = sorted((row for row in pointed if row.name not in ranked), key=_unranked_order)
    hits = _hits([*able, *(row for row in others if row.name not in refused)], evidence)
    pairs = pairs_of([(size, found.names, compare(found)) for size, found in hits.items()])
    able, others = ([_with_luck(row, hits) for row in some] for some in (able, others))
    drawn = {size: found.replicates(evidence.counts) for size, found in hits.items()}
    largest = pairs.of_size(able[0].largest) if able else None
    if largest is not None:
        able = _ranked(able, largest, drawn[largest.size])
    final = [*able, *others]
    names = [row.name for row in final]
    return Judged(
        rows=final,
        refused=refused,
        pairs=Pairs(tuple(at.ordered(names) for at in pairs.at)),
        curves=_curves([row for row in final if row.points and row.name not in refused], hits, drawn, evidence),
    )


def _hits(rows: Sequence[Row], evidence: Evidence) -> dict[int, Hits]:
    """What can be compared at each train size, ascending."""
    sizes = sorted({point.size for row in rows for point in row.points})
    found = {size: evidence.at(size, rows) for size in sizes}
    return {size: hits for size, hits in found.items() if hits is not None}


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
    low, high = hierarchical(evidence.correct(list(usable.values()))).interval()
    return Point(size, per_seed, value, max(0.0, low), min(1.0, high), "bootstrap")


def _with_luck(row: Row, hits: Mapping[int, Hits]) -> Row:
    """A row whose accuracies of a single seed have the spread over seeds of the other rows, where it is known."""
    return replace(row, points=tuple(_lucky(point, hits.get(point.size)) for point in row.points))


def _lucky(point: Point, there: Hits | None) -> Point:
    if point.method != "wilson" or there is None or there.spread is None:
        return point
    low, high = there.spread.around(point.value, there.images).interval()
    return replace(point, low=max(0.0, low), high=min(1.0, high), method="pooled")


def _refusal(row: Row, evidence: Evidence) -> str | None:
    """Why a row that has an accuracy cannot be compared; None where it can."""
    runs = row.of_size(row.largest)
    if not runs or evidence.usable(runs):
        return None
    return OTHER_IMAGES if any(run.id in evidence.misaligned for run in runs) else NO_PREDICTIONS


def _ranked(rows: Sequence[Row], pairs: PairsAtSize, drawn: Resampled) -> list[Row]:
    """Rows, given best first as in `pairs`, with rank and comparison; by rank, then accuracy."""
    ranks = shared_ranks(pairs.apart[: len(rows), : len(rows)])
    possible = rank_intervals(pairs.difference, pairs.p, pairs.apart, ranks)
    best = shares_of_best(drawn)
    found = [
        replace(
            row,
            rank=ranks[k],
            rank_low=possible[k][0],
            rank_high=possible[k][1],
            p_best=best[k],
            comparison=_comparison(row.name, rows[0].name, pairs) if k else None,
        )
        for k, row in enumerate(rows)
    ]
    return sorted(found, key=lambda row: row.rank or 0)


def _comparison(name: str, best: str, pairs: PairsAtSize) -> Comparison:
    pair = pairs.between(name, best)
    if pair is None:
        return Comparison(best, None, 1.0, 1.0, "none", 0)
    return Comparison(best, pair.difference, pair.p, pair.p_holm, pair.test, pair.seeds)


def _curves(
    rows: Sequence[Row], hits: Mapping[int, Hits], drawn: Mapping[int, Resampled], evidence: Evidence
) -> tuple[Curve, ...]:
    position = {size: {name: k for k, name in enumerate(found.names)} for size, found in hits.items()}
    curves = []
    for row in rows:
        sizes = [point.size for point in row.points]
        whole = all(len(evidence.usable(row.of_size(size))) == len(row.of_size(size)) for size in sizes)
        common = set.intersection(*(set(point.per_seed) for point in row.points))
        curves.append(
            Curve(
                name=row.name,
                sizes=np.array(sizes, dtype=np.int64),
                values=np.array([point.value for point in row.points]),
                replicates=np.stack([drawn[s][position[s][row.name]] for s in sizes]) if whole else None,
                seeds=len(common),
            )
        )
    return tuple(curves)


def _by_accuracy(row: Row) -> tuple[float, str]:
    return -(row.top1.value if row.top1 else 0.0), row.name


def _unranked_order(row: Row) -> tuple[bool, float, str]:
    return row.status == "failed", *_by_accuracy(row)
