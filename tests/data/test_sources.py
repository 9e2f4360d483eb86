"""A dataset's name means one source, a wrong name is answered with the right one, a changed source is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.data.sources import identity, open_source, parse
from bench.errors import UsageError
from tests.data.makers import folder_set, parquet_set

CLASSES = {"train": {"a1": 1, "b1": 1}, "test": {"a1": 1, "b1": 1}}


@pytest.fixture
def understood(tmp_path, monkeypatch):
    """Parse a name with `tmp_path` as the current folder."""
    monkeypatch.chdir(tmp_path)
    return lambda name, data_dir=None: parse(name, data_dir, tmp_path / "downloads")


def test_digits_need_no_folder(understood):
    assert understood("digits").kind == "digits"


@pytest.mark.parametrize(
    ("name", "kind", "plain"),
    [
        ("torch/cifar10", "torch", "torch/cifar10"),
        ("Torch/CIFAR10", "torch", "torch/cifar10"),
        ("hfds/ylecun/mnist", "hfds", "hfds/ylecun/mnist"),
    ],
)
def test_timm_names_are_understood_and_the_prefix_has_no_case(understood, tmp_path, name, kind, plain):
    request = understood(name)
    assert (request.kind, request.name, request.root) == (kind, plain, tmp_path / "downloads")
    assert understood(name, tmp_path / "mine").root == tmp_path / "mine"


def test_a_relative_data_dir_means_the_same_folder_wherever_the_command_is_started(understood, tmp_path):
    assert understood("torch/mnist", Path("mine")).root == tmp_path / "mine"


def test_a_folder_is_looked_for_here_and_then_in_data_dir(understood, tmp_path):
    folder_set(tmp_path / "here" / "pets", CLASSES)
    folder_set(tmp_path / "there" / "birds", CLASSES)
    assert understood("here/pets").root == tmp_path / "here" / "pets"
    assert understood("folder:birds", tmp_path / "there").root == tmp_path / "there" / "birds"


@pytest.mark.parametrize("below", ["", "data", "data/train", "plain_text/train"])
def test_a_folder_with_parquet_shards_is_parquet(understood, tmp_path, below):
    parquet_set(tmp_path / "set" / below)
    request = understood("set")
    assert request.kind == "parquet"
    assert open_source(request, download=False).classes == ["cat", "dog"]


def test_a_table_beside_folders_of_images_does_not_make_them_parquet(understood, tmp_path):
    folder_set(tmp_path / "set", CLASSES)
    (tmp_path / "set" / "metadata.parquet").write_bytes(b"a table of something else")
    request = understood("set")
    assert request.kind == "folder"
    assert open_source(request, download=False).classes == ["a1", "b1"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "unknown dataset 'digit'.* Did you mean digits"),
        ("cifar10", "Did you mean torch/cifar10"),
        ("torch/cifr10", "unknown dataset 'torch/cifr10'. Did you mean cifar10, cifar100"),
        ("torch/", "no name after the slash"),
        ("wds/imagenet", "can only be read in order.* give the path of a folder that holds tar shards"),
        ("no/such/folder", "there is no folder no/such/folder"),
        ("folder:nowhere", "there is no folder nowhere"),
        ("", "--dataset is empty"),
        ("folder:", "--dataset is empty"),
    ],
)
def test_a_name_that_means_nothing_is_answered_in_one_line(understood, name, message):
    with pytest.raises(UsageError, match=message) as caught:
        understood(name)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_names_every_place_that_was_looked_at(understood, tmp_path):
    with pytest.raises(UsageError, match=r"there is no folder some/set or .*mine/some/set"):
        understood("some/set", tmp_path / "mine")


def test_a_file_is_not_a_dataset(understood, tmp_path):
    (tmp_path / "images.zip").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"images\.zip is a file; give the folder"):
        understood("images.zip")


def _append(root):
    """A change that keeps the modification time, as unpacking an archive does."""
    file = root / "train" / "a1" / "000.png"
    before = file.stat().st_mtime_ns
    file.write_bytes(file.read_bytes() + b"more")
    os.utime(file, ns=(before, before))


def _touch(root):
    os.utime(root / "train" / "a1" / "000.png", ns=(1, 1))


def _rename(root):
    (root / "train" / "a1" / "000.png").rename(root / "train" / "a1" / "111.png")


def _remove(root):
    (root / "test" / "a1" / "000.png").unlink()


@pytest.mark.parametrize("change", [_append, _touch, _rename, _remove])
def test_any_change_to_the_files_changes_the_identity(understood, tmp_path, change):
    root = folder_set(tmp_path / "set", CLASSES)
    before = identity(understood("set"))
    assert identity(understood("set")) == before
    change(root)
    assert identity(understood("set")) != before


def test_hidden_files_and_locks_do_not_change_the_identity(understood, tmp_path):
    root = folder_set(tmp_path / "set", CLASSES)
    before = identity(understood("set"))
    (root / ".DS_Store").write_bytes(b"x")
    (root / "some.lock").write_bytes(b"")
    assert identity(understood("set")) == before


def test_a_link_to_nowhere_does_not_stop_the_listing(understood, tmp_path):
    root = folder_set(tmp_path / "set", CLASSES)
    before = identity(understood("set"))
    (root / "train" / "a1" / "gone.png").symlink_to(root / "nothing.png")
    assert identity(understood("set")) != before


def test_a_folder_that_links_to_itself_is_refused_in_one_line(understood, tmp_path):
    root = folder_set(tmp_path / "set", CLASSES)
    (root / "train" / "again").symlink_to(root / "train")
    with pytest.raises(UsageError, match=r"cannot read the dataset folder .*: Too many levels of symbolic links"):
        identity(understood("set"))


def test_a_torch_set_is_known_by_its_own_files_only(understood, tmp_path):
    request = understood("torch/svhn", tmp_path)
    empty = identity(request)
    (tmp_path / "unrelated.txt").write_text("x")
    assert identity(request) == empty
    (tmp_path / "train_32x32.mat").write_bytes(b"x")
    assert identity(request) != empty
