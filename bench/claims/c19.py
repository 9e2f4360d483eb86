"""C19: a confusion matrix finds the problem classes."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bench.analysis.intervals import BOOTSTRAP_SEED
from bench.claims.arms import FAMILIES, MINI
from bench.claims.chart import Map, Maps
from bench.claims.claim import Claim, Finding, Judgement, Missing, Verdict
from bench.claims.contrast import aligned
from bench.claims.evidence import Evidence, Seen

REPLICATES, ENOUGH_ERRORS, DRAWS = 0.5, 100, 200
"""The correlation from which confusions repeat; wrong answers a run must have; bootstrap draws of the test images."""


def _judge(evidence: Evidence) -> Judgement:
    names = list(FAMILIES)
    seen = aligned([evidence.seen(arm) for arm in FAMILIES.values()])
    if len(seen[0].seeds) < 2:
        raise Missing("whether confusions repeat over seeds needs two seeds")
    fewest = min(int((~one.right).sum(1).min()) for one in seen)
    if fewest < ENOUGH_ERRORS:
        raise Missing(f"a run has only {fewest} wrong answers, and {ENOUGH_ERRORS} are needed to compare confusions")
    images, rng = len(seen[0].label), np.random.default_rng(BOOTSTRAP_SEED)
    draws = [np.ones(images)]
    draws += [np.bincount(rng.integers(0, images, images), minlength=images).astype(float) for _ in range(DRAWS)]
    within, between = (np.array(column) for column in zip(*(_correlations(seen, w) for w in draws), strict=True))
    (low, high), (gap_low, gap_high) = (_ends(values[1:]) for values in (within, within - between))
    gap = float(within[0] - between[0])
    verdict: Verdict = "inconclusive"
    if low > REPLICATES and gap_low > 0:
        verdict = "supported"
    elif high < REPLICATES or gap_high < 0:
        verdict = "refuted"
    kappa = np.array([[_kappa(a, b) for b in seen] for a in seen])
    between_low, between_high = _ends(between[1:])
    return Judgement(
        verdict,
        reason=f"Off-diagonal confusions of two seeds of one model correlate by {within[0]:.2f} [{low:.2f}, "
        f"{high:.2f}] (Spearman), those of two families by {between[0]:.2f}.",
        meaning="A confused pair is a property of a model only as far as it comes back with another seed, and of the "
        "data as far as other families confuse it too. The notes should have asked for both before blaming a class.",
        findings=(
            Finding("within a model, over seeds (Spearman)", float(within[0]), low, high),
            Finding("between families (Spearman)", float(between[0]), between_low, between_high),
            Finding("within minus between", gap, gap_low, gap_high, detectable=_detectable(within - between)),
            *(
                Finding(f"error consistency κ, {names[a]} and {names[b]}", float(kappa[a, b]))
                for a, b in combinations(range(len(names)), 2)
            ),
        ),
        chart=Maps(
            "Do two models err on the same images?",
            "error consistency κ",
            (
                Map(
                    "families (diagonal: two seeds of one)",
                    tuple(map(tuple, kappa.tolist())),
                    tuple(names),
                    tuple(names),
                ),
            ),
            low=0.0,
            high=1.0,
        ),
        needed="" if verdict != "inconclusive" else "More test images.",
    )


def _correlations(seen: list[Seen], weights: NDArray[np.float64]) -> tuple[float, float]:
    """Mean rank correlation of off-diagonal confusions, within models over seeds and between models."""
    from scipy.stats import rankdata

    classes = int(max(one.label.max() for one in seen)) + 1
    off = ~np.eye(classes, dtype=bool)
    ranks = np.stack(
        [[_rank(rankdata(_confusion(one, k, weights, classes)[off])) for k in range(len(one.seeds))] for one in seen]
    )
    models, seeds = ranks.shape[:2]
    together = np.einsum("msc,ntc->mnst", ranks, ranks)
    first, second = np.triu_indices(seeds, 1)
    within = np.mean([together[m, m, first, second].mean() for m in range(models)])
    between = np.mean([together[m, n].mean() for m, n in combinations(range(models), 2)])
    return float(within), float(between)


def _rank(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks of mean 0 and length 1, so that a product of two is their Spearman correlation."""
    centred = ranks - ranks.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-12))


def _confusion(one: Seen, seed: int, weights: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    cell = one.label * classes + np.clip(one.prediction[seed], 0, classes - 1)
    return np.asarray(np.bincount(cell, weights=weights, minlength=classes**2).reshape(classes, classes), dtype=float)


def _kappa(first: Seen, second: Seen) -> float:
    """Mean error consistency over pairs of seeds (Geirhos et al. 2020): agreement on being right, beyond chance."""
    found = []
    for a in range(len(first.seeds)):
        for b in range(len(second.seeds)):
            if first is second and a >= b:
                continue
            p, q = first.right[a].mean(), second.right[b].mean()
            expected = p * q + (1 - p) * (1 - q)
            if expected < 1:
                found.append(((first.right[a] == second.right[b]).mean() - expected) / (1 - expected))
    return float(np.mean(found)) if found else 0.0


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _detectable(values: NDArray[np.float64]) -> float:
    """Smallest difference from 0 seen 4 times in 5 at 5 %, from the spread of the draws."""
    return float((1.96 + 0.84) * values[1:].std(ddof=1))


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
    statistics=f"Spearman correlation of off-diagonal confusion counts, mean over pairs of runs; percentiles of "
    f"{DRAWS} bootstrap draws of the test images (test-set uncertainty)",
    rule=f"supported if the correlation within models lies above {REPLICATES:g} and above that between families beyond "
    f"doubt; refuted if either is surely the other way; not testable with fewer than {ENOUGH_ERRORS} errors a run",
    judge=_judge,
    arms=tuple(FAMILIES.values()),
    sources=("Geirhos, Meding & Wichmann 2020 (error consistency)",),
)
