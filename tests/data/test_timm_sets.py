"""Datasets by timm's grammar, read from the files that torchvision and Hugging Face datasets would have fetched."""

from __future__ import annotations

import importlib.util
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from bench.data import timm_sets
from bench.data.cache import lookup
from bench.data.sources import identity, parse
from bench.data.timm_sets import hfds_copy, open_hfds, open_torch
from bench.errors import UsageError
from tests.data.makers import cifar_set, folder_set, idx_set, parquet_set, picture, prepared, svhn_set

needs_datasets = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="the datasets package is not installed"
)


@pytest.fixture(autouse=True)
def without_checksums(monkeypatch):
    """Let torchvision take files of ours: it knows the checksums of the published ones."""
    for module in ("cifar", "svhn"):
        monkeypatch.setattr(
            f"torchvision.datasets.{module}.check_integrity", lambda path, md5=None: os.path.isfile(path)
        )


def pixels(split):
    return [np.asarray(example.read()) for example in split.walk()]


def test_cifar10_comes_from_its_pickled_batches_and_may_be_mirrored(tmp_path):
    source = open_torch("torch/cifar10", cifar_set(tmp_path, "cifar10"), download=False)
    assert source.classes == [f"class {k}" for k in range(10)]
    assert source.flip is True
    assert source.train.labels.tolist() == [k % 10 for k in range(20)]
    assert all(np.array_equal(got, picture(k, 32, 32)) for k, got in enumerate(pixels(source.train)))
    assert np.array_equal(pixels(source.test)[0], picture(20, 32, 32))


def test_cifar100_has_its_fine_labels(tmp_path):
    source = open_torch("torch/cifar100", cifar_set(tmp_path, "cifar100"), download=False)
    assert len(source.classes) == 100
    assert (len(source.train), len(source.test), source.flip) == (100, 100, True)


@pytest.mark.parametrize(
    ("name", "folder", "flip"), [("mnist", "MNIST", False), ("fashion_mnist", "FashionMNIST", True)]
)
def test_idx_files_are_grey_images_and_only_clothes_may_be_mirrored(tmp_path, name, folder, flip):
    source = open_torch(f"torch/{name}", idx_set(tmp_path, folder), download=False)
    assert (len(source.classes), len(source.train), len(source.test), source.flip) == (10, 20, 10, flip)
    assert np.array_equal(pixels(source.train)[3], picture(3, 28, 28, 1))
    info = prepared(f"torch/{name}", tmp_path / "cache", data_dir=tmp_path, img_size=32)
    assert (info.channels, info.native_px, info.cached_px, info.flip) == (1, 28, 28, flip)


def test_svhn_counts_its_ten_as_zero_and_may_not_be_mirrored(tmp_path):
    source = open_torch("torch/svhn", svhn_set(tmp_path), download=False)
    assert source.classes == [str(k) for k in range(10)]
    assert source.train.labels.tolist() == [(k + 1) % 10 for k in range(20)]
    assert source.flip is False
    assert np.array_equal(pixels(source.train)[2], picture(2, 32, 32))


@pytest.mark.parametrize("name", ["cifar10", "mnist", "svhn"])
def test_a_set_that_is_not_there_says_what_to_do(tmp_path, name):
    with pytest.raises(UsageError, match=f"torch/{name} is not in .*: add --download, or point --data-dir"):
        prepared(f"torch/{name}", tmp_path / "cache", data_dir=tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_imagenet_says_which_archives_it_needs(tmp_path):
    with pytest.raises(UsageError, match=r"torch/imagenet is not in .*ILSVRC2012_img_train\.tar"):
        open_torch("torch/imagenet", tmp_path, download=False)


def test_a_failed_download_is_one_line(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("<urlopen error\n no network>")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    message = "cannot download torch/cifar10 into .*: <urlopen error no network>"
    with pytest.raises(UsageError, match=message):
        open_torch("torch/cifar10", tmp_path / "new", download=True)


def test_a_torn_file_is_told_from_a_missing_one(tmp_path):
    cifar_set(tmp_path, "cifar10")
    file = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    file.write_bytes(pickle.dumps({})[:-1])
    with pytest.raises(UsageError, match=r"cannot read torch/cifar10 in .*Delete its files there"):
        open_torch("torch/cifar10", tmp_path, download=False)


def test_new_files_in_place_of_the_old_ones_are_prepared_again(tmp_path):
    before = prepared("torch/svhn", tmp_path / "cache", data_dir=svhn_set(tmp_path), img_size=32)
    after = prepared("torch/svhn", tmp_path / "cache", data_dir=svhn_set(tmp_path, n_train=30), img_size=32)
    assert (before.n_train, after.n_train) == (20, 30)


def test_what_a_download_brought_is_found_again(tmp_path, monkeypatch):
    def arrives(name, root, split, download, **options):
        from torchvision.datasets import CIFAR10

        if not (Path(root) / "cifar-10-batches-py").exists():
            cifar_set(Path(root), "cifar10")
        return CIFAR10(root, train=split == "train")

    monkeypatch.setattr("timm.data.dataset_factory.create_dataset", arrives)
    info = prepared("torch/cifar10", tmp_path, img_size=32, download=True)
    assert lookup("torch/cifar10", data_dir=None, img_size=32, cache_dir=tmp_path) == info


def test_synonyms_are_told_apart_where_the_first_is_not_unique():
    class Birds:
        classes = (("crane", "bird"), ("crane", "machine"), ("robin",))

    assert timm_sets._class_names(Birds()) == ["crane, bird", "crane, machine", "robin"]


def test_a_set_made_of_files_is_walked_by_path(tmp_path):
    from torchvision.datasets import ImageFolder

    folder_set(tmp_path, {"": {"cat": 2, "dog": 1}})
    split = timm_sets._torch_split(ImageFolder(str(tmp_path)), "train")
    assert split.files
    assert [e.name for e in split.walk()] == ["cat/000.png", "cat/001.png", "dog/000.png"]
    assert next(split.walk()).read() == tmp_path / "cat" / "000.png"


def test_without_the_datasets_package_the_message_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(timm_sets, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"hfds/cifar10 needs .*pip install 'backbone-bench\[hfds\]'"):
        open_hfds("hfds/cifar10", tmp_path, download=False)


def test_a_hugging_face_set_is_known_by_its_local_copy(tmp_path):
    request = parse("hfds/someone/pets", tmp_path, tmp_path)
    assert hfds_copy(request.name, request.root) == str(tmp_path / "someone___pets")
    before = identity(request)
    (tmp_path / "someone___pets" / "default").mkdir(parents=True)
    (tmp_path / "someone___pets" / "default" / "pets-train.arrow").write_bytes(b"x")
    assert identity(request) != before


@needs_datasets
def test_a_hugging_face_set_gives_file_contents_classes_and_splits(tmp_path):
    root = parquet_set(tmp_path / "pets" / "data").parent
    source = open_hfds(f"hfds/{root}", tmp_path / "copy", download=False)
    assert source.classes == ["cat", "dog"]
    assert source.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    assert source.test.labels.tolist() == [1, 0]
    assert next(source.train.walk()).read().startswith(b"\x89PNG")
    info = prepared(f"hfds/{root}", tmp_path / "cache", data_dir=tmp_path / "copy")
    assert (info.n_train, info.n_test, info.flip, info.native_px) == (8, 2, True, 8)


@needs_datasets
def test_a_hugging_face_set_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match=r"hfds/nobody/nothing is not in .*: add --download"):
        open_hfds("hfds/nobody/nothing", tmp_path, download=False)
