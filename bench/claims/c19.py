"""C19: a confusion matrix finds the problem classes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.analysis.agreement import agreement
from bench.analysis.answers import Answered, Answers
from bench.analysis.comparisons import ALPHA, POWER
from bench.analysis.intervals import BOOTSTRAP_SEED
from bench.claims.arms import FAMILIES, MINI
from bench.claims.chart import Map, Maps
from bench.claims.claim import Claim, Finding, Judgement, Missing, Verdict
from bench.claims.contrast import aligned
from bench.claims.evidence import Evidence, Seen

REPLICATES, DRAWS = 0.5, 200
"""The correlation from which confusions repeat; bootstrap draws of the test images."""
ERRORS_PER_PAIR, FEWEST_CLASSES = 2, 4
"""Wrong answers that every run needs for each ordered pair of classes (with fewer than one, counts of two runs with the
same true confusions may correlate by less than 0.5), and classes from which there are pairs enough to rank."""
MEANING: Mapping[Verdict, str] = {
    "supported": "The pairs that are confused most come back with another seed, and less so in another family: a "
    "confusion matrix tells something of the model that was trained.",
    "refuted": "Either the pairs that are confused most do not come back with another seed, or other families confuse "
    "them as much: a confusion matrix of one run then tells of that run's luck, or of the data.",
    "inconclusive": "A confused pair is a property of a model only as far as it comes back with another seed and is "
    "not shared by all families; this run leaves one of the two open.",
}
_Estimate = tuple[float, float, float, float]
"""Estimate, ends of its 95 % interval, smallest difference visible."""


def _judge(evidence: Evidence) -> Judgement:
    names = list(FAMILIES)
    seen = aligned([evidence.seen(arm) for arm in FAMILIES.values()])
    classes = _testable(seen)
    images, rng = len(seen[0].label), np.random.default_rng(BOOTSTRAP_SEED)
    draws = [np.ones(images)]
    draws += [np.bincount(rng.integers(0, images, images), minlength=images).astype(float) for _ in range(DRAWS)]
    pairs = [_correlations(seen, weights, classes) for weights in draws]
    within, between = (np.array(column) for column in zip(*pairs, strict=True))
    inside, outside, gap = _estimate(within), _estimate(between), _estimate(within - between)
    (value, low, high, _), (_, gap_low, gap_high, _) = inside, gap
    verdict: Verdict = "inconclusive"
    if low > REPLICATES and gap_low > 0:
        verdict = "supported"
    elif high < REPLICATES or gap_high < 0:
        verdict = "refuted"
    rows = tuple(Answered(name, one.seeds, one.prediction, ()) for name, one in zip(names, seen, strict=True))
    kappa = agreement(Answers(np.arange(images), seen[0].label, rows), draws=DRAWS)
    return Judgement(
        verdict,
        reason=f"Off-diagonal confusions of two seeds of one model correlate by {value:.2f} [{low:.2f}, {high:.2f}] "
        f"(Spearman), those of two families by {outside[0]:.2f}; the difference is {gap[0]:.2f} [{gap_low:.2f}, "
        f"{gap_high:.2f}].".replace("-0.", "−0."),
        meaning=f"{MEANING[verdict]} The notes should have asked whether a confused pair repeats, and in which other "
        "models, before blaming a class.",
        findings=(
            _finding("within a model, over seeds (Spearman)", inside),
            _finding("between families (Spearman)", outside, control=True),
            _finding("within minus between", gap),
            *(
                Finding(
                    f"error consistency κ, {names[a]} and {names[b]}",
                    float(kappa.kappa[a, b]),
                    float(kappa.low[a, b]),
                    float(kappa.high[a, b]),
                )
                for a, b in combinations(range(len(names)), 2)
            ),
        ),
        chart=Maps(
            "Do two models err on the same images?",
            "error consistency κ",
            (
                Map(
                    "families (diagonal: two seeds of one)",
                    tuple(map(tuple, kappa.kappa.tolist())),
                    tuple(names),
                    tuple(names),
                ),
            ),
        ),
        needed="" if verdict != "inconclusive" else "More test images.",
    )


def _testable(seen: list[Seen]) -> int:
    """Number of classes. Raises Missing with one seed, few classes, or few errors."""
    if len(seen[0].seeds) < 2:
        raise Missing("whether confusions repeat over seeds needs two seeds")
    classes = int(max(max(one.label.max(), one.prediction.max()) for one in seen)) + 1
    if classes < FEWEST_CLASSES:
        raise Missing(f"{classes} classes have too few pairs to rank; {FEWEST_CLASSES} are needed")
    fewest, needed = min(int((~one.right).sum(1).min()) for one in seen), ERRORS_PER_PAIR * classes * (classes - 1)
    if fewest < needed:
        raise Missing(f"a run has only {fewest:,} wrong answers, and {needed:,} are needed to compare confusions")
    return classes


def _correlations(seen: list[Seen], weights: NDArray[np.float64], classes: int) -> tuple[float, float]:
    """Mean rank correlation of off-diagonal confusions, within models and between models.

    Both over runs with different seeds: those with the same one share their training images.
    """
    from scipy.stats import rankdata

    off = ~np.eye(classes, dtype=bool)
    ranks = np.stack(
        [[_rank(rankdata(_confusion(one, k, weights, classes)[off])) for k in range(len(one.seeds))] for one in seen]
    )
    models, seeds = ranks.shape[:2]
    together = np.einsum("msc,ntc->mnst", ranks, ranks)[:, :, ~np.eye(seeds, dtype=bool)].mean(axis=-1)
    return float(np.diagonal(together).mean()), float(together[np.triu_indices(models, 1)].mean())


def _rank(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks of mean 0 and length 1, so that a product of two is their Spearman correlation."""
    centred = ranks - ranks.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-12))


