"""Names: ours, torchvision's, timm's; and one clear line for a name that nobody knows."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm
import timm.models
import torchvision

import bench.models.cvt  # noqa: F401  registers CvT
from bench.errors import UsageError
from bench.models.variants import MINI_ARGUMENTS
from bench.models.zoo import FAMILY_OF_MODULE, ZOO, list_models, parse_models, resolve, timm_modules

ASKED_FOR = {
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "convnext_t",
    "efficientnet_b0",
    "mobilenetv3_l",
    "regnety_016",
    "densenet121",
    "vgg16_bn",
    "vit_ti16",
    "vit_s16",
    "vit_b16",
    "vit_l16",
    "vit_b32",
    "deit_ti",
    "deit_s",
    "deit_b",
    "swin_t",
    "swin_s",
    "swin_b",
    "swinv2_t",
    "cvt_13",
    "cvt_21",
    "cvt_w24",
    "coat_lite_tiny",
    "sequencer2d_s",
}


def test_every_model_of_the_zoo_has_a_family_a_paper_a_year_and_a_builder_that_timm_knows() -> None:
    published = [entry for entry in ZOO if entry.name not in MINI_ARGUMENTS]
    assert {entry.name for entry in published} == ASKED_FOR
    assert {entry.name for entry in ZOO} - ASKED_FOR == set(MINI_ARGUMENTS)
    for entry in published:
        assert timm.is_model(entry.builder), entry.name
        assert entry.family != "other"
        assert entry.paper
        assert str(entry.year) in entry.paper


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("vit_b_16", "vit_b16"),
        ("vit_l_16", "vit_l16"),
        ("swin_v2_t", "swinv2_t"),
        ("mobilenet_v3_large", "mobilenetv3_l"),
        ("regnet_y_1_6gf", "regnety_016"),
        ("VIT-B-16", "vit_b16"),
        ("vit_base_patch16_224", "vit_b16"),
        ("convnext_tiny", "convnext_t"),
    ],
)
def test_other_spellings_of_a_model_are_the_same_model(spelling: str, name: str) -> None:
    assert resolve(spelling).name == name


def test_torchvisions_spellings_are_torchvisions() -> None:
    known = set(torchvision.models.list_models())
    spellings = {s for entry in ZOO for s in entry.spellings} - {"vit_ti_16", "vit_s_16"}  # sizes torchvision lacks
    assert spellings <= known


def test_every_name_of_timm_works_as_it_is_and_has_the_family_of_its_file() -> None:
    assert set(timm.list_models()) <= set(timm_modules())
    assert resolve("convnext_nano").family == "CNN"
    assert resolve("deit3_small_patch16_224").family == "ViT"
    assert resolve("swin_large_patch4_window7_224").family == "Swin"
    assert resolve("mixer_b16_224").family == "other"
    assert resolve("test_vit").builder == "test_vit"
    assert set(FAMILY_OF_MODULE) & set(timm_modules().values())


def test_a_tag_or_a_remote_name_is_kept() -> None:
    assert resolve("vit_b16.augreg_in1k").builder == "vit_base_patch16_224.augreg_in1k"
    assert resolve("resnet18.a1_in1k").name == "resnet18.a1_in1k"
    assert resolve("hf_hub:timm/resnet18.a1_in1k").builder == "hf_hub:timm/resnet18.a1_in1k"


@pytest.mark.parametrize(
    ("wrong", "near"), [("resnt50", "resnet50"), ("vit_b17", "vit_b16"), ("swint", "swin_t"), ("cvt13", "cvt_13")]
)
def test_an_unknown_name_gets_its_nearest_ones(wrong: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"unknown model '{wrong}'.*Did you mean.*{near}"):
        resolve(wrong)


def test_a_name_like_no_other_is_still_one_clear_line() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'zzzzqqqq'\. --list-models"):
        resolve("zzzzqqqq")


def test_a_list_of_models_keeps_its_order_and_drops_repetitions() -> None:
    assert parse_models("vit_b16, resnet50,vit_b_16,") == ["vit_b16", "resnet50"]
    with pytest.raises(UsageError, match="at least one model"):
        parse_models(" , ")


def test_a_glob_lists_ours_first_and_then_timms() -> None:
    names = [entry.name for entry in list_models("*swin*")]
    assert names[:4] == ["swin_t", "swin_s", "swin_b", "swinv2_t"]
    assert "swin_large_patch4_window7_224" in names
    assert len(set(names)) == len(names)
    assert list_models("no such thing") == []


def test_names_are_resolved_without_importing_torch_or_timm() -> None:
    script = (
        "import sys\n"
        "from bench.models.zoo import resolve, list_models\n"
        "assert resolve('vit_b_16').name == 'vit_b16' and resolve('convnext_nano') and list_models(None)\n"
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
