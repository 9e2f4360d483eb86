"""The small geometry: one finest grid, no map below 2×2, full width and depth, names of its own."""

from __future__ import annotations

import pytest
import torch

from bench.errors import UsageError
from bench.measure.macs import count_macs
from bench.models.build import build, build_module
from bench.models.geometry import read_geometry
from bench.models.grids import Neighbours
from bench.models.small import originals, small_name
from bench.models.zoo import parse_models, resolve
from bench.protocol import PRESETS, Protocol
from bench.study import Study

CANONICAL = ("resnet50", "vit_b16", "swin_t", "cvt_13")
OTHERS = ("resnet18", "convnext_t", "deit_s", "sequencer2d_s")


@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("vit_b16", "vit_b4@32"),
        ("vit_ti16", "vit_ti4@32"),
        ("vit_medium_patch16_gap_240", "vit_medium_patch4_gap_240@32"),
        ("deit_s", "deit_s@32"),
        ("resnet50", "resnet50@32"),
        ("vit_mini", "vit_mini"),
        ("vit_mini[depth=2]", "vit_mini[depth=2]"),
    ],
)
def test_a_small_model_has_a_name_of_its_own_and_the_name_means_it(name: str, small: str) -> None:
    assert small_name(name, 32) == small
    entry, published = resolve(small), resolve(name)
    assert (entry.name, entry.builder) == (small, published.builder)
    assert entry.small_px == (32 if "@" in small else None)
    assert small_name(small, 32) == small


def test_models_that_differ_in_their_patches_only_become_one() -> None:
    assert parse_models("vit_b16,vit_b32,vit_b_16", 32) == ["vit_b4@32"]
    assert next(originals("vit_b4")) == "vit_b16"


@pytest.mark.parametrize("name", [*CANONICAL, *OTHERS])
@pytest.mark.parametrize("img_size", [32, 64])
def test_every_family_has_the_same_finest_grid_and_no_map_below_2x2(name: str, img_size: int) -> None:
    _, info = build(small_name(name, img_size), num_classes=10, img_size=img_size)
    assert info.geometry is not None
    sides = [stage.height for stage in info.geometry.stages if stage.name != "act1"]  # what a ResNet's stem puts out
    assert max(sides) == img_size // 4
    assert min(sides) >= 2
    assert not any("finest grid" in reason for reason in info.geometry.degenerate)
    assert info.builder.startswith(resolve(name).builder)
    assert ("[patch_size=4]" in info.builder) == (name in ("vit_b16", "deit_s"))
    windows = {stage.window for stage in info.geometry.stages if stage.window}
    assert windows <= {4, 2}
    assert all(stage.keys is None or stage.keys >= 4 for stage in info.geometry.stages)


@pytest.mark.parametrize("name", ["resnet50", "cvt_13", "convnext_t", "sequencer2d_s"])
def test_width_and_depth_are_the_published_ones(name: str) -> None:
    """Parameters in number and shape, but for the patch embedding of the sequencer, which sees 4 pixels and not 7."""
    small = dict(build_module(f"{name}@32", num_classes=10, img_size=32).named_parameters())
    published = dict(build_module(name, num_classes=10, img_size=32).named_parameters())
    assert small.keys() == published.keys()
    differing = {key for key, value in small.items() if value.shape != published[key].shape}
    assert differing <= {"stem.proj.weight"}


@pytest.mark.parametrize("name", ["vit_b16", "swin_t"])
def test_only_patches_and_windows_change_the_shape_of_parameters(name: str) -> None:
    small = dict(build_module(small_name(name, 32), num_classes=10, img_size=32).named_parameters())
    published = dict(build_module(name, num_classes=10, img_size=32).named_parameters())
    assert small.keys() == published.keys()
    for key, value in small.items():
        if value.shape != published[key].shape:
            assert key.endswith(("patch_embed.proj.weight", "pos_embed", "relative_position_bias_table"))


@pytest.mark.parametrize("name", [*CANONICAL, *OTHERS])
def test_a_small_model_learns_and_all_its_work_is_counted(name: str) -> None:
    model = build_module(small_name(name, 32), num_classes=3, img_size=32)
    counted = count_macs(model.eval(), torch.zeros(1, 3, 32, 32))
    assert not counted.uncounted
    model.train()
    loss = model(torch.rand(2, 3, 32, 32)).square().mean()
    loss.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_merging_that_keeps_the_grid_is_patch_merging_where_both_look_at_the_same_cells() -> None:
    from timm.models.swin_transformer import PatchMerging

    merging = PatchMerging(8)
    x = torch.rand(2, 4, 4, 8)
    torch.testing.assert_close(Neighbours(merging)(x)[:, ::2, ::2], merging(x))


def test_at_64_px_only_patches_windows_and_keys_differ_from_the_published_strides() -> None:
    for name in ("resnet50", "convnext_t"):
        small = read_geometry(build_module(f"{name}@64", num_classes=10, img_size=64), 64)
        assert small == read_geometry(build_module(name, num_classes=10, img_size=64), 64)


def test_equal_seeds_give_equal_weights() -> None:
    first, second = (build_module("swin_t@32", num_classes=10, img_size=32, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_model_whose_finest_grid_is_another_says_so() -> None:
    _, info = build("mobilenetv3_l@32", num_classes=10, img_size=32)
    assert info.geometry is not None
    assert any("finest grid is 16×16" in reason for reason in info.geometry.degenerate)


def test_the_study_renames_its_models_and_refuses_names_of_another_geometry() -> None:
    protocol = Protocol(geometry="small")
    assert Study(models=("vit_b16", "resnet50@32"), protocol=protocol).models == ("vit_b4@32", "resnet50@32")
    assert Study(models=("vit_b16",)).models == ("vit_b16",)
    for models, asked in ((("vit_b4@32",), Protocol()), (("vit_b4@64",), protocol)):
        with pytest.raises(UsageError, match="give --geometry small --img-size"):
            Study(models=models, protocol=asked)
    with pytest.raises(UsageError, match="--pretrained needs --geometry canonical"):
        Study(protocol=protocol, pretrained=True)


@pytest.mark.parametrize("img_size", [12, 30, 128, 224])
def test_images_without_a_small_geometry_are_refused(img_size: int) -> None:
    with pytest.raises(UsageError, match="--geometry small is for images of 16 to 124 pixels in steps of 4"):
        Protocol(geometry="small", img_size=img_size)


def test_a_field_that_came_later_changes_no_old_protocol() -> None:
    """The id of the quick preset as its snapshot has it, from before there were two geometries."""
    assert PRESETS["quick"].short_id == "049b3d7a"
    assert Protocol(geometry="small").id != Protocol().id
