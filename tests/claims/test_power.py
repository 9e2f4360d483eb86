"""How often rules are right about simulated trainings whose truth is known: errors stay rare, real effects are found.

Every figure is over a few hundred studies of a fixed draw, and its bound leaves room for two standard errors of that.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bench.claims import c04
from bench.claims.arms import PATCHES, RESNET, VIT, under
from bench.claims.claim import Arm, Verdict
from bench.claims.contrast import Contrast, contrast
from bench.claims.rules import Ruling, all_of, directional, equivalence
from tests.analysis.planted import planted as planted_study
from tests.claims.planted_evidence import planted

MARGIN = 0.01
USUAL = 0.25
"""Points by which true accuracies of a model's runs spread over seeds, as in `tests.analysis.test_simulation`."""
PAIR, TWO_PAIRS = (1.0, -1.0), (1.0, -1.0, -1.0, 1.0)
"""Weights of a difference, and of a difference in differences."""


def contrasts(
    studies: int,
    top1: Sequence[float],
    weights: Sequence[float],
    *,
    images: int,
    seeds: int = 3,
    points: float = USUAL,
    entropy: int = 0,
) -> list[Contrast]:
    """The contrast of models with accuracies `top1` in each of many studies."""
    rng = np.random.default_rng((entropy, seeds, images, int(100 * points)))
    found = []
    for _ in range(studies):
        hits = planted_study(rng, top1, seeds=seeds, images=images, seed_points=points).hits
        right = np.unpackbits(hits.packed, axis=-1, count=images)
        found.append(contrast(np.tensordot(weights, right.astype(np.float64), axes=1)))
    return found


def share(found: Sequence[Contrast], verdict: Verdict, rule: Callable[[Contrast], Ruling] = directional) -> float:
    """How often the rule gives a verdict."""
    return float(np.mean([rule(one).verdict == verdict for one in found]))


def within(found: Contrast) -> Ruling:
    """The rule of equivalence within one point."""
    return equivalence(found, MARGIN)


def at_most(limit: float, studies: int) -> float:
    """A share that is at most `limit` is, in so many studies, at most this, but for two standard errors."""
    return limit + 2 * math.sqrt(limit * (1 - limit) / studies)


def test_three_points_at_ten_thousand_images_and_three_seeds_are_found() -> None:
    assert share(contrasts(200, (0.66, 0.63), PAIR, images=10_000), "supported") >= 0.8
    assert share(contrasts(200, (0.66, 0.63, 0.63, 0.63), TWO_PAIRS, images=10_000), "supported") >= 0.7
    assert share(contrasts(200, (0.63, 0.66), PAIR, images=10_000), "refuted") >= 0.8


@pytest.mark.parametrize("points", [0.0, USUAL, 1.0])
@pytest.mark.parametrize("weights", [PAIR, TWO_PAIRS], ids=["difference", "difference in differences"])
def test_where_nothing_differs_a_direction_is_told_at_most_5_times_of_100(
    weights: tuple[float, ...], points: float
) -> None:
    studies = 800
    found = contrasts(studies, (0.63,) * len(weights), weights, images=1000, points=points)
    wrong = share(found, "supported") + share(found, "refuted")
    assert 0.005 <= wrong <= at_most(0.05, studies)


def test_equal_differences_under_two_interventions_are_no_difference_in_differences() -> None:
    """Both pairs differ by ten points, at different levels: only the difference of the two counts."""
    studies = 800
    found = contrasts(studies, (0.75, 0.65, 0.45, 0.35), TWO_PAIRS, images=1000)
    assert share(found, "supported") + share(found, "refuted") <= at_most(0.05, studies)


@pytest.mark.parametrize("points", [0.0, USUAL, 1.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_true_difference_of_the_margin_is_called_none_at_most_5_times_of_100(sign: int, points: float) -> None:
    studies = 500
    found = contrasts(studies, (0.63 + sign * MARGIN, 0.63), PAIR, images=4000, points=points)
    assert share(found, "supported", within) <= at_most(0.05, studies)


def test_equal_models_are_called_so_where_there_is_enough_data_and_left_open_where_there_is_not() -> None:
    much = contrasts(100, (0.63, 0.63), PAIR, images=10_000, seeds=5, points=0.1)
    assert share(much, "supported", within) >= 0.8
    little = contrasts(300, (0.63, 0.63), PAIR, images=360)
    assert share(little, "inconclusive", within) >= 0.95
    assert share(little, "supported", within) == 0


@pytest.mark.parametrize(("seeds", "points"), [(3, 0.0), (3, USUAL), (3, 1.0), (5, USUAL)])
def test_the_smallest_effect_that_is_told_is_found_about_4_times_in_5(seeds: int, points: float) -> None:
    trial = contrasts(150, (0.63, 0.63), PAIR, images=2000, seeds=seeds, points=points)
    effect = float(np.median([one.detectable for one in trial]))
    found = contrasts(400, (0.63 + effect, 0.63), PAIR, images=2000, seeds=seeds, points=points, entropy=1)
    assert 0.73 <= share(found, "supported") <= 0.87


def gaps(intact: tuple[float, float], permuted: float) -> dict[Arm, tuple[float, ...]]:
    """What C04 asks for, at two train sizes, the CNN being ahead by so much on intact and on permuted images."""
    truth: dict[Arm, tuple[float, ...]] = {}
    for what in ("none", PATCHES):
        small, large = intact if what == "none" else (permuted, permuted)
        truth[under(VIT, what)] = (0.45, 0.55)
        truth[under(RESNET, what)] = (0.45 + small, 0.55 + large)
    return truth


def verdicts(truth: dict[Arm, tuple[float, ...]], studies: int) -> Counter[Verdict]:
    """How often C04 as a whole gives each verdict."""
    evidence = (planted(truth, sizes=(100, 1000), images=500, entropy=k) for k in range(studies))
    return Counter(c04.CLAIM.judge(one).verdict for one in evidence)


@pytest.mark.parametrize(
    ("intact", "permuted"),
    [((0.0, 0.0), 0.0), ((0.15, 0.15), 0.0), ((0.15, 0.05), 0.05)],
    ids=["nothing differs", "the gap does not shrink", "the gap stays when patches are permuted"],
)
def test_the_main_claim_is_supported_at_most_5_times_of_100_where_a_part_of_it_is_not_true(
    intact: tuple[float, float], permuted: float
) -> None:
    studies = 120
    found = verdicts(gaps(intact, permuted), studies)
    assert found["supported"] <= at_most(0.05, studies) * studies
    assert found["refuted"] <= at_most(0.05, studies) * studies


def test_the_main_claim_is_supported_where_both_parts_are_true_and_refuted_where_one_is_the_other_way() -> None:
    assert verdicts(gaps((0.25, 0.1), -0.05), 30)["supported"] >= 24
    assert verdicts(gaps((0.1, 0.1), 0.25), 30)["refuted"] >= 24


def test_of_several_true_hypotheses_one_that_is_just_level_is_rarely_refuted() -> None:
    """Three differences of nothing at all: each is surely below 0 in 2.5 % of the runs, any of them in 7.5 %."""
    rng = np.random.default_rng(8)
    found = [all_of(directional(contrast(rng.normal(size=(3, 400)))) for _ in range(3)).verdict for _ in range(600)]
    assert found.count("refuted") <= at_most(0.075, 600) * 600
    assert found.count("supported") == 0
