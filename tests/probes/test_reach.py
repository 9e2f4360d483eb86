"""Reach: the support of a unit is the receptive field that theory gives, and the effective field follows its paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.models.build import build_module
from bench.probes.blocks import as_grid
from bench.probes.reach import ERF_LEVEL, effective_receptive_field, gradient_support
from bench.probes.subject import NotProbable
from tests.probes.toys import Blocks, Shown, Tokens, box_blurs, convolutions, subject


def mini(name: str) -> nn.Module:
    return build_module(name, seed=0, img_size=32, num_classes=10).eval()


def theoretical(layers: list[tuple[int, int]]) -> list[int]:
    """Receptive field after each (kernel, stride): it grows by (kernel − 1) times the product of earlier strides."""
    field, jump, found = 1, 1, []
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
        found.append(field)
    return found


@pytest.mark.parametrize(
    "layers",
    [
        [(3, 1)] * 5,
        [(7, 2), (3, 2), (3, 1)],
        [(4, 4), (1, 1), (3, 1)],
        [(3, 2), (5, 1), (1, 2), (3, 1)],
    ],
)
def test_the_support_of_a_convolutional_stack_is_its_theoretical_receptive_field(layers: list[tuple[int, int]]) -> None:
    px = 48
    found = gradient_support(subject(convolutions(*layers), px)).values
    assert found["side_px"] == theoretical(layers)
    assert found["share"] == pytest.approx([(side / px) ** 2 for side in theoretical(layers)])


def test_k_layers_of_3x3_see_2k_plus_1_pixels_and_no_more_than_the_image() -> None:
    found = gradient_support(subject(convolutions(*[(3, 1)] * 9), 16)).values
    assert found["side_px"] == [min(2 * k + 1, 16) for k in range(1, 10)]
    assert found["share"][-1] == 1


def test_cells_are_as_wide_as_the_product_of_strides() -> None:
    assert gradient_support(subject(convolutions((3, 2), (3, 1), (3, 4)), 48)).values["cell_px"] == [2, 2, 8]


@pytest.mark.parametrize("class_token", [False, True])
def test_uniform_attention_sees_the_whole_image_after_one_block(class_token: bool) -> None:
    tokens = 64 + class_token
    found = gradient_support(subject(Tokens(torch.full((tokens, tokens), 1 / tokens), class_token))).values
    assert found["share"] == [1.0]
    assert found["side_px"] == [32]


@pytest.mark.parametrize("class_token", [False, True])
def test_attention_of_a_token_to_itself_sees_its_own_patch(class_token: bool) -> None:
    found = gradient_support(subject(Tokens(torch.eye(64 + class_token), class_token))).values
    assert found["side_px"] == [4]
    assert found["share"] == [16 / 32**2]


def test_a_pair_masked_by_minus_a_hundred_before_the_softmax_is_no_path() -> None:
    scores = torch.full((64, 64), -100.0, dtype=torch.float64).fill_diagonal_(0.0)
    found = gradient_support(subject(Tokens(scores.softmax(-1)))).values
    assert found["side_px"] == [4]


def test_a_weak_path_counts() -> None:
    weights = torch.eye(64, dtype=torch.float64) + 1e-12
    assert gradient_support(subject(Tokens(weights))).values["share"] == [1.0]


def test_a_unit_that_is_off_for_one_image_hides_nothing() -> None:
    """One channel behind a ReLU is off for about every second image."""
    model = Blocks(nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.ReLU()))
    single = [gradient_support(subject(model, 16, seed=seed), draws=1).values["side_px"][0] for seed in range(8)]
    many = [gradient_support(subject(model, 16, seed=seed), draws=24).values["side_px"][0] for seed in range(8)]
    assert set(single) == {0, 3}
    assert set(many) == {3}


class _ShutBranch(nn.Module):
    """A residual branch that is shut at the start, as timm's last norms are."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gain * self.branch(x)  # type: ignore[no-any-return]


def test_a_branch_that_starts_at_zero_is_a_path() -> None:
    assert gradient_support(subject(Blocks(_ShutBranch(), _ShutBranch()))).values["side_px"] == [3, 5]


def test_class_tokens_are_left_out_of_the_grid_from_the_front() -> None:
    tokens = torch.arange(10.0).view(1, 10, 1)
    assert as_grid(tokens, nn.Identity())[0, :, :, 0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


class _ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


def test_maps_with_channels_last_are_read_as_such() -> None:
    found = gradient_support(subject(Blocks(_ChannelsLast()))).values
    assert found["side_px"] == [3]
    assert found["cell_px"] == [1]


def test_the_model_is_left_as_it_was() -> None:
    model = convolutions((3, 1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradient_support(subject(model))
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])


def test_a_block_without_square_grids_is_refused() -> None:
    with pytest.raises(NotProbable, match="no grid of cells"):
        gradient_support(subject(Tokens(torch.ones(60, 64))))


@pytest.mark.parametrize("probe", [gradient_support, effective_receptive_field])
def test_a_model_without_blocks_is_refused(probe) -> None:  # type: ignore[no-untyped-def]
    class Bare(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3))

    with pytest.raises(NotProbable, match="names no blocks"):
        probe(subject(Bare(), images=Shown(torch.zeros(1, 3, 32, 32))))


