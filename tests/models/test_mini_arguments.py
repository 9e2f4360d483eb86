"""Each argument of a mini changes what it says and nothing else, and each family's defining part is there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.layers.attention import Attention
from torch import Tensor, nn

from bench.models.mini import PATCH_PX, WINDOW
from bench.training.recipe import make_optimizer
from tests.models.minis import any_order, mini, noise, reordered

POSITIONS = ("learned", "sincos1d", "sincos2d", "relative")
EXACT = 1e-10
"""Above rounding in float64."""


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Parameters by name."""
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def moved_by_order(model: Any) -> float:
    """Largest change of a logit when the patches of an image change places."""
    images = noise(dtype=torch.float64)
    with torch.inference_mode():
        return float((model.double()(reordered(images, any_order())) - model(images)).abs().max())


def seen_pixels(feature: Tensor, images: Tensor) -> Tensor:
    """Which pixels [px, px] of the first image a feature vector depends on."""
    (gradient,) = torch.autograd.grad(feature.square().sum(), images, retain_graph=True)
    return gradient[0].abs().amax(0) > 0


def bounds(seen: Tensor) -> tuple[int, int, int, int]:
    """First and last row, first and last column of what is seen."""
    rows, columns = (torch.nonzero(seen.any(axis)).flatten().tolist() for axis in (1, 0))
    return rows[0], rows[-1], columns[0], columns[-1]


def test_reordered_images_hold_the_same_patches_elsewhere() -> None:
    images, order = noise(1), any_order()
    moved = reordered(images, order)
    for place in (0, 9, 63):
        (to_row, to_column), (row, column) = (divmod(k, 8) for k in (place, int(order[place])))
        there = moved[..., to_row * 4 : to_row * 4 + 4, to_column * 4 : to_column * 4 + 4]
        assert torch.equal(there, images[..., row * 4 : row * 4 + 4, column * 4 : column * 4 + 4])


# What is added and what is taken away


@pytest.mark.parametrize(
    ("name", "argument", "gone", "new"),
    [
        ("vit_mini", {"pos_embed": "none"}, {"pos_embed"}, set()),
        ("vit_mini", {"pos_embed": "sincos1d"}, set(), set()),
        ("vit_mini", {"pos_embed": "sincos2d"}, set(), set()),
        (
            "vit_mini",
            {"pos_embed": "relative"},
            {"pos_embed"},
            {f"blocks.{k}.attn.rel_pos.relative_position_bias_table" for k in range(4)},
        ),
        ("swin_mini", {"shift": False}, set(), set()),
        (
            "swin_mini",
            {"bias": "none"},
            {f"layers.{s}.blocks.{k}.attn.relative_position_bias_table" for s, k in ((0, 0), (0, 1), (0, 2), (1, 0))},
            set(),
        ),
        ("cvt_mini", {"kv_stride": 1}, set(), set()),
        ("cvt_mini", {"pool": "mean"}, set(), set()),
    ],
)
def test_parameters_differ_in_nothing_but_what_the_argument_says(
    name: str, argument: dict[str, Any], gone: set[str], new: set[str]
) -> None:
    before, after = shapes(mini(name)), shapes(mini(name, **argument))
    assert before.keys() - after.keys() == gone
    assert after.keys() - before.keys() == new
    assert all(before[key] == after[key] for key in before.keys() & after.keys())


def test_mean_pooling_leaves_out_the_class_token_and_its_position() -> None:
    before, after = shapes(mini("vit_mini")), shapes(mini("vit_mini", pool="mean"))
    assert before.keys() - after.keys() == {"cls_token"}
    assert {key for key in after if after[key] != before[key]} == {"pos_embed"}
    assert (before["pos_embed"][1], after["pos_embed"][1]) == (65, 64)


def test_overlap_widens_the_kernel_of_the_patches_alone() -> None:
    before, after = shapes(mini("vit_mini")), shapes(mini("vit_mini", overlap=True))
    assert before.keys() == after.keys()
    assert {key for key in after if after[key] != before[key]} == {"patch_embed.proj.weight"}


