"""Multiply-accumulates: exact for what is canonical, blind to the rest, and honest about what it does not know."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.measure.macs import MacCount, count_macs, flop_counter_macs
from bench.models.build import build

CANONICAL = {
    "resnet50": (4_089_184_256, 25_557_032),
    "vit_b16": (17_563_828_224, 86_567_656),
    "swin_t": (4_490_566_656, 28_288_354),
    "cvt_13": (4_566_089_216, 19_997_480),
}
"""Matrix products and convolutions of one 224 px image with 1000 classes, and parameters, head included."""


class _Function(nn.Module):
    """A function of the image as a module."""

    def __init__(self, function: Any, **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.function(self, image)
        return result


def _count(function: Any, shape: tuple[int, ...] = (1, 3, 8, 8), **modules: nn.Module) -> MacCount:
    return count_macs(_Function(function, **modules).eval(), torch.zeros(shape))


@pytest.mark.slow
@pytest.mark.parametrize("name", CANONICAL)
def test_the_four_canonical_backbones_cost_exactly_what_is_known(name: str) -> None:
    model, info = build(name, num_classes=1000, img_size=224)
    macs, params = CANONICAL[name]
    image = torch.zeros(1, 3, 224, 224)
    counted = count_macs(model.eval(), image)
    assert info.params == params
    assert counted.macs == macs
    assert counted.uncounted == []
    assert flop_counter_macs(model, image) == pytest.approx(macs, rel=1e-3)


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_ti16", "swin_t", "cvt_13", "convnext_t", "mobilenetv3_l", "regnety_016", "coat_lite_tiny"]
)
def test_two_counters_that_share_no_code_agree(name: str) -> None:
    model, _ = build(name, num_classes=10, img_size=32)
    image = torch.zeros(1, 3, 32, 32)
    counted = count_macs(model.eval(), image)
    assert counted.uncounted == []
    assert flop_counter_macs(model, image) == pytest.approx(counted.macs, rel=1e-3)


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


def test_attention_over_fewer_keys_than_queries_is_counted_by_its_formula() -> None:
    def attend(_: nn.Module, image: Tensor) -> Tensor:
        tokens = image.flatten(2).transpose(1, 2).expand(2, -1, -1)  # [2, 64, 3]
        return F.scaled_dot_product_attention(tokens, tokens[:, :16], tokens[:, :16])

    counted = _count(attend)
    assert counted.macs == 2 * 64 * 16 * (3 + 3)
    assert counted.activations == 2 * 64 * 16 + 2 * 64 * 3


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (nn.Conv2d(3, 12, 3, padding=1), 64 * 12 * 3 * 9),
        (nn.Conv2d(3, 12, 3, padding=1, groups=3), 64 * 12 * 1 * 9),
        (nn.Conv2d(3, 12, 2, stride=2), 16 * 12 * 3 * 4),
        (nn.ConvTranspose2d(3, 12, 2, stride=2), 64 * 3 * 12 * 4),
    ],
)
def test_convolutions_are_counted_by_their_formula(layer: nn.Module, macs: int) -> None:
    assert _count(lambda m, x: m.layer(x), layer=layer).macs == macs


def test_a_broadcast_product_counts_every_product_that_is_made() -> None:
    counted = _count(lambda m, x: x @ torch.ones(5, 1, 8, 4))
    assert counted.macs == 5 * 3 * 8 * 8 * 4
    assert _count(lambda m, x: x @ torch.ones(8)).macs == 3 * 8 * 8


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("bchw,cd->bdhw", [(3, 7)], 3 * 64 * 7),
        ("bchw,bcwk->bchk", [(1, 3, 8, 5)], 3 * 8 * 8 * 5),
        ("bchw,cd,de->behw", [(3, 4), (4, 6)], 3 * 64 * 4 + 64 * 4 * 6),
        ("...hw,...wk->...hk", [(8, 5)], 3 * 8 * 8 * 5),
        ("bchw,...cd->b...dhw", [(6, 3, 2)], 6 * 3 * 64 * 2),
        ("bchw->bc", [], 0),
    ],
)
def test_einsum_is_counted_by_its_indices(equation: str, shapes: list[tuple[int, ...]], macs: int) -> None:
    assert _count(lambda m, x: torch.einsum(equation, x, *(torch.ones(s) for s in shapes))).macs == macs


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers_apply_every_matrix_at_every_position(kind: Any, gates: int, bidirectional: bool) -> None:
    layer = kind(3, 5, bidirectional=bidirectional, batch_first=True)
    counted = _count(lambda m, x: m.layer(x.flatten(2).transpose(1, 2))[0], layer=layer)
    assert counted.macs == 64 * gates * 5 * (3 + 5) * (2 if bidirectional else 1)


def test_norms_pooling_and_elementwise_work_are_not_canonical() -> None:
    counted = _count(lambda m, x: F.gelu(m.bn(F.adaptive_avg_pool2d(x, 4))).softmax(-1), bn=nn.BatchNorm2d(3))
    assert counted.macs == counted.activations == 0
    assert counted.uncounted == []


def test_an_operator_that_nobody_knows_is_named() -> None:
    assert _count(lambda m, x: torch.fft.fft2(x).real).uncounted == ["fft_fft2", "real"]


def test_a_model_in_train_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="eval mode"):
        count_macs(nn.Linear(2, 2).train(), torch.zeros(1, 2))
