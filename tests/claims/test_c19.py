"""C19: confusions must come back with another seed, and less in another family, on more errors than chance explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from bench.claims.arms import FAMILIES
from bench.claims.c19 import CLAIM, _correlations
from bench.claims.chart import Maps
from bench.claims.claim import Arm, Judgement
from bench.claims.evidence import Evidence, Seen
from bench.claims.judging import judge
from tests.claims.planted_evidence import evidence_of

SEEDS = (0, 1, 2)
Runs = list[Seen]


class Answering(Evidence):
    """What each family's runs answered."""

    def __init__(self, runs: Runs) -> None:
        super().__init__(**{name: getattr(evidence_of({}), name) for name in Evidence.__dataclass_fields__})
        object.__setattr__(self, "_of", dict(zip(FAMILIES.values(), runs, strict=True)))

    def seen(self, arm: Arm, size: int | None = None) -> Seen:
        return self._of[arm]  # type: ignore[attr-defined, no-any-return]


def answers(
    *,
    shared: float = 0.0,
    family: float = 0.0,
    seed: float = 0.0,
    run: float = 0.0,
    images: int = 3000,
    classes: int = 10,
    right: float = 2.5,
    seeds: Sequence[int] = SEEDS,
) -> Runs:
    """Runs whose scores of each wrong class are the sum of a liking that all share, and of the family's, seed's and
    run's own, each normal with the standard deviation given; `right` is the mean score of the right class."""
    rng = np.random.default_rng(0)
    square, label = (classes, classes), np.arange(images) % classes
    together, of_seed = shared * rng.normal(size=square), {k: seed * rng.normal(size=square) for k in seeds}
    found = []
    for _ in FAMILIES:
        own = together + family * rng.normal(size=square)
        likings = [own + of_seed[k] + run * rng.normal(size=square) for k in seeds]
        for one in likings:
            np.fill_diagonal(one, right)
        scores = np.stack([one[label] for one in likings]) + rng.normal(size=(len(seeds), images, classes))
        prediction = scores.argmax(-1)
        found.append(Seen(1000, tuple(seeds), prediction == label, prediction, label))
    return found


def judged(runs: Runs) -> Judgement:
    return judge(CLAIM, Answering(runs))


def values(found: Judgement) -> dict[str, float]:
    return {finding.name: finding.value for finding in found.findings}


WITHIN, BETWEEN = "within a model, over seeds (Spearman)", "between families (Spearman)"


def test_it_is_supported_where_families_confuse_their_own_pairs_with_every_seed() -> None:
    found = judged(answers(family=1.0))
    assert found.verdict == "supported"
    assert values(found)[WITHIN] > 0.8
    assert abs(values(found)[BETWEEN]) < 0.3


def test_pairs_that_change_with_the_seed_refute_it() -> None:
    found = judged(answers(run=1.0))
    assert found.verdict == "refuted"
    assert values(found)[WITHIN] < 0.3


def test_pairs_that_all_families_confuse_alike_are_no_support() -> None:
    found = judged(answers(shared=1.0))
    assert found.verdict == "inconclusive"
    assert values(found)[WITHIN] == pytest.approx(values(found)[BETWEEN], abs=0.03)
    assert found.needed


def test_runs_of_one_seed_are_not_compared_since_they_share_their_training_images() -> None:
    """What all families learn from one seed's images must not count as families being alike."""
    found = values(judged(answers(seed=1.0)))
    assert found[BETWEEN] == pytest.approx(found[WITHIN], abs=0.1)
    assert found[BETWEEN] < 0.3


def test_correlations_are_spearmans_over_pairs_of_classes_and_of_runs() -> None:
    runs = answers(shared=0.5, family=0.5, images=500)
    off = ~np.eye(10, dtype=bool)

    def confusion(one: Seen, seed: int) -> NDArray[np.int64]:
        counts = np.zeros((10, 10), dtype=np.int64)
        np.add.at(counts, (one.label, one.prediction[seed]), 1)
        return counts[off]

    def spearman(a: Seen, b: Seen, seeds: tuple[int, int]) -> float:
        return float(spearmanr(confusion(a, seeds[0]), confusion(b, seeds[1])).statistic)

    apart = [pair for pair in product(SEEDS, SEEDS) if pair[0] != pair[1]]
    within = np.mean([spearman(one, one, pair) for one in runs for pair in apart])
    between = np.mean([spearman(a, b, pair) for a, b in combinations(runs, 2) for pair in apart])
    assert _correlations(runs, np.ones(500), 10) == pytest.approx((within, between))


