"""C20: the ImageNet tier table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.published import LEAST, best_published, rank_agreement
from bench.analysis.replicates import ends
from bench.claims.chart import Lines, Series
from bench.claims.claim import Claim, Finding, Judgement, Missing, Verdict
from bench.claims.evidence import Evidence

ENOUGH_SEEDS = 3


def _judge(evidence: Evidence) -> Judgement:
    board, rows = _best_board(evidence)
    ours = [row.top1.value for row in rows]
    theirs = [best_published(row.model) or 0.0 for row in rows]
    agreement = rank_agreement(ours, theirs)
    if agreement.kendall is None:
        raise Missing("all models of the board are level")
    drawn = _replicates(board, rows)
    taus = np.array([_tau(column, theirs) for column in drawn.T])
    low, high = (float(end) for end in ends(taus))
    verdict: Verdict = "supported" if high < 1 else "refuted" if low >= 1 else "inconclusive"
    where = f"{board.dataset}, {board.train_sizes[-1]:,} training images"
    order = np.argsort(theirs)
    places = tuple(float(k) for k in range(1, len(rows) + 1))
    ranked = {"published": theirs, "this protocol": [100 * value for value in ours]}
    curves = tuple(Series(name, places, tuple(float(values[k]) for k in order)) for name, values in ranked.items())
    names = ", ".join(rows[k].model for k in order)
    return Judgement(
        verdict,
        reason=f"Kendall's τ between our order and the published one: {agreement.kendall.value:.2f} [{low:.2f}, "
        f"{high:.2f}] over {len(rows)} models ({where}).",
        meaning="A published table ranks recipes and extra data along with architectures. The notes should have said "
        "which recipe and which data each row of the tiers was trained with.",
        findings=(Finding("Kendall's τ, ours and published", agreement.kendall.value, low, high),),
        chart=Lines(f"From left to right by the published order: {names}", "published order", "top-1, %", curves),
        needed="" if verdict != "inconclusive" else "More seeds or test images, so that neighbours can be told apart.",
    )


def _best_board(evidence: Evidence) -> tuple[Any, list[Any]]:
    """The board with the most models that are published and have three seeds. Raises Missing below `LEAST`."""
    best: tuple[Any, list[Any]] | None = None
    for board in evidence.boards:
        rows = [
            row
            for row in board.rows
            if row.rank is not None
            and best_published(row.model) is not None
            and len(row.of_size(board.train_sizes[-1])) >= ENOUGH_SEEDS
        ]
        if best is None or len(rows) > len(best[1]):
            best = board, rows
    if best is None or len(best[1]) < LEAST:
        there = 0 if best is None else len(best[1])
        raise Missing(
            f"it needs a board with {LEAST} published models at {ENOUGH_SEEDS} seeds, and the best in the output "
            f"folder has {there}; run_bench.py --seeds 0,1,2 makes one"
        )
    return best


def _replicates(board: Any, rows: list[Any]) -> NDArray[np.float64]:
    """Accuracy of each row at the largest size in joint draws of seeds and test images, float64 [rows, draws]."""
    curves = {curve.name: curve for curve in board.curves}
    found = [curves[row.name].replicates for row in rows if row.name in curves]
    if len(found) < len(rows) or any(replicates is None for replicates in found):
        raise Missing("the board's predictions are not all there")
    return np.stack([np.asarray(replicates[-1], dtype=np.float64) for replicates in found])


def _tau(values: NDArray[np.float64], theirs: list[float]) -> float:
    """Kendall's τ-b of one draw with the published order; 0 where all are level."""
    agreement = rank_agreement(values.tolist(), theirs)
    return agreement.kendall.value if agreement.kendall is not None else 0.0


CLAIM = Claim(
    id="C20",
    title="The ImageNet tier table",
    korean="ImageNet 모델 티어표",
    english="The tier table of ImageNet models.",
    hypothesis="Tiers by one protocol disagree with the published ones (Kendall τ < 1), since published rows mix "
    "recipes and extra data.",
    kind="M",
    models="published models on a board of the output folder",
    controls="the published figures without extra data, the best recipe of each model",
    statistics="Kendall's τ-b with the published order in joint bootstrap draws of seeds and test images",
    rule="supported if τ's 95 % interval lies below 1; refuted if it is 1 throughout; inconclusive otherwise; not "
    f"testable without a board of {LEAST} published models at {ENOUGH_SEEDS} seeds",
    judge=_judge,
)
