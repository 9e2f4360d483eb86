"""The mini family: matched in grid, parameters and MACs, whole at every depth and size, and trainable by one recipe."""

from __future__ import annotations

import inspect
from itertools import combinations

import pytest
import timm
import torch
from timm.layers.drop import DropPath
from torch import nn
from torch.nn.functional import cross_entropy

from bench.measure.macs import count_macs, flop_counter_macs
from bench.models.build import build
from bench.models.info import ModelInfo
from bench.models.mini import WINDOW
from bench.models.variants import MINI_ARGUMENTS, Value
from bench.probes.blocks import blocks_of
from bench.training.recipe import undecayed
from tests.models.minis import CLASSES, FAMILY, PX, VARIANTS, mini, noise

FINEST = 8
"""Cells a side of everybody's finest grid."""


@pytest.fixture(scope="module")
def infos() -> dict[str, ModelInfo]:
    return {name: build(name, num_classes=CLASSES, img_size=PX)[1] for name in FAMILY}


@pytest.fixture(scope="module")
def macs() -> dict[str, int]:
    counts = {name: count_macs(mini(name), torch.zeros(1, 3, PX, PX)) for name in FAMILY}
    assert not [name for name, count in counts.items() if count.uncounted]
    return {name: count.macs for name, count in counts.items()}


# The match


@pytest.mark.parametrize("name", FAMILY)
def test_each_has_the_size_and_the_cost_that_were_agreed(
    name: str, infos: dict[str, ModelInfo], macs: dict[str, int]
) -> None:
    assert 0.3e6 <= infos[name].params <= 1.5e6
    assert 20e6 <= macs[name] <= 30e6


@pytest.mark.parametrize(("one", "other"), list(combinations(FAMILY, 2)))
def test_any_two_are_within_a_factor_of_two(
    one: str, other: str, infos: dict[str, ModelInfo], macs: dict[str, int]
) -> None:
    assert 0.5 < infos[one].params / infos[other].params < 2
    assert 0.5 < macs[one] / macs[other] < 2


@pytest.mark.parametrize("name", [name for name in FAMILY if name != "lstm_mini"])
def test_torch_counts_the_same_multiply_accumulates(name: str, macs: dict[str, int]) -> None:
    assert flop_counter_macs(mini(name), torch.zeros(1, 3, PX, PX)) == macs[name]


def test_the_lstm_costs_what_its_shapes_say(macs: dict[str, int]) -> None:
    dim, hidden, tokens = 96, 64, 64
    gates = 2 * 4 * hidden * (dim + hidden)
    block = gates + 2 * hidden * dim + 2 * 3 * dim * dim
    assert macs["lstm_mini"] == tokens * (3 * 16 * dim + 3 * block) + dim * CLASSES


@pytest.mark.parametrize("name", VARIANTS)
def test_everybodys_finest_grid_is_the_same_and_no_grid_is_degenerate(name: str) -> None:
    geometry = build(name, num_classes=CLASSES, img_size=PX)[1].geometry
    assert geometry is not None
    assert (geometry.stages[0].height, geometry.stages[0].width) == (FINEST, FINEST)
    assert geometry.degenerate == []


def test_models_with_two_stages_halve_the_grid_once_and_the_others_never(infos: dict[str, ModelInfo]) -> None:
    grids = {name: [stage.height for stage in infos[name].geometry.stages] for name in FAMILY}  # type: ignore[union-attr]
    assert [grids[name] for name in ("resnet_mini", "swin_mini", "cvt_mini")] == 3 * [[8, 4]]
    assert [grids[name] for name in ("vit_mini", "lstm_mini")] == 2 * [[8]]


def test_windows_are_smaller_than_the_finest_grid(infos: dict[str, ModelInfo]) -> None:
    geometry = infos["swin_mini"].geometry
    assert geometry is not None
    assert [stage.window for stage in geometry.stages] == [WINDOW, WINDOW]
    assert WINDOW < FINEST


# Arguments, depth and size


@pytest.mark.parametrize("name", FAMILY)
def test_a_builder_takes_the_arguments_and_the_defaults_that_the_grammar_tells(name: str) -> None:
    parameters = inspect.signature(timm.model_entrypoint(name)).parameters.values()
    taken = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert taken == {key: argument.default for key, argument in MINI_ARGUMENTS[name].items()}


@pytest.mark.parametrize("depth", range(1, 17))
@pytest.mark.parametrize("name", FAMILY)
def test_every_depth_has_that_many_blocks_and_classifies(name: str, depth: int) -> None:
    model = mini(name, depth=depth)
    assert len(blocks_of(model)) == depth
    with torch.inference_mode():
        logits = model(noise())
    assert logits.shape == (2, CLASSES)
    assert logits.std(0).min() > 0


