"""C03: the order of the list must change no logit, a ViT must stay, and each other family must fall."""

from __future__ import annotations

from typing import Any

import pytest

from bench.claims.arms import CVT, PATCHES, RESNET, SWIN, VIT, under
from bench.claims.c03 import CLAIM, EXACT, ORDER
from bench.claims.chart import Dots
from bench.claims.claim import Arm, Judgement
from bench.claims.judging import judge
from bench.probes.order import patch_order_equality
from tests.broken_structures import subject_of
from tests.claims.planted_evidence import planted

SOUND = {"with_rows": 1e-13, "without_rows": 0.7}
INTACT, FALLEN = 0.7, 0.6
EXPECTED = {arm: (INTACT, INTACT if arm == VIT else FALLEN) for arm in (VIT, RESNET, SWIN, CVT)}
"""Accuracy on intact and on permuted images."""


def judged(
    changes: dict[Arm, tuple[float, float]] | None = None, order: dict[str, float] = SOUND, **setting: Any
) -> Judgement:
    """The judgement of the expected outcome with some arms' accuracies changed."""
    truth: dict[Arm, float] = {}
    for arm, (intact, permuted) in (EXPECTED | (changes or {})).items():
        truth |= {arm: intact, under(arm, PATCHES): permuted}
    setting = {"images": 60_000, "seed_points": 0.05} | setting
    return judge(CLAIM, planted(truth, probes={ORDER: order}, **setting))


def test_it_is_supported_where_only_the_vit_stays() -> None:
    found = judged()
    assert found.verdict == "supported"
    assert found.p is not None
    assert found.p < 0.05
    assert all(check.holds for check in found.checks)


@pytest.mark.parametrize("arm", [RESNET, SWIN, CVT])
def test_one_family_that_stays_keeps_it_from_being_supported_and_one_that_rises_refutes_it(arm: Arm) -> None:
    stays = judged({arm: (INTACT, INTACT)})
    assert stays.verdict == "inconclusive"
    assert stays.needed
    assert judged({arm: (FALLEN, INTACT)}).verdict == "refuted"


@pytest.mark.parametrize("permuted", [INTACT - 0.05, INTACT + 0.05])
def test_a_vit_that_changes_by_more_than_the_margin_refutes_it(permuted: float) -> None:
    found = judged({VIT: (INTACT, permuted)})
    assert found.verdict == "refuted"
    assert "did not go with what was expected" in found.meaning


def test_too_few_images_leave_the_vits_change_open_and_the_p_value_is_the_largest_of_all() -> None:
    found = judged(images=360, seed_points=0.25)
    assert found.verdict == "inconclusive"
    assert found.p is not None
    assert found.p > 0.05


def test_fewer_than_three_seeds_are_no_confirmatory_test() -> None:
    found = judged(seeds=(0, 1))
    assert found.verdict == "not testable here"
    assert "3 seeds" in found.reason


@pytest.mark.parametrize(
    ("order", "failed"),
    [
        ({"with_rows": 2 * EXACT, "without_rows": 0.7}, "each with its position row"),
        ({"with_rows": 1e-13, "without_rows": 1e-13}, "without their rows it does"),
    ],
)
def test_an_exact_statement_that_fails_refutes_it_whatever_was_measured(order: dict[str, float], failed: str) -> None:
    found = judged(order=order)
    assert found.verdict == "refuted"
    assert failed in found.reason


def test_the_statements_hold_on_the_models_themselves() -> None:
    values = dict(patch_order_equality(subject_of(ORDER.model)).values)
    assert all(check.holds for check in judged(order=values).checks)


def test_the_chart_shows_all_four_families_and_the_margin() -> None:
    chart = judged().chart
    assert isinstance(chart, Dots)
    assert chart.band == (-1, 1)
    assert [dot.label.partition(":")[0] for dot in chart.dots] == ["ViT", "CNN", "Swin", "CvT"]
    assert [dot.value for dot in chart.dots] == pytest.approx([0, 10, 10, 10], abs=1.5)