def test_one_vit_block_sees_all_of_the_image_and_one_cnn_block_a_part() -> None:
    vit = gradient_support(subject(mini("vit_mini[depth=1]"))).values
    cnn = gradient_support(subject(mini("resnet_mini[depth=8]"))).values
    assert vit["share"] == [1.0]
    assert vit["blocks"] == ["blocks.0"]
    # Two 3×3 convolutions on cells of 4 px reach two cells each way; twice that covers eight cells.
    assert cnn["side_px"] == [20] + [32] * 7
    assert cnn["share"][0] == pytest.approx((20 / 32) ** 2)
    assert cnn["cell_px"] == [4] * 6 + [8] * 2


def test_one_cnn_block_sees_five_of_eight_cells() -> None:
    """The one-block CNN of a depth sweep stays on the fine grid: 1 + 2·2 cells of 4 px."""
    assert gradient_support(subject(mini("resnet_mini[depth=1]"))).values["side_px"] == [20]


def test_a_swin_block_sees_its_window_and_the_next_one_more() -> None:
    found = gradient_support(subject(mini("swin_mini"))).values
    assert found["blocks"] == ["layers.0.blocks.0", "layers.0.blocks.1", "layers.0.blocks.2", "layers.1.blocks.0"]
    assert found["share"][0] == 16 / 64
    assert found["share"][1] > found["share"][0]
    still = gradient_support(subject(mini("swin_mini[shift=false]"))).values
    assert still["share"][:3] == [16 / 64] * 3


def test_an_lstm_block_sees_all_of_the_sequence() -> None:
    assert gradient_support(subject(mini("lstm_mini"))).values["share"] == [1.0] * 3


def images(count: int, px: int, seed: int = 0) -> Shown:
    return Shown(torch.randn(count, 3, px, px, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("layers", [4, 16])
def test_the_effective_field_of_a_linear_stack_is_the_gaussian_that_its_boxes_tend_to(layers: int) -> None:
    """Each 3×3 box adds 2/3 px² of variance; a Gaussian is above 4.55 % of its peak within σ·√(2 ln(1/0.0455))."""
    px = 63
    found = effective_receptive_field(subject(box_blurs(layers), px, images(4, px))).values
    sigma = math.sqrt(2 / 3 * layers)
    radius = sigma * math.sqrt(2 * math.log(1 / ERF_LEVEL))
    assert found["side_px"] == pytest.approx(math.sqrt(math.pi) * radius, rel=0.05)
    field = np.array(found["map"])
    across = field[px // 2] / field[px // 2].sum()
    assert (across * (np.arange(px) - px // 2) ** 2).sum() == pytest.approx(sigma**2, rel=1e-3)
    assert field.max() == field[px // 2, px // 2] == 1
    assert found["side_px"] < 2 * layers + 1  # smaller than what the unit can see


def test_the_effective_field_of_one_pixel_is_one_pixel() -> None:
    found = effective_receptive_field(subject(convolutions((1, 1)), 16, images(2, 16))).values
    assert found["side_px"] == 1
    assert np.count_nonzero(found["map"]) == 1


class _FollowsSign(nn.Module):
    """A unit that rises with the pixel to its right in bright images, and falls with it in dark ones, where it rises
    with the one to its left."""

    def forward(self, x: Tensor) -> Tensor:
        bright = (x.mean((1, 2, 3), keepdim=True) > 0).to(x.dtype).detach()
        return (2 * bright - 1) * x.roll(-1, 3) + (1 - bright) * x.roll(1, 3)


def test_the_effective_field_is_the_mean_over_images_of_the_size_of_the_gradient_whatever_its_sign() -> None:
    bright, dark = torch.ones(1, 3, 8, 8), -torch.ones(1, 3, 8, 8)
    shown = Shown(torch.cat([bright] * 36 + [dark] * 4))
    found = effective_receptive_field(subject(Blocks(_FollowsSign()), 8, shown), images=40).values
    field = np.array(found["map"])
    assert found["images"] == 40
    assert field[4, 5] == 1
    assert field[4, 3] == pytest.approx(4 / 40, abs=1e-5)
    assert field.sum() == pytest.approx(1 + 4 / 40, abs=1e-5)


def test_no_more_images_are_taken_than_asked_for() -> None:
    found = effective_receptive_field(subject(convolutions((3, 1)), 8, images(10, 8)), images=6).values
    assert found["images"] == 6


def test_a_unit_without_gradient_has_no_effective_field() -> None:
    model = convolutions((3, 1))
    nn.init.zeros_(model.blocks[0].weight)  # type: ignore[arg-type]
    with pytest.raises(NotProbable, match="no gradient"):
        effective_receptive_field(subject(model, 8, images(2, 8)))


@pytest.mark.parametrize("name", ["resnet_mini", "vit_mini", "swin_mini", "cvt_mini", "lstm_mini"])
def test_every_family_has_an_effective_field_no_larger_than_its_support(name: str) -> None:
    model = mini(name)
    shown = subject(model, images=images(8, 32))
    side = effective_receptive_field(shown, images=8).values["side_px"]
    support = gradient_support(shown).values
    assert 1 <= side <= math.sqrt(support["share"][-1]) * 32
