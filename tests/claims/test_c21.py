"""C21: an LSTM must lose more than a ViT when patches change places, and less than a CNN when rows do."""

from __future__ import annotations

from typing import Any

import pytest

from bench.claims.arms import LSTM, PATCHES, RESNET, ROWS, VIT, under
from bench.claims.c21 import CLAIM
from bench.claims.chart import Dots
from bench.claims.claim import Arm, Judgement
from bench.claims.judging import judge
from tests.claims.planted_evidence import planted

INTACT: dict[Arm, float] = {LSTM: 0.6, VIT: 0.65, RESNET: 0.8}
LOSSES = {"LSTM under patches": 0.1, "ViT under patches": 0.0, "LSTM under rows": 0.1, "CNN under rows": 0.2}


def judged(changes: dict[str, float] | None = None, **setting: Any) -> Judgement:
    """The judgement of the expected losses, with some changed."""
    loss = LOSSES | (changes or {})
    truth = INTACT | {
        under(LSTM, PATCHES): INTACT[LSTM] - loss["LSTM under patches"],
        under(VIT, PATCHES): INTACT[VIT] - loss["ViT under patches"],
        under(LSTM, ROWS): INTACT[LSTM] - loss["LSTM under rows"],
        under(RESNET, ROWS): INTACT[RESNET] - loss["CNN under rows"],
    }
    return judge(CLAIM, planted(truth, **({"images": 4000} | setting)))


def test_it_is_supported_where_both_hold_at_whatever_level_the_models_are() -> None:
    assert judged().verdict == "supported"


@pytest.mark.parametrize("changes", [{"LSTM under patches": -0.1}, {"LSTM under rows": 0.3}])
def test_one_of_the_two_the_other_way_refutes_it(changes: dict[str, float]) -> None:
    assert judged(changes).verdict == "refuted"


@pytest.mark.parametrize("changes", [{"LSTM under patches": 0.0}, {"LSTM under rows": 0.2}])
def test_one_of_the_two_level_leaves_it_open(changes: dict[str, float]) -> None:
    found = judged(changes)
    assert found.verdict == "inconclusive"
    assert found.needed


def test_the_chart_shows_all_four_losses_in_points() -> None:
    found = judged(images=20_000)
    assert isinstance(found.chart, Dots)
    assert [dot.label for dot in found.chart.dots] == [
        "loss of LSTM under patch-permute",
        "loss of ViT under patch-permute",
        "loss of LSTM under row-permute",
        "loss of CNN under row-permute",
    ]
    assert [dot.value for dot in found.chart.dots] == pytest.approx([100 * v for v in LOSSES.values()], abs=2)


def test_it_asks_for_whatever_it_looks_at() -> None:
    wanted = {LSTM, VIT, RESNET, under(LSTM, PATCHES), under(VIT, PATCHES), under(LSTM, ROWS), under(RESNET, ROWS)}
    assert set(CLAIM.arms) == wanted
