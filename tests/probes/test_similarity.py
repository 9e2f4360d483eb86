"""Similarity of layers: debiased CKA has the invariances it must have, and its batches give what the whole would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.probes.similarity import BATCH, Alignment, hsic, kernel, layer_similarity
from bench.probes.subject import NotProbable, Subject
from tests.broken_structures import built, subject_of
from tests.probes.toys import subject


def features(entropy: int, n: int = 256, d: int = 20) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(entropy))


def cka(first: Tensor, second: Tensor, batch: int | None = None) -> float:
    """CKA of features [n, d] and [n, e], from batches if asked for."""
    found = Alignment(1)
    size = batch or len(first)
    for start in range(0, len(first), size):
        found.add([kernel(first[start : start + size])], [kernel(second[start : start + size])])
    return float(found.matrix()[0, 0])


def test_a_rotated_scaled_and_moved_copy_is_the_same() -> None:
    own = features(0)
    rotation, _ = torch.linalg.qr(features(1, n=20))
    assert cka(own, own @ rotation) == pytest.approx(1, abs=1e-5)
    assert cka(own, 0.01 * own + 5) == pytest.approx(1, abs=1e-5)


def test_a_copy_stretched_in_one_direction_is_not() -> None:
    own = features(0)
    assert cka(own, own * torch.tensor([10.0] + [1.0] * 19)) < 0.7


@pytest.mark.parametrize("dimensions", [20, 10_000])
def test_independent_features_come_out_at_0_however_many_there_are(dimensions: int) -> None:
    """Without debiasing, features of more dimensions than images are alike whatever they are."""
    first, second = features(0, d=dimensions), features(1, d=dimensions)
    assert cka(first, second) == pytest.approx(0, abs=0.03)
    if dimensions > len(first):
        a, b = ((x - x.mean(0)) @ (x - x.mean(0)).T for x in (first, second))
        assert float((a * b).sum() / (a.norm() * b.norm())) > 0.95


def test_it_is_symmetric() -> None:
    first, second = features(0), features(0) + 2 * features(1)
    assert cka(first, second) == pytest.approx(cka(second, first))
    assert 0.05 < cka(first, second) < 0.9


def test_hsic_is_the_mean_over_all_four_different_images() -> None:
    """The estimate as it is defined: kᵢⱼ·lᵢⱼ + kᵢⱼ·l_qr − 2·kᵢⱼ·l_iq over all (i, j, q, r) without repetition."""
    k, other = kernel(features(0, n=7)), kernel(features(1, n=7))
    terms = [float(k[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q])) for i, j, q, r in permutations(range(7), 4)]
    assert hsic(k, other) == pytest.approx(np.mean(terms))


def test_batches_give_on_average_what_the_whole_gives() -> None:
    """Over all batches of five out of nine images, exactly: the size of a batch is no bias."""
    k, other = kernel(features(0, n=9)), kernel(features(0, n=9) + features(1, n=9))
    batches = [hsic(k[np.ix_(b, b)], other[np.ix_(b, b)]) for b in map(list, combinations(range(9), 5))]
    assert np.mean(batches) == pytest.approx(hsic(k, other))


def test_small_batches_come_close_to_one_large_one() -> None:
    first, second = features(0, n=1024), features(0, n=1024) + features(1, n=1024)
    assert cka(first, second, batch=128) == pytest.approx(cka(first, second), abs=0.02)


def test_sums_over_batches_are_taken_before_the_ratio() -> None:
    """A batch of larger features weighs more, as in one pass over all of them: no batch is normalised on its own."""
    first = torch.cat([10 * features(0), features(1)])
    second = torch.cat([10 * features(0), features(2)])
    assert cka(first, second, batch=256) > 0.99


def test_a_layer_that_is_the_same_for_all_images_is_like_nothing() -> None:
    assert cka(torch.ones(256, 5), features(0)) == 0


class Trained:
    """A train split of images, float32 [n, 3, 32, 32], which notes what it is asked for."""

    def __init__(self, n: int) -> None:
        self.images = torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        self.asked: list[int] = []

    def labels(self, split: str) -> NDArray[np.int64]:
        return np.zeros(len(self.images) if split == "train" else 10, dtype=np.int64)

    def eval_batches(self, split: str, indices: NDArray[np.int64], batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        assert split == "train"
        self.asked.extend(indices.tolist())
        for start in range(0, len(indices), batch_size):
            part = torch.from_numpy(indices[start : start + batch_size])
            yield self.images[part], torch.zeros(len(part))


def looking(*models: nn.Module | str, n: int = BATCH) -> Subject:
    """Models in front of `n` training images."""
    first = models[0]
    asked = subject_of(first) if isinstance(first, str) else subject(first)
    modules = tuple((built(model) if isinstance(model, str) else model).eval() for model in models)
    return replace(asked, models=modules, data=Trained(n))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("resnet_mini", [8, 8, 8, 4]),
        ("vit_mini", [8, 8, 8, 8]),
        ("swin_mini", [8, 8, 8, 4]),
        ("cvt_mini", [8, 8, 8, 8, 4]),
        ("lstm_mini", [8, 8, 8]),
    ],
)
def test_every_family_has_a_symmetric_matrix_of_its_blocks(name: str, cells: list[int]) -> None:
    values = layer_similarity(looking(name)).values
    assert values["cells"] == cells
    assert len(values["blocks"]) == len(set(values["blocks"])) == len(cells)
    (own,) = np.array(values["own"])
    assert np.allclose(np.diagonal(own), 1)
    assert np.allclose(own, own.T)
    assert np.array(own).max() < 1 + 1e-6
    assert values["across"] is None
    assert json.loads(json.dumps(values)) == values


def test_two_models_are_compared_block_by_block() -> None:
    model, other = built("resnet_mini"), subject_of("resnet_mini").build("resnet_mini", seed=1)
    same = layer_similarity(looking(model, model)).values
    assert np.allclose(same["across"], same["own"][0])
    found = layer_similarity(looking(model, other, model)).values
    assert np.allclose(
        found["own"], [same["own"][0], layer_similarity(looking(other)).values["own"][0], found["own"][2]]
    )
    assert not np.allclose(found["across"], found["own"][0], atol=0.01)
    swapped = layer_similarity(looking(other, model)).values
    assert np.allclose(np.transpose(found["across"]), swapped["across"])


class Blank(nn.Module):
    """The same map for every image."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class Maps(nn.Module):
    """Images as maps of 8×8 cells through some blocks."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        cells = nn.functional.avg_pool2d(x, 4)
        return torch.stack([block(cells) for block in self.blocks]).mean(0)


def test_rows_are_the_first_models_blocks_and_columns_the_second_ones() -> None:
    found = layer_similarity(looking(Maps(nn.Identity(), Blank()), Maps(Blank(), nn.Identity()))).values["across"]
    assert np.allclose(found, [[0, 1], [0, 0]])


class NoisyClassToken(nn.Module):
    """Leaves all tokens alone but the first, which becomes noise."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([100 * torch.randn_like(x[:, :1]), x[:, 1:]], dim=1)


