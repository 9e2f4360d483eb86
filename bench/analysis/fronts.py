"""Pareto fronts of accuracy against each cost: off the front is only what is beaten beyond doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.board import Board
from bench.analysis.pairs import PairsAtSize
from bench.analysis.quantities import QUANTITIES, Quantity, Reading
from bench.analysis.rows import Row

AXES = ("gmacs", "params_m", "latency_ms", "inference_img_per_s", "memory_mib", "energy_mj")
"""The quantities that accuracy is weighed against."""
STAR_AXIS = "gmacs"
"""The front that the ★ of the main table stands for. Multiply-accumulates are the one cost that is counted and not
timed: every row has it, it is exact, and it is the same on any machine, so a ★ never comes or goes with the noise of a
timing. "On every front" would need the energy counter that most machines lack; "on any front" would star nearly all."""
MOST_NAMED = 5
"""So many of the rows that beat another are named."""

State = Literal["front", "beaten", "undecided", "unranked"]


@dataclass(frozen=True)
class Place:
    """Where one row stands with respect to one front."""

    row: Row
    """The row."""
    reading: Reading
    """Its cost."""
    state: State
    """`front`; `beaten` beyond doubt; `undecided`, its cost being unknown or not to be relied on (`reading.why`);
    `unranked`, its accuracy not being comparable."""
    beaten_by: tuple[str, ...] = ()
    """Names of rows that beat it, in the order of the board, at most `MOST_NAMED`."""
    beaten_times: int = 0
    """How many rows beat it."""


@dataclass(frozen=True)
class Front:
    """One front of a board."""

    quantity: Quantity
    """The cost."""
    places: tuple[Place, ...]
    """Every row, in the order of the board."""

    def of_state(self, state: State) -> list[Place]:
        """The rows in that state, in the order of the board."""
        return [place for place in self.places if place.state == state]


def fronts_of(board: Board) -> tuple[Front, ...]:
    """The front of each of `AXES`, in their order.

    A row is beaten if another is more accurate beyond doubt at the largest train size (`Pairs`: told apart, and the
    difference is positive) and not more costly beyond doubt: its 95 % interval lies at or below the other's, which for
    exact costs means the same or less. A row whose cost is unknown or INVALID neither beats nor is beaten.
    """
    better = _better(board)
    return tuple(_front(QUANTITIES[name], board.rows, better) for name in AXES)


def starred(board: Board) -> frozenset[str]:
    """Names of the rows that get a ★ in the main table: those on the front of `STAR_AXIS`."""
    front = _front(QUANTITIES[STAR_AXIS], board.rows, _better(board))
    return frozenset(place.row.name for place in front.of_state("front"))


def apart_among(board: Board, rows: Sequence[Row]) -> NDArray[np.bool_]:
    """bool [rows, rows]: whether two rows are told apart at the largest size; False where they cannot be compared."""
    found = board.pairs.of_size(board.train_sizes[-1])
    return _arranged(found, rows, found.apart) if found is not None else np.zeros((len(rows),) * 2, bool)


def _better(board: Board) -> NDArray[np.bool_]:
    """bool [rows, rows]: whether the row is more accurate than the column beyond doubt; both have ranks."""
    found = board.pairs.of_size(board.train_sizes[-1])
    if found is None:
        return np.zeros((len(board.rows),) * 2, bool)
    return _arranged(found, board.rows, found.apart & (np.nan_to_num(found.difference) > 0))


def _arranged(found: PairsAtSize, rows: Sequence[Row], matrix: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A matrix over `found.names` as one over `rows`; False where a row is not among the names or has no rank."""
    at = np.array([found.position.get(row.name, -1) if row.rank is not None else -1 for row in rows], dtype=np.int64)
    known = at >= 0
    result = np.zeros((len(rows), len(rows)), bool)
    result[np.ix_(known, known)] = matrix[np.ix_(at[known], at[known])]
    return result


def _front(quantity: Quantity, rows: Sequence[Row], better: NDArray[np.bool_]) -> Front:
    readings = [quantity.of(row) for row in rows]
    least, most = _ends(quantity, readings)
    beats = better & (most[:, None] <= least[None, :])
    places = []
    for k, (row, reading) in enumerate(zip(rows, readings, strict=True)):
        above = np.flatnonzero(beats[:, k])
        state: State = (
            "unranked" if row.rank is None
            else "undecided" if not reading.sound
            else "beaten" if len(above)
            else "front"
        )  # fmt: skip
        places.append(Place(row, reading, state, tuple(rows[j].name for j in above[:MOST_NAMED]), len(above)))
    return Front(quantity, tuple(places))


def _ends(quantity: Quantity, readings: Sequence[Reading]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the most that each row may cost, float64 [rows]; NaN, which compares with nothing, if not sound.

    Of a quantity of which more is better, the negative.
    """
    low = np.array([r.low if r.sound and r.low is not None else np.nan for r in readings], dtype=np.float64)
    high = np.array([r.high if r.sound and r.high is not None else np.nan for r in readings], dtype=np.float64)
    return (low, high) if quantity.less_is_better else (-high, -low)
