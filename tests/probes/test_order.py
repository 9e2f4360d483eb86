"""The order in which patches are listed: nothing to a ViT whose rows move along, something to a model that sees it."""

from __future__ import annotations

import pytest
import torch

from bench.probes.order import patch_order_equality
from bench.probes.subject import NotProbable
from tests.broken_structures import built, subject_of

EXACT = 1e-5


@pytest.mark.parametrize("name", ["vit_mini", "vit_mini[pool=mean]", "vit_mini[pos_embed=sincos2d]"])
def test_moving_patches_with_their_rows_changes_no_logit_and_without_them_it_does(name: str) -> None:
    found = patch_order_equality(subject_of(name)).values
    assert found["with_rows"] < 1e-10
    assert found["without_rows"] > 100 * EXACT


def test_patches_that_overlap_do_not_merely_change_places() -> None:
    found = patch_order_equality(subject_of("vit_mini[overlap=true]")).values
    assert found["with_rows"] > 100 * EXACT


def test_a_vit_that_looks_at_a_neighbour_in_the_list_is_seen() -> None:
    model = built("vit_mini")
    model.blocks[0].register_forward_hook(lambda _m, _i, out: out + 0.01 * torch.roll(out, 1, dims=1))
    assert patch_order_equality(subject_of(model)).values["with_rows"] > 100 * EXACT


def test_positions_of_zero_make_the_list_a_set() -> None:
    model = built("vit_mini")
    with torch.no_grad():
        model.pos_embed.zero_()
    found = patch_order_equality(subject_of(model)).values
    assert max(found["with_rows"], found["without_rows"]) < 1e-10


def test_a_class_token_keeps_its_own_row() -> None:
    """Moving a patch's row to the class token would change the logits: here that row is far from all others."""
    model = built("vit_mini")
    with torch.no_grad():
        model.pos_embed[:, 0] += 3.0
    assert patch_order_equality(subject_of(model)).values["with_rows"] < 1e-10


@pytest.mark.parametrize("name", ["vit_mini[pos_embed=none]", "vit_mini[pos_embed=relative]", "resnet_mini"])
def test_a_model_without_a_row_for_every_patch_is_refused(name: str) -> None:
    with pytest.raises(NotProbable, match="no table of positions"):
        patch_order_equality(subject_of(name))


def test_the_same_request_finds_the_same() -> None:
    assert patch_order_equality(subject_of("vit_mini")) == patch_order_equality(subject_of("vit_mini"))
