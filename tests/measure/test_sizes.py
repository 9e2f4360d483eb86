"""Growth with image size: on the meta device, and equal to the traced count."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.measure.macs import count_macs
from bench.measure.sizes import SIZES, macs_by_size
from bench.models.build import build
from tests.measure.counting import Function, tokens


def _builder(name: str) -> Any:
    return lambda px: build(name, num_classes=10, img_size=px)[0]


@pytest.mark.parametrize("name", ["resnet50", "vit_b16", "swin_t", "cvt_13"])
@pytest.mark.parametrize(
    "px", [64, pytest.param(224, marks=pytest.mark.slow), pytest.param(320, marks=pytest.mark.slow)]
)
def test_a_size_costs_what_a_model_built_for_it_costs(name: str, px: int) -> None:
    (cost,) = macs_by_size(_builder(name), [px])
    counted = count_macs(_builder(name)(px).eval(), torch.zeros(1, 3, px, px))
    assert cost.img_size == px
    assert cost.macs == counted.macs
    assert cost.macs_by_kind == counted.by_kind


def test_attention_grows_with_the_square_of_the_tokens_and_everything_else_in_line() -> None:
    small, large = macs_by_size(_builder("vit_ti16"), [256, 512])
    before, after = 16**2 + 1, 32**2 + 1
    assert large.macs_by_kind["attention"] / small.macs_by_kind["attention"] == pytest.approx((after / before) ** 2)
    for kind in ("mlp", "projection"):
        assert large.macs_by_kind[kind] / small.macs_by_kind[kind] == pytest.approx(after / before)


def test_a_size_that_a_model_refuses_is_left_out() -> None:
    def build_even(px: int) -> nn.Module:
        if px == 40:
            raise ValueError("not this size")
        return nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.Flatten(), nn.Linear(8 * 4, 2))

    assert [cost.img_size for cost in macs_by_size(build_even, [32, 40, 48])] == [32]


@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(3, 5, 2, bidirectional=True, proj_size=2, batch_first=True),
        nn.GRU(3, 5),
        nn.RNN(3, 5, bidirectional=True),
    ],
    ids=str,
)
def test_recurrent_layers_cost_their_formula_without_being_stepped_through(layer: nn.RNNBase) -> None:
    linear = nn.Linear(2 * (layer.proj_size or 5) if layer.bidirectional else 5, 7)

    def run(m: nn.Module, x: Tensor) -> Tensor:
        result: Tensor = m.linear(m.layer(tokens(x))[0])
        return result

    counted = count_macs(Function(run, layer=layer, linear=linear).eval(), torch.zeros(1, 3, 32, 32))
    (cost,) = macs_by_size(lambda _: Function(run, layer=layer, linear=linear).to("meta"), [32])
    assert (cost.macs, cost.macs_by_kind) == (counted.macs, counted.by_kind)
    assert "forward" not in vars(layer)


def test_what_a_recurrent_layer_returns_is_still_made_from_the_image() -> None:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        states = m.layer(tokens(x))[0]
        return states @ states.transpose(1, 2)

    (cost,) = macs_by_size(lambda _: Function(run, layer=nn.GRU(3, 5, batch_first=True)).to("meta"), [8])
    assert cost.macs_by_kind["attention"] == 64 * 64 * 5


def test_the_usual_sizes_reach_from_224_to_1024() -> None:
    assert (SIZES[0], SIZES[-1]) == (224, 1024)
    assert list(SIZES) == sorted(SIZES)
