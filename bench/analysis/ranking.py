"""Who ranks where: tiers of rows that cannot be told apart, which ranks are possible, how likely each is the best."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.comparisons import ALPHA, holm


def shared_ranks(apart: NDArray[np.bool_]) -> list[int]:
    """Ranks of rows given best first, with ties and the gaps they leave: 1, 1, 3.

    `apart` is bool [rows, rows], whether two rows are told apart (`comparisons.told_apart`). The best row without a
    rank anchors a tier; in it are all rows without a rank that cannot be told apart from it.
    """
    ranks = np.zeros(len(apart), dtype=np.int64)
    while (left := np.flatnonzero(ranks == 0)).size:
        ranks[left[~apart[left[0], left]]] = len(apart) - len(left) + 1
        # An anchor is in its own tier, whatever the matrix says of it.
        ranks[left[0]] = len(apart) - len(left) + 1
    return [int(rank) for rank in ranks]


def rank_intervals(
    difference: NDArray[Any], p: NDArray[Any], counts: NDArray[np.bool_], ranks: list[int]
) -> list[tuple[int, int]]:
    """The ranks that each row could have at 95 %: 1 + the rows surely better, to the rows not surely worse.

    `difference`, `p` and `counts` are [rows, rows]: row minus column, its p-value, and whether the two are told apart
    at all. Ranks by pairwise comparison go back to Goldstein & Spiegelhalter (1996, JRSS A 159:385); a rank is only
    wrong if one of the row's comparisons is, so the p-values of each row's comparisons with all others are adjusted
    together (Holm), which makes the interval of a row hold its true rank with 95 % (Mogstad, Romano, Shaikh &
    Wilhelm 2024, Rev. Econ. Stud. 91:476, their marginal confidence sets). Without that, among 1,300 equal rows
    each would be "surely" behind some. Intervals of several rows together are not adjusted. An interval is widened to
    hold the row's own shared rank, which is not adjusted.
    """
    alone = np.array(p, dtype=np.float64)
    np.fill_diagonal(alone, np.nan)
    sure = counts & (holm(alone) < ALPHA)
    better = (sure & (difference < 0)).sum(axis=1)
    worse = (sure & (difference > 0)).sum(axis=1)
    rows = len(ranks)
    return [
        (min(1 + int(over), rank), max(rows - int(under), rank))
        for over, under, rank in zip(better, worse, ranks, strict=True)
    ]


def shares_of_best(replicates: NDArray[Any]) -> list[float]:
    """The share of joint bootstrap draws in which each row has the highest accuracy; rows that tie share a draw.

    `replicates` is float [rows, draws] (`Hits.replicates`). The shares add up to 1.
    """
    if not replicates.size:
        return []
    best = replicates == replicates.max(axis=0)
    return [float(share) for share in (best / best.sum(axis=0)).mean(axis=1)]
