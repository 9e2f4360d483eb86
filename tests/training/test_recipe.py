"""The common recipe: schedule and weight decay."""

from __future__ import annotations

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.training.recipe import global_norm, learning_rate, make_optimizer, step_clipped, undecayed


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


@pytest.mark.parametrize("largest", [1e-3, 1e3])
def test_a_clipped_step_is_clipping_and_then_a_step(largest: float) -> None:
    """With gradients above the limit, and below it."""
    weights = []
    for ours in (True, False):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 3))
        optimizer = make_optimizer(model, 0.05)
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            model(torch.randn(4, 8)).square().mean().backward()
            if ours:
                step_clipped(optimizer, largest, lr=0.1)
            else:
                for group in optimizer.param_groups:
                    group["lr"] = 0.1
                torch.nn.utils.clip_grad_norm_(model.parameters(), largest)
                optimizer.step()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(*weights)


def test_a_gradient_that_is_not_finite_is_not_clipped_away() -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = make_optimizer(model, 0.0)
    (model(torch.tensor([[1.0, float("nan")]])).sum()).backward()
    step_clipped(optimizer, 1.0, lr=0.1)
    assert not all(p.isfinite().all() for p in model.parameters())


def test_the_norm_of_all_gradients_is_exact_in_every_layout() -> None:
    torch.manual_seed(0)
    grads = [
        torch.randn(300, 700) * 1e-4,
        torch.randn(64, 32, 3, 3).contiguous(memory_format=torch.channels_last),
        torch.randn(40, 50).t(),
        torch.randn(7),
        torch.randn(()),
    ]
    true = torch.cat([grad.double().flatten() for grad in grads]).norm()
    assert float(global_norm(grads)) == pytest.approx(float(true), rel=1e-6)
    half = [grad.bfloat16() for grad in grads]
    assert float(global_norm(half)) == pytest.approx(float(true), rel=1e-2)


def test_the_norm_of_very_many_gradients_keeps_its_digits() -> None:
    grad = torch.rand(5_000_000, generator=torch.Generator().manual_seed(0)) + 0.5
    assert float(global_norm([grad])) == pytest.approx(float(grad.double().norm()), rel=2e-6)


def test_a_gradient_that_is_not_a_number_is_seen_in_the_norm() -> None:
    assert not torch.isfinite(global_norm([torch.ones(3), torch.tensor([float("nan")])]))
    assert not torch.isfinite(global_norm([torch.ones(3), torch.tensor([float("inf")])]))
