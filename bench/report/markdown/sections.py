"""What stands below a table in `leaderboard.md`: pictures, and everything else folded away until it is asked for."""

from __future__ import annotations

from itertools import pairwise

from bench.analysis.board import Board
from bench.analysis.confusions import most_confused, pooled_confusion
from bench.analysis.mistakes import Mistakes
from bench.analysis.notes import reasons
from bench.analysis.rows import Row
from bench.analysis.settings import settings_of
from bench.profiles import ProfileRecord
from bench.report.costs.words import mebibytes, milliseconds, rate
from bench.report.figures.board import FIGURES
from bench.report.figures.confusions import WORST, confusion_picture_names
from bench.report.markdown.agreement import agreement_section
from bench.report.markdown.efficiency import DATA_EFFICIENCY, efficiency_section
from bench.report.markdown.folded import MOST_LINES, folded, left_out, long_table
from bench.report.markdown.fronts import front_section
from bench.report.markdown.pairs import pairs_section
from bench.report.markdown.published import PUBLISHED, published_section
from bench.report.names import picture_names
from bench.report.words import (
    NOTHING,
    filled_table,
    link,
    percent,
    pipe_table,
    plain,
    setting,
    significant,
)

_CROSSED = (
    "A model whose accuracy is very uncertain may so share a better rank than one with higher accuracy that is "
    "certain to be behind. "
)
_RANK_INTERVALS = (
    "The interval of a rank goes from 1 + the models that are surely better to the number of those that are not surely "
    "worse, with the comparisons of one model adjusted together (Holm; Mogstad et al. 2024). Best in % of draws: how "
    "often its accuracy is the highest when seeds and test images are drawn anew."
)


def sections(board: Board, below: str, mistakes: Mistakes | None = None) -> list[str]:
    """The sections below a board's table; those that would be empty are left out.

    `below` stands between `figures/` (or `confusion/`) and a file name. `mistakes` are those of the board; without
    them there is nothing on agreement and calibration.
    """
    found = [
        _figures(board, below),
        folded("How ranks are decided", _ranks(board)),
        folded("All pairs: differences, intervals, p-values", pairs_section(board)),
        folded("Every train size and seed", _per_seed(board)),
        folded(DATA_EFFICIENCY, efficiency_section(board)),
        folded("Trade-offs: accuracy against each cost", front_section(board)),
        folded("Learning rates", _sweep(board)),
        folded("Cost", _cost(board)),
        folded("Confusions: the most confused classes of each model", _confusions(board, below)),
        folded("Agreement and calibration", agreement_section(board, mistakes, below) if mistakes else ""),
        folded("Where each model starts from", _starts(board)),
        folded("Failed", _failures(board)),
        folded(PUBLISHED, published_section(board)),
    ]
    return [section for section in found if section]


def _ranks(board: Board) -> str:
    """The rule, how sure each rank is, and what the intervals are."""
    methods = {row.top1.method for row in board.rows if row.top1}
    interval = {
        "wilson": "intervals of a single seed are Wilson's and show test-set uncertainty only",
        "pooled": "a single seed's interval has the spread over seeds of the models that have several",
        "bootstrap": "intervals of several seeds come from a hierarchical bootstrap over seeds and test images",
        "none": "an unknown interval means that predictions are missing",
    }
    told = "; ".join(text for method, text in interval.items() if method in methods)
    rule = (
        "Rows are ordered by rank. The best model without a rank opens a tier; in it are all others without a rank "
        "that cannot be told apart from it: the 95 % interval of the paired difference covers 0, or the difference is "
        "below half a point. The next tier's rank counts the models before it. "
        + (_CROSSED if _crossed(board) else "")
        + (f"Of the 95 % intervals: {told}. " if told else "")
    )
    return f"{rule.strip()}\n\n{_rank_table(board)}".strip()


def _rank_table(board: Board) -> str:
    rows = [
        [
            plain(row.name),
            str(row.rank),
            NOTHING if row.rank_low is None else f"{row.rank_low}–{row.rank_high}",
            percent(row.p_best),
            str(len(row.top1.per_seed)) if row.top1 else NOTHING,
        ]
        for row in board.rows
        if row.rank is not None
    ]
    if len(rows) < 2:
        return ""
    headers = ["model", "rank", "95 % interval of the rank", "best in % of draws", "seeds"]
    table = long_table(headers, rows, right=range(1, 5), where="`leaderboard.csv`")
    return f"{_RANK_INTERVALS}\n\n{table}"


def _crossed(board: Board) -> bool:
    """Whether a row stands above one with higher accuracy, because it is too uncertain to be told apart."""
    scores = [row.top1.value for row in board.rows if row.rank is not None and row.top1 is not None]
    ranks = [row.rank for row in board.rows if row.rank is not None]
    return any(a < b and rank != other for (a, b), (rank, other) in zip(pairwise(scores), pairwise(ranks), strict=True))


def _figures(board: Board, below: str) -> str:
    if not any(row.points for row in board.rows):
        return ""
    images = [f"![{text}](figures/{below}{name}.svg)" for name, (text, _) in FIGURES.items()]
    return "### Figures\n\n" + "\n\n".join(images)


