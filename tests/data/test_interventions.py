"""Interventions: each takes away what it says and nothing else, and augmentation cannot undo it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.data.batches import ImageData, Streamed, load
from bench.data.cache import default_cache_dir, prepare
from bench.data.interventions import Intervention, parse_intervention, pixel_map
from bench.errors import UsageError

CPU = torch.device("cpu")
PERMUTATIONS = ("patch-permute", "within-patch-permute", "pixel-permute", "row-permute")


def _map(text: str, seed: int = 0, img_size: int = 32) -> np.ndarray:
    return pixel_map(parse_intervention(text, img_size), img_size, seed)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    """The digits at 32 px."""
    cache = default_cache_dir()
    info = prepare("digits", data_dir=None, img_size=32, download=False, cache_dir=cache)
    return load(info, cache_dir=cache, img_size=32, device=CPU)


@pytest.mark.parametrize("text", PERMUTATIONS)
@given(seed=st.integers(0, 2**31))
def test_a_permutation_loses_no_pixel_and_follows_from_the_seed_alone(text: str, seed: int) -> None:
    found = _map(text, seed)
    assert (np.sort(found) == np.arange(1024)).all()
    assert (found == _map(text, seed)).all()
    assert (found != _map(text, seed + 1)).any()


def _tiles(values: np.ndarray, px: int = 4) -> np.ndarray:
    many = 32 // px
    return values.reshape(many, px, many, px).swapaxes(1, 2).reshape(-1, px * px)


def test_patches_change_places_and_stay_whole() -> None:
    before, after = _tiles(np.arange(1024)), _tiles(_map("patch-permute"))
    order = [int(np.flatnonzero(before[:, 0] == tile[0])[0]) for tile in after]
    assert (before[order] == after).all()
    assert sorted(order) == list(range(64))
    assert order != list(range(64))


def test_inside_every_patch_the_same_pixels_change_places_and_none_leaves_it() -> None:
    before, after = _tiles(np.arange(1024)), _tiles(_map("within-patch-permute"))
    assert (np.sort(after, axis=1) == np.sort(before, axis=1)).all()
    offsets = after - before.min(axis=1, keepdims=True)
    assert (offsets == offsets[0]).all()
    assert (after != before).any()


def test_rows_change_places_and_stay_whole() -> None:
    after = _map("row-permute").reshape(32, 32)
    assert (after % 32 == np.arange(32)).all()
    assert (after // 32 == after[:, :1] // 32).all()


def test_a_shift_moves_the_image_right_and_down_and_reflects_what_is_missing() -> None:
    image = np.arange(1024).reshape(32, 32)
    shifted = image.ravel()[_map("shift:3")].reshape(32, 32)
    assert (shifted[3:, 3:] == image[:-3, :-3]).all()
    assert (shifted[:3, 3:] == image[1:4, :-3][::-1]).all()


def test_a_patch_of_another_size_is_another_intervention_and_the_usual_one_has_one_spelling() -> None:
    assert parse_intervention("patch-permute:4", 32).text == "patch-permute"
    assert parse_intervention(" patch-permute:8 ", 32).text == "patch-permute:8"
    assert (_map("patch-permute:8") != _map("patch-permute")).any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patch-permut", "Did you mean patch-permute"),
        ("", "unknown intervention ''"),
        ("patch-permute:5", "divides the image's 32"),
        ("patch-permute:0", "divides the image's 32"),
        ("within-patch-permute:1", "changes nothing"),
        ("shift:32", "1 to 31 pixels"),
        ("shift:-1", "whole number of pixels"),
        ("pixel-permute:4", "has no size"),
    ],
)
def test_a_wrong_one_is_told_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_intervention(text, 32)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("augment", ["none", "light", "heavy"])
@pytest.mark.parametrize("text", [*PERMUTATIONS, "shift"])
def test_augmentation_comes_first_and_cannot_undo_it(digits: ImageData, text: str, augment: str) -> None:
    index = np.arange(64)
    kwargs = {"steps": 3, "batch_size": 16, "seed": 5, "augment": augment}
    plain = list(digits.train_batches(index, **kwargs))  # type: ignore[arg-type]
    changed = list(digits.under(text, seed=5).train_batches(index, **kwargs))  # type: ignore[arg-type]
    order = torch.from_numpy(_map(text, 5))
    for (images, targets), (seen, same) in zip(plain, changed, strict=True):
        assert torch.equal(images.flatten(2)[:, :, order], seen.flatten(2))
        assert torch.equal(targets, same)


@pytest.mark.parametrize("text", PERMUTATIONS)
def test_test_images_are_changed_like_training_images(digits: ImageData, text: str) -> None:
    index, order = np.arange(40), torch.from_numpy(_map(text, 1))
    for split in ("train", "test"):
        whole = torch.cat([images for images, _ in digits.eval_batches(split, index, 16)])
        seen = torch.cat([images for images, _ in digits.under(text, 1).eval_batches(split, index, 16)])
        assert torch.equal(whole.flatten(2)[:, :, order], seen.flatten(2))
        assert seen.is_contiguous(memory_format=torch.channels_last)


def test_intact_images_are_untouched_and_memory_is_shared(digits: ImageData) -> None:
    index = np.arange(8)
    changed = digits.under("patch-permute", 0)
    back = changed.under("none", 0)
    (plain, _), (same, _) = (next(d.eval_batches("test", index, 8)) for d in (digits, back))
    assert torch.equal(plain, same)
    assert changed._splits is digits._splits
    (again, _) = next(digits.eval_batches("test", index, 8))
    assert torch.equal(plain, again)


def test_seeds_of_a_run_differ_and_its_models_share_one(digits: ImageData) -> None:
    index = np.arange(8)
    (one, _), (again, _), (other, _) = (
        next(digits.under("patch-permute", seed).eval_batches("test", index, 8)) for seed in (4, 4, 5)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_colour_images_keep_their_channels_apart(tmp_path: Path, digits: ImageData) -> None:
    info = digits.info.model_copy(update={"channels": 3, "mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 1.0]})

    class Colour:
        def walk(self, batches):  # type: ignore[no-untyped-def]
            for part in batches:
                base = torch.arange(1024, dtype=torch.int64).remainder(200).to(torch.uint8).view(1, 32, 32, 1)
                yield torch.cat([base, base + 1, base + 2], dim=3).expand(len(part), -1, -1, -1)

        def walk_once(self, indices, batch_size):  # type: ignore[no-untyped-def]
            return self.walk([indices])

    data = ImageData(info, {"test": Colour()}, {"test": np.zeros(4, np.int64)}, img_size=32, device=CPU)
    (plain, _) = next(data.eval_batches("test", np.arange(4), 4))
    (seen, _) = next(data.under("pixel-permute", 3).eval_batches("test", np.arange(4), 4))
    assert torch.equal(plain.flatten(2)[:, :, torch.from_numpy(_map("pixel-permute", 3))], seen.flatten(2))


def test_streamed_images_are_changed_like_resident_ones(digits: ImageData) -> None:
    kept = digits._splits["test"]

    class Pictures(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __getitem__(self, index: int) -> np.ndarray:
            return next(kept.walk([np.array([index])]))[0].numpy()  # type: ignore[no-any-return]

    labels = {"test": digits.labels("test")}
    splits = {"test": Streamed(Pictures(), CPU, workers=0)}  # type: ignore[arg-type]
    streamed = ImageData(digits.info, splits, labels, img_size=32, device=CPU)  # type: ignore[arg-type]
    index = np.arange(20)
    for text in ("patch-permute", "shift"):
        both = [d.under(text, 3).eval_batches("test", index, 8) for d in (digits, streamed)]
        for (expected, label), (found, same) in zip(*both, strict=True):
            assert torch.equal(expected, found)
            assert torch.equal(label, same)


def test_none_is_the_identity() -> None:
    assert (pixel_map(Intervention("none", None), 8, 0) == np.arange(64)).all()
