"""Confusions in words and numbers: CSV, and the worst pairs and recalls in Markdown. Pictures: `figures.confusions`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence

from bench.analysis.board import Board
from bench.analysis.confusions import Counts, JudgedPair, judged_pairs, recalls, seed_confusions
from bench.analysis.rows import Row
from bench.report.markdown.main_table import MOST_ROWS
from bench.report.markdown.stamp import title
from bench.report.names import picture_names
from bench.report.words import NOTHING, percent, pipe_table, plain, plural

_PAIRS = 20
_HOW_TO_READ = (
    "Shares are of the test images of the true class, mean over seeds; intervals are Wilson's at 95 % on the images of "
    "the class, since all seeds see the same ones, and cover which images the test set holds. `one way`: told apart "
    "from the reverse confusion at 5 % (exact test on the mean counts, Holm-adjusted over the pairs listed); `both "
    "ways`: not told apart, and each above what mistakes spread evenly over the other classes would give; `undecided`: "
    "neither."
)


def confusion_texts(board: Board) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(name, bytes by ending) of the `.csv` and `.md` of every row of `tabulated`."""
    names = picture_names(board)
    for row in tabulated(board):
        by_seed = seed_confusions(row)
        if by_seed is not None:
            texts = {
                ".csv": confusion_csv(board.data.classes, by_seed.sum(axis=0)),
                ".md": confusion_markdown(board, row, by_seed),
            }
            yield names[row.name], {ending: text.encode() for ending, text in texts.items()}


def tabulated(board: Board) -> list[Row]:
    """The rows whose confusions are written as tables: those that the page names, best first."""
    return [row for row in board.rows if row.points][:MOST_ROWS]


def confusion_csv(classes: Sequence[str], counts: Counts) -> str:
    """Rows true, columns predicted, as parts of the row, then the row's test images (seeds summed)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["true \\ predicted", *classes, "images"])
    totals = counts.sum(axis=1)
    for name, line, total in zip(classes, counts.tolist(), totals.tolist(), strict=True):
        shares = [f"{count / total:.6g}" if count else "0" for count in line] if total else [""] * len(line)
        writer.writerow([name, *shares, total])
    return buffer.getvalue()


def confusion_markdown(board: Board, row: Row, by_seed: Counts) -> str:
    """The most confused pairs, each judged, and recall per class, the lowest first.

    `by_seed` are counts int64 [seeds, true, predicted].
    """
    pairs = judged_pairs(by_seed, _PAIRS)
    parts = [
        f"# {plain(row.name)}: confusions",
        f"{plain(title(board))}; {plain(where(row, by_seed.sum(axis=0)))}.",
        f"## Most confused pairs\n\n{_pair_table(board, pairs)}",
        f"## Recall per class\n\n{_recall_table(board.data.classes, by_seed)}",
    ]
    return "\n\n".join(parts) + "\n"


def where(row: Row, counts: Counts) -> str:
    """`n = 1,293, top-1 83.1 %, 1,080 test images, 3 seeds summed`."""
    point = row.points[-1]
    seeds = "" if len(point.per_seed) == 1 else f", {plural(len(point.per_seed), 'seed')} summed"
    return f"n = {point.size:,}, top-1 {percent(point.value)} %, {plural(int(counts.sum()), 'test image')}{seeds}"


def _pair_table(board: Board, pairs: Sequence[JudgedPair]) -> str:
    if not pairs:
        return "No image was confused."
    classes, seeds = board.data.classes, pairs[0].seeds
    headers = ["true", "predicted", "% of the true class", "95 % interval", "reverse %", "direction", "p", "images"]
    headers += [f"among the {len(pairs)} worst in", "above chance in"] if seeds > 1 else ["above chance"]
    rows = []
    for found in pairs:
        repeats = [f"{found.worst_in} of {seeds}", f"{found.above_in} of {seeds}"]
        rows.append(
            [
                plain(classes[found.pair.true]),
                plain(classes[found.pair.predicted]),
                percent(found.pair.share),
                f"{percent(found.low)}–{percent(found.high)}",
                NOTHING if math.isnan(found.reverse) else percent(found.reverse),
                found.direction,
                f"{found.p:.2g}",
                f"{found.pair.count:,}",
                *(repeats if seeds > 1 else ["yes" if found.above_in else "no"]),
            ]
        )
    chance = "above those of mistakes spread evenly over the other classes"
    told = (
        f"A pair repeats where it is among the {len(pairs)} worst of each seed; above chance: the lower end of the "
        f"seed's own interval is {chance}."
        if seeds > 1
        else f"Above chance: the lower end of the interval is {chance}. One seed cannot show what repeats."
    )
    return f"{_HOW_TO_READ} {told}\n\n{pipe_table(headers, rows, right=(2, 3, 4, 6, 7))}"


def _recall_table(classes: Sequence[str], by_seed: Counts) -> str:
    found, counts = recalls(by_seed), by_seed.sum(axis=0)
    totals, right = counts.sum(axis=1), counts.diagonal()
    order = sorted(range(len(classes)), key=lambda k: (not totals[k], found.recall[k] if totals[k] else 0.0, k))
    rows = [
        [
            plain(classes[k]),
            percent(float(found.recall[k])) if totals[k] else NOTHING,
            f"{percent(float(found.low[k]))}–{percent(float(found.high[k]))}" if totals[k] else NOTHING,
            f"{right[k]:,} of {totals[k]:,}",
        ]
        for k in order
    ]
    return pipe_table(["class", "recall %", "95 % interval", "images"], rows, right=(1, 2, 3))