def _confusion(one: Seen, seed: int, weights: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    cell = one.label * classes + one.prediction[seed]
    return np.asarray(np.bincount(cell, weights=weights, minlength=classes**2).reshape(classes, classes), dtype=float)


def _estimate(values: NDArray[np.float64]) -> _Estimate:
    """The first value with the spread of the others, its bootstrap draws, as standard error.

    Not their percentiles: noise of a draw adds to that of the sample, so that correlations of draws are lower.
    """
    value, error, normal = float(values[0]), float(values[1:].std(ddof=1)), NormalDist()
    z = normal.inv_cdf(1 - ALPHA / 2)
    return value, max(-1.0, value - z * error), min(1.0, value + z * error), (z + normal.inv_cdf(POWER)) * error


def _finding(name: str, found: _Estimate, *, control: bool = False) -> Finding:
    value, low, high, detectable = found
    return Finding(name, value, low, high, detectable=detectable, control=control)


CLAIM = Claim(
    id="C19",
    title="Confusions find problem classes",
    korean="혼동행렬로 오분류 클래스를 파악",
    english="A confusion matrix identifies the misclassified classes.",
    hypothesis=f"The most confused pairs repeat over seeds (Spearman above {REPLICATES:g}) and differ between "
    "families.",
    kind="M",
    models=MINI,
    controls="the same correlation between families; error consistency κ",
    statistics=f"Spearman correlation of off-diagonal confusion counts, mean over pairs of runs with different seeds; "
    f"± 1.96 standard errors of {DRAWS} bootstrap draws of the test images (test-set uncertainty)",
    rule=f"supported if the correlation within models lies above {REPLICATES:g} and above that between families beyond "
    f"doubt; refuted if either is surely the other way; not testable with fewer than {ERRORS_PER_PAIR} errors a run "
    "for each ordered pair of classes",
    judge=_judge,
    arms=tuple(FAMILIES.values()),
    sources=("Geirhos, Meding & Wichmann 2020 (error consistency)",),
)
