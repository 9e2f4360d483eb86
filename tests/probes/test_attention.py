"""Attention distance: weights made by hand have the distance that geometry says, in every family and kernel."""

from __future__ import annotations

import json
from dataclasses import replace
from math import hypot
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.probes.attention import attention_distance, weights_of
from bench.probes.subject import NotProbable
from tests.broken_structures import built, subject_of
from tests.probes.toys import Shown, subject

SIDE, CELL_PX = 8, 4
SURE = 30.0
"""A score above 0 at which all of the weight is at one key, to 12 digits."""


class HandAttention(nn.Module):
    """Attention with fixed scores [queries, keys], the same for all images, in one of the ways models compute it."""

    def __init__(self, scores: Tensor, way: str) -> None:
        super().__init__()
        self.scores, self.way = scores, way

    def forward(self, x: Tensor) -> Tensor:
        scores = self.scores.expand(len(x), 1, -1, -1)
        values = x.new_zeros(len(x), 1, scores.shape[-1], 1)
        if self.way == "fused":
            keys = torch.eye(scores.shape[-1]).expand(len(x), 1, -1, -1)
            return F.scaled_dot_product_attention(scores, keys, values, scale=1.0)
        if self.way == "module":
            return nn.Softmax(dim=-1)(scores) @ values  # type: ignore[no-any-return]
        return scores.softmax(-1) @ values


class HandBlock(nn.Module):
    """A block whose attention is made by hand."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attn = attention

    def forward(self, x: Tensor) -> Tensor:
        self.attn(x)
        return x


def by_hand(scores: Tensor, way: str = "method") -> nn.Module:
    return nn.Sequential(HandBlock(HandAttention(scores, way)))


def noise(px: int = 32, dtype: torch.dtype = torch.float32) -> Shown:
    return Shown(torch.randn(4, 3, px, px, generator=torch.Generator().manual_seed(0), dtype=dtype))


def layers_of(model: nn.Module | str, shown: Shown | None = None, px: int = 32) -> list[dict[str, Any]]:
    """What the probe tells of each layer."""
    asked = subject_of(model, px) if isinstance(model, str) else subject(model, px)
    found = attention_distance(replace(asked, data=shown or noise(px=px))).values  # type: ignore[arg-type]
    return list(found["layers"])


def to_cell(side: int, target: Any) -> Tensor:
    """Scores [side², side²] that put all weight on `target(row, column)`."""
    scores = torch.zeros(side * side, side * side)
    for query in range(side * side):
        row, column = target(*divmod(query, side))
        scores[query, row * side + column] = SURE
    return scores


def right_neighbour(row: int, column: int) -> tuple[int, int]:
    """The cell to the right, and in the last column the one to the left."""
    return row, column + 1 if column < SIDE - 1 else column - 1


def mean_distance(rows: int, columns: int, step: int = 1) -> float:
    """Mean distance in cells from each cell of a map to every `step`th of its rows and columns."""
    to = [(r, c) for r in range(0, rows, step) for c in range(0, columns, step)]
    every = [hypot(r - a, c - b) for r in range(rows) for c in range(columns) for a, b in to]
    return sum(every) / len(every)


WAYS = pytest.mark.parametrize("way", ["method", "module", "fused"])


@WAYS
def test_uniform_attention_has_the_mean_distance_of_all_pairs_and_a_ratio_of_1(way: str) -> None:
    (layer,) = layers_of(by_hand(torch.zeros(64, 64), way))
    assert layer["distance_px"] == pytest.approx([CELL_PX * mean_distance(8, 8)])
    assert layer["uniform_px"] == pytest.approx(CELL_PX * mean_distance(8, 8))
    assert layer["ratio"] == pytest.approx([1.0])
    assert (layer["queries"], layer["keys"], layer["grid"]) == (64, 64, 8)


@WAYS
def test_attention_to_itself_has_none(way: str) -> None:
    (layer,) = layers_of(by_hand(SURE * torch.eye(64), way))
    assert layer["distance_px"] == pytest.approx([0.0], abs=1e-9)
    assert layer["ratio"] == pytest.approx([0.0], abs=1e-9)


@WAYS
def test_attention_to_one_neighbour_is_one_cell_of_4_px_away(way: str) -> None:
    (layer,) = layers_of(by_hand(to_cell(SIDE, right_neighbour), way))
    assert layer["distance_px"] == pytest.approx([4.0], abs=1e-8)


def test_distance_is_euclidean_and_grows_with_the_image() -> None:
    diagonal = by_hand(to_cell(SIDE, lambda row, column: (row ^ 1, column ^ 1)))
    assert layers_of(diagonal)[0]["distance_px"] == pytest.approx([4 * 2**0.5])
    assert layers_of(diagonal, px=64)[0]["distance_px"] == pytest.approx([8 * 2**0.5])


def test_a_class_token_counts_neither_as_query_nor_as_key() -> None:
    """Nine tenths of all weight are on the class token, which itself looks at everything."""
    scores = torch.zeros(65, 65)
    scores[1:, 1:] = to_cell(SIDE, right_neighbour)
    scores[1:, 0] = SURE + 2.2
    (layer,) = layers_of(by_hand(scores))
    assert layer["distance_px"] == pytest.approx([4.0], abs=1e-8)
    assert (layer["queries"], layer["keys"]) == (64, 64)


def test_fewer_keys_than_queries_are_where_their_convolutions_are_centred() -> None:
    """Key (i, j) of a convolution of stride 2 is at query (2i, 2j): one query in four is there, two are a cell away."""
    scores = torch.zeros(64, 16)
    for query in range(64):
        row, column = divmod(query, SIDE)
        scores[query, row // 2 * 4 + column // 2] = SURE
    (layer,) = layers_of(by_hand(scores))
    assert layer["distance_px"] == pytest.approx([4 * (2 + 2**0.5) / 4])
    assert layer["uniform_px"] == pytest.approx(4 * mean_distance(8, 8, step=2))


class MaskedAttention(nn.Module):
    """Fused attention, alike over what `options` let a query see."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        same = x.new_zeros(len(x), 2, 64, 4)
        return F.scaled_dot_product_attention(same, same, same, **self.options)


