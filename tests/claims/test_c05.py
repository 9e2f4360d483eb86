"""C05: nothing is said of large data from small; with large data a ViT must climb faster and come to lead."""

from __future__ import annotations

from typing import Any

import pytest

from bench.claims.arms import RESNET, VIT
from bench.claims.c05 import CLAIM, LARGE
from bench.claims.chart import Lines
from bench.claims.claim import Judgement
from bench.claims.judging import judge
from tests.claims.planted_evidence import planted

SMALL = (100, 1000, 10_000)
MANY = (1000, 10_000, LARGE)
CROSSING, BEHIND = (0.3, 0.55, 0.85), (0.3, 0.45, 0.6)
CNN = (0.5, 0.6, 0.7)


def judged(vit: tuple[float, ...], cnn: tuple[float, ...], sizes: tuple[int, ...] = MANY, **setting: Any) -> Judgement:
    """The judgement of two learning curves."""
    return judge(CLAIM, planted({VIT: vit, RESNET: cnn}, sizes=sizes, images=1000, **setting))


def test_below_the_limit_it_is_not_testable_though_the_slopes_are_shown() -> None:
    found = judged(CROSSING, CNN, SMALL)
    assert found.verdict == "not testable here"
    assert found.p is None
    assert "crossover: crossing" in found.reason
    assert "asks for 100,000" in found.reason
    (slope,) = found.findings
    assert slope.value == pytest.approx(17.5, abs=3)
    assert slope.low is not None
    assert slope.low > 0


def test_it_is_supported_where_the_vit_climbs_faster_and_comes_to_lead_in_range() -> None:
    found = judged(CROSSING, CNN)
    assert found.verdict == "supported"
    assert found.p is not None
    assert found.p < 0.05


def test_climbing_faster_without_coming_to_lead_is_not_enough_and_counts_as_nothing_for_holm() -> None:
    found = judged(BEHIND, CNN)
    assert found.verdict == "inconclusive"
    assert found.p == 1
    assert found.needed


def test_a_crossing_after_which_the_cnn_leads_is_not_coming_to_lead() -> None:
    """A dip lets the ViT's line over all sizes be the steeper one, and yet it only leads at the smallest."""
    found = judged((0.58, 0.05, 0.75, 0.85), (0.5, 0.85, 0.85, 0.9), (100, *MANY))
    (slope,) = found.findings
    assert slope.low is not None
    assert slope.low > 0
    assert "crossover: crossing" in found.reason
    assert found.verdict == "inconclusive"


def test_a_cnn_that_climbs_faster_refutes_it() -> None:
    assert judged(CNN, BEHIND).verdict == "refuted"


def test_equal_curves_leave_it_open() -> None:
    assert judged(CNN, CNN, entropy=1).verdict == "inconclusive"


def test_two_seeds_are_too_few() -> None:
    assert "3 seeds" in judged(CROSSING, CNN, seeds=(0, 1)).reason


def test_the_chart_has_both_learning_curves_in_percent() -> None:
    chart = judged(CROSSING, CNN).chart
    assert isinstance(chart, Lines)
    assert chart.log_x
    assert {series.label: series.x for series in chart.series} == {"ViT": MANY, "CNN": MANY}
    assert chart.series[0].y == pytest.approx([100 * value for value in CROSSING], abs=4)
