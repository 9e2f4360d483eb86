"""Every comparison of two rows: as a table for people, and as `pairs.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from bench.analysis.board import Board
from bench.analysis.comparisons import SMALLEST_DIFFERENCE
from bench.analysis.pairs import Pair
from bench.report.markdown.folded import MOST_LINES, long_table
from bench.report.words import p_value, percent, plain, points, unbroken

BEST = 12
"""Rows of which every pair is shown on the page where there are too many rows to show all."""
MOST_ROWS = 200
"""Rows of which every pair at every size is in `pairs.csv`; of more, pairs of the best so many at the largest size."""
PAIR_COLUMNS = (
    *("board", "size", "first", "second", "difference", "low", "high", "p", "p_holm"),
    *("test", "seeds", "detectable", "apart"),
)
"""Columns of `pairs.csv`."""


def pairs_section(board: Board) -> str:
    """Markdown: pairs with difference, interval and p-values, largest train size first; nothing for a single row."""
    names = _ranked(board)
    sizes = [found.size for found in board.pairs.at][::-1]
    count = len(names) * (len(names) - 1) // 2
    if not count or not sizes:
        return ""
    whole = count <= MOST_LINES
    shown = sizes if count * len(sizes) <= MOST_LINES else sizes[:1]
    chosen = list(combinations(names, 2)) if whole else _best_and_neighbours(names)
    pairs = [pair for size in shown for one, other in chosen if (pair := board.pairs.between(one, other, size))]
    rows = [
        [
            plain(pair.first),
            plain(pair.second),
            f"{pair.size:,}",
            points(pair.difference),
            unbroken(f"{points(pair.low)} to {points(pair.high)}"),
            unbroken(p_value(pair.p)),
            unbroken(p_value(pair.p_holm)),
            percent(pair.detectable),
            str(pair.seeds),
            "yes" if pair.apart else "no",
        ]
        for pair in pairs
    ]
    headers = ["model", "against", "n", "difference", "95 % interval", "p", "p (Holm)", "detectable", "seeds", "apart"]
    table = long_table(headers, rows, right=range(2, 9), where="[pairs.csv](pairs.csv)")
    return f"{_how(board, pairs)}{_which(whole, len(shown) == len(sizes))}\n\n{table}"


def pairs_csv(boards: Sequence[Board]) -> str:
    """Every pair of every board as one CSV table, accuracies as fractions; see `MOST_ROWS` for large boards."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(PAIR_COLUMNS)
    for board in boards:
        for pair in _written(board):
            values = (getattr(pair, name) for name in PAIR_COLUMNS[1:])
            writer.writerow([board.id, *(f"{v:.6g}" if isinstance(v, float) else v for v in values)])
    return buffer.getvalue()


def _written(board: Board) -> Iterator[Pair]:
    for found in board.pairs.at:
        if len(board.rows) <= MOST_ROWS:
            yield from found.listed()
        elif found.size == board.train_sizes[-1]:
            pairs = (found.between(*names) for names in combinations(found.names[:MOST_ROWS], 2))
            yield from filter(None, pairs)


def _ranked(board: Board) -> list[str]:
    return [row.name for row in board.rows if row.rank is not None]


def _best_and_neighbours(names: Sequence[str]) -> list[tuple[str, str]]:
    """All pairs of the best rows, then each further row with the one above it."""
    return [*combinations(names[:BEST], 2), *pairwise(names[BEST - 1 :])]


def _how(board: Board, pairs: Sequence[Pair]) -> str:
    tests = {pair.test for pair in pairs}
    told = {
        "mcnemar": "with one common seed by McNemar's exact test (test-set uncertainty only)",
        "pooled": "with one common seed with the spread over seeds of the models that have several",
        "bootstrap": "with several by the paired bootstrap over seeds and test images",
    }
    return (
        "Differences in points of accuracy, model minus the one it stands against, on common seeds and the same test "
        f"images: {', '.join(text for test, text in told.items() if test in tests)}. p (Holm) is adjusted over all "
        "pairs at all train sizes of the board. Detectable: the true difference that this comparison finds four times "
        f"in five. Apart: the interval leaves out 0 and the difference is at least {100 * SMALLEST_DIFFERENCE:g} "
        "points. "
    )


def _which(whole: bool, every_size: bool) -> str:
    if whole and every_size:
        return "The same for programs: [pairs.csv](pairs.csv)."
    which = "All pairs" if whole else f"Pairs of the best {BEST} rows, then every other row with the one above it,"
    return f"{which} at the largest train size; the rest is in [pairs.csv](pairs.csv)."