def _cost(board: Board) -> str:
    """What the models cost with the settings that all rows share."""
    found = [(row, row.profile) for row in board.rows if row.profile is not None and row.profile.status == "ok"]
    if not found:
        return ""
    rows = []
    for row, profile in found:
        memory, energy = profile.memory, profile.energy
        peaks: tuple[int | None, ...] = (None, None, None)
        if memory is not None:
            peaks = memory.weights_bytes, memory.inference_peak_bytes, memory.training_peak_bytes
        rows.append(
            [
                *(plain(row.name), milliseconds(profile.latency), rate(profile.inference), rate(profile.training)),
                *map(mebibytes, peaks),
                *(percent(row.mfu), significant(energy.millijoule_per_image if energy else None)),
            ]
        )
    headers = ["model", "latency p50 ms", "infer img/s", "training step img/s"]
    headers += ["weights MiB", "inference peak MiB", "training peak MiB", "MFU %", "mJ/image"]
    return (
        f"{_settings(found[0][1])} Speeds with the 95 % interval of the median; the training step is on "
        "one resident batch, without data. How it was measured, ratios, sweeps and validity: [costs.md](costs.md)."
        f"\n\n{filled_table(headers, rows[:MOST_LINES])}{left_out(len(rows) - MOST_LINES, '`leaderboard.csv`')}"
    )


def _settings(profile: ProfileRecord) -> str:
    """The settings of a board's timings as a sentence."""
    found = settings_of(profile)
    training = f", training step in {found.training_precision}" if found.training_precision else ""
    layout = f", {found.memory_format.replace('_', ' ')}" if found.memory_format else ""
    compiled = ", compiled" if found.compiled else ""
    return f"Inference in {found.precision or 'unknown arithmetic'}{training}{layout}{compiled}."


def _sweep(board: Board) -> str:
    swept = [row for row in board.rows if row.trials]
    if not swept:
        return ""
    rates = sorted({trial.lr for row in swept for trial in row.trials})
    flagged = len(rates) > 2 and any(row.lr_at_edge for row in swept)
    rows = []
    for row in swept:
        by_rate = {trial.lr: trial for trial in row.trials}
        cells = [
            "" if (t := by_rate.get(lr)) is None
            else "failed" if t.dev_loss is None
            else f"{'**' * (lr == row.chosen_lr)}{t.dev_loss:.3f}{'**' * (lr == row.chosen_lr)} ({percent(t.dev_top1)})"
            for lr in rates
        ]  # fmt: skip
        flag = ["edge of the grid" if row.lr_at_edge else ""] if flagged else []
        rows.append([plain(row.name), *cells, setting(row.chosen_lr), *flag])
    headers = ["model", *map(setting, rates), "chosen", *[""] * flagged]
    table = long_table(headers, rows, right=range(1, len(rates) + 2))
    edge = ""
    if any(row.lr_at_edge for row in swept):
        of_two = "Of two rates each is at the edge" if len(rates) == 2 else "Where the chosen rate is at the edge"
        edge = f"\n\n{of_two} of the grid: a better one may lie outside."
    return (
        "Dev loss (dev top-1 %) of every trial, at the largest train size; the lowest loss is "
        f"chosen and used at all sizes and seeds.\n\n{table}{edge}"
    )


def _per_seed(board: Board) -> str:
    rows = []
    for row in board.rows:
        for point in reversed(row.points):
            values = [percent(point.per_seed.get(seed)) for seed in board.seeds]
            interval = NOTHING if point.low is None else f"{percent(point.low)}–{percent(point.high)}"
            rows.append([plain(row.name), f"{point.size:,}", percent(point.value), interval, *values])
    if not rows:
        return ""
    headers = ["model", "n", "top-1 %", "95 % interval", *(f"seed {seed}" for seed in board.seeds)]
    return long_table(headers, rows, right=range(1, len(headers)))


def _confusions(board: Board, below: str) -> str:
    names, drawn = picture_names(board), set(confusion_picture_names(board))
    rows = []
    for row in board.rows[:MOST_LINES]:
        counts = pooled_confusion(row)
        if counts is None:
            continue
        worst = most_confused(counts, 3)
        classes = board.data.classes
        pairs = ", ".join(f"{classes[p.true]} → {classes[p.predicted]} ({percent(p.share)} %)" for p in worst)
        base = f"confusion/{below}{names[row.name]}"
        links = [link("CSV", f"{base}.csv"), link("classes", f"{base}.md")]
        if f"{WORST}{names[row.name]}" in drawn:
            links.insert(0, link("worst classes", f"confusion/{below}{WORST}{names[row.name]}.svg"))
        if names[row.name] in drawn:
            links.insert(0, link("matrix", f"{base}.svg"))
        rows.append([plain(row.name), plain(pairs) or NOTHING, " · ".join(links)])
    if not rows:
        return ""
    table = pipe_table(["model", "most confused: true → predicted", "files"], rows)
    return table + left_out(len(board.rows) - MOST_LINES, "`confusion/`")


def _starts(board: Board) -> str:
    rows = [
        [plain(row.name), plain(row.info.provenance), plain("; ".join(row.info.recipe_diff)) or "none", _paper(row)]
        for row in board.rows
        if row.info is not None
    ]
    if not rows:
        return ""
    return long_table(["model", "initial weights", "differences from the common recipe", "paper"], rows)


def _paper(row: Row) -> str:
    return plain(row.info.paper) or NOTHING if row.info else NOTHING


def _failures(board: Board) -> str:
    lines = [f"- {plain(row.name)}: {plain('; '.join(reasons(row.failed)))}" for row in board.rows if row.failed]
    return "\n".join(lines[:MOST_LINES]) + left_out(len(lines) - MOST_LINES, "`leaderboard.json`")