class WithClassToken(nn.Module):
    """Patches behind a class token, through two blocks of which the second one writes over that token."""

    num_prefix_tokens = 1

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(nn.Identity(), NoisyClassToken())

    def forward(self, x: Tensor) -> Tensor:
        tokens = nn.functional.avg_pool2d(x, 4).flatten(2).transpose(1, 2)
        return self.blocks(torch.cat([tokens[:, :1], tokens], dim=1)).mean(1)  # type: ignore[no-any-return]


def test_class_tokens_are_left_out() -> None:
    (own,) = layer_similarity(looking(WithClassToken())).values["own"]
    assert own[0][1] == pytest.approx(1)


class Moved(nn.Module):
    """Moves a map by half of its width, around the edge."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, x.shape[3] // 2, dims=3)


class Averaged(nn.Module):
    """Every cell becomes the mean of all."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True).expand_as(x)


def test_features_are_all_cells_as_in_a_list_and_not_their_mean() -> None:
    """A list of cells in another order is the same features; a map whose cells were averaged is not."""
    (own,) = layer_similarity(looking(Maps(nn.Identity(), Moved(), Averaged()))).values["own"]
    assert own[0][1] == pytest.approx(1)
    assert own[0][2] < 0.5


def test_whole_batches_from_all_over_the_training_split_are_used() -> None:
    asked = looking("lstm_mini", n=1000)
    values = layer_similarity(asked, images=600).values
    assert values["images"] == 512
    drawn = asked.images.asked  # type: ignore[attr-defined]
    assert len(set(drawn)) == 512
    assert max(drawn) > 900
    assert min(drawn) < 100


def test_fewer_images_than_a_batch_say_nothing() -> None:
    with pytest.raises(NotProbable, match="256 images, and there are 255"):
        layer_similarity(looking("lstm_mini", n=255))
