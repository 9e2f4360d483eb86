"""Which rows of a board fit a budget such as `latency_ms<5 & params_m<30`, and which of those is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.board import Board
from bench.analysis.conditions import Condition, Fact, parse_condition
from bench.analysis.fronts import apart_among
from bench.analysis.ranking import shared_ranks
from bench.analysis.rows import Row


@dataclass(frozen=True)
class Budget:
    """A condition that rows must meet."""

    text: str
    """As it was asked for."""
    condition: Condition
    """What it means."""


@dataclass(frozen=True)
class Judged:
    """One row under a budget."""

    row: Row
    """The row."""
    facts: tuple[Fact, ...]
    """What decided, or what left it open."""
    rank: int | None = None
    """Among those that fit, ranked anew; None for others, and without a rank on the board."""


@dataclass(frozen=True)
class UnderBudget:
    """A board under a budget; every row is in one of three lists."""

    board: Board
    """The board."""
    budget: Budget
    """The condition."""
    fits: tuple[Judged, ...]
    """Rows that meet it beyond doubt, best first, those without a rank last."""
    may_fit: tuple[Judged, ...]
    """Rows of which it cannot be told, in the order of the board; `facts` say why."""
    misses: tuple[Judged, ...]
    """Rows that do not meet it beyond doubt, in the order of the board."""

    @property
    def first(self) -> tuple[Judged, ...]:
        """Those that share first place among the rows that fit."""
        return tuple(judged for judged in self.fits if judged.rank == 1)


def parse_budget(text: str) -> Budget:
    """A budget from its text; what may be written says `parse_condition`. Raises UsageError for what is none."""
    return Budget(" ".join(text.split()), parse_condition(text))


def under_budget(board: Board, budget: Budget) -> UnderBudget:
    """Sort the rows of a board by whether they fit, and rank those that do anew among themselves.

    The ranks follow the board's own rule, on the same paired comparisons: the most accurate row without a rank is
    the anchor, and every other without one that cannot be told apart from it at the largest train size shares it.
    """
    lists: dict[bool | None, list[Judged]] = {True: [], None: [], False: []}
    for row in board.rows:
        outcome = budget.condition.judge(row)
        lists[outcome.truth].append(Judged(row, outcome.facts))
    return UnderBudget(board, budget, tuple(_ranked(board, lists[True])), tuple(lists[None]), tuple(lists[False]))


def _ranked(board: Board, fitting: Sequence[Judged]) -> list[Judged]:
    able = sorted(
        (judged for judged in fitting if judged.row.rank is not None),
        key=lambda judged: (-(judged.row.top1.value if judged.row.top1 else 0.0), judged.row.name),
    )
    ranks = shared_ranks(apart_among(board, [judged.row for judged in able]))
    ranked = [Judged(judged.row, judged.facts, rank) for judged, rank in zip(able, ranks, strict=True)]
    return [*sorted(ranked, key=lambda judged: judged.rank or 0), *(j for j in fitting if j.row.rank is None)]
