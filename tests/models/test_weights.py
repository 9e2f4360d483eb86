"""Weights from files: they fit or they are refused in one line, and no file runs code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from bench.models.build import build
from bench.models.weights import CheckpointError, load_checkpoint, read_state_dict


def _model(num_classes: int = 10) -> nn.Module:
    model: nn.Module = timm.create_model("test_vit", img_size=32, num_classes=num_classes)
    return model


@pytest.fixture
def source() -> nn.Module:
    """A model whose weights are somewhere else than where a new one starts."""
    torch.manual_seed(99)
    return _model()


def _equal(a: nn.Module, b: nn.Module, without: str = "nothing") -> bool:
    theirs = b.state_dict()
    return all(torch.equal(v, theirs[k]) for k, v in a.state_dict().items() if not k.startswith(without))


def _write(model: nn.Module, path: Path, layout: str) -> Path:
    state = model.state_dict()
    if layout == "safetensors":
        path = path.with_suffix(".safetensors")
        save_file(state, path)
    elif layout == "wrapped":
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("layout", ["plain", "wrapped", "safetensors"])
def test_a_checkpoint_in_any_usual_layout_gives_its_weights_and_stands_in_the_row(
    layout: str, source: nn.Module, tmp_path: Path
) -> None:
    path = _write(source, tmp_path / "weights.pth", layout)
    model, info = build("test_vit", num_classes=10, img_size=32, checkpoint=path)
    assert _equal(model, source)
    assert info.provenance == f"weights of {path.name}"


def test_a_classifier_for_other_classes_is_made_anew_and_nothing_else(source: nn.Module, tmp_path: Path) -> None:
    path = _write(source, tmp_path / "weights.pth", "plain")
    model = _model(num_classes=3)
    assert load_checkpoint(model, path) == "weights of weights.pth, new classifier"
    assert _equal(model, source, without="head")


def test_a_position_embedding_of_another_image_size_is_resampled(source: nn.Module, tmp_path: Path) -> None:
    path = _write(source, tmp_path / "weights.pth", "plain")
    model, _ = build("test_vit", num_classes=10, img_size=64, checkpoint=path)
    assert model.pos_embed.shape != source.pos_embed.shape  # type: ignore[union-attr]
    assert torch.equal(model.patch_embed.proj.weight, source.patch_embed.proj.weight)  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("norm.weight"), r"it lacks norm\.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), r"the model does not know extra"),
        (
            lambda s: s.update({"norm.weight": torch.zeros(5)}),
            r"norm\.weight is \[5\] in the file and \[\d+\] in the model",
        ),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_by_what_does_not_fit(
    change: Any, message: str, source: nn.Module, tmp_path: Path
) -> None:
    state = dict(source.state_dict())
    change(state)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=message) as refused:
        load_checkpoint(_model(), tmp_path / "weights.pth")
    assert "weights.pth does not fit" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_long_list_of_differences_is_cut(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"and \d+ more") as refused:
        load_checkpoint(_model(), tmp_path / "weights.pth")
    assert len(str(refused.value)) < 600


class _Trap:
    """Unpickled, it writes a file: what a malicious checkpoint would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "code ran"))


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_that_wants_to_run_code_is_refused_and_does_not_run(save: Any, tmp_path: Path) -> None:
    target = tmp_path / "proof"
    save({"state_dict": _Trap(target)}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="run code of its own") as refused:
        read_state_dict(tmp_path / "weights.pth")
    assert "\n" not in str(refused.value)
    assert not target.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_torn_file_is_one_line(name: str, source: nn.Module, tmp_path: Path) -> None:
    path = _write(source, tmp_path / name, Path(name).suffix[1:])
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=name) as refused:
        load_checkpoint(_model(), path)
    assert "\n" not in str(refused.value)


def test_a_file_without_tensors_is_one_line(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": 1}}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="no dictionary of tensors"):
        read_state_dict(tmp_path / "weights.pth")


def test_published_weights_that_cannot_be_had_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("the hub cannot be reached\nand more lines")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)
    with pytest.raises(
        CheckpointError, match=r"weights of resnet18\.a1_in1k cannot be loaded: the hub cannot"
    ) as refused:
        build("resnet18.a1_in1k", num_classes=10, img_size=32, pretrained=True)
    assert "\n" not in str(refused.value)


def test_published_weights_stand_in_the_row_with_their_tag(
    source: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(timm.create_model("resnet18"), tmp_path / "weights.pth", "plain")
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: torch.load(path))
    _, info = build("resnet18", num_classes=10, img_size=32, pretrained=True)
    assert info.provenance == "pretrained: resnet18.a1_in1k, on ImageNet-1k"
