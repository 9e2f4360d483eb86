"""What a board's page says about mistakes: agreement between models, disagreements with images, calibration."""

from __future__ import annotations

import math

import numpy as np

from bench.analysis.agreement import Agreement, Disagreement
from bench.analysis.answers import SCORED_ROWS
from bench.analysis.board import Board
from bench.analysis.calibration import Calibration
from bench.analysis.mistakes import Mistakes
from bench.report.figures.agreement import MOST_SHOWN, shown_disagreement
from bench.report.figures.mistakes import MISTAKE_FIGURES, mistake_figure_names
from bench.report.words import NOTHING, percent, pipe_table, plain, points

_MATRIX_UP_TO = 8
"""Rows up to which κ is shown as a matrix."""


def agreement_section(board: Board, mistakes: Mistakes, below: str) -> str:
    """The whole section as Markdown with headings of the third level; empty where no row has a result.

    `below` stands between `figures/` and a file name.
    """
    parts = [_classes(board, below), *_agreement(mistakes, below), *_calibration(board, mistakes, below)]
    return "\n\n".join(part for part in parts if part)


def _classes(board: Board, below: str) -> str:
    if not any(row.points for row in board.rows):
        return ""
    return f"### Recall per class\n\n{_image('per_class', below)}"


def _agreement(mistakes: Mistakes, below: str) -> list[str]:
    found = mistakes.agreement
    if len(found.names) < 2:
        return []
    return [
        f"### Do models make the same mistakes?\n\n{_told(found)}",
        _matrix(found) if len(found.names) <= _MATRIX_UP_TO else _extremes(found),
        _image("agreement", below),
        *_disagreements(mistakes, below),
    ]


def _told(found: Agreement) -> str:
    several = not np.isnan(np.diagonal(found.kappa)).all()
    reference = (
        "the diagonal is a model's own seeds against each other, the reference for how alike two runs can be"
        if several
        else "with one seed there is no reference for how consistent a model is with itself"
    )
    paired = "runs of different seeds are compared" if several and not found.same_seed else "seeds are paired"
    return (
        f"Error consistency κ (Geirhos et al. 2020) on {found.images:,} test images at the largest train size: 0 is "
        f"what independent mistakes give, 1 the same mistakes; {reference}. Means over seeds, {paired}; 95 % intervals "
        "from a bootstrap over the images: test-set uncertainty only."
    )


def _matrix(found: Agreement) -> str:
    rows = [
        [plain(name), *(_kappa(found, k, j) if j <= k else "" for j in range(len(found.names)))]
        for k, name in enumerate(found.names)
    ]
    headers = ["κ", *map(plain, found.names)]
    return pipe_table(headers, rows, right=range(1, len(headers)))


def _extremes(found: Agreement) -> str:
    """For many rows: of each its own consistency, and which other it is most and least like."""
    rows = []
    for k, name in enumerate(found.names):
        others = [j for j in range(len(found.names)) if j != k and not math.isnan(found.kappa[k, j])]
        order = sorted(others, key=lambda j: found.kappa[k, j])
        ends = [f"{plain(found.names[j])} {_kappa(found, k, j)}" for j in (order[-1], order[0])] if order else ["", ""]
        rows.append([plain(name), _kappa(found, k, k), *ends])
    table = pipe_table(["model", "own seeds κ", "most alike, κ", "least alike, κ"], rows, right=(1,))
    return f"{table}\n\nOf the best {len(found.names)} models."


def _kappa(found: Agreement, k: int, j: int) -> str:
    """`0.45 [0.40, 0.50]`."""
    if math.isnan(found.kappa[k, j]):
        return NOTHING
    return f"{found.kappa[k, j]:.2f} [{found.low[k, j]:.2f}, {found.high[k, j]:.2f}]"


def _disagreements(mistakes: Mistakes, below: str) -> list[str]:
    found = mistakes.disagreements
    if not found:
        return []
    best = plain(found[0].first)
    rows = [[plain(d.second), f"{len(d.only_first):,}", f"{len(d.only_second):,}", f"{d.both_wrong:,}"] for d in found]
    headers = ["other model", f"only {best} right", "only the other right", "both wrong"]
    table = pipe_table(headers, rows, right=(1, 2, 3))
    told = f"Images that one model gets right, or wrong, in all of its seeds, of {found[0].images:,}."
    parts = [f"### Where {best} and others disagree\n\n{told}\n\n{table}"]
    shown = shown_disagreement(mistakes)
    if shown is not None:
        parts.append(_image("disagreements", below))
        if missing := _missing(mistakes, shown):
            parts.append(f"{missing} of the images to be shown were not kept.")
    elif any(len(d.only_first) + len(d.only_second) for d in found):
        parts.append(
            "The images themselves were not kept: run the same command where the dataset is at hand to have them here."
        )
    return parts


def _missing(mistakes: Mistakes, found: Disagreement) -> int:
    """Images of the disagreement's picture that were not kept."""
    shown = [*found.only_first[:MOST_SHOWN], *found.only_second[:MOST_SHOWN]]
    return sum(int(mistakes.answers.index[position]) not in mistakes.images for position in shown)


def _calibration(board: Board, mistakes: Mistakes, below: str) -> list[str]:
    if not mistakes.calibrations:
        return []
    rows = [[plain(name), *_calibration_cells(found)] for name, found in mistakes.calibrations.items()]
    headers = ["model", "ECE %", "95 % interval", "NLL", "Brier", "confidence − accuracy, points"]
    parts = [
        f"### Calibration\n\n{_calibration_told(mistakes)}",
        pipe_table(headers, rows, right=range(1, len(headers))),
    ]
    if "calibration" in mistake_figure_names(board, mistakes):
        parts.append(_image("calibration", below))
    return parts


def _calibration_told(mistakes: Mistakes) -> str:
    told = (
        "At the largest train size, means over seeds. ECE: mean distance between confidence and accuracy in 15 bins "
        "of equal width; NLL in nats; Brier: mean squared distance between probabilities and the label's one-hot "
        "vector, from 0 to 2."
    )
    if mistakes.curves:
        told += (
            " Intervals are approximate, from resamples of the test images (test-set uncertainty only); they allow for "
            "what chance adds to ECE, so that a well calibrated model's value lies at their upper end."
        )
    if len(mistakes.curves) < len(mistakes.calibrations):
        told += (
            f" Brier score, interval and curve need the logits: they are read for the best {SCORED_ROWS} models, where "
            "they were kept; ECE and NLL of the others are those of their records."
        )
    return told


def _calibration_cells(found: Calibration) -> list[str]:
    interval = NOTHING
    if found.ece_low is not None and found.ece_high is not None:
        interval = f"{percent(found.ece_low)}–{percent(found.ece_high)}"
    brier = NOTHING if found.brier is None else f"{found.brier:.3f}"
    return [percent(found.ece), interval, f"{found.nll:.3f}", brier, points(found.overconfidence)]


def _image(name: str, below: str) -> str:
    return f"![{MISTAKE_FIGURES[name]}](figures/{below}{name}.svg)"