def test_an_absolute_position_takes_the_place_of_the_tables() -> None:
    before, after = shapes(mini("swin_mini")), shapes(mini("swin_mini", bias="absolute"))
    assert not [key for key in after if "bias_table" in key]
    assert {key: shape for key, shape in after.items() if "pos_embed" in key} == {
        "patch_embed.pos_embed": (1, 8, 8, 80)
    }
    assert sorted(shape for key, shape in before.items() if "bias_table" not in key) == sorted(
        shape for key, shape in after.items() if "pos_embed" not in key
    )


# ViT


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_without_positions_the_order_of_patches_changes_no_logit(pool: str) -> None:
    assert moved_by_order(mini("vit_mini", pos_embed="none", pool=pool)) < EXACT


@pytest.mark.parametrize("pool", ["cls", "mean"])
@pytest.mark.parametrize("pos_embed", POSITIONS)
def test_with_any_kind_of_position_the_order_matters(pos_embed: str, pool: str) -> None:
    assert moved_by_order(mini("vit_mini", pos_embed=pos_embed, pool=pool)) > 1e4 * EXACT


def test_relative_positions_are_all_in_their_tables() -> None:
    model = mini("vit_mini", pos_embed="relative")
    for name, parameter in model.named_parameters():
        if "relative_position_bias_table" in name:
            nn.init.zeros_(parameter)
    assert moved_by_order(model) < EXACT


@pytest.mark.parametrize("pos_embed", ["sincos1d", "sincos2d"])
@pytest.mark.parametrize(("pool", "prefix"), [("cls", 1), ("mean", 0)])
def test_fixed_positions_are_neither_trained_nor_drawn(pos_embed: str, pool: str, prefix: int) -> None:
    model = mini("vit_mini", pos_embed=pos_embed, pool=pool)
    assert not model.pos_embed.requires_grad
    assert all(p is not model.pos_embed for g in make_optimizer(model, 0.05).param_groups for p in g["params"])
    assert torch.equal(model.pos_embed, mini("vit_mini", seed=1, pos_embed=pos_embed, pool=pool).pos_embed)
    assert model.pos_embed.shape == (1, prefix + 64, 80)
    assert not model.pos_embed[:, :prefix].any()


def _likeness(pos_embed: str) -> Tensor:
    """Inner products of positions [row, column, row, column]."""
    table = mini("vit_mini", pos_embed=pos_embed).pos_embed[0, 1:].double()
    return (table @ table.T).view(8, 8, 8, 8)


def test_two_dimensional_positions_tell_rows_from_columns_and_raster_ones_do_not() -> None:
    two, one = _likeness("sincos2d"), _likeness("sincos1d")
    assert torch.allclose(two, two.permute(1, 0, 3, 2), atol=1e-4), "rows count as columns do"
    assert torch.allclose(two[:7, :, 1:].diagonal(dim1=0, dim2=2), two[:1, :, 1:2].diagonal(dim1=0, dim2=2), atol=1e-4)
    flat = one.view(64, 64)
    for offset in (1, 8, 20):
        along = flat.diagonal(offset)
        assert torch.allclose(along, along[:1].expand_as(along), atol=1e-4), "only the raster distance counts"
    assert one[0, 7, 1, 0] > one[0, 0, 1, 0] + 1, "the end of a row is next to the start of the next one"
    assert two[0, 7, 1, 0] < two[0, 0, 1, 0] - 1


@pytest.mark.parametrize("pos_embed", ["learned", "none", "sincos1d", "sincos2d", "relative"])
def test_every_kind_of_position_starts_from_the_same_distribution_of_weights(pos_embed: str) -> None:
    blocks = mini("vit_mini", pos_embed=pos_embed).blocks
    linear = [(name, module) for name, module in blocks.named_modules() if isinstance(module, nn.Linear)]
    assert len(linear) == 16
    for name, layer in linear:
        outputs = layer.out_features // 3 if name.endswith("qkv") else layer.out_features
        deviation = (2 / (layer.in_features + outputs)) ** 0.5
        assert float(layer.weight.detach().std()) == pytest.approx(deviation, rel=0.05)
    assert not any(layer.bias.any() for _, layer in linear)


