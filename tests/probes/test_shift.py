"""Shifts: which answers stay is counted right, and what a shift leaves unchanged by construction is found unchanged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.models.build import build_module
from bench.probes.shift import moved, shift_consistency, shift_equality
from bench.probes.subject import NotProbable
from tests.probes.toys import Blocks, Shown, subject

EXACT = 1e-5


def points(columns: list[int], px: int = 32) -> Tensor:
    """Images with one bright column each."""
    images = torch.zeros(len(columns), 3, px, px)
    for image, column in zip(images, columns, strict=True):
        image[:, :, column] = 1.0
    return images


class ReadsColumn(nn.Module):
    """Answers by `answers[column]` of the bright column."""

    def __init__(self, answers: list[int]) -> None:
        super().__init__()
        self.register_buffer("answers", torch.tensor(answers))

    def forward(self, x: Tensor) -> Tensor:
        column = x.mean((1, 2)).argmax(1)
        return nn.functional.one_hot(self.answers[column], 32).float()  # type: ignore[index]


@pytest.mark.parametrize("px", [0, 1, 3])
def test_an_image_is_moved_right_and_down_with_its_edges_reflected(px: int) -> None:
    image = torch.randn(2, 3, 9, 9)
    padded = np.pad(image.numpy(), ((0, 0), (0, 0), (px, 0), (px, 0)), mode="reflect")[..., :9, :9]
    assert np.array_equal(moved(image, px).numpy(), padded)


def test_a_model_that_reads_positions_keeps_no_answer() -> None:
    columns = [5, 9, 14, 20]
    shown = Shown(points(columns), columns)
    found = shift_consistency(subject(ReadsColumn(list(range(32))), images=shown)).values
    assert found["shift_px"] == [0, 1, 2, 3, 4]
    assert found["consistency"] == [1, 0, 0, 0, 0]
    assert found["accuracy"] == [1, 0, 0, 0, 0]
    assert found["worst"] == found["worst_accuracy"] == 0
    assert found["images"] == 4


def test_a_pooled_circular_convolution_keeps_every_answer() -> None:
    """A pattern on an empty ground far from the edges is shifted whole, which changes no mean."""
    torch.manual_seed(0)
    circular = nn.Conv2d(3, 16, 5, padding=2, padding_mode="circular", bias=False)
    model = Blocks(circular, nn.ReLU(), nn.Conv2d(16, 10, 1, bias=False))
    images = torch.zeros(64, 3, 32, 32)
    images[..., 8:20, 8:20] = torch.randn(64, 3, 1, 1) + torch.randn(64, 3, 12, 12)
    found = shift_consistency(subject(model, images=Shown(images))).values
    assert len(set(model(images).argmax(1).tolist())) > 1
    assert found["consistency"] == [1, 1, 1, 1, 1]
    assert found["worst"] == 1


def test_the_worst_case_counts_images_that_keep_their_answer_under_every_shift() -> None:
    """Columns 0, 1, 2 modulo 3 answer 0, 0, 1: one of them stays under a shift by 1, another under one by 2."""
    columns = [6, 7, 8]
    shown = Shown(points(columns), [0, 0, 0])
    model = ReadsColumn([0, 0, 1] * 10 + [0, 0])
    findings = shift_consistency(subject(model, images=shown), largest_px=2)
    assert findings.values["consistency"] == pytest.approx([1, 1 / 3, 1 / 3])
    assert findings.values["worst"] == 0
    assert findings.values["accuracy"] == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert findings.values["worst_accuracy"] == 0
    assert findings.arrays["same"].tolist() == [[True, True, True], [True, False, False], [False, True, False]]
    assert findings.arrays["right"].tolist() == [[True, True, False], [True, False, True], [False, True, True]]


def test_no_more_images_are_taken_than_asked_for() -> None:
    shown = Shown(points([4] * 10))
    findings = shift_consistency(subject(ReadsColumn([0] * 32), images=shown), largest_px=1, images=7)
    assert findings.values["images"] == 7
    assert findings.arrays["same"].shape == (2, 7)


def vit(arguments: str) -> nn.Module:
    return build_module(f"vit_mini[{arguments}]", seed=0, img_size=32, num_classes=10).eval()


@pytest.mark.parametrize("arguments", ["pool=mean,pos_embed=none", "pool=cls,pos_embed=none"])
def test_without_positions_a_vit_is_blind_to_shifts_by_whole_patches_alone(arguments: str) -> None:
    found = shift_equality(subject(vit(arguments))).values
    assert found["whole_patch"] <= EXACT
    assert found["half_patch"] > 100 * EXACT


@pytest.mark.parametrize("pos_embed", ["learned", "sincos1d", "sincos2d", "relative"])
def test_with_positions_it_is_not(pos_embed: str) -> None:
    assert shift_equality(subject(vit(f"pool=mean,pos_embed={pos_embed}"))).values["whole_patch"] > 10 * EXACT


def test_a_convolution_of_stride_one_is_blind_to_any_circular_shift() -> None:
    model = Blocks(nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular"), nn.ReLU())
    found = shift_equality(subject(model)).values
    assert max(found.values()) <= EXACT


def test_a_patch_of_another_size_is_another_shift() -> None:
    """Patches of 8 px are permuted whole by a shift of 8 px, and not by one of 4."""
    model = Blocks(nn.Conv2d(3, 8, 8, 8), nn.ReLU())
    whole = shift_equality(subject(model), patch_px=8).values
    assert whole["whole_patch"] <= EXACT
    assert whole["half_patch"] > 100 * EXACT
    assert shift_equality(subject(model), patch_px=4).values["whole_patch"] > 100 * EXACT


def test_patches_that_do_not_divide_the_image_are_refused() -> None:
    with pytest.raises(NotProbable, match="do not divide"):
        shift_equality(subject(vit("pos_embed=none")), patch_px=5)


def test_the_model_is_left_in_its_own_precision() -> None:
    model = vit("pos_embed=none")
    shift_equality(subject(model))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
