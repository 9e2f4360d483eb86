"""C02: one head that is surely local refutes it; all heads near uniform attention support it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bench.claims.c02 import CLAIM, OTHERS, TRAINED, UNTRAINED
from bench.claims.chart import Dots
from bench.claims.claim import Judgement, Look
from bench.claims.judging import judge
from tests.claims.planted_looks import looked

Heads = Sequence[Sequence[float]]
UNIFORM: Heads = ((1.0, 1.01, 0.99, 1.0), (1.0, 1.0, 1.02, 0.99), (0.98, 1.0, 1.0, 1.01))
MIXED: Heads = ((1.0, 0.5, 0.9, 1.0), (0.48, 1.0, 1.0, 1.1), (1.0, 1.0, 0.95, 0.52))


def layers(ratios: Sequence[float]) -> dict[str, Any]:
    """What the probe says of a model with these heads in its first layer, and local ones in the next."""
    return {"layers": [{"ratio": list(ratios)}, {"ratio": [0.2] * len(ratios)}]}


def judged(trained: Heads, untrained: Heads = UNIFORM, others: Mapping[Look, Heads] | None = None) -> Judgement:
    found = {TRAINED: trained, UNTRAINED: untrained, **(others or {})}
    return judge(CLAIM, looked({look: [layers(heads) for heads in seeds] for look, seeds in found.items()}))


def test_heads_like_uniform_attention_support_it_whatever_later_layers_do() -> None:
    found = judged(UNIFORM)
    assert found.verdict == "supported"
    assert not found.needed


def test_one_local_head_in_every_seed_refutes_it_wherever_it_stands() -> None:
    found = judged(MIXED)
    assert found.verdict == "refuted"
    assert "reaches 0.50 [0.45, 0.55]" in found.reason


@pytest.mark.parametrize(
    "trained",
    [
        ((1.0, 0.5), (1.0, 0.99), (1.0, 1.0)),  # a local head in one seed of three
        ((1.0, 0.89), (1.0, 0.905), (1.0, 0.9)),  # around the margin
        ((1.0, 1.2), (1.0, 1.19), (1.0, 1.21)),  # farther than uniform is not local
    ],
)
def test_anything_else_leaves_it_open_and_says_what_it_would_take(trained: Heads) -> None:
    found = judged(trained)
    assert found.verdict == "inconclusive"
    assert found.needed


def test_the_untrained_control_and_the_other_families_do_not_decide() -> None:
    assert judged(MIXED, untrained=MIXED).verdict == "refuted"
    found = judged(UNIFORM, others=dict.fromkeys(OTHERS.values(), MIXED))
    assert found.verdict == "supported"
    names = {finding.name: finding for finding in found.findings}
    assert names["Swin, most local head ÷ uniform"].value == pytest.approx(0.5)
    assert names["CvT, most local head ÷ uniform"].value == pytest.approx(0.5)
    assert names["untrained ViT, most local head ÷ uniform"].control


def test_every_measured_number_has_an_interval_and_the_smallest_effect_that_was_visible() -> None:
    for finding in judged(MIXED).findings:
        assert finding.low is not None
        assert finding.high is not None
        assert finding.low < finding.value < finding.high
        assert finding.detectable is not None
        assert finding.detectable > 0


def test_every_head_of_every_seed_is_in_the_chart_beside_the_untrained_ones() -> None:
    chart = judged(MIXED).chart
    assert isinstance(chart, Dots)
    assert sorted(dot.value for dot in chart.dots if not dot.control) == sorted(x for heads in MIXED for x in heads)
    assert sorted(dot.value for dot in chart.dots if dot.control) == sorted(x for heads in UNIFORM for x in heads)
    assert chart.reference == 1
    assert chart.band == (0.9, 1.1)


def test_a_missing_control_or_a_single_seed_is_not_testable() -> None:
    assert judged(MIXED, untrained=()).verdict == "not testable here"
    assert "one seed" in judged(MIXED[:1]).reason


def test_what_it_means_depends_on_the_verdict() -> None:
    meanings = {judged(heads).meaning for heads in (UNIFORM, MIXED, ((1.0, 0.5), (1.0, 0.99), (1.0, 1.0)))}
    assert len(meanings) == 3
    assert all(text.count(". ") == 1 for text in meanings)