def test_blocks_normalise_first_and_the_embedding_is_not_normalised() -> None:
    model = mini("vit_mini")
    entered: list[Tensor] = []
    model.blocks[0].register_forward_pre_hook(lambda _, given: entered.append(given[0]))
    block = model.blocks[0]
    with torch.inference_mode():
        model(noise())
        tokens = model.patch_embed(noise()) + model.pos_embed[:, 1:]
        assert torch.allclose(entered[0][:, 1:], tokens, atol=1e-6)
        x = entered[0]
        x = x + block.attn(block.norm1(x))
        assert torch.allclose(block(entered[0]), x + block.mlp(block.norm2(x)), atol=1e-6)
    assert isinstance(model.norm, nn.LayerNorm)
    assert isinstance(model.fc_norm, nn.Identity)


@pytest.mark.parametrize(("overlap", "side"), [(False, 4), (True, 7)])
def test_a_patch_sees_its_own_pixels_or_with_overlap_its_neighbours_too(overlap: bool, side: int) -> None:
    model, images = mini("vit_mini", overlap=overlap), noise(1).requires_grad_()
    tokens = model.patch_embed(images)
    assert tokens.shape[1] == 64
    top, bottom, left, right = bounds(seen_pixels(tokens[0, 3 * 8 + 2], images))
    assert (bottom - top + 1, right - left + 1) == (side, side)
    assert (top, left) == (12 - (side > 4) * 2, 8 - (side > 4) * 2)


def test_overlapping_patches_start_at_the_scale_of_the_others() -> None:
    plain, wide = (mini("vit_mini", overlap=overlap).patch_embed for overlap in (False, True))
    with torch.inference_mode():
        ratio = wide(noise(8)).std() / plain(noise(8)).std()
    assert ratio == pytest.approx(1, abs=0.2)


# Swin


def _disturbed(model: Any) -> Tensor:
    """Cells [8, 8] of the first stage that change with the pixels of the first window."""
    images = noise(1, dtype=torch.float64)
    other = images.clone()
    other[..., : WINDOW * PATCH_PX, : WINDOW * PATCH_PX] += 1
    first = nn.Sequential(model.double().patch_embed, model.layers[0])
    with torch.inference_mode():
        return (first(other) - first(images))[0].abs().amax(-1) > EXACT


@pytest.mark.parametrize("bias", ["none", "absolute", "relative"])
def test_without_shift_the_first_stage_never_leaves_a_window(bias: str) -> None:
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[:WINDOW, :WINDOW] = False
    assert torch.equal(_disturbed(mini("swin_mini", shift=False, bias=bias)), ~outside)
    assert _disturbed(mini("swin_mini", bias=bias))[outside].any()


def _moved_within_windows(model: Any) -> float:
    """How far the first stage is from following its cells when they change places inside their windows, all alike."""
    cells = torch.arange(64).view(8, 8)
    order = cells.view(2, 4, 2, 4).transpose(1, 2).flatten(2)[:, :, any_order(16)]  # [2, 2, 16] cells by window
    order = order.unflatten(2, (4, 4)).transpose(1, 2).flatten()
    images = noise(1, dtype=torch.float64)
    first = nn.Sequential(model.double().patch_embed, model.layers[0])
    with torch.inference_mode():
        return float(
            (first(reordered(images, order)) - first(images).flatten(1, 2)[:, order].view(1, 8, 8, -1)).abs().max()
        )


@pytest.mark.parametrize(("bias", "told"), [("none", False), ("absolute", True), ("relative", True)])
def test_places_in_a_window_are_told_apart_by_a_bias_or_not_at_all(bias: str, told: bool) -> None:
    moved = _moved_within_windows(mini("swin_mini", shift=False, bias=bias))
    assert moved > 1e-3 if told else moved < EXACT


