"""C16: staging is what similarity does at a boundary beyond what distance in depth does, and ViT's is taken off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench.claims.c16 import ARMS, CLAIM, TRAINED, UNTRAINED, stagedness, stages
from bench.claims.chart import Maps
from bench.claims.claim import Judgement, Missing
from bench.claims.judging import judge
from tests.claims.planted_looks import looked

CELLS = {"CNN": [8, 8, 8, 4], "Swin": [8, 8, 8, 4], "CvT": [8, 8, 8, 8, 4], "ViT": [8, 8, 8, 8]}
STAGED = {"CNN": 0.3, "Swin": 0.2, "CvT": 0.25, "ViT": 0.0}
FLAT = dict.fromkeys(STAGED, 0.0)


def falling(blocks: int, slope: float) -> Any:
    """Similarity that falls with distance in depth and with nothing else."""
    place = np.arange(blocks)
    return 1 - slope * abs(place[:, None] - place)


def with_drop(cells: list[int], drop: float, slope: float = 0.05) -> list[list[float]]:
    """Similarity that falls with distance, and by `drop` from one stage to another."""
    stage = stages(cells)
    found = falling(len(cells), slope) - drop * (stage[:, None] != stage)
    return found.tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("cells", [*CELLS.values(), [8] * 6, [8, 8, 4, 4, 2, 2], [8, 4, 4, 4, 4]])
@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_stagedness_is_the_drop_at_boundaries_wherever_they_are_and_however_similarity_falls_with_depth(
    cells: list[int], slope: float
) -> None:
    assert stagedness(falling(len(cells), slope).tolist(), cells) == pytest.approx(0, abs=1e-12)
    assert stagedness(with_drop(cells, 0.2, slope), cells) == pytest.approx(0.2)


def test_a_stage_begins_where_the_grid_shrinks_and_a_model_without_is_cut_in_halves() -> None:
    assert stages([8, 8, 4, 2, 2]).tolist() == [0, 0, 1, 2, 2]
    assert stages([8, 8, 8, 8]).tolist() == [0, 0, 1, 1]
    assert stages([8, 8, 8]).tolist() == [0, 0, 1]


@pytest.mark.parametrize("cells", [[8], [8, 4], [8, 4, 2]])
def test_stages_of_one_block_each_have_nothing_to_compare(cells: list[int]) -> None:
    with pytest.raises(Missing, match="two blocks in one stage"):
        stagedness(falling(len(cells), 0.1).tolist(), cells)


def judged(
    drops: dict[str, float],
    untrained: dict[str, float] = FLAT,
    spread: Sequence[float] = (-0.01, 0.0, 0.01),
    images: int = 2048,
    missing: str = "",
) -> Judgement:
    """The judgement of models whose similarity drops by so much at their boundary, with a spread over seeds."""
    looks: dict[Any, list[dict[str, Any]]] = {}
    for k, (family, cells) in enumerate(CELLS.items()):
        seeds = spread[::-1] if family == "ViT" else np.roll(spread, k)  # no family goes up and down with ViT
        own = [with_drop(cells, drops[family] + more) for more in seeds]
        looks[TRAINED[family]] = [{"own": own, "across": own[0], "cells": cells, "images": images}]
        looks[UNTRAINED[family]] = [
            {"own": [with_drop(cells, untrained[family] + more)], "across": None, "cells": cells, "images": images}
            for more in seeds
        ]
    if missing:
        looks[TRAINED[missing]] = []
    return judge(CLAIM, looked(looks))


def test_it_is_supported_where_every_family_with_stages_is_above_vit() -> None:
    found = judged(STAGED)
    assert found.verdict == "supported"
    assert "on 2,048 images: CNN +0.30, Swin +0.20, CvT +0.25; before training: CNN +0.00" in found.reason
    assert not found.needed


def test_a_vit_that_is_as_staged_in_its_middle_takes_it_back() -> None:
    assert judged(dict.fromkeys(STAGED, 0.3)).verdict == "inconclusive"
    assert judged(STAGED | {"ViT": 0.24}).verdict == "refuted"


def test_one_family_without_stages_leaves_it_open_and_one_surely_below_refutes_it() -> None:
    assert judged(STAGED | {"CvT": 0.0}).verdict == "inconclusive"
    assert judged(STAGED | {"CvT": -0.1}).verdict == "refuted"


def test_a_spread_over_seeds_as_large_as_the_effect_leaves_it_open() -> None:
    found = judged(STAGED, spread=(-0.3, 0.0, 0.3))
    assert found.verdict == "inconclusive"
    assert "seeds" in found.needed


def test_what_untrained_models_have_is_told_beside_it_and_does_not_decide() -> None:
    found = judged(STAGED, untrained=STAGED)
    assert found.verdict == "supported"
    assert "before training: CNN +0.30, Swin +0.20, CvT +0.25." in found.reason
    names = {finding.name: finding for finding in found.findings}
    assert names["CNN minus ViT, stagedness, untrained"].value == pytest.approx(0.3)
    assert names["CNN minus ViT, stagedness, untrained"].control
    assert not names["CNN minus ViT, stagedness"].control


def test_few_images_and_lost_looks_are_not_testable() -> None:
    few = judged(STAGED, images=768)
    assert few.verdict == "not testable here"
    assert "1,000 images, and there were 768" in few.reason
    assert "layer_similarity of swin_mini" in judged(STAGED, missing="Swin").reason


def test_maps_of_trained_models_stand_beside_seed_against_seed_and_untrained_ones() -> None:
    chart = judged(STAGED).chart
    assert isinstance(chart, Maps)
    labels = {one.label: one.control for one in chart.maps}
    for family in ARMS:
        assert labels[f"{family}, trained"] is False
        assert labels[f"{family}, seed against seed"] is True
        assert labels[f"{family}, untrained"] is True


def test_what_it_means_depends_on_the_verdict() -> None:
    meanings = {judged(drops).meaning for drops in (STAGED, FLAT, STAGED | {"CvT": -0.1})}
    assert len(meanings) == 3
    assert all(text.count(". ") == 1 for text in meanings)