SEEN = (to_cell(SIDE, right_neighbour) + torch.eye(64)) > 0


@pytest.mark.parametrize("mask", [SEEN, torch.where(SEEN, 0.0, -100.0)], ids=["bool", "added"])
def test_a_mask_counts_and_uniform_attention_is_over_what_it_leaves(mask: Tensor) -> None:
    """Each query may see itself and one neighbour: 2 px on average, which is uniform."""
    (layer,) = layers_of(nn.Sequential(HandBlock(MaskedAttention(attn_mask=mask))))
    assert layer["distance_px"] == pytest.approx([2.0, 2.0])
    assert layer["ratio"] == pytest.approx([1.0, 1.0])


def test_a_causal_kernel_sees_what_came_before() -> None:
    (causal,) = layers_of(nn.Sequential(HandBlock(MaskedAttention(is_causal=True))))
    (masked,) = layers_of(nn.Sequential(HandBlock(MaskedAttention(attn_mask=torch.ones(64, 64).tril() > 0))))
    assert causal["distance_px"] == pytest.approx(masked["distance_px"])
    assert causal["distance_px"][0] < 0.9 * CELL_PX * mean_distance(8, 8)


class BrightnessAttention(HandAttention):
    """Looks at itself in bright images and everywhere in dark ones."""

    def forward(self, x: Tensor) -> Tensor:
        bright = (x.mean((1, 2, 3)) > 0).float()[:, None, None, None]
        return (SURE * torch.eye(64) * bright).softmax(-1)


def test_images_are_averaged_whatever_their_order_and_batches() -> None:
    """A test split that is sorted by class: a look at its first images alone would see one class."""
    shown = Shown(torch.cat([torch.ones(100, 3, 32, 32), -torch.ones(100, 3, 32, 32)]))
    (layer,) = layers_of(nn.Sequential(HandBlock(BrightnessAttention(torch.zeros(1), ""))), shown)
    assert layer["ratio"] == pytest.approx([0.5])


def sharpened(name: str) -> Any:
    """A model whose heads differ, as scores of fresh ones are all near 0; in float64, so that rounding stays small."""
    model = built(name).double()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if ".attn." in parameter_name and "weight" in parameter_name:
                parameter.mul_(12)
    return model


@pytest.mark.parametrize("name", ["vit_mini", "vit_mini[pos_embed=relative]", "swin_mini"])
def test_fused_and_explicit_attention_of_one_model_agree(name: str) -> None:
    model = sharpened(name)
    found = []
    for fused in (False, True):
        for module in model.modules():
            if hasattr(module, "fused_attn"):
                module.fused_attn = fused
        found.append([ratio for layer in layers_of(model, noise(dtype=torch.float64)) for ratio in layer["ratio"]])
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert max(found[0]) - min(found[0]) > 0.02


