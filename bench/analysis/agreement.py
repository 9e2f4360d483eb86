"""Whether models make the same mistakes: error consistency between them, and the images they disagree on."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.analysis.answers import Answered, Answers
from bench.analysis.confusions import most_confused
from bench.analysis.intervals import BOOTSTRAP_SEED, DRAWS, LEVEL

Matrix = NDArray[np.float64]
Correct = NDArray[np.bool_]
Ints = NDArray[np.int64]

MOST_IMAGES = 400
"""Test images that a board wants to show."""
_SHOWN_OF_DISAGREEMENT, _SHOWN_OF_PAIR, _PAIRS, _ROWS = 24, 4, 12, 8
_WORK = 3e10
"""Multiply-accumulates that a bootstrap may take: a few seconds on one core."""
_FEWEST_DRAWS = 100
"""Resamples however many images there are; the standard error they give is known to about 7 %."""


@dataclass(frozen=True)
class Agreement:
    """Error consistency of rows with each other; all matrices float64 [rows, rows] and symmetric."""

    names: tuple[str, ...]
    """Rows, in the order of the board."""
    kappa: Matrix
    """κ of each pair; on the diagonal that of one seed of a row with another. NaN where it is not defined."""
    low: Matrix
    """Lower end of the 95 % interval over test images."""
    high: Matrix
    """Upper end."""
    images: int
    """Test images compared on."""
    same_seed: bool
    """Whether some pair could only be compared on one and the same seed, as there is no other."""


@dataclass(frozen=True)
class Disagreement:
    """Test images that one row gets right in all of its seeds and another one wrong in all of its own."""

    first: str
    second: str
    only_first: Ints
    """Images that only the first gets right, as positions in `Answers.index`; first those that most rows get right."""
    only_second: Ints
    """Images that only the second gets right."""
    both_wrong: int
    """Images that both get wrong in all seeds."""
    images: int
    """Test images compared on."""


def agreement(answers: Answers, draws: int = DRAWS) -> Agreement:
    """Error consistency of every pair of rows (Geirhos, Meding & Wichmann 2020, "Beyond accuracy", NeurIPS).

    κ = (c_obs − c_exp) / (1 − c_exp): c_obs is the part of the images on which two runs are both right or both wrong,
    c_exp that of two independent runs with their accuracies. 0 is what chance gives, 1 the same mistakes. It is the
    mean over pairs of runs with different seeds, so that the diagonal, a model against itself, is a fair reference:
    two runs then share the test images but not the training subset. Where there is a single seed, the same is taken
    for both rows and the diagonal is empty. The interval is κ ± z standard errors of a bootstrap over the images.
    """
    correct = [answers.correct(row) for row in answers.rows]
    names = tuple(row.name for row in answers.rows)
    if not names:
        nothing = np.empty((0, 0))
        return Agreement((), nothing, nothing, nothing, 0, False)
    hits = np.concatenate(correct).astype(np.float32)
    rows = np.repeat(np.arange(len(names)), [len(one) for one in correct])
    seeds = np.concatenate([row.seeds for row in answers.rows])
    compared, same_seed = _compared(rows, seeds)
    belongs = (rows[None] == np.arange(len(names))[:, None]).astype(np.float64)
    images = hits.shape[1]
    kappa = _by_rows(_kappa(hits, np.full(images, 1 / images, dtype=np.float32)), compared, belongs)
    error = _standard_error(hits, compared, belongs, draws)
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * error
    return Agreement(names, kappa, np.maximum(kappa - half, -1.0), np.minimum(kappa + half, 1.0), images, same_seed)


def disagreement(answers: Answers, first: Answered, second: Answered) -> Disagreement:
    """Where two rows disagree in all of their seeds; images that most rows get right come first."""
    one, other = answers.correct(first), answers.correct(second)
    everyone = np.sum([answers.correct(row).mean(axis=0) for row in answers.rows], axis=0)

    def ordered(right: Correct, wrong: Correct) -> Ints:
        found = np.flatnonzero(right.all(axis=0) & ~wrong.any(axis=0))
        return found[np.lexsort((found, -everyone[found]))]

    return Disagreement(
        first=first.name,
        second=second.name,
        only_first=ordered(one, other),
        only_second=ordered(other, one),
        both_wrong=int((~one.any(axis=0) & ~other.any(axis=0)).sum()),
        images=len(answers.label),
    )


def disagreements(answers: Answers, most: int = 5) -> list[Disagreement]:
    """The best row against each of the `most` rows after it."""
    best, others = answers.rows[:1], answers.rows[1 : most + 1]
    return [disagreement(answers, best[0], other) for other in others]


def confused_images(answers: Answers, row: Answered, true: int, predicted: int) -> Ints:
    """Images of one class that a row takes for another, as positions, those most seeds do so with first."""
    seeds = ((row.prediction == predicted) & (answers.label == true)).sum(axis=0)
    found = np.flatnonzero(seeds)
    return found[np.lexsort((found, -seeds[found]))]


def wrong_answer(row: Answered, position: int, label: int) -> int | None:
    """The class that most seeds name instead of the label for one image, the lowest on a tie; None if none does."""
    named = row.prediction[:, position]
    wrong = named[named != label]
    return int(np.bincount(wrong).argmax()) if len(wrong) else None


def wanted_images(answers: Answers, classes: int, most: int = MOST_IMAGES) -> list[int]:
    """Positions in the test split of at most `most` images that a board wants to show, the most wanted first.

    Where the best row and those after it disagree; then examples of the worst confusions of the best rows, one of each
    pair in turn; then what the fewest runs get right. The same answers always give the same images.
    """
    chosen: dict[int, None] = {}
    for found in disagreements(answers):
        for side in (found.only_first, found.only_second):
            chosen.update(dict.fromkeys(side[:_SHOWN_OF_DISAGREEMENT].tolist()))
    examples = [
        confused_images(answers, row, pair.true, pair.predicted)[:_SHOWN_OF_PAIR].tolist()
        for row in answers.rows[:_ROWS]
        for pair in most_confused(_confusion(answers, row, classes), _PAIRS)
    ]
    for turn in range(_SHOWN_OF_PAIR):
        chosen.update(dict.fromkeys(pair[turn] for pair in examples if turn < len(pair)))
    if answers.rows:
        right = np.sum([answers.correct(row).mean(axis=0) for row in answers.rows], axis=0)
        hard = np.flatnonzero(right < len(answers.rows))
        chosen.update(dict.fromkeys(hard[np.lexsort((hard, right[hard]))].tolist()))
    return [int(answers.index[position]) for position in list(chosen)[:most]]


def _confusion(answers: Answers, row: Answered, classes: int) -> Ints:
    """Counts int64 [true, predicted] of all seeds of a row."""
    flat = np.bincount((answers.label * classes + row.prediction).ravel(), minlength=classes * classes)
    return flat.reshape(classes, classes)


def _compared(rows: Ints, seeds: Ints) -> tuple[NDArray[np.bool_], bool]:
    """Which pairs of runs count, bool [runs, runs], and whether some pair of rows had to make do with equal seeds."""
    apart = seeds[:, None] != seeds[None]
    other = rows[:, None] != rows[None]
    belongs = (rows[None] == np.arange(rows.max() + 1)[:, None]).astype(np.int64)
    none = (belongs @ apart.astype(np.int64) @ belongs.T) == 0
    alone = none[np.ix_(rows, rows)] & other
    return apart | alone, bool(alone.any())


def _kappa(hits: NDArray[np.float32], weights: NDArray[np.float32]) -> Matrix:
    """κ of every pair of runs [runs, runs], images weighted (weights add up to 1); NaN where chance explains all."""
    weighted = hits * weights
    right = weighted.sum(axis=1, dtype=np.float64)
    both = (weighted @ hits.T).astype(np.float64)
    observed = 1 - right[:, None] - right[None] + 2 * both
    expected = right[:, None] * right[None] + (1 - right[:, None]) * (1 - right[None])
    left = np.where(1 - expected > 1e-6, 1 - expected, np.nan)
    return np.asarray((observed - expected) / left)


def _by_rows(kappa: Matrix, compared: NDArray[np.bool_], belongs: Matrix) -> Matrix:
    """Means over the pairs of runs that count, [rows, rows]; NaN where there is none."""
    there = compared & ~np.isnan(kappa)
    number = belongs @ there.astype(np.float64) @ belongs.T
    total = belongs @ np.where(there, kappa, 0.0) @ belongs.T
    return np.asarray(total / np.where(number > 0, number, np.nan))


def _standard_error(hits: NDArray[np.float32], compared: NDArray[np.bool_], belongs: Matrix, draws: int) -> Matrix:
    """Standard deviation of κ over resamples of the images, [rows, rows]; fewer resamples where there is much to do."""
    runs, images = hits.shape
    draws = int(max(min(draws, _WORK / (runs * runs * images)), min(draws, _FEWEST_DRAWS)))
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    found = np.empty((draws, len(belongs), len(belongs)))
    for k in range(draws):
        counts = np.bincount(rng.integers(0, images, images), minlength=images)
        found[k] = _by_rows(_kappa(hits, (counts / images).astype(np.float32)), compared, belongs)
    known = (~np.isnan(found)).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(found, axis=0) / known
        spread = np.nansum((found - mean) ** 2, axis=0) / (known - 1)
    return np.asarray(np.sqrt(np.where(known > 1, spread, np.nan)))
