"""The common recipe: schedule and weight decay."""

from __future__ import annotations

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.training.recipe import learning_rate, make_optimizer, undecayed


@given(st.integers(1, 500), st.floats(0, 0.9))
def test_every_schedule_rises_to_its_peak_and_finishes(steps: int, warmup: float) -> None:
    rates = [learning_rate(step, steps, 1.0, warmup) for step in range(steps)]
    peak = rates.index(max(rates))
    assert max(rates) == 1.0
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert learning_rate(steps, steps, 1.0, warmup) == pytest.approx(0.0, abs=1e-12)


def test_the_last_step_of_a_long_schedule_is_almost_at_zero() -> None:
    assert learning_rate(999, 1000, 1.0, 0.1) < 1e-5


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "swin_tiny_patch4_window7_224", "vit_base_patch16_224"])
def test_norms_biases_position_embeddings_and_class_tokens_are_not_decayed(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    spared = undecayed(model)
    for parameter_name, parameter in model.named_parameters():
        special = any(word in parameter_name for word in ("pos_embed", "cls_token", "relative_position_bias_table"))
        assert (parameter_name in spared) == (parameter.ndim <= 1 or special), parameter_name


def test_every_trained_parameter_is_in_exactly_one_group() -> None:
    model = timm.create_model("test_vit")
    optimizer = make_optimizer(model, 0.05)
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0]