def test_every_interval_holds_its_estimate_in_its_middle() -> None:
    """Percentiles of bootstrap draws would not: images that are drawn twice add noise, and correlations are lower."""
    findings = judged(answers(shared=0.5, family=0.5, images=1000, right=2.0)).findings
    assert len(findings) == 3 + 10
    for finding in findings:
        assert finding.low is not None
        assert finding.high is not None
        assert finding.low < finding.value < finding.high
        assert (finding.low + finding.high) / 2 == pytest.approx(finding.value, abs=1e-9)


@pytest.mark.slow
def test_intervals_hold_the_mean_over_test_sets_in_95_of_100() -> None:
    runs = answers(shared=0.5, family=0.5, images=20_000, right=2.0)
    label, rng = runs[0].label, np.random.default_rng(1)
    estimates, ends = [], []
    for _ in range(40):
        drawn = rng.choice(len(label), 800, replace=False)
        found = judged([Seen(1, r.seeds, r.right[:, drawn], r.prediction[:, drawn], label[drawn]) for r in runs])
        estimates.append(found.findings[0].value)
        ends.append((found.findings[0].low, found.findings[0].high))
    low, high = np.array(ends, dtype=float).T
    assert np.mean((low < np.mean(estimates)) & (np.mean(estimates) < high)) > 0.85


def test_fewer_errors_than_two_for_each_pair_of_classes_say_nothing() -> None:
    """With fewer, two runs of the same true confusions would seem to differ."""
    runs = answers(family=1.0, images=500)
    fewest = min(int((~one.right).sum(1).min()) for one in runs)
    assert fewest < 180
    found = judged(runs)
    assert found.verdict == "not testable here"
    assert f"only {fewest} wrong answers, and 180 are needed" in found.reason


def test_one_seed_and_three_classes_say_nothing() -> None:
    assert "two seeds" in judged(answers(family=1.0, seeds=(0,))).reason
    assert "3 classes" in judged(answers(family=1.0, classes=3, right=1.5)).reason


def test_only_seeds_that_all_families_have_are_compared() -> None:
    runs = answers(family=1.0)
    assert judged([runs[0].on((0, 1)), *runs[1:]]).findings == judged([one.on((0, 1)) for one in runs]).findings
    other = replace(runs[0], label=np.roll(runs[0].label, 1))
    assert "same images" in judged([other, *runs[1:]]).reason


def test_error_consistency_of_families_is_told_and_drawn_with_two_seeds_of_one_on_the_diagonal() -> None:
    runs = answers(family=1.0)
    runs[1] = replace(runs[0], seeds=runs[1].seeds)  # two families with the same answers
    found = judged(runs)
    assert isinstance(found.chart, Maps)
    (kappa,) = (np.array(one.values) for one in found.chart.maps)
    assert kappa.shape == (5, 5)
    assert kappa[0, 1] == pytest.approx(kappa[0, 0])
    first, second = runs[0].right[0], runs[2].right[1]
    p, q = first.mean(), second.mean()
    chance = p * q + (1 - p) * (1 - q)
    assert kappa[0, 2] == pytest.approx(((first == second).mean() - chance) / (1 - chance), abs=0.05)
    assert values(found)["error consistency κ, CNN and ViT"] == pytest.approx(kappa[0, 1])


def test_what_it_means_depends_on_the_verdict() -> None:
    meanings = {judged(runs).meaning for runs in (answers(family=1.0), answers(run=1.0), answers(shared=1.0))}
    assert len(meanings) == 3
    assert all(text.count(". ") == 1 for text in meanings)
