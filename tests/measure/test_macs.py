"""Multiply-accumulates: exact for what is canonical, blind to the rest, and honest about what it does not know."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.measure.macs import TraceError, count_macs, flop_counter_macs
from bench.models.build import build
from tests.measure.counting import Function, counted

CANONICAL = {
    "resnet50": (4_089_184_256, 25_557_032),
    "vit_b16": (17_563_828_224, 86_567_656),
    "swin_t": (4_490_566_656, 28_288_354),
    "cvt_13": (4_566_089_216, 19_997_480),
}
"""Matrix products and convolutions of one 224 px image with 1000 classes, and parameters, head included."""


@pytest.mark.slow
@pytest.mark.parametrize("name", CANONICAL)
def test_the_four_canonical_backbones_cost_exactly_what_is_known(name: str) -> None:
    model, info = build(name, num_classes=1000, img_size=224)
    macs, params = CANONICAL[name]
    image = torch.zeros(1, 3, 224, 224)
    count = count_macs(model.eval(), image)
    assert info.params == params
    assert count.macs == macs
    assert count.uncounted == []
    assert flop_counter_macs(model, image) == pytest.approx(macs, rel=1e-3)


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_ti16", "swin_t", "cvt_13", "convnext_t", "mobilenetv3_l", "regnety_016", "coat_lite_tiny"]
)
def test_two_counters_that_share_no_code_agree(name: str) -> None:
    model, _ = build(name, num_classes=10, img_size=32)
    image = torch.zeros(1, 3, 32, 32)
    count = count_macs(model.eval(), image)
    assert count.uncounted == []
    assert flop_counter_macs(model, image) == pytest.approx(count.macs, rel=1e-3)


def test_fused_and_plain_attention_cost_the_same() -> None:
    counts = []
    for fused in (True, False):
        timm.layers.set_fused_attn(fused)
        try:
            model = timm.create_model("test_vit", img_size=64).eval()
        finally:
            timm.layers.set_fused_attn(True)
        counts.append(count_macs(model, torch.zeros(1, 3, 64, 64)))
    fused, plain = counts
    assert "attention" in fused.by_operator
    assert "attention" not in plain.by_operator
    assert fused.macs == plain.macs
    assert fused.activations == plain.activations
    assert fused.activations_read == plain.activations_read
    assert fused.elementwise_ops == plain.elementwise_ops
    assert fused.by_kind == plain.by_kind
    assert fused.layers == plain.layers


@pytest.mark.parametrize("name", ["resnet18", "vit_ti16", "swin_t", "cvt_13"])
def test_arithmetic_and_layout_leave_every_number_alone(name: str) -> None:
    model, _ = build(name, num_classes=10, img_size=32)
    image = torch.zeros(1, 3, 32, 32)
    plain = count_macs(model.eval(), image)
    with torch.autocast("cpu", torch.bfloat16):
        assert count_macs(model, image) == plain
        assert flop_counter_macs(model, image) == plain.macs
    layout = model.to(memory_format=torch.channels_last)
    assert count_macs(layout, image.contiguous(memory_format=torch.channels_last)) == plain


def test_norms_pooling_and_elementwise_work_have_columns_of_their_own() -> None:
    count = counted(lambda m, x: F.gelu(m.bn(F.adaptive_avg_pool2d(x, 4))).softmax(-1), bn=nn.BatchNorm2d(3))
    assert count.macs == count.activations == count.activations_read == 0
    assert count.norm_ops == 3 * 4 * 4
    assert count.elementwise_ops == 3 * (3 * 4 * 4)
    assert (count.by_kind, count.layers, count.uncounted) == ({}, [], [])


def test_moving_data_and_shape_arithmetic_cost_nothing() -> None:
    count = counted(lambda m, x: torch.cat([x.flip(3), x], 1).reshape(x.shape[0] * 2, -1).t().contiguous())
    assert (count.macs, count.norm_ops, count.elementwise_ops, count.uncounted) == (0, 0, 0, [])


def test_a_factor_made_of_weights_alone_is_not_read() -> None:
    weight = nn.ParameterList([torch.ones(8, 4)])
    count = counted(lambda m, x: x @ (2 * m.weight[0]).softmax(0), weight=weight)
    assert count.activations_read == 3 * 8 * 8
    assert counted(lambda m, x: x @ torch.zeros_like(x)).activations_read == 3 * 8 * 8
    assert counted(lambda m, x: x @ (2 * x)).activations_read == 2 * 3 * 8 * 8


def test_the_shape_of_the_result_is_told() -> None:
    assert counted(lambda m, x: x.flatten(2)).output_shape == [1, 3, 64]
    assert counted(lambda m, x: (x, x)).output_shape == []


def test_an_operator_that_nobody_knows_is_named() -> None:
    assert counted(lambda m, x: torch.fft.fft2(x).real).uncounted == ["fft_fft2", "real"]


def test_a_function_written_in_python_is_named_because_its_inside_is_hidden() -> None:
    class Hidden(torch.autograd.Function):
        """A product that the trace does not show."""

        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x @ x

    assert counted(lambda m, x: Hidden.apply(x)).uncounted == ["prim::PythonOp.Hidden"]


def test_a_model_that_cannot_be_traced_says_so_in_one_line() -> None:
    with pytest.raises(TraceError, match=r"^Linear cannot be traced.*mat1 and mat2 shapes[^\n]*$"):
        count_macs(nn.Linear(5, 2).eval(), torch.zeros(1, 3, 8, 8))


def test_the_model_is_left_as_it_was() -> None:
    model, _ = build("vit_ti16", num_classes=10, img_size=32)
    before = {name: value.clone() for name, value in model.eval().state_dict().items()}
    image = torch.zeros(1, 3, 32, 32)
    count_macs(model, image)
    flop_counter_macs(model, image)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad and p.device.type == "cpu" for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_the_other_counter_takes_the_models_own_device_where_meta_will_not_do() -> None:
    by_value = Function(lambda m, x: m.layer(x) if float(x.sum()) == 0 else x, layer=nn.Conv2d(3, 4, 1)).eval()
    assert flop_counter_macs(by_value, torch.zeros(1, 3, 8, 8)) == 64 * 3 * 4


def test_the_other_counter_does_not_guess_at_an_lstm_off_the_meta_device_or_at_a_model_that_fails() -> None:
    def by_value(m: nn.Module, x: Tensor) -> Tensor:
        return x if float(x.sum()) else m.layer(x[0])[0]

    assert flop_counter_macs(Function(by_value, layer=nn.LSTM(8, 4)).eval(), torch.zeros(1, 3, 8, 8)) is None
    assert flop_counter_macs(nn.Linear(5, 2).eval(), torch.zeros(1, 3, 8, 8)) is None


def test_a_model_in_train_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="eval mode"):
        count_macs(nn.Linear(2, 2).train(), torch.zeros(1, 2))