@pytest.mark.parametrize("img_size", [16, 24, 40, 64])
@pytest.mark.parametrize("name", VARIANTS)
def test_larger_and_smaller_images_are_cut_into_patches_of_the_same_size(name: str, img_size: int) -> None:
    model, info = build(name, num_classes=CLASSES, img_size=img_size)
    assert info.geometry is not None
    assert info.geometry.stages[0].height == img_size // 4
    with torch.inference_mode():
        assert model(noise(img_size=img_size)).isfinite().all()


@pytest.mark.parametrize(
    ("name", "given", "complaint"),
    [
        *((name, {"depth": 0}, "depth must be one of") for name in FAMILY),
        *((name, {"img_size": 30}, "img_size must be a multiple of 4") for name in FAMILY if name != "swin_mini"),
        *((name, {"img_size": 8}, "at least 16 px, not 8") for name in FAMILY),
        *((name, {"pretrained": True}, "no published weights") for name in FAMILY),
        ("swin_mini", {"img_size": 20}, "img_size must be a multiple of 8"),
        ("vit_mini", {"depth": 17}, "depth must be one of"),
        ("vit_mini", {"pos_embed": "sincos"}, "pos_embed must be one of none, learned"),
        ("vit_mini", {"pool": "max"}, "pool must be one of cls, mean, not 'max'"),
        ("vit_mini", {"overlap": "yes"}, "overlap must be one of"),
        ("swin_mini", {"bias": "learned"}, "bias must be one of none, absolute, relative"),
        ("swin_mini", {"shift": 2}, "shift must be one of"),
        ("cvt_mini", {"kv_stride": 3}, "kv_stride must be one of 1, 2, not 3"),
        ("cvt_mini", {"pool": "avg"}, "pool must be one of"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(name: str, given: dict[str, Value], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        timm.create_model(name, **given)
    assert "\n" not in str(caught.value)


# Training


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_reach_every_weight(name: str) -> None:
    model = mini(name).train()
    cross_entropy(model(noise(4)), torch.arange(4)).backward()  # type: ignore[no-untyped-call]
    trained = {key: p for key, p in model.named_parameters() if p.requires_grad}
    assert not [key for key, p in trained.items() if p.grad is None or not p.grad.isfinite().all()]
    # A bias before a softmax over keys or before a BatchNorm changes nothing, so its gradient is 0. Nor do the queries
    # of CvT's last cells where its class token alone is read, and only they pass that convolution.
    unread = (
        {"stage1.blocks.0.attn.conv_proj_q.conv.weight"} if name in ("cvt_mini", "cvt_mini[kv_stride=1]") else set()
    )
    assert {key for key, p in trained.items() if p.ndim > 1 and not p.grad.any()} == unread  # type: ignore[union-attr]


@pytest.mark.parametrize("name", FAMILY)
def test_autocast_changes_little_and_trains_every_parameter(name: str) -> None:
    model, images = mini(name).train(), noise(8)
    precise = model(images)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(images).float()
    assert (rough - precise).std() < 0.05 * precise.std()
    cross_entropy(rough, torch.arange(8)).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", VARIANTS)
def test_dropout_and_stochastic_depth_are_the_protocols(name: str) -> None:
    model, info = build(name, num_classes=CLASSES, img_size=PX, drop=0.1, drop_path=0.2)
    assert info.recipe_diff == []
    blocks = [[m.drop_prob or 0 for m in b.modules() if isinstance(m, DropPath)] for _, b in blocks_of(model)]
    assert [max(rates, default=0) for rates in blocks] == pytest.approx(torch.linspace(0, 0.2, len(blocks)).tolist())
    assert max(m.p for m in model.modules() if isinstance(m, nn.Dropout)) == 0.1
    features = model.get_submodule("norm" if hasattr(model, "norm") else "layer2")
    seen: list[torch.Tensor] = []
    features.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.inference_mode():
        model.train()
        model(noise(16)), model(noise(16))
        assert not torch.equal(seen[0], seen[1]), "stochastic depth"
        features.register_forward_hook(lambda _m, _i, output: torch.ones_like(output))
        assert not torch.equal(model(noise()), model(noise())), "dropout before the head"


@pytest.mark.parametrize("name", VARIANTS)
def test_positions_and_class_tokens_are_spared_from_weight_decay_and_matrices_are_not(name: str) -> None:
    model = mini(name)
    marks = ("pos_embed", "cls_token", "relative_position_bias_table")
    matrices = {key for key, p in model.named_parameters() if p.ndim > 1}
    assert undecayed(model) & matrices == {key for key in matrices if any(mark in key for mark in marks)}


@pytest.mark.parametrize("name", VARIANTS)
def test_weights_are_all_that_a_model_keeps(name: str) -> None:
    trained, fresh = mini(name, seed=1), mini(name, seed=2)
    trained.train()(noise(8))  # moves the running means
    trained.eval()
    with torch.inference_mode():
        assert not torch.equal(fresh(noise()), trained(noise()))
        fresh.load_state_dict(trained.state_dict())
        assert torch.equal(fresh(noise()), trained(noise()))