def test_the_weights_of_a_vit_are_the_softmax_of_its_queries_and_keys() -> None:
    model = sharpened("vit_mini")
    projected: list[Tensor] = []
    model.blocks[0].attn.qkv.register_forward_hook(lambda _m, _i, out: projected.append(out))
    with torch.inference_mode(), weights_of(model) as calls:
        model(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    query, key, _ = projected[0].reshape(2, 65, 3, 4, -1).permute(2, 0, 3, 1, 4)
    expected = torch.softmax(query @ key.transpose(2, 3) / query.shape[-1] ** 0.5, dim=-1)
    name, _, weights = calls[0]
    assert name == "blocks.0.attn"
    torch.testing.assert_close(weights, expected)


def swin(offset: tuple[int, int] | None = None) -> Any:
    """A Swin that looks alike at all of its window, or at itself by its bias alone."""
    model = built("swin_mini")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "attn.qkv" in name:
                parameter.zero_()
            elif "relative_position_bias_table" in name:
                parameter.zero_()
                if offset is not None:
                    side = int(len(parameter) ** 0.5)
                    parameter[(side // 2 + offset[0]) * side + side // 2 + offset[1]] = SURE
    return model


def test_the_uniform_distance_of_swin_is_that_of_its_windows_and_of_their_parts_where_they_wrap_around() -> None:
    """The shift by half a window leaves one whole window, two cut into halves and one cut into quarters."""
    still, moved, *_, merged = layers_of(swin())
    whole, half, quarter = mean_distance(4, 4), mean_distance(2, 4), mean_distance(2, 2)
    assert still["uniform_px"] == pytest.approx(CELL_PX * whole)
    assert moved["uniform_px"] == pytest.approx(CELL_PX * (whole + 2 * half + quarter) / 4)
    assert merged["uniform_px"] == pytest.approx(2 * CELL_PX * whole)
    for layer in (still, moved, merged):
        assert layer["ratio"] == pytest.approx([1.0] * len(layer["ratio"]))


@pytest.mark.parametrize("fused", [False, True])
def test_the_relative_position_bias_of_swin_counts(fused: bool) -> None:
    model = swin(offset=(0, 0))
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = fused
    for layer in layers_of(model):
        assert layer["distance_px"] == pytest.approx([0.0] * len(layer["ratio"]), abs=1e-6)


@pytest.mark.parametrize(("name", "keys"), [("cvt_mini", (16, 4)), ("cvt_mini[kv_stride=1]", (64, 16))])
def test_cvt_has_fewer_keys_at_the_places_of_its_stride(name: str, keys: tuple[int, int]) -> None:
    model = built(name)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "attn.proj_q" in parameter_name:
                parameter.zero_()
    first, *_, last = layers_of(model)
    assert (first["queries"], last["queries"]) == (64, 16)
    assert (first["keys"], last["keys"]) == keys
    step = 2 if name == "cvt_mini" else 1
    assert first["uniform_px"] == pytest.approx(CELL_PX * mean_distance(8, 8, step))
    assert last["uniform_px"] == pytest.approx(2 * CELL_PX * mean_distance(4, 4, step))
    assert first["ratio"] + last["ratio"] == pytest.approx([1.0] * 3)


@pytest.mark.parametrize(
    ("model", "px", "why"),
    [
        ("resnet_mini", 32, "no attention"),
        ("vit_mini", 16, "4×4 cells"),
        (by_hand(torch.zeros(66, 66)), 32, "no square"),
        (by_hand(torch.zeros(64, 66)), 32, "no square"),
    ],
)
def test_a_geometry_without_near_and_far_is_refused(model: nn.Module | str, px: int, why: str) -> None:
    with pytest.raises(NotProbable, match=why):
        layers_of(model, px=px)


def test_what_it_tells_is_json_and_the_model_is_left_as_it_was() -> None:
    asked = replace(subject_of("swin_mini"), data=noise())  # type: ignore[arg-type]
    values = attention_distance(asked, images=3).values
    assert values["images"] == 3
    assert json.loads(json.dumps(values)) == values
    assert [layer["name"] for layer in values["layers"]][:2] == ["layers.0.blocks.0.attn", "layers.0.blocks.1.attn"]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in asked.model.modules())
