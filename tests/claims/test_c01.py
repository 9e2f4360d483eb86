"""C01: reach is settled by structure, what one block can solve by accuracy; neither stands for the other."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm
import torch

from bench.claims.arms import DISTANT
from bench.claims.c01 import CLAIM, DEPTHS, FIELDS, SHALLOW, SUPPORTS
from bench.claims.chart import Lines
from bench.claims.claim import MAIN, Arm, Judgement, Look, Missing
from bench.claims.evidence import Evidence, Seen
from bench.data.synthetic import distant_pair
from bench.models import mini  # noqa: F401  # registers the models
from bench.models.variants import parse_variant

REACH = {"ViT": [1.0] * 4, "CNN": [0.4, 0.8, 1.0, 1.0]}
SOLVING, GUESSING, DEEPER = (0.97, 0.98, 0.99, 0.99), (0.5, 0.55, 0.6, 0.7), (0.5, 0.99, 0.99, 0.99)
"""Accuracy at each depth: from one block on, at none, from two blocks on."""


class Planted(Evidence):
    """Three seeds of 2,000 images whose accuracy is given by family and depth."""

    def __init__(
        self,
        vit: tuple[float, ...] = SOLVING,
        cnn: tuple[float, ...] = DEEPER,
        share: Mapping[str, list[float]] = REACH,
        seeds: int = 3,
        images: int = 2000,
        fields: bool = True,
    ) -> None:
        for name, value in {
            "accuracy": {"vit_mini": vit, "resnet_mini": cnn},
            "share": share,
            "seeds": seeds,
            "images": images,
            "fields": fields,
        }.items():
            object.__setattr__(self, f"_{name}", value)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the rule looks at {name}")

    def values(self, look: Look) -> Mapping[str, Any]:
        if look == SHALLOW:
            return {"side_px": [28]}
        return {"share": next(self._share[family] for family, asked in SUPPORTS.items() if asked == look)}

    def found(self, look: Look) -> Any:
        if not self._fields:
            raise Missing("the probe failed")
        assert look in FIELDS.values()
        base = 20.0 if look.arm is None else 16.0
        return [SimpleNamespace(values={"side_px": base + k}) for k in range(self._seeds)]

    def seen(self, arm: Arm, size: int | None = None) -> Seen:
        assert arm.task == DISTANT
        base, arguments = parse_variant(arm.model)
        if base == "vit_mini" and arguments.get("pos_embed") != "sincos2d":  # the control, which guesses
            right = np.random.default_rng(0).random((self._seeds, self._images)) < 0.5
            return Seen(
                6000,
                tuple(range(self._seeds)),
                right,
                (~right).astype(np.int64),
                np.zeros(self._images, dtype=np.int64),
            )
        depth = int(arguments.get("depth", 4))
        rng = np.random.default_rng((depth, len(base)))
        right = rng.random((self._seeds, self._images)) < self._accuracy[base][DEPTHS.index(depth)]
        label = np.zeros(self._images, dtype=np.int64)
        return Seen(6000, tuple(range(self._seeds)), right, (~right).astype(np.int64), label)


def judged(*args: Any, **changes: Any) -> Judgement:
    return CLAIM.judge(Planted(*args, **changes))


def test_it_is_supported_where_one_vit_block_solves_the_task_and_one_cnn_block_does_not() -> None:
    found = judged()
    assert found.verdict == "supported"
    assert all(check.holds for check in found.checks)
    told = {finding.name: finding.value for finding in found.findings}
    assert told["one ViT block minus one CNN block, distant pair"] == pytest.approx(47, abs=3)
    assert told["ViT of 1 block, learned positions"] == pytest.approx(50, abs=3)


@pytest.mark.parametrize(
    ("vit", "cnn"),
    [
        ((0.7, 0.99, 0.99, 0.99), DEEPER),  # covers the image, and does not solve the task
        (SOLVING, SOLVING),  # a shallow CNN solves it as well
        (DEEPER, SOLVING),
    ],
)
def test_it_is_refuted_where_one_vit_block_does_not_solve_it_or_one_cnn_block_does(
    vit: tuple[float, ...], cnn: tuple[float, ...]
) -> None:
    found = judged(vit, cnn)
    assert found.verdict == "refuted"
    assert all(check.holds for check in found.checks)
    assert "two questions" in found.meaning


def test_being_ahead_is_not_solving() -> None:
    found = judged((0.8, 0.99, 0.99, 0.99), DEEPER)
    (ahead,) = (f for f in found.findings if f.name.startswith("one ViT block minus"))
    assert ahead.low is not None
    assert ahead.low > 0
    assert found.verdict == "refuted"


def test_an_accuracy_at_the_level_leaves_it_open() -> None:
    found = judged((0.9, 0.99, 0.99, 0.99), DEEPER, images=200)
    assert found.verdict == "inconclusive"
    assert found.needed


@pytest.mark.parametrize(
    ("vit", "cnn", "named"),
    [
        (GUESSING, GUESSING, "the ViT or the CNN reaches"),
        (GUESSING, SOLVING, "the ViT reaches"),
        (SOLVING, GUESSING, "the CNN reaches"),
    ],
)
def test_a_family_that_learns_the_task_at_no_depth_says_nothing_of_one_block(
    vit: tuple[float, ...], cnn: tuple[float, ...], named: str
) -> None:
    found = judged(vit, cnn)
    assert found.verdict == "not testable here"
    assert found.needed
    assert f"no depth of {named} 90%" in found.reason
    assert [check.holds for check in found.checks] == [True, True]


@pytest.mark.parametrize(
    ("share", "failing"),
    [
        ({"ViT": [0.9, 1.0], "CNN": [0.4, 1.0]}, 0),
        ({"ViT": [1.0], "CNN": [1.0, 1.0]}, 1),  # one CNN block sees everything
        ({"ViT": [1.0], "CNN": [0.4, 0.6]}, 1),  # no CNN block ever does
    ],
)
def test_a_reach_that_is_not_as_said_refutes_it_whatever_the_accuracy(
    share: dict[str, list[float]], failing: int
) -> None:
    found = judged(share=share)
    assert [k for k, check in enumerate(found.checks) if not check.holds] == [failing]
    assert found.verdict == "refuted"
    assert found.checks[failing].statement in found.reason


def test_effective_fields_have_an_interval_over_seeds_and_the_untrained_ones_are_controls() -> None:
    fields = {f.name: f for f in judged().findings if "effective field" in f.name}
    assert set(fields) == {
        f"{family} {kind}, effective field" for family in ("ViT", "CNN") for kind in ("trained", "untrained")
    }
    for name, finding in fields.items():
        assert finding.control == ("untrained" in name)
        assert finding.value == (21 if finding.control else 17)
        assert finding.low is not None
        assert finding.low < finding.value
        assert finding.detectable is not None
        assert finding.unit == "px"


def test_one_seed_shows_a_field_without_an_interval_and_none_stops_nothing() -> None:
    (field,) = (f for f in judged(seeds=1).findings if f.name == "ViT trained, effective field")
    assert (field.value, field.low) == (16, None)
    without = judged(fields=False)
    assert without.verdict == "supported"
    assert not any("effective field" in f.name for f in without.findings)


def test_every_depth_is_told_and_drawn_beside_what_a_unit_sees() -> None:
    found = judged()
    names = {finding.name for finding in found.findings}
    assert {f"{family} of {depth} blocks, distant pair" for family in ("ViT", "CNN") for depth in DEPTHS[1:]} < names
    assert isinstance(found.chart, Lines)
    assert len({series.panel for series in found.chart.series}) == 2
    assert [series.x for series in found.chart.series][-1] == DEPTHS


def test_it_asks_for_both_models_at_four_depths_and_for_fields_of_every_seed() -> None:
    assert {arm.task for arm in CLAIM.arms} == {DISTANT}
    assert [arm.model for arm in CLAIM.arms] == [
        *(f"vit_mini[{depth}pos_embed=sincos2d]" for depth in ("depth=1,", "depth=2,", "", "depth=8,")),
        *(f"resnet_mini{end}" for end in ("[depth=1]", "[depth=2]", "", "[depth=8]")),
        "vit_mini[depth=1]",
    ]  # the default depth, 4, is spelled without an argument, so that it is trained once for all claims
    assert {look.seeds for look in FIELDS.values()} == {"each"}
    assert {look.arm.task for look in FIELDS.values() if look.arm is not None} == {MAIN}


def test_no_unit_of_one_cnn_block_sees_a_part_of_both_bars_and_a_unit_of_two_blocks_does() -> None:
    """Columns of the image that each column of the map depends on, in double precision."""
    columns = {
        label: [np.flatnonzero(distant_pair(label, np.random.default_rng(k)).any(axis=0)) for k in range(50)]
        for label in (0, 1)
    }
    left = {int(c) for drawn in columns.values() for places in drawn for c in places if c < 16}
    right = {int(c) for drawn in columns.values() for places in drawn for c in places if c >= 16}
    for depth, both in ((1, False), (2, True)):
        model = timm.create_model("resnet_mini", depth=depth).double().eval()
        image = torch.rand(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)
        across = model.forward_features(image).pow(2).sum((0, 1, 2))
        reached = []
        for unit in across:
            (gradient,) = torch.autograd.grad(unit, image, retain_graph=True)
            reached.append(set(torch.nonzero(gradient.abs().sum((0, 1, 2))).flatten().tolist()))
        assert any(seen & left and seen & right for seen in reached) == both
