"""CvT: the published architecture, timm's interface, and equality with transformers' CvT."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.optim._optim_factory import create_optimizer_v2
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from bench.models.cvt import Block, CvT
from bench.models.cvt_weights import from_hugging_face
from tests.models.cvt_pairs import SHAPES, build_ours, build_pair, build_theirs, noise, randomise


@pytest.fixture(scope="module")
def model() -> CvT:
    torch.manual_seed(0)
    built = build_ours("cvt_13", num_classes=10).eval()
    randomise(built)
    return built


# The architecture


def test_cvt_13_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in build_ours("cvt_13").parameters()) == 19_997_480


@pytest.mark.parametrize("shape", ["cvt_21", "cvt_w24"])
def test_the_larger_variants_have_as_many_parameters_as_transformers_have(shape: str) -> None:
    with torch.device("meta"):
        ours, theirs = (sum(p.numel() for p in m.parameters()) for m in (build_ours(shape), build_theirs(shape)))
    assert ours == theirs


def _macs_by_formula(px: int) -> int:
    """Matrix products and convolutions of CvT-13, attention's included, from the paper's shapes alone."""
    total, side, channels = 0, px, 3
    for stage, (dim, depth, _) in enumerate(zip(*SHAPES["cvt_13"], strict=True)):
        kernel, stride, padding = ((7, 4, 2), (3, 2, 1), (3, 2, 1))[stage]
        side = (side + 2 * padding - kernel) // stride + 1
        total += kernel**2 * channels * dim * side**2
        queries, keys = side**2, ((side + 1) // 2) ** 2
        depthwise = 9 * dim * (queries + 2 * keys)
        if stage == 2:
            queries, keys = queries + 1, keys + 1
        linear = dim**2 * (2 * queries + 2 * keys) + 8 * dim**2 * queries
        total += depth * (depthwise + linear + 2 * queries * keys * dim)
        channels = dim
    return total + channels * 1000


def test_cvt_13_costs_the_canonical_macs_at_224_px() -> None:
    with torch.device("meta"):
        model, images = build_ours("cvt_13").eval(), torch.zeros(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    assert counter.get_total_flops() == 2 * 4_566_089_216
    assert _macs_by_formula(224) == 4_566_089_216


def test_drop_path_rises_linearly_over_the_blocks_of_the_last_stage_only() -> None:
    def rates(stage: nn.Module) -> list[float]:
        return [getattr(block.drop_path, "drop_prob", 0.0) for block in stage.blocks]  # type: ignore[attr-defined,union-attr]

    first, second, last = (rates(stage) for stage in build_ours("cvt_13", drop_path_rate=0.09).stages)
    assert first == [0.0]
    assert second == [0.0, 0.0]
    assert last == pytest.approx([i * 0.01 for i in range(10)])


def test_a_dropped_path_leaves_the_residual_as_it_was() -> None:
    block = Block(32, heads=2, drop_path=1 - 1e-9).train()
    tokens = torch.randn(2, 17, 32)
    assert torch.equal(block(tokens, 4, 4), tokens)


def test_the_activation_that_the_published_weights_were_trained_with_can_be_chosen() -> None:
    torch.manual_seed(0)
    exact, quick = build_ours("small").eval(), build_ours("small", act_layer="quick_gelu").eval()
    quick.load_state_dict(exact.state_dict())
    hidden = torch.linspace(-3, 3, 7)
    torch.testing.assert_close(quick.stage0.blocks[0].mlp.act(hidden), hidden * torch.sigmoid(1.702 * hidden))  # type: ignore[union-attr,index,operator]
    assert not torch.equal(exact(noise(32)), quick(noise(32)))


# Equality with transformers


@pytest.mark.parametrize(
    ("shape", "sizes"), [("cvt_13", (224, 32, 50)), ("cvt_21", (224, 32, 33)), ("small", (64, 32, 97))]
)
def test_logits_equal_those_of_transformers_to_1e_5(shape: str, sizes: tuple[int, ...]) -> None:
    ours, theirs = (model.eval() for model in build_pair(shape))
    for px in sizes:
        with torch.no_grad():
            expected = theirs(noise(px)).logits
            assert expected.std() > 0.1
            torch.testing.assert_close(ours(noise(px)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("shape", "px"), [("small", 32), ("small", 50), ("small", 97), ("cvt_13", 32)])
def test_a_training_step_has_the_loss_gradients_and_statistics_of_transformers(shape: str, px: int) -> None:
    ours, theirs = (model.train() for model in build_pair(shape))
    images, labels = noise(px, count=8), torch.arange(8)
    losses = F.cross_entropy(ours(images), labels), F.cross_entropy(theirs(images).logits, labels)
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    gradients = {from_hugging_face(name): parameter.grad for name, parameter in theirs.named_parameters()}
    scale = max(float(gradient.abs().max()) for gradient in gradients.values() if gradient is not None)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-3, atol=1e-4 * scale, msg=name)
    buffers = {from_hugging_face(name): buffer for name, buffer in theirs.named_buffers()}
    for name, buffer in ours.named_buffers():
        torch.testing.assert_close(buffer, buffers[name], rtol=1e-4, atol=1e-5, msg=name)


# timm's interface


@pytest.mark.parametrize("px", [16, 32, 33, 50, 97, 384])
def test_images_of_any_size_are_taken(model: CvT, px: int) -> None:
    with torch.inference_mode():
        tokens = model.forward_features(noise(px, count=1))
        logits = model.forward_head(tokens)
    side = px
    for kernel, stride, padding in ((7, 4, 2), (3, 2, 1), (3, 2, 1)):
        side = (side + 2 * padding - kernel) // stride + 1
    assert tokens.shape == (1, 1 + side**2, 384)
    assert logits.shape == (1, 10)
    assert logits.isfinite().all()


def test_images_need_not_be_square(model: CvT) -> None:
    with torch.inference_mode():
        assert model.forward_features(torch.randn(1, 3, 32, 80)).shape == (1, 1 + 2 * 5, 384)


def test_the_head_can_be_replaced_and_removed() -> None:
    model = build_ours("small", num_classes=5, in_chans=1)
    images = noise(32, channels=1)
    assert model(images).shape == (2, 5)
    assert model.get_classifier() is model.head
    model.reset_classifier(3)
    assert model(images).shape == (2, 3)
    model.reset_classifier(0, "avg")
    features = model.forward_features(images)
    torch.testing.assert_close(model.forward_head(features), features[:, 1:].mean(1))
    assert model.num_classes == 0
    model.reset_classifier(4, "token")
    features = model.eval().forward_features(images)
    torch.testing.assert_close(model.forward_head(features, pre_logits=True), features[:, 0])
    torch.testing.assert_close(model.forward_head(features), model(images))
    with pytest.raises(ValueError, match="global_pool"):
        model.reset_classifier(4, "max")


def test_gradient_checkpointing_gives_the_same_gradients_and_statistics() -> None:
    torch.manual_seed(0)
    plain, saving = build_ours("small"), build_ours("small")
    saving.load_state_dict(plain.state_dict())
    saving.set_grad_checkpointing()
    for model in (plain, saving):
        model.train()(noise(32)).square().mean().backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


def test_timm_sorts_parameters_into_layers_in_forward_order() -> None:
    model = build_ours("cvt_13")
    assert model.no_weight_decay() == {"stage2.cls_token"}
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1.0, weight_decay=0.05, layer_decay=0.5)
    scale, decay = {}, {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            scale[id(parameter)], decay[id(parameter)] = group["lr_scale"], group["weight_decay"]
    order = ["stage0.patch_embed", "stage0.blocks.0", "stage1.patch_embed", "stage1.blocks.0", "stage1.blocks.1"]
    order += ["stage2.patch_embed", *(f"stage2.blocks.{i}" for i in range(10)), "head"]
    of_layer = {
        layer: {scale[id(p)] for n, p in model.named_parameters() if n.startswith(f"{layer}.")} for layer in order
    }
    assert all(len(scales) == 1 for scales in of_layer.values())
    assert [scales.pop() for scales in of_layer.values()] == [0.5 ** (len(order) - 1 - i) for i in range(len(order))]
    assert decay[id(model.get_parameter("stage2.cls_token"))] == 0
    assert decay[id(model.get_parameter("head.weight"))] == 0.05


def test_features_only_is_refused_in_words() -> None:
    with pytest.raises(RuntimeError, match="features_only is not there for CvT"):
        timm.create_model("cvt_13", features_only=True)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bf16", [True, False])
def test_the_model_compiles_as_one_graph(training: bool, bf16: bool) -> None:
    torch.manual_seed(0)
    torch.compiler.reset()
    model = build_ours("tiny").train(training)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16), torch.no_grad():
        torch.testing.assert_close(compiled(noise(48)), model(noise(48)))


@pytest.mark.parametrize("px", [32, 64])
def test_bfloat16_stays_near_float32(model: CvT, px: int) -> None:
    with torch.inference_mode():
        exact = model(noise(px))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(noise(px))
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.05)


def test_bfloat16_training_has_nearly_the_gradients_of_float32() -> None:
    torch.manual_seed(0)
    model, images = build_ours("small").train(), noise(64, count=8)
    gradients = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = F.cross_entropy(model(images).float(), torch.arange(8))
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]))
    assert F.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.99


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("training", [True, False])
def test_a_model_in_another_precision_agrees(training: bool, dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    model = build_ours("small").train(training)
    images = noise(64, count=8)
    expected = model(images)
    actual = model.to(dtype)(images.to(dtype))
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.float(), expected, rtol=tolerance, atol=tolerance)
