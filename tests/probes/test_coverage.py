"""Coverage: which positions of an image the logits depend on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.models.build import build_module
from bench.probes.reach import input_gradient_coverage
from tests.probes.toys import convolutions, subject


class _Blind(nn.Module):
    """Sees an image through a mask."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.head = nn.Linear(3 * mask.numel(), 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((x * self.mask).flatten(1))  # type: ignore[no-any-return, operator]


def test_a_model_that_ignores_half_of_the_image_covers_half() -> None:
    mask = torch.ones(16, 16)
    mask[:, :8] = 0
    found = input_gradient_coverage(subject(_Blind(mask), 16)).values
    assert found["coverage"] == 0.5
    assert found["weakest"] == 0


def test_one_blind_pixel_is_found() -> None:
    mask = torch.ones(16, 16)
    mask[3, 11] = 0
    assert input_gradient_coverage(subject(_Blind(mask), 16)).values["coverage"] == 255 / 256


def test_strides_wider_than_the_kernel_leave_pixels_out() -> None:
    assert input_gradient_coverage(subject(convolutions((1, 2)), 16)).values["coverage"] == 0.25


def test_the_weakest_position_is_told_as_a_part_of_the_mean() -> None:
    """One half of the image counts a third of the other: half of the mean, up to the noise on every weight."""
    mask = torch.ones(16, 16)
    mask[:, 8:] = 3
    model = _Blind(mask)
    nn.init.ones_(model.head.weight)
    assert input_gradient_coverage(subject(model, 16)).values["weakest"] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("name", ["resnet_mini", "vit_mini", "swin_mini", "cvt_mini", "lstm_mini"])
def test_every_family_depends_on_every_position(name: str) -> None:
    model = build_module(name, seed=0, img_size=32, num_classes=10).eval()
    found = input_gradient_coverage(subject(model)).values
    assert found["coverage"] == 1
    assert 0 < found["weakest"] <= 1


def test_a_network_whose_residual_branches_start_shut_covers_all_of_the_image() -> None:
    model = build_module("resnet18", seed=0, img_size=64, num_classes=10).eval()
    assert input_gradient_coverage(subject(model, 64)).values["coverage"] == 1


def test_the_model_is_left_as_it_was() -> None:
    model = convolutions((3, 1))
    before = model.blocks[0].weight.clone()  # type: ignore[operator]
    input_gradient_coverage(subject(model))
    assert torch.equal(model.blocks[0].weight, before)  # type: ignore[arg-type]
