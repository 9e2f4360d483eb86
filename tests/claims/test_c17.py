"""C17: no family leaves a position out, and a model that does refutes it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.claims.arms import FAMILIES
from bench.claims.c17 import CANONICAL, CLAIM, COVERAGE, REACH
from bench.claims.claim import Judgement, Look
from bench.claims.evidence import Evidence
from bench.probes.registry import find
from tests.broken_structures import built, subject_of


class Planted(Evidence):
    """What each look finds on the model it asks for, but for those that are given."""

    def __init__(self, changed: Mapping[Look, Mapping[str, Any]]) -> None:
        object.__setattr__(self, "_changed", changed)

    def values(self, look: Look) -> Mapping[str, Any]:
        return self._changed.get(look) or sound(look)  # type: ignore[attr-defined, no-any-return]


@cache
def sound(look: Look) -> Mapping[str, Any]:
    subject = subject_of(look.model, look.img_size or 32)
    return find(look.probe).load()(subject, **dict(look.options)).values


def judged(look: Look | None = None, model: nn.Module | None = None) -> Judgement:
    """The judgement with one look's model put in the place of the one it asks for."""
    changed = {}
    if look is not None and model is not None:
        changed[look] = find(look.probe).load()(subject_of(model, look.img_size or 32)).values
    return CLAIM.judge(Planted(changed))


def test_it_holds_by_structure_for_every_family_and_a_published_network() -> None:
    found = judged()
    assert [check.statement for check in found.checks if not check.holds] == []
    assert found.verdict == "by structure"
    assert len(found.checks) == len(FAMILIES) + 2
    assert "39% after one block of the CNN, 100% after one of the ViT" in found.reason
    assert found.chart is not None


class _Selective(nn.Module):
    """Drops the last patch of the image."""

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.ones_like(x[:1, :1])
        mask[..., -4:, -4:] = 0
        return x * mask


@pytest.mark.parametrize("family", ["CNN", "ViT"])
def test_a_model_that_leaves_one_patch_out_refutes_it(family: str) -> None:
    look = COVERAGE[family]
    found = judged(look, nn.Sequential(_Selective(), built(look.model)))
    assert [check.statement for check in found.checks if not check.holds] == [
        f"{family}: every position of the image has a gradient"
    ]
    assert found.verdict == "refuted"
    assert "98.4% of positions" in found.reason


def test_a_cnn_whose_first_block_sees_everything_refutes_it() -> None:
    found = judged(REACH["CNN"], built("vit_mini"))
    assert [check.statement for check in found.checks if not check.holds] == [
        "what is limited in a CNN is how far one unit of an early block reaches"
    ]
    assert found.verdict == "refuted"


def test_it_needs_no_training_and_no_images() -> None:
    assert not CLAIM.arms
    assert all(look.arm is None and not find(look.probe).images for look in CLAIM.looks)
    assert CANONICAL.img_size == 64
