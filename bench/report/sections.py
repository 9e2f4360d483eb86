"""What stands below a table in `leaderboard.md`: pictures, comparisons, sweeps, per-seed values, failures."""

from __future__ import annotations

from itertools import pairwise

from bench.analysis.board import Board
from bench.analysis.confusions import most_confused, pooled_confusion
from bench.analysis.notes import reasons
from bench.analysis.rows import Row
from bench.analysis.settings import settings_of
from bench.profiles import ProfileRecord
from bench.report.cost_words import mebibytes, milliseconds, rate
from bench.report.figures import FIGURES
from bench.report.names import picture_names
from bench.report.words import (
    NOTHING,
    filled_table,
    link,
    p_value,
    percent,
    pipe_table,
    plain,
    points,
    setting,
    significant,
)

_CROSSED = (
    "A model whose accuracy is very uncertain may so share a better rank than one with higher accuracy that is "
    "certain to be behind. "
)


def sections(board: Board, below: str) -> list[str]:
    """The sections below a board's table; those that would be empty are left out."""
    found = [
        _how_to_read(board),
        _figures(board, below),
        _cost(board),
        _comparisons(board),
        _sweep(board),
        _per_seed(board),
        _confusions(board, below),
        _starts(board),
        _failures(board),
    ]
    return [section for section in found if section]


def _how_to_read(board: Board) -> str:
    methods = {row.top1.method for row in board.rows if row.top1}
    interval = {
        "wilson": "intervals of a single seed are Wilson's and show test-set uncertainty only",
        "bootstrap": "intervals of several seeds come from a hierarchical bootstrap over seeds and test images",
        "none": "an unknown interval means that predictions are missing",
    }
    told = "; ".join(text for method, text in interval.items() if method in methods)
    return (
        "Rows are ordered by rank. A model shares the rank of the best model that has none yet if the two cannot be "
        "told apart at 5 % (paired, Holm-adjusted) or differ by less than half a point. "
        + (_CROSSED if _crossed(board) else "")
        + (f"Of the 95 % intervals: {told}. " if told else "")
        + "Speeds are of this machine; `infer img/s` is the model only, on images that lie on the device."
    )


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
        f"### Cost\n\n{_settings(found[0][1])} Speeds with the 95 % interval of the median; the training step is on "
        "one resident batch, without data. How it was measured, ratios, sweeps and validity: [costs.md](costs.md)."
        f"\n\n{filled_table(headers, rows)}"
    )


def _settings(profile: ProfileRecord) -> str:
    """The settings of a board's timings as a sentence."""
    found = settings_of(profile)
    training = f", training step in {found.training_precision}" if found.training_precision else ""
    layout = f", {found.memory_format.replace('_', ' ')}" if found.memory_format else ""
    compiled = ", compiled" if found.compiled else ""
    return f"Inference in {found.precision or 'unknown arithmetic'}{training}{layout}{compiled}."


def _comparisons(board: Board) -> str:
    rows = [
        [
            plain(row.name),
            points(found.difference),
            f"{found.p:.3g}",
            p_value(found.p_holm),
            found.test,
            str(found.seeds),
        ]
        for row in board.rows
        if (found := row.comparison) is not None
    ]
    if not rows:
        return ""
    best = next(row.comparison.best for row in board.rows if row.comparison)
    table = pipe_table(["model", "difference, points", "p", "p (Holm)", "test", "seeds"], rows, right=(1, 2, 3, 5))
    return (
        f"### Compared with {plain(best)}\n\nAt the largest train size, on the same seeds and test images: exact "
        f"McNemar test for one seed, paired bootstrap for several.\n\n{table}"
    )


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
    table = pipe_table(["model", *map(setting, rates), "chosen", *[""] * flagged], rows, right=range(1, len(rates) + 2))
    edge = ""
    if any(row.lr_at_edge for row in swept):
        of_two = "Of two rates each is at the edge" if len(rates) == 2 else "Where the chosen rate is at the edge"
        edge = f"\n\n{of_two} of the grid: a better one may lie outside."
    return (
        "### Learning rates\n\nDev loss (dev top-1 %) of every trial, at the largest train size; the lowest loss is "
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
    return "### Every train size and seed\n\n" + pipe_table(headers, rows, right=range(1, len(headers)))


def _confusions(board: Board, below: str) -> str:
    names = picture_names(board)
    rows = []
    for row in board.rows:
        counts = pooled_confusion(row)
        if counts is None:
            continue
        worst = most_confused(counts, 3)
        classes = board.data.classes
        pairs = ", ".join(f"{classes[p.true]} → {classes[p.predicted]} ({percent(p.share)} %)" for p in worst)
        base = f"confusion/{below}{names[row.name]}"
        links = " · ".join([link("matrix", f"{base}.svg"), link("CSV", f"{base}.csv"), link("classes", f"{base}.md")])
        rows.append([plain(row.name), plain(pairs) or NOTHING, links])
    if not rows:
        return ""
    return "### Confusions\n\n" + pipe_table(["model", "most confused: true → predicted", "files"], rows)


def _starts(board: Board) -> str:
    rows = [
        [plain(row.name), plain(row.info.provenance), plain("; ".join(row.info.recipe_diff)) or "none", _paper(row)]
        for row in board.rows
        if row.info is not None
    ]
    if not rows:
        return ""
    table = pipe_table(["model", "initial weights", "differences from the common recipe", "paper"], rows)
    return f"### Where each model starts from\n\n{table}"


def _paper(row: Row) -> str:
    return plain(row.info.paper) or NOTHING if row.info else NOTHING


def _failures(board: Board) -> str:
    lines = [f"- {plain(row.name)}: {plain('; '.join(reasons(row.failed)))}" for row in board.rows if row.failed]
    return "### Failed\n\n" + "\n".join(lines) if lines else ""