@pytest.mark.parametrize(("bias", "told"), [("none", False), ("absolute", True), ("relative", False)])
def test_windows_are_told_apart_by_absolute_positions_only(bias: str, told: bool) -> None:
    model = mini("swin_mini", shift=False, bias=bias).double()
    side = WINDOW * PATCH_PX
    images = noise(1, dtype=torch.float64)[..., :side, :side].repeat(1, 1, 2, 2)
    with torch.inference_mode():
        out = model.layers[0](model.patch_embed(images))
    difference = float((out[:, :WINDOW, :WINDOW] - out[:, WINDOW:, WINDOW:]).abs().max())
    assert difference > 1e-3 if told else difference < EXACT


# CvT


@pytest.mark.parametrize(("kv_stride", "keys"), [(2, [16, 16, 16, 16, 5]), (1, [64, 64, 64, 64, 17])])
def test_stride_one_keeps_four_times_the_keys_of_the_grid(kv_stride: int, keys: list[int]) -> None:
    model, seen = mini("cvt_mini", kv_stride=kv_stride), []
    for stage in model.stages:
        for block in stage.blocks:
            convolution = block.attn.conv_proj_k
            extra = int(stage.cls_token is not None)
            convolution.register_forward_hook(lambda _m, _i, out, extra=extra: seen.append(out.shape[1] + extra))
            assert block.attn.conv_proj_v.conv.stride == convolution.conv.stride == (kv_stride, kv_stride)
            assert block.attn.conv_proj_q.conv.stride == (1, 1)
    with torch.inference_mode():
        model(noise(1))
    assert seen == keys


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_the_class_token_is_in_the_last_stage_only_and_read_where_it_is_asked_for(pool: str) -> None:
    model = mini("cvt_mini", pool=pool)
    assert [stage.cls_token is not None for stage in model.stages] == [False, True]
    features = noise(2)[:, :1, :17, :1].expand(2, 1, 17, 128).squeeze(1).contiguous()
    for read, kept in ((features[:, :1], pool == "mean"), (features[:, 1:], pool == "cls")):
        before = model.forward_head(features)
        read.add_(torch.arange(128))  # a view: `features` changes too
        assert torch.equal(model.forward_head(features), before) is kept


# LSTM


def test_patches_are_read_row_by_row_in_both_directions_without_positions() -> None:
    model, images = mini("lstm_mini"), noise(1).requires_grad_()
    read: list[Tensor] = []
    model.blocks[0].register_forward_pre_hook(lambda _, given: read.append(given[0]))
    model(images)
    token = read[0][0, 8 * 2 + 5]
    assert bounds(seen_pixels(token, images)) == (8, 11, 20, 23)
    assert seen_pixels(model.blocks[0](read[0])[0, 27], images).all(), "forwards and backwards"
    assert not [name for name, _ in model.named_parameters() if "pos" in name]
    assert moved_by_order(model) > 1e4 * EXACT


# ResNet


def test_the_stem_sees_one_patch_and_every_block_two_cells_more_on_each_side() -> None:
    model, images = mini("resnet_mini", depth=8).double(), noise(1, 64, dtype=torch.float64).requires_grad_()
    x, reach = model.stem(images), [4]
    assert bounds(seen_pixels(x[0, :, 8, 8], images)) == (32, 35, 32, 35)
    for block in model.layer1[:3]:
        x = block(x)
        top, bottom, _, _ = bounds(seen_pixels(x[0, :, 8, 8], images))
        reach.append(bottom - top + 1)
    assert reach == [4, 20, 36, 52]


def test_a_resnet_is_convolutions_of_three_by_three_with_batch_norm_and_a_mean() -> None:
    model = mini("resnet_mini")
    assert not [module for module in model.modules() if isinstance(module, (Attention, nn.LayerNorm))]
    kernels = {n: m.kernel_size for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and "conv" in n}
    assert len(kernels) == 8
    assert set(kernels.values()) == {(3, 3)}
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 10
    with torch.inference_mode():
        features = model.forward_features(noise())
        assert features.shape == (2, model.num_features, 4, 4)
        assert torch.allclose(model(noise()), model.head(features.mean((2, 3))), atol=1e-6)
