"""C20: the ImageNet tier table."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.analysis.comparisons import ALPHA, holm
from bench.analysis.published import LEAST, best_published
from bench.claims.chart import Dot, Dots
from bench.claims.claim import Claim, Finding, Judgement, Missing, Verdict
from bench.claims.contrast import ENOUGH_SEEDS
from bench.claims.evidence import Evidence

if TYPE_CHECKING:
    from bench.analysis.board import Board
    from bench.analysis.pairs import Pair
    from bench.analysis.rows import Row

SHOULD = "The notes should have said which recipe and which data each row of the tiers was trained with."
MEANING: Mapping[Verdict, str] = {
    "supported": f"Trained alike, at least two models stand in another order than the table has them. {SHOULD}",
    "refuted": f"Trained alike, these models stand in the order of the table, whatever their recipes were. {SHOULD}",
    "inconclusive": "Pairs that this board tells apart stand as the table has them, and the others could stand either "
    f"way. {SHOULD}",
}


def _judge(evidence: Evidence) -> Judgement:
    board, rows = _best_board(evidence)
    theirs = np.array([best_published(row.model) for row in rows], dtype=np.float64)
    pairs, sign = [], []
    for i, j in combinations(range(len(rows)), 2):
        if theirs[i] != theirs[j]:
            pairs.append(_pair(board, rows[i], rows[j]))
            sign.append(int(np.sign(pairs[-1].difference) * np.sign(theirs[i] - theirs[j])))
    alike = np.array(sign)
    p = holm(np.array([pair.p for pair in pairs]))
    surely = alike * (p < ALPHA)
    tau = float(alike.mean())
    low, high = 2 * float((surely > 0).mean()) - 1, 1 - 2 * float((surely < 0).mean())
    verdict: Verdict = "supported" if high < 1 else "refuted" if low == 1 else "inconclusive"
    interval = f"{tau:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−")
    return Judgement(
        verdict,
        reason=f"Kendall's τ between our order and the published one: {interval} over {len(rows)} models "
        f"({board.dataset}, {board.train_sizes[-1]:,} training images); of {len(pairs)} pairs "
        f"{int((surely > 0).sum())} stand surely as published and {int((surely < 0).sum())} surely the other way.",
        meaning=MEANING[verdict],
        findings=(
            Finding("Kendall's τ, ours and published", tau, low, high, p=float(p[alike < 0].min(initial=1.0))),
            Finding(
                "difference of two models that would have been found 4 times in 5, median over pairs",
                100 * float(np.median([pair.detectable for pair in pairs])),
                unit="points",
            ),
        ),
        chart=_chart(rows, theirs),
        needed="" if verdict != "inconclusive" else "More seeds or test images, so that neighbours can be told apart.",
    )


def _best_board(evidence: Evidence) -> tuple[Board, list[Row]]:
    """The board with the most models that are published and have three seeds. Raises Missing below `LEAST`."""
    best: tuple[Board, list[Row]] | None = None
    for board in evidence.boards:
        rows = [
            row
            for row in board.rows
            if row.rank is not None
            and row.weights == "scratch"
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


def _pair(board: Board, first: Row, second: Row) -> Pair:
    """Two rows at the largest train size. Raises Missing where they were not compared on three seeds."""
    found = board.pairs.between(first.name, second.name, board.train_sizes[-1])
    if found is None or found.seeds < ENOUGH_SEEDS:
        raise Missing(f"{first.name} and {second.name} were not compared on {ENOUGH_SEEDS} common seeds")
    return found


def _chart(rows: list[Row], theirs: NDArray[np.float64]) -> Dots:
    """Our accuracy of each model, from the highest published one down."""
    dots = []
    for k in np.argsort(-theirs, kind="stable"):
        point = rows[k].top1
        assert point is not None, "a ranked row has an accuracy"
        low, high = (None if end is None else 100 * end for end in (point.low, point.high))
        dots.append(Dot(f"{rows[k].model}, published {theirs[k]:.1f} %", 100 * point.value, low, high))
    return Dots("From top to bottom by the published order", "top-1 by this protocol, %", tuple(dots), reference=None)


CLAIM = Claim(
    id="C20",
    title="The ImageNet tier table",
    korean="ImageNet 모델 티어표",
    english="The tier table of ImageNet models.",
    hypothesis="Tiers by one protocol disagree with the published ones (Kendall τ < 1), since published rows mix "
    "recipes and extra data.",
    kind="M",
    models="published models on a board of the output folder, from scratch",
    controls="the published figures without extra data, the best recipe of each model",
    statistics="Kendall's τ with the published order; its 95 % interval is from where every pair that is not told "
    "apart (Holm over all pairs) stands against that order, to where every such pair stands with it",
    rule="supported if a pair stands surely the other way, so that τ's interval lies below 1; refuted if every pair "
    "stands surely as published; inconclusive otherwise; not testable without a board of "
    f"{LEAST} published models at {ENOUGH_SEEDS} seeds",
    judge=_judge,
)
