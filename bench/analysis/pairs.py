"""All pairs of rows at all train sizes: differences, intervals, p-values and what could have been seen at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.comparisons import Compared, holm, told_apart

Matrix = NDArray[np.floating[Any]]
_DOUBLE_ROWS = 300
"""Boards of more rows keep their matrices as float32: with 1,300 rows and five sizes they take 260 MB."""


@dataclass(frozen=True)
class Pair:
    """One row minus another at one train size."""

    first: str
    """Name of the first row."""
    second: str
    """Name of the second row."""
    size: int
    """Training images."""
    difference: float
    """Accuracy of the first minus the second on common seeds and images, a fraction."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end of its 95 % interval."""
    p: float
    """Two-sided p-value of no difference."""
    p_holm: float
    """The same after Holm's adjustment over all pairs at all train sizes of the board."""
    test: Literal["mcnemar", "pooled", "bootstrap"]
    """`mcnemar`: exact, one common seed (test-set uncertainty only). `pooled`: one common seed, with the spread over
    seeds of the other rows. `bootstrap`: paired, over seeds and images."""
    seeds: int
    """Seeds compared on."""
    detectable: float
    """Smallest true difference that this comparison would have found 80 % of the time at 5 %."""
    apart: bool
    """Whether the two are told apart: the interval excludes 0 and the difference is at least half a point."""


@dataclass(frozen=True, eq=False)
class PairsAtSize:
    """All pairs at one train size as matrices [rows, rows], row minus column; NaN where nothing can be compared.

    That is so on the diagonal too. `difference` and the ends of its interval change sign with the order of a pair.
    """

    size: int
    """Training images."""
    names: tuple[str, ...]
    """Names of the rows that can be compared here, in the order of the board."""
    difference: Matrix
    """Accuracy of the row minus that of the column on common seeds and images, fractions."""
    low: Matrix
    """Lower ends of the 95 % intervals."""
    high: Matrix
    """Upper ends."""
    p: Matrix
    """Two-sided p-values of no difference."""
    p_holm: Matrix
    """The same after Holm's adjustment over all pairs at all train sizes of the board."""
    detectable: Matrix
    """Smallest true differences that would have been found 80 % of the time at 5 %."""
    seeds: NDArray[np.integer[Any]]
    """Common seeds of each pair; 0 where nothing can be compared."""
    apart: NDArray[np.bool_]
    """Whether two rows are told apart: the interval excludes 0 and the difference is at least half a point."""
    pooled: bool = False
    """Whether pairs with one common seed have the spread over seeds of the other rows."""

    @cached_property
    def position(self) -> dict[str, int]:
        """Row and column of each name."""
        return {name: k for k, name in enumerate(self.names)}

    def between(self, first: str, second: str) -> Pair | None:
        """One pair; None where either row has no result here or they have no seed in common."""
        i, j = self.position.get(first), self.position.get(second)
        return None if i is None or j is None or not self.seeds[i, j] else self._pair(i, j)

    def listed(self) -> Iterator[Pair]:
        """Every unordered pair once, in the order of the rows."""
        for i in range(len(self.names)):
            for j in range(i + 1, len(self.names)):
                if self.seeds[i, j]:
                    yield self._pair(i, j)

    def ordered(self, names: Sequence[str]) -> PairsAtSize:
        """The same with the rows in the order of `names`, which may hold others too."""
        there = [name for name in names if name in self.position]
        if there == list(self.names):
            return self
        index = [self.position[name] for name in there]
        chosen = np.ix_(index, index)
        return PairsAtSize(
            size=self.size,
            names=tuple(there),
            difference=self.difference[chosen],
            low=self.low[chosen],
            high=self.high[chosen],
            p=self.p[chosen],
            p_holm=self.p_holm[chosen],
            detectable=self.detectable[chosen],
            seeds=self.seeds[chosen],
            apart=self.apart[chosen],
            pooled=self.pooled,
        )

    def _pair(self, i: int, j: int) -> Pair:
        seeds = int(self.seeds[i, j])
        return Pair(
            first=self.names[i],
            second=self.names[j],
            size=self.size,
            difference=float(self.difference[i, j]),
            low=float(self.low[i, j]),
            high=float(self.high[i, j]),
            p=float(self.p[i, j]),
            p_holm=float(self.p_holm[i, j]),
            test="bootstrap" if seeds > 1 else "pooled" if self.pooled else "mcnemar",
            seeds=seeds,
            detectable=float(self.detectable[i, j]),
            apart=bool(self.apart[i, j]),
        )


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every comparison of a board, by ascending train size."""

    at: tuple[PairsAtSize, ...]
    """One for each train size with a row that can be compared."""

    def of_size(self, size: int) -> PairsAtSize | None:
        """The pairs at one train size; None where no row can be compared."""
        return next((found for found in self.at if found.size == size), None)

    def between(self, first: str, second: str, size: int) -> Pair | None:
        """One pair at one train size; None where it cannot be compared."""
        found = self.of_size(size)
        return found.between(first, second) if found else None

    def listed(self, size: int) -> Iterator[Pair]:
        """Every unordered pair at a train size once, in the order of the rows."""
        found = self.of_size(size)
        return found.listed() if found else iter(())


def pairs_of(compared: Sequence[tuple[int, tuple[str, ...], Compared]]) -> Pairs:
    """All pairs from (train size, names of the rows, their comparisons) by ascending size; Holm over all of them."""
    adjusted = holm(np.concatenate([found.p for _, _, found in compared])) if compared else np.empty(0)
    at = []
    start = 0
    for size, names, found in compared:
        at.append(_at(size, names, found, adjusted[start : start + len(found.p)]))
        start += len(found.p)
    return Pairs(tuple(at))


def _at(size: int, names: tuple[str, ...], found: Compared, p_holm: NDArray[np.float64]) -> PairsAtSize:
    rows = len(names)
    kind = np.float64 if rows <= _DOUBLE_ROWS else np.float32
    apart = told_apart(found.difference, found.low, found.high)
    return PairsAtSize(
        size=size,
        names=names,
        difference=_squared(found.difference, -found.difference, rows, np.nan, kind),
        low=_squared(found.low, -found.high, rows, np.nan, kind),
        high=_squared(found.high, -found.low, rows, np.nan, kind),
        p=_squared(found.p, found.p, rows, np.nan, kind),
        p_holm=_squared(p_holm, p_holm, rows, np.nan, kind),
        detectable=_squared(found.detectable, found.detectable, rows, np.nan, kind),
        seeds=_squared(found.seeds, found.seeds, rows, 0, np.int16),
        apart=_squared(apart, apart, rows, False, np.bool_),
        pooled=found.pooled,
    )


def _squared(above: NDArray[Any], below: NDArray[Any], rows: int, diagonal: float, kind: type[Any]) -> NDArray[Any]:
    """A square matrix from its upper triangle, in the order of `numpy.triu_indices(rows, 1)`, and its mirror."""
    matrix = np.full((rows, rows), diagonal, dtype=kind)
    upper = np.triu_indices(rows, 1)
    matrix[upper] = above
    matrix.T[upper] = below
    return matrix
