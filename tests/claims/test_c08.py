"""C08: learned and fixed positions must be equivalent, and both ahead of none."""

from __future__ import annotations

from typing import Any

import pytest

from bench.claims.arms import PATCHES, VIT, under
from bench.claims.c08 import CLAIM, KINDS
from bench.claims.chart import Dots
from bench.claims.claim import Judgement
from bench.claims.judging import judge
from bench.models.variants import canonical, parse_variant
from tests.claims.planted_evidence import planted, without

EXPECTED = {"learned": 0.7, "sincos2d": 0.7, "sincos1d": 0.69, "relative": 0.71, "none": 0.6}


def judged(changes: dict[str, float] | None = None, **setting: Any) -> Judgement:
    """The judgement of the expected outcome with some accuracies changed; permuted, all kinds are level."""
    truth = {KINDS[kind]: value for kind, value in (EXPECTED | (changes or {})).items()}
    truth |= {under(arm, PATCHES): 0.5 for arm in KINDS.values()}
    return judge(CLAIM, planted(truth, **({"images": 60_000, "seed_points": 0.05} | setting)))


def test_it_is_supported_where_the_two_are_level_and_none_is_behind() -> None:
    found = judged()
    assert found.verdict == "supported"
    assert not found.needed


@pytest.mark.parametrize("fixed", [0.65, 0.75])
def test_a_difference_beyond_the_margin_either_way_refutes_it(fixed: float) -> None:
    found = judged({"sincos2d": fixed})
    assert found.verdict == "refuted"
    assert "here they do not" in found.meaning


def test_no_positions_ahead_refute_it_and_level_ones_leave_it_open() -> None:
    assert judged({"none": 0.8}).verdict == "refuted"
    level = judged({"none": 0.7})
    assert level.verdict == "inconclusive"
    assert level.needed == "More test images or seeds."


def test_few_images_leave_it_open_and_it_says_how_many_would_do() -> None:
    found = judged(images=1000, seed_points=0.25)
    assert found.verdict == "inconclusive"
    assert "times the test images and seeds" in found.needed


def test_all_five_kinds_are_shown_intact_and_permuted() -> None:
    found = judged(images=1000)
    names = [finding.name for finding in found.findings]
    for kind in EXPECTED.keys() - {"none"}:
        assert f"{kind} minus none, intact" in names
        assert f"{kind} minus none, patches permuted" in names
    assert isinstance(found.chart, Dots)
    assert [dot.label for dot in found.chart.dots] == names
    assert {arm.whole for arm in CLAIM.arms} == {
        arm.whole for own in KINDS.values() for arm in (own, under(own, PATCHES))
    }


def test_every_kind_is_one_the_mini_has_in_its_one_spelling() -> None:
    for arm in KINDS.values():
        assert canonical(*parse_variant(arm.model)) == arm.model
    assert KINDS["learned"] == VIT


def test_an_arm_that_failed_is_named() -> None:
    truth = {arm: 0.5 for own in KINDS.values() for arm in (own, under(own, PATCHES))}
    found = judge(CLAIM, without(planted(truth, images=50), KINDS["sincos2d"]))
    assert found.verdict == "not testable here"
    assert "vit_mini[pos_embed=sincos2d]" in found.reason
