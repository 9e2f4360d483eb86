"""CvT: the published architecture, timm's interface, and equality with transformers' CvT."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.optim._optim_factory import create_optimizer_v2
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from bench.models.cvt import Block, CvT, stage_configs
from bench.models.cvt_attention import attend
from bench.models.cvt_weights import default_cfgs, from_hugging_face, to_hugging_face

SHAPES = {
    "cvt_13": ((64, 192, 384), (1, 2, 10), (1, 3, 6)),
    "cvt_21": ((64, 192, 384), (1, 4, 16), (1, 3, 6)),
    "cvt_w24": ((192, 768, 1024), (2, 2, 20), (3, 12, 16)),
    "small": ((48, 96, 128), (2, 2, 3), (3, 6, 8)),
    "tiny": ((16, 16, 32), (1, 1, 1), (1, 1, 2)),
}
"""Widths, depths and heads (Wu et al. 2021, table 2); a small model with two blocks in its first stage; a tiny one."""


def _ours(shape: str, **kwargs: Any) -> CvT:
    if shape in timm.list_models("cvt_*"):
        return timm.create_model(shape, **kwargs)  # type: ignore[return-value]
    return CvT(stage_configs(*SHAPES[shape]), **kwargs)


def _theirs(shape: str) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    dims, depths, heads = SHAPES[shape]
    config = transformers.CvtConfig(
        embed_dim=dims, depth=depths, num_heads=heads, num_labels=1000, drop_path_rate=[0.0, 0.0, 0.0]
    )
    model: nn.Module = transformers.CvtForImageClassification(config)
    return model


def _randomise(model: nn.Module) -> None:
    """Random norms and BatchNorm statistics, so that no term of a formula is hidden by a zero or a one."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0, generator=generator)
            elif "norm" in name and name.endswith("weight"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith(("bias", "running_mean", "cls_token")):
                tensor.normal_(0.0, 0.2, generator=generator)


def _pair(shape: str) -> tuple[CvT, nn.Module]:
    """Our model and transformers' with the same random weights."""
    torch.manual_seed(0)
    theirs = _theirs(shape)
    _randomise(theirs)
    ours = _ours(shape)
    ours.load_state_dict({from_hugging_face(key): tensor for key, tensor in theirs.state_dict().items()})
    return ours, theirs


def _images(px: int, count: int = 2, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, px, px, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def model() -> CvT:
    torch.manual_seed(0)
    built = _ours("cvt_13", num_classes=10).eval()
    _randomise(built)
    return built


# The architecture


def test_cvt_13_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in _ours("cvt_13").parameters()) == 19_997_480


@pytest.mark.parametrize("shape", ["cvt_21", "cvt_w24"])
def test_the_larger_variants_have_as_many_parameters_as_transformers_have(shape: str) -> None:
    with torch.device("meta"):
        ours, theirs = (sum(p.numel() for p in m.parameters()) for m in (_ours(shape), _theirs(shape)))
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
        model, images = _ours("cvt_13").eval(), torch.zeros(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    assert counter.get_total_flops() == 2 * 4_566_089_216
    assert _macs_by_formula(224) == 4_566_089_216


def test_drop_path_rises_linearly_over_the_blocks_of_the_last_stage_only() -> None:
    def rates(stage: nn.Module) -> list[float]:
        return [getattr(block.drop_path, "drop_prob", 0.0) for block in stage.blocks]  # type: ignore[attr-defined,union-attr]

    first, second, last = (rates(stage) for stage in _ours("cvt_13", drop_path_rate=0.09).stages)
    assert first == [0.0]
    assert second == [0.0, 0.0]
    assert last == pytest.approx([i * 0.01 for i in range(10)])


def test_a_dropped_path_leaves_the_residual_as_it_was() -> None:
    block = Block(32, heads=2, drop_path=1 - 1e-9).train()
    tokens = torch.randn(2, 17, 32)
    assert torch.equal(block(tokens, 4, 4), tokens)


def test_the_activation_that_the_published_weights_were_trained_with_can_be_chosen() -> None:
    torch.manual_seed(0)
    exact, quick = _ours("small").eval(), _ours("small", act_layer="quick_gelu").eval()
    quick.load_state_dict(exact.state_dict())
    hidden = torch.linspace(-3, 3, 7)
    torch.testing.assert_close(quick.stage0.blocks[0].mlp.act(hidden), hidden * torch.sigmoid(1.702 * hidden))  # type: ignore[union-attr,index,operator]
    assert not torch.equal(exact(_images(32)), quick(_images(32)))


# Equality with transformers


@pytest.mark.parametrize(
    ("shape", "sizes"), [("cvt_13", (224, 32, 50)), ("cvt_21", (224, 32, 33)), ("small", (64, 32, 97))]
)
def test_logits_equal_those_of_transformers_to_1e_5(shape: str, sizes: tuple[int, ...]) -> None:
    ours, theirs = (model.eval() for model in _pair(shape))
    for px in sizes:
        with torch.no_grad():
            expected = theirs(_images(px)).logits
            assert expected.std() > 0.1
            torch.testing.assert_close(ours(_images(px)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("shape", "px"), [("small", 32), ("small", 50), ("small", 97), ("cvt_13", 32)])
def test_a_training_step_has_the_loss_gradients_and_statistics_of_transformers(shape: str, px: int) -> None:
    ours, theirs = (model.train() for model in _pair(shape))
    images, labels = _images(px, count=8), torch.arange(8)
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("queries", "keys"), [(5, 2), (197, 50), (785, 197), (3136, 784)])
def test_every_road_through_attention_gives_softmax_of_scaled_products(
    queries: int, keys: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(4)
    q, k, v = (torch.randn(1, 2, n, 8, generator=generator).to(dtype) for n in (queries, keys, keys))
    exact = torch.softmax(0.3 * q.double() @ k.double().transpose(2, 3), -1) @ v.double()
    near = 1e-5 if dtype == torch.float32 else 0.02
    with torch.no_grad():
        torch.testing.assert_close(attend(q, k, v, 0.3).double(), exact, rtol=near, atol=near)
    with torch.enable_grad():
        torch.testing.assert_close(attend(q, k, v, 0.3).double(), exact, rtol=near, atol=near)


# Published checkpoints


@pytest.mark.parametrize("shape", ["cvt_13", "cvt_21", "cvt_w24"])
def test_every_parameter_and_buffer_has_one_name_in_each_layout(shape: str) -> None:
    with torch.device("meta"):
        ours, theirs = _ours(shape).state_dict(), _theirs(shape).state_dict()
    assert {from_hugging_face(key): tensor.shape for key, tensor in theirs.items()} == {
        key: tensor.shape for key, tensor in ours.items()
    }
    assert {to_hugging_face(key) for key in ours} == set(theirs)
    assert all(from_hugging_face(to_hugging_face(key)) == key for key in ours)


@pytest.mark.parametrize("key", ["cvt.encoder.stages.0.surprise", "stage0.blocks.0.attn.projector.weight", "normal"])
def test_a_name_of_neither_layout_is_not_translated(key: str) -> None:
    for translate in (from_hugging_face, to_hugging_face):
        with pytest.raises(KeyError):
            translate(key)


def _written(folder: Path, layout: str, state: dict[str, Tensor]) -> Path:
    """A checkpoint file in a published layout."""
    theirs = {to_hugging_face(key): tensor.contiguous() for key, tensor in state.items()}
    if layout == "hugging face safetensors":
        save_file(theirs, folder / "model.safetensors")
        return folder / "model.safetensors"
    name, content = {
        "original": ("CvT-13-224x224-IN-1k.pth", state),
        "original, wrapped": ("checkpoint.pth", {"state_dict": {f"module.{k}": v for k, v in state.items()}}),
        "hugging face": ("pytorch_model.bin", theirs),
        "hugging face, wrapped": ("wrapped.pth", {"model": theirs}),
    }[layout]
    torch.save(content, folder / name)
    return folder / name


LAYOUTS = ["original", "original, wrapped", "hugging face", "hugging face, wrapped", "hugging face safetensors"]


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    torch.manual_seed(3)
    source = _ours("cvt_13")
    _randomise(source)
    for name, buffer in source.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.fill_(7)
    return source.state_dict()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_timm_loads_each_layout_completely(tmp_path: Path, published: dict[str, Tensor], layout: str) -> None:
    file = _written(tmp_path, layout, published)
    loaded = timm.create_model("cvt_13", pretrained=True, pretrained_cfg_overlay={"file": str(file)}).state_dict()
    assert loaded.keys() == published.keys()
    assert all(torch.equal(loaded[key], published[key]) for key in loaded)


@pytest.mark.parametrize("layout", ["original", "hugging face"])
def test_loading_for_other_classes_and_channels_keeps_the_body(
    tmp_path: Path, published: dict[str, Tensor], layout: str
) -> None:
    overlay = {"file": str(_written(tmp_path, layout, published))}
    model = timm.create_model("cvt_13", pretrained=True, num_classes=7, in_chans=1, pretrained_cfg_overlay=overlay)
    state = model.state_dict()
    assert state["head.weight"].shape == (7, 384)
    stem = "stage0.patch_embed.proj.weight"
    torch.testing.assert_close(state[stem], published[stem].sum(1, keepdim=True))
    others = [key for key in published if not key.startswith("head") and key != stem]
    assert all(torch.equal(state[key], published[key]) for key in others)


@pytest.mark.parametrize("layout", ["original", "hugging face"])
@pytest.mark.parametrize("fault", ["missing", "surplus", "misshapen"])
def test_a_checkpoint_that_does_not_fit_is_refused(
    tmp_path: Path, published: dict[str, Tensor], layout: str, fault: str
) -> None:
    state = {to_hugging_face(k) if layout == "hugging face" else k: v for k, v in published.items()}
    last = list(state)[-3]
    if fault == "missing":
        del state[last]
    elif fault == "surplus":
        state["cvt.encoder.stages.0.surprise"] = torch.zeros(1)
    else:
        state[last] = torch.zeros(1)
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(RuntimeError, match=r"Error\(s\) in loading state_dict"):
        timm.create_model("cvt_13", pretrained=True, pretrained_cfg_overlay={"file": str(tmp_path / "bad.pth")})


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(str(self.target)),))  # type: ignore[attr-defined]


def test_a_pickle_that_wants_to_run_code_is_not_run(tmp_path: Path) -> None:
    payload = _Payload()
    payload.target = tmp_path / "ran"  # type: ignore[attr-defined]
    torch.save({"model": payload}, tmp_path / "evil.pth")
    with pytest.raises((RuntimeError, pickle.UnpicklingError), match=r"[Ww]eights.only"):
        timm.create_model("cvt_13", pretrained=True, pretrained_cfg_overlay={"file": str(tmp_path / "evil.pth")})
    assert not (tmp_path / "ran").exists()


def test_pretrained_configs_name_the_published_repositories_and_sizes() -> None:
    found = {}
    for architecture, configs in default_cfgs.items():
        for tag, config in configs.cfgs.items():
            found[f"{architecture}.{tag}"] = (config.hf_hub_id, config.input_size[-1])
    assert found == {
        "cvt_13.ms_in1k": ("microsoft/cvt-13", 224),
        "cvt_13.ms_in1k_384": ("microsoft/cvt-13-384", 384),
        "cvt_13.ms_in22k_ft_in1k_384": ("microsoft/cvt-13-384-22k", 384),
        "cvt_21.ms_in1k": ("microsoft/cvt-21", 224),
        "cvt_21.ms_in1k_384": ("microsoft/cvt-21-384", 384),
        "cvt_21.ms_in22k_ft_in1k_384": ("microsoft/cvt-21-384-22k", 384),
        "cvt_w24.ms_in22k_ft_in1k_384": ("microsoft/cvt-w24-384-22k", 384),
        "cvt_w24.untrained": (None, 224),
    }
    assert set(timm.list_models("cvt_*")) == {"cvt_13", "cvt_21", "cvt_w24"}
    assert set(timm.list_pretrained("cvt_*")) == set(found) - {"cvt_w24.untrained"}


# timm's interface


@pytest.mark.parametrize("px", [16, 32, 33, 50, 97, 384])
def test_images_of_any_size_are_taken(model: CvT, px: int) -> None:
    with torch.inference_mode():
        tokens = model.forward_features(_images(px, count=1))
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
    model = _ours("small", num_classes=5, in_chans=1)
    images = _images(32, channels=1)
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
    plain, saving = _ours("small"), _ours("small")
    saving.load_state_dict(plain.state_dict())
    saving.set_grad_checkpointing()
    for model in (plain, saving):
        model.train()(_images(32)).square().mean().backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


def test_timm_sorts_parameters_into_layers_in_forward_order() -> None:
    model = _ours("cvt_13")
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
    model = _ours("tiny").train(training)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16), torch.no_grad():
        torch.testing.assert_close(compiled(_images(48)), model(_images(48)))


@pytest.mark.parametrize("px", [32, 64])
def test_bfloat16_stays_near_float32(model: CvT, px: int) -> None:
    with torch.inference_mode():
        exact = model(_images(px))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(_images(px))
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.05)


def test_bfloat16_training_has_nearly_the_gradients_of_float32() -> None:
    torch.manual_seed(0)
    model, images = _ours("small").train(), _images(64, count=8)
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
    model = _ours("small").train(training)
    images = _images(64, count=8)
    expected = model(images)
    actual = model.to(dtype)(images.to(dtype))
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.float(), expected, rtol=tolerance, atol=tolerance)
