"""Grids, windows and keys, read off real modules."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

import bench.models.cvt  # noqa: F401  registers CvT
from bench.models.geometry import degenerate, read_geometry
from bench.models.zoo import resolve
from bench.records import Geometry, Stage


def _geometry(name: str, img_size: int) -> Geometry:
    builder = resolve(name).builder
    with torch.device("meta"):
        try:
            model = timm.create_model(builder, img_size=img_size)
        except TypeError:
            model = timm.create_model(builder)
    return read_geometry(model, img_size)


def _grids(geometry: Geometry) -> list[tuple[int, int]]:
    return [(s.height, s.width) for s in geometry.stages]


@pytest.mark.parametrize(("img_size", "side"), [(224, 7), (64, 2), (32, 1)])
def test_the_last_map_of_resnet50(img_size: int, side: int) -> None:
    assert _grids(_geometry("resnet50", img_size))[-1] == (side, side)


@pytest.mark.parametrize(("img_size", "side"), [(224, 14), (64, 4), (32, 2)])
def test_the_tokens_of_vit_b16_are_one_stage_and_each_attends_to_all_and_the_class_token(
    img_size: int, side: int
) -> None:
    (stage,) = _geometry("vit_b16", img_size).stages
    assert (stage.height, stage.width, stage.channels) == (side, side, 768)
    assert stage.keys == side * side + 1
    assert stage.window is None


@pytest.mark.parametrize(
    ("img_size", "grids", "windows"),
    [(224, [56, 28, 14, 7], [7, 7, 7, 7]), (64, [16, 8, 4, 2], [7, 7, 4, 2]), (32, [8, 4, 2, 1], [7, 4, 2, 1])],
)
def test_the_grids_and_windows_of_swin_t(img_size: int, grids: list[int], windows: list[int]) -> None:
    stages = _geometry("swin_t", img_size).stages
    assert [s.height for s in stages] == [s.width for s in stages] == grids
    assert [s.window for s in stages] == windows
    assert [s.keys for s in stages] == [w * w for w in windows]
    assert [s.channels for s in stages] == [96, 192, 384, 768]


@pytest.mark.parametrize(
    ("img_size", "queries", "keys"),
    [(224, [56, 28, 14], [28, 14, 7]), (64, [16, 8, 4], [8, 4, 2]), (32, [8, 4, 2], [4, 2, 1])],
)
def test_the_query_grids_and_keys_of_cvt_13(img_size: int, queries: list[int], keys: list[int]) -> None:
    stages = _geometry("cvt_13", img_size).stages
    assert [s.height for s in stages] == queries
    assert [s.keys for s in stages] == [keys[0] ** 2, keys[1] ** 2, keys[2] ** 2 + 1]  # the last has a class token


def test_a_model_whose_stages_are_lists_is_read_by_the_last_module_of_each() -> None:
    assert _grids(_geometry("coat_lite_tiny", 224)) == [(56, 56), (28, 28), (14, 14), (7, 7)]


def test_degenerate_geometry_is_told_where_it_is_and_only_there() -> None:
    assert _geometry("resnet50", 32).degenerate == ["the last map is a single cell (1×1)"]
    assert _geometry("vit_b16", 32).degenerate == ["only 4 tokens (2×2)"]
    assert "windows cover the whole map in stages 2, 3 and 4" in _geometry("swin_t", 32).degenerate
    assert _geometry("cvt_13", 32).degenerate == ["as few as 2 keys per query"]
    assert "as few as 2 keys per query" in _geometry("vit_b32", 32).degenerate
    for name in ("resnet50", "vit_b16", "swin_t", "cvt_13"):
        assert _geometry(name, 224).degenerate == []


def test_reading_the_geometry_leaves_no_hook_and_no_change_behind() -> None:
    model = timm.create_model("test_resnet")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    read_geometry(model, 64)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_without_any_grid_has_no_stages_and_is_not_called_degenerate() -> None:
    geometry = read_geometry(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)), 8)
    assert geometry.stages == []
    assert geometry.degenerate == []


def test_windows_as_large_as_the_map_are_sound_in_the_last_stage_only() -> None:
    stages = [Stage(name="a", height=14, width=14, channels=8, window=7, keys=49)]
    stages.append(Stage(name="b", height=7, width=7, channels=8, window=7, keys=49))
    assert degenerate(stages) == []
    assert degenerate([stages[1], stages[1]]) == ["windows cover the whole map in stages 1 and 2"]
