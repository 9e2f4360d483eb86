"""By layer and by kind: the parts add up to the whole, and each lies where a reader would look for it."""

from __future__ import annotations

from functools import cache

import pytest
import timm
import torch
from torch import Tensor, nn

from bench.measure.macs import MacCount, count_macs
from bench.models.build import build
from tests.measure.counting import counted, tokens


@cache
def _count(name: str, px: int) -> tuple[nn.Module, MacCount]:
    model, _ = build(name, num_classes=10, img_size=px)
    return model, count_macs(model.eval(), torch.zeros(1, 3, px, px))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("resnet18", ["convolution", "head"]),
        ("vit_ti16", ["attention", "projection", "mlp", "patch_embedding", "head"]),
        ("swin_t", ["attention", "projection", "mlp", "patch_embedding", "head"]),
        ("cvt_13", ["attention", "projection", "mlp", "patch_embedding", "head"]),
        ("convnext_t", ["convolution", "mlp", "head"]),
        ("mobilenetv3_l", ["convolution", "head"]),
        ("sequencer2d_s", ["convolution", "mlp", "patch_embedding", "recurrent", "head"]),
        ("beit_base_patch16_224", ["attention", "projection", "mlp", "patch_embedding", "head"]),
        ("test_coatnet", ["convolution", "attention", "projection", "mlp", "patch_embedding", "head"]),
    ],
)
def test_kinds_and_layers_add_up_and_are_the_expected_ones(name: str, kinds: list[str]) -> None:
    _, count = _count(name, 224 if "224" in name else 64)
    assert list(count.by_kind) == kinds
    assert sum(count.by_kind.values()) == sum(layer.macs for layer in count.layers) == count.macs
    assert sum(layer.activations for layer in count.layers) == count.activations
    for kind, macs in count.by_kind.items():
        assert sum(layer.macs for layer in count.layers if layer.kind == kind) == macs


def test_the_parts_of_a_vision_transformer_follow_its_formula() -> None:
    n, d, depth = 17, 192, 12  # 64 px: 16 patches and the class token
    _, count = _count("vit_ti16", 64)
    assert count.by_kind == {
        "attention": depth * 2 * n * n * d,
        "projection": depth * 4 * n * d * d,
        "mlp": depth * 8 * n * d * d,
        "patch_embedding": 16 * 16 * 16 * 3 * d,
        "head": 10 * d,
    }
    assert count.norm_ops == (2 * depth + 1) * n * d


def test_layers_come_in_forward_order_with_their_own_parameters() -> None:
    model, count = _count("resnet18", 64)
    assert [layer.name for layer in count.layers][:3] == ["conv1", "layer1.0.conv1", "layer1.0.conv2"]
    assert count.layers[-1].name == "fc"
    assert count.layers[0].params == 64 * 3 * 49
    weights = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert sum(layer.params for layer in count.layers) == sum(p.numel() for m in weights for p in m.parameters())


def test_cvts_depthwise_convolutions_are_part_of_its_projections() -> None:
    _, count = _count("cvt_13", 64)
    kinds = {layer.name: layer.kind for layer in count.layers}
    block = next(name for name in kinds if name.endswith(".attn")).removesuffix(".attn")
    convolved = [name for name in kinds if name.startswith(f"{block}.attn.conv_proj_")]
    assert len(convolved) == 3
    assert {kinds[name] for name in convolved} == {"projection"}
    assert kinds[f"{block}.attn"] == "attention"


def test_a_module_that_does_products_of_two_kinds_has_a_row_for_each() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        count = counted(lambda m, x: m.layer(*[tokens(x)] * 3)[0], (1, 8, 4, 4), layer=layer)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    rows = [(row.name, row.kind, row.params) for row in count.layers]
    assert rows == [("layer", "projection", 3 * 8 * 8 + 3 * 8), ("layer", "attention", 0)]


def test_squeeze_and_excitation_is_no_attention() -> None:
    _, count = _count("mobilenetv3_l", 64)
    assert "attention" not in count.by_kind
    assert "projection" not in count.by_kind


def test_the_stem_of_a_cnn_is_convolution_even_where_it_attends_somewhere() -> None:
    model = timm.create_model("botnet26t_256", num_classes=10).eval()
    count = count_macs(model, torch.zeros(1, 3, 256, 256))
    kinds = {layer.name: layer.kind for layer in count.layers}
    assert kinds["stem.conv1.conv"] == "convolution"
    assert count.by_kind["attention"] > 0


def test_a_product_for_each_head_with_a_learned_factor_is_attention_inside_attention() -> None:
    class Attention(nn.Module):
        """Keys of the image, queries that are learned."""

        def __init__(self) -> None:
            super().__init__()
            self.query = nn.Parameter(torch.zeros(1, 2, 1, 4))

        def forward(self, x: Tensor) -> Tensor:
            heads = tokens(x).reshape(1, 16, 2, 4).transpose(1, 2)
            return (self.query @ heads.transpose(-2, -1)).softmax(-1) @ heads

    count = counted(lambda m, x: m.pool(x), (1, 8, 4, 4), pool=Attention())
    assert count.by_kind == {"attention": 2 * 2 * 16 * 4}
    assert count.activations_read == 2 * 4 * 16 + (2 * 16 + 2 * 4 * 16)
