"""Batches: whole, in the same order for every model, with the right labels, resident and streamed alike."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.batches import Streamed, epochs, load, resize
from bench.data.cache import content_folder
from bench.errors import UsageError
from tests.data.makers import file_bytes, folder_set, opened, picture, prepared

BOTH = {"train": {"cat": 20, "dog": 20, "fox": 20}, "test": {"cat": 4, "dog": 4, "fox": 4}}
ALL = np.arange(60)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return folder_set(tmp_path_factory.mktemp("data") / "pets", BOTH)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def data(root, cache_dir):
    return opened(root, cache_dir)


def train(data, indices=ALL, *, steps=8, batch_size=16, seed=0, augment="none"):
    return list(data.train_batches(indices, steps=steps, batch_size=batch_size, seed=seed, augment=augment))


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(a, b) for one, other in zip(first, second, strict=True) for a, b in zip(one, other, strict=True)
    )


def pixels_of(data, images):
    """The bytes that normalised images were made of."""
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (data.info.mean, data.info.std))
    return ((images * std + mean) * 255).round().permute(0, 2, 3, 1).numpy().astype(np.uint8)


def test_evaluation_keeps_the_order_and_every_image_its_label(data):
    indices = np.array([7, 59, 0, 21, 7])
    images, labels = next(data.eval_batches("train", indices, 8))
    assert np.array_equal(pixels_of(data, images), np.stack([picture(k + 1) for k in indices]))
    assert labels.tolist() == [0, 2, 0, 1, 0] == data.labels("train")[indices].tolist()


def test_evaluation_shows_every_image_once_and_the_last_batch_may_be_smaller(data):
    sizes = [len(labels) for _, labels in data.eval_batches("test", np.arange(12), 5)]
    assert sizes == [5, 5, 2]


def test_training_images_come_with_their_own_labels(data):
    by_content = {picture(k + 1).tobytes(): data.labels("train")[k] for k in ALL}
    for images, labels in train(data):
        assert [by_content[p.tobytes()] for p in pixels_of(data, images)] == labels.tolist()


def test_the_train_split_has_mean_zero_and_deviation_one(data):
    images = torch.cat([x for x, _ in data.eval_batches("train", ALL, 16)])
    assert torch.allclose(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(images.std((0, 2, 3), unbiased=False), torch.ones(3), atol=1e-4)


@pytest.mark.parametrize("augment", ["none", "light", "heavy"])
def test_images_are_float32_and_channels_last(data, augment):
    for images, _ in train(data, steps=2, augment=augment):
        assert images.dtype == torch.float32
        assert images.shape == (16, 3, 8, 8)
        assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("augment", ["none", "light", "heavy"])
def test_equal_seeds_give_equal_batches_whatever_happened_in_between(data, augment):
    first = train(data, augment=augment)
    torch.manual_seed(1)
    torch.rand(100)
    np.random.random(3)  # noqa: NPY002
    assert same(first, train(data, augment=augment))
    assert not same(first, train(data, augment=augment, seed=1))


def test_order_does_not_depend_on_the_augmentation(data):
    assert [y.tolist() for _, y in train(data)] == [y.tolist() for _, y in train(data, augment="light")]


@pytest.mark.parametrize("augment", ["none", "light", "heavy"])
def test_the_global_generators_are_left_alone(data, augment):
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), repr(np.random.get_state()), random.getstate()  # noqa: NPY002
    train(data, augment=augment)
    after = torch.get_rng_state(), repr(np.random.get_state()), random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 50))
def test_every_batch_is_whole_and_no_image_is_seen_much_more_often_than_another(size, steps, batch_size):
    parts = list(epochs(np.arange(100, 100 + size), steps, batch_size, seed=3))
    assert [len(p) for p in parts] == [batch_size] * steps
    seen = np.bincount(np.concatenate(parts) - 100, minlength=size)
    assert seen.max() - seen.min() <= 1


def test_every_pass_has_its_own_order():
    first, second = epochs(ALL, 2, 60, seed=0)
    assert sorted(first) == sorted(second) == ALL.tolist()
    assert first.tolist() != second.tolist()


def test_a_budget_of_any_length_is_planned_a_batch_at_a_time():
    batches = epochs(np.arange(10), 10**12, 4, seed=0)
    assert len(next(batches)) == 4


def test_a_subset_shows_only_its_own_images(data):
    chosen = np.array([3, 30, 50])
    allowed = {picture(k + 1).tobytes() for k in chosen}
    for images, _ in train(data, chosen):
        assert {p.tobytes() for p in pixels_of(data, images)} == allowed


@pytest.mark.parametrize("img_size", [4, 8, 13])
@pytest.mark.parametrize("augment", ["none", "light", "heavy"])
def test_streamed_batches_are_the_resident_ones_bit_for_bit(root, tmp_path, data, cache_dir, augment, img_size):
    resident = opened(root, cache_dir, img_size=img_size)
    streamed = opened(root, tmp_path, img_size=img_size, max_resident_bytes=0)
    assert isinstance(streamed._splits["train"], Streamed)
    streamed._splits["train"].workers = 0
    assert same(train(streamed, augment=augment), train(resident, augment=augment))


def test_loader_processes_change_nothing(root, tmp_path, data):
    streamed = opened(root, tmp_path, max_resident_bytes=0)
    for split in ("train", "test"):
        streamed._splits[split].workers = 2
    assert same(train(streamed, augment="light"), train(data, augment="light"))
    few = np.array([5, 1, 3])
    assert same(list(streamed.eval_batches("test", few, 2)), list(data.eval_batches("test", few, 2)))


@pytest.mark.skipif(sys.platform != "linux", reason="loader processes are forked on Linux only")
def test_loader_processes_start_at_once_also_below_a_worker_that_was_not_forked(root, tmp_path, data):
    streamed = opened(root, tmp_path, max_resident_bytes=0)
    streamed._splits["train"].workers = 1
    streamed._splits["train"].stream.only_a_fork_can_have_this = lambda: None
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("forkserver", force=True)
    try:
        assert same(train(streamed, steps=2), train(data, steps=2))
    finally:
        multiprocessing.set_start_method(before, force=True)


def test_images_that_only_fit_unresized_give_the_same_batches(root, cache_dir, monkeypatch):
    whole = train(opened(root, cache_dir, img_size=13), augment="light")
    monkeypatch.setattr("bench.data.batches._memory_bytes", lambda device: 3 * 60 * 8 * 8 * 3)
    tight = opened(root, cache_dir, img_size=13)
    assert tight._splits["train"].images.shape == (60, 8, 8, 3)
    assert same(whole, train(tight, augment="light"))


def test_evaluation_does_not_depend_on_how_images_are_grouped(root, tmp_path):
    streamed = opened(root, tmp_path, img_size=13, max_resident_bytes=0)
    streamed._splits["train"].workers = 0
    one, many = (torch.cat([x for x, _ in streamed.eval_batches("train", ALL, n)]) for n in (1, 32))
    assert torch.equal(one, many)


def test_resizing_is_antialiased_and_close_to_pils():
    images = torch.from_numpy(np.stack([picture(k, 32, 32) for k in range(4)]))
    got = resize(images, 12).numpy().astype(int)
    for k, image in enumerate(images.numpy()):
        reference = np.asarray(Image.fromarray(image).resize((12, 12), Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(got[k] - reference).max() <= 2
    assert resize(images, 32) is images


def test_grey_images_become_three_equal_channels(tmp_path):
    root = folder_set(tmp_path / "grey", {"train": {"cat": 4, "dog": 4}, "test": {"cat": 2, "dog": 2}}, channels=1)
    data = opened(root, tmp_path / "cache")
    batches = train(data, np.arange(8), batch_size=4, augment="heavy")
    for images, _ in [*batches, *data.eval_batches("test", np.arange(4), 4)]:
        assert images.shape[1] == 3
        assert torch.equal(images[:, 0], images[:, 1])
        assert torch.equal(images[:, 0], images[:, 2])
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_training_never_reads_the_test_split(root, tmp_path):
    info = prepared(root, tmp_path)
    (content_folder(info, tmp_path) / "test_images.npy").unlink()
    np.save(content_folder(info, tmp_path) / "test_images.npy", np.full((12, 8, 8, 3), 255, np.uint8))
    spoilt = load(info, cache_dir=tmp_path, img_size=8, device=torch.device("cpu"))
    whole = opened(root, tmp_path / "other")
    assert same(train(spoilt, augment="heavy"), train(whole, augment="heavy"))


def test_a_cache_deleted_between_lookup_and_load_is_one_line(root, tmp_path):
    info = prepared(root, tmp_path)
    shutil.rmtree(content_folder(info, tmp_path))
    with pytest.raises(UsageError, match=r"are gone from .*: start the command again"):
        load(info, cache_dir=tmp_path, img_size=8, device=torch.device("cpu"))


@pytest.mark.parametrize("damage", ["missing", "cut off"])
def test_a_damaged_cache_says_which_folder_to_delete(root, tmp_path, damage):
    info = prepared(root, tmp_path)
    file = content_folder(info, tmp_path) / "train_images.npy"
    if damage == "missing":
        file.unlink()
    else:
        os.truncate(file, 1000)
    with pytest.raises(UsageError, match=f"in {file.parent} are damaged .*: delete that folder"):
        load(info, cache_dir=tmp_path, img_size=8, device=torch.device("cpu"))


def test_a_corrupt_image_shifts_no_label(tmp_path):
    root = folder_set(tmp_path / "pets", {"train": {"cat": 3, "dog": 3}, "test": {"cat": 1, "dog": 1}})
    (root / "train" / "cat" / "001.png").write_bytes(file_bytes(picture(2))[:50])
    data = opened(root, tmp_path / "cache")
    images, labels = next(data.eval_batches("train", np.arange(5), 5))
    assert np.array_equal(pixels_of(data, images), np.stack([picture(k) for k in (1, 3, 4, 5, 6)]))
    assert labels.tolist() == [0, 0, 1, 1, 1]
