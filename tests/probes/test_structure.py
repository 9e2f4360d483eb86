"""Structural probes find what is known beforehand of a model, and refuse where there is nothing to find."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.layers.attention import Attention
from torch import nn

from bench.probes.patches import counted_macs, key_value_reduction, patch_count
from bench.probes.subject import NotProbable
from bench.probes.tokens import embedding_norms, readout
from bench.probes.windows import score_bias, window_plan, window_reach
from tests.broken_models import fine_linear
from tests.broken_structures import built, cvt_with_early_class_token, subject_of, swin_that_leaks


def test_a_head_that_reads_the_mean_minds_the_content_of_cells_and_not_their_order() -> None:
    found = readout(subject_of("vit_mini[pool=mean]")).values
    assert found["class_tokens"] == [0, 0, 0, 0]
    assert found["cells"] == [64, 64, 64, 64]
    assert found["class_replaced"] is found["spread_in"] is found["head_of_class"] is found["class_learned"] is None
    assert found["cells_permuted"] < 1e-12
    assert found["cells_replaced"] > 0.1


def test_class_tokens_are_counted_where_they_enter() -> None:
    assert readout(subject_of("cvt_mini")).values["class_tokens"] == [0, 0, 0, 0, 1]
    assert readout(subject_of(cvt_with_early_class_token())).values["class_tokens"] == [1, 1, 1, 1, 1]


def test_only_a_class_token_with_a_trainable_parameter_behind_it_is_learned() -> None:
    model = built("vit_mini")
    model.cls_token.requires_grad_(False)
    assert readout(subject_of(model)).values["class_learned"] is True, "its position row is still learned"
    model.pos_embed.requires_grad_(False)
    assert readout(subject_of(model)).values["class_learned"] is False
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert readout(subject_of(model)).values["class_learned"] is False


def test_how_far_the_first_block_is_from_patches_and_positions_is_told_in_their_spread() -> None:
    model = built("vit_mini")
    with torch.no_grad():
        model.pos_embed.zero_()
    shift = nn.Identity()
    model.norm_pre = shift
    assert embedding_norms(subject_of(model)).values["embedding_change"] == 0
    patches = model.patch_embed(torch.randn((4, 3, 32, 32), generator=torch.Generator().manual_seed(0)).double())
    shift.register_forward_hook(lambda _m, _i, out: out + 3 * float(patches.std()))
    assert embedding_norms(subject_of(model)).values["embedding_change"] == pytest.approx(3, rel=0.02)


def test_windows_and_grids_are_read_block_by_block() -> None:
    found = window_plan(subject_of("swin_mini")).values
    assert found == {"grid": [8, 8, 8, 4], "window": [4, 4, 4, 4], "patch_px": [4, 4, 4, 8]}


def test_a_shifted_window_of_four_cells_holds_a_quarter_of_each_of_four_windows() -> None:
    found = window_reach(subject_of("swin_mini")).values
    assert (found["window"], found["grid"], found["stage_blocks"]) == (4, 8, 3)
    assert (found["first"], found["first_groups"]) == (0, 1)
    assert (found["second"], found["second_groups"]) == (0.75, 4)
    assert found["second_outside_moved"] == 0
    assert (found["both"], found["both_groups"]) == (0.75, 4)


def test_one_window_that_leaks_into_one_other_is_seen() -> None:
    found = window_reach(subject_of(swin_that_leaks(0))).values
    assert found["first_groups"] == 2
    assert found["first"] == pytest.approx(1 / 17), "one cell beyond the sixteen of its own window"


def test_the_bias_is_found_in_the_scores_alone() -> None:
    found = score_bias(subject_of("swin_mini")).values
    assert max(found["scores"], found["values"]) < 1e-12
    assert min(found["without"], found["weights_moved"]) > 0.01


@pytest.mark.parametrize("name", ["vit_mini", "vit_mini[overlap=true]", "cvt_mini", "resnet_mini"])
def test_patches_are_as_many_as_places_at_which_a_kernel_fits(name: str) -> None:
    found = patch_count(subject_of(name)).values
    kernel, stride, padding = found["kernel"], found["stride"], found["padding"]
    places = [len(range(-padding, side + padding - kernel + 1, stride)) for side in found["own_sides"]]
    assert found["own_counts"] == places
    assert (found["side"], found["patches"], found["formula"]) == (8, 64, 8)
    assert found["notes"] == (32 - kernel) / stride
    assert found["cases"] > 1000
    assert found["mismatches"] == 0


def test_keys_and_what_they_spare_are_those_of_a_count_by_hand() -> None:
    found = key_value_reduction(subject_of("cvt_mini"), full="cvt_mini[kv_stride=1]").values
    assert (found["queries"], found["keys"]) == ([64, 64, 64, 64, 16], [16, 16, 16, 16, 4])
    first = 48 * (2 * 9 * 80 + 2 * 80 * 80 + 2 * 64 * 80)
    last = 12 * (2 * 9 * 128 + 2 * 128 * 128 + 2 * 17 * 128)
    assert found["macs_full"] - found["macs"] == found["saved_formula"] == 4 * first + last


@pytest.mark.parametrize("fused", [False, True])
def test_attention_is_counted_whichever_kernel_it_runs_on(fused: bool) -> None:
    attention: Any = Attention(32, num_heads=2).eval()
    attention.fused_attn = fused
    tokens = 10
    expected = tokens * 4 * 32 * 32 + 2 * tokens * tokens * 32
    assert counted_macs(attention, torch.zeros(1, tokens, 32)) == expected


@pytest.mark.parametrize(
    ("probe", "name", "reason"),
    [
        (window_reach, "vit_mini", "no windows"),
        (score_bias, "vit_mini", "no relative position bias"),
        (embedding_norms, "swin_mini", "no patches, table of positions and head"),
        (embedding_norms, "vit_mini[pos_embed=none]", "no patches, table of positions and head"),
        (window_plan, "resnet_mini", "not every block has one attention"),
    ],
)
def test_a_model_without_the_part_is_refused_with_a_reason(probe: Any, name: str, reason: str) -> None:
    with pytest.raises(NotProbable, match=reason):
        probe(subject_of(name))


def test_a_grid_that_one_window_covers_is_refused() -> None:
    with pytest.raises(NotProbable, match="no larger than a window"):
        window_reach(subject_of("swin_mini", img_size=16))


def test_keys_that_no_convolution_makes_are_refused() -> None:
    with pytest.raises(NotProbable, match="does not project keys by convolutions"):
        key_value_reduction(subject_of("vit_mini"), full="vit_mini")


def test_a_model_without_patches_is_refused() -> None:
    with pytest.raises(NotProbable, match="no patch embedding"):
        patch_count(subject_of(fine_linear()))


@pytest.mark.parametrize("name", ["vit_mini", "swin_mini"])
def test_the_same_request_finds_the_same(name: str) -> None:
    assert readout(subject_of(name)) == readout(subject_of(name))
