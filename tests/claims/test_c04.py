"""C04: the CNN's lead must go with locality and shrink with data; its error rates are in `test_power`."""

from __future__ import annotations

from typing import Any

import pytest

from bench.claims.arms import PATCHES, PIXELS, RESNET, VIT, WITHIN, under
from bench.claims.c04 import CLAIM
from bench.claims.chart import Lines
from bench.claims.claim import Arm, Judgement
from bench.claims.evidence import Evidence
from bench.claims.judging import judge
from tests.claims.planted_evidence import planted, without

SIZES = (100, 300, 1000)
VITS = (0.4, 0.5, 0.6)
LEADS = {"none": (0.25, 0.2, 0.1), PATCHES: (-0.05, -0.05, -0.05), PIXELS: (-0.1, -0.1, -0.1), WITHIN: (0.0,)}
"""What the CNN is ahead by at each train size; within patches at the largest only."""


def evidence(**setting: Any) -> Evidence:
    """The outcome that the hypothesis predicts."""
    truth: dict[Arm, tuple[float, ...]] = {}
    for what, leads in LEADS.items():
        own = VITS[-len(leads) :]
        truth[under(VIT, what)] = own
        truth[under(RESNET, what)] = tuple(base + lead for base, lead in zip(own, leads, strict=True))
    return planted(truth, sizes=SIZES, **setting)


def finding(judgement: Judgement, name: str) -> float:
    """The value of a finding, in points."""
    (value,) = (found.value for found in judgement.findings if name in found.name)
    return value


def test_it_is_supported_where_the_lead_goes_with_locality_and_shrinks() -> None:
    found = judge(CLAIM, evidence())
    assert found.verdict == "supported"
    assert found.p is not None
    assert found.p < 0.05
    assert finding(found, "intact minus (CNN − ViT) patches permuted") == pytest.approx(15, abs=4)
    assert finding(found, "at n = 100 minus at n = 1,000") == pytest.approx(15, abs=4)
    assert finding(found, "permuted within patches") == pytest.approx(10, abs=4)
    assert finding(found, "permuted all pixels") == pytest.approx(20, abs=4)


def test_the_chart_has_the_lead_at_every_train_size_under_each_intervention() -> None:
    chart = judge(CLAIM, evidence(images=4000)).chart
    assert isinstance(chart, Lines)
    assert [series.control for series in chart.series] == [False, True, True]
    for series, leads in zip(chart.series, list(LEADS.values())[:3], strict=True):
        assert series.x == SIZES
        assert series.y == pytest.approx([100 * lead for lead in leads], abs=4)


def test_controls_that_failed_leave_the_test_as_it_is() -> None:
    whole = evidence()
    partial = without(without(whole, under(RESNET, PIXELS)), under(VIT, WITHIN))
    partial = without(partial, under(RESNET, PATCHES), 300)
    found, before = judge(CLAIM, partial), judge(CLAIM, whole)
    assert (found.verdict, found.p) == (before.verdict, before.p)
    assert len(found.findings) == len(before.findings) - 2
    assert isinstance(found.chart, Lines)
    assert [series.x for series in found.chart.series] == [SIZES, (100, 1000)]


@pytest.mark.parametrize(("arm", "size"), [(under(RESNET, PATCHES), 1000), (VIT, 100)])
def test_without_an_arm_of_the_test_itself_there_is_none(arm: Arm, size: int) -> None:
    found = judge(CLAIM, without(evidence(images=100), arm, size))
    assert found.verdict == "not testable here"
    assert arm.words in found.reason


def test_one_train_size_or_two_seeds_are_too_few() -> None:
    single = planted({arm: 0.5 for what in LEADS for arm in (under(VIT, what), under(RESNET, what))}, images=50)
    assert "two train sizes" in judge(CLAIM, single).reason
    assert "3 seeds" in judge(CLAIM, evidence(images=50, seeds=(0, 1))).reason


def test_it_asks_for_whatever_it_looks_at() -> None:
    asked = {(arm.whole, arm.sizes) for arm in CLAIM.arms}
    for what in LEADS:
        for arm in (VIT, RESNET):
            assert (under(arm, what).whole, "largest" if what == WITHIN else "all") in asked
    assert CLAIM.confirmatory
