"""Published CvT checkpoints: both layouts, every key, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

import bench.models.cvt  # noqa: F401  registers CvT with timm
from bench.models.cvt_weights import default_cfgs, from_hugging_face, to_hugging_face
from tests.models.cvt_pairs import build_ours, build_theirs, randomise


@pytest.mark.parametrize("shape", ["cvt_13", "cvt_21", "cvt_w24"])
def test_every_parameter_and_buffer_has_one_name_in_each_layout(shape: str) -> None:
    with torch.device("meta"):
        ours, theirs = build_ours(shape).state_dict(), build_theirs(shape).state_dict()
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
    source = build_ours("cvt_13")
    randomise(source)
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
    assert set(timm.list_models("cvt_*", exclude_filters="*_mini")) == {"cvt_13", "cvt_21", "cvt_w24"}
    assert set(timm.list_pretrained("cvt_*")) == set(found) - {"cvt_w24.untrained"}
