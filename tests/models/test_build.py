"""Building: the protocol's size, classes, regularisation and seed, the same way for every model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.models.build import build, strays
from bench.models.zoo import ZOO

NO_DROP = {"drop_rate": 0.0, "drop_path_rate": 0.0}
SLOW = {"vit_l16", "cvt_w24", "vgg16_bn", "vit_b32", "deit_b", "swin_b", "cvt_21", "swin_s"}


@pytest.mark.parametrize(
    "name", [pytest.param(e.name, marks=[pytest.mark.slow] if e.name in SLOW else []) for e in ZOO]
)
def test_every_model_of_the_zoo_sees_small_images_and_has_a_geometry(name: str) -> None:
    model, info = build(name, num_classes=7, img_size=32)
    with torch.inference_mode():
        assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    assert info.geometry is not None
    assert info.geometry.stages
    assert info.params == sum(p.numel() for p in model.parameters())
    assert info.provenance == "from scratch"
    assert info.recipe_diff == []


def test_equal_seeds_give_equal_weights_and_other_seeds_do_not() -> None:
    def weights(seed: int) -> bytes:
        model, _ = build("test_vit", num_classes=5, img_size=32, seed=seed)
        return b"".join(p.detach().numpy().tobytes() for p in model.parameters())

    assert weights(3) == weights(3)
    assert weights(3) != weights(4)


def test_what_is_known_of_a_model_is_not_found_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _, info = build("test_vit", num_classes=5, img_size=32)
    monkeypatch.setattr("bench.models.build.read_geometry", lambda *_: pytest.fail("read twice"))
    _, again = build("test_vit", num_classes=5, img_size=32, seed=1, known=info)
    assert again is info


def test_dropout_and_stochastic_depth_are_the_protocols_for_every_model() -> None:
    model, info = build("swin_t", num_classes=5, img_size=32, drop=0.2, drop_path=0.3)
    assert info.regularisation == {"drop_rate": 0.2, "drop_path_rate": 0.3}
    assert info.recipe_diff == []
    plain, _ = build("swin_t", num_classes=5, img_size=32)  # its published default is not 0
    assert not [m for m in plain.modules() if getattr(m, "drop_prob", 0)]
    assert max(m.drop_prob for m in model.modules() if hasattr(m, "drop_prob")) == pytest.approx(0.3)


def test_a_model_that_cannot_follow_the_recipe_says_so() -> None:
    _, info = build("densenet121", num_classes=5, img_size=32, drop_path=0.1)
    assert info.recipe_diff == ["takes no drop_path_rate"]


def test_dropout_that_nobody_asked_for_is_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2), *(nn.Dropout(0.5) for _ in range(7)))
    assert strays(model, NO_DROP) == [*(f"{k} drops 0.5" for k in range(1, 6)), "and 2 more"]
    assert strays(model, {"drop_rate": 0.5, "drop_path_rate": 0.0}) == []
