"""Folders of class folders, with their own test split or with one held out."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from bench.data.examples import HOLDOUT_NOTE
from bench.data.folders import open_folder
from bench.errors import UsageError
from tests.data.makers import file_bytes, folder_set, picture


def names(split):
    return [example.name for example in split.walk()]


@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_train_and_test_folders_are_the_splits(tmp_path, test):
    folder_set(tmp_path / "pets", {"train": {"dog": 2, "cat": 3}, test: {"cat": 1, "dog": 1}})
    source = open_folder(tmp_path / "pets")
    assert (source.name, source.classes, source.flip) == ("pets", ["cat", "dog"], True)
    assert source.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert names(source.train)[0] == "train/cat/000.png"
    assert names(source.test) == [f"{test}/cat/000.png", f"{test}/dog/000.png"]
    assert source.notes == (() if test == "test" else (f"{test}/ is the test split",))


def test_with_val_and_test_the_test_split_is_test_and_val_is_said_to_be_unused(tmp_path):
    classes = {"cat": 1, "dog": 1}
    folder_set(tmp_path, {"train": classes, "val": classes, "test": classes})
    source = open_folder(tmp_path)
    assert names(source.test) == ["test/cat/000.png", "test/dog/000.png"]
    assert source.notes == ("val/ is not used: dev is carved from train/",)


@pytest.mark.parametrize("split", ["", "train"])
def test_without_a_test_split_a_stratified_fifth_is_held_out_and_said_so(tmp_path, split):
    folder_set(tmp_path, {split: {"cat": 10, "dog": 20}})
    source = open_folder(tmp_path)
    assert np.bincount(source.train.labels).tolist() == [8, 16]
    assert np.bincount(source.test.labels).tolist() == [2, 4]
    assert not set(names(source.train)) & set(names(source.test))
    assert [n.split("/")[-2] for n in names(source.test)] == [source.classes[k] for k in source.test.labels]
    assert source.notes == (HOLDOUT_NOTE,)


def test_images_are_found_below_class_folders_whatever_the_case_of_their_suffix(tmp_path):
    folder_set(tmp_path, {"train": {"cat": 1, "dog": 1}})
    (tmp_path / "train" / "cat" / "more").mkdir()
    (tmp_path / "train" / "cat" / "more" / "x.JPEG").write_bytes(file_bytes(picture(9), "JPEG"))
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "train" / "cat" / ".hidden.png").write_bytes(b"")
    (tmp_path / "test").mkdir()
    shutil.copytree(tmp_path / "train", tmp_path / "test", dirs_exist_ok=True)
    assert names(open_folder(tmp_path).train)[:2] == ["train/cat/000.png", "train/cat/more/x.JPEG"]


@pytest.mark.parametrize("classes", [("0", "1"), ("b", "d")])
def test_folders_of_single_characters_are_not_mirrored(tmp_path, classes):
    folder_set(tmp_path, {"": dict.fromkeys(classes, 5)})
    assert open_folder(tmp_path).flip is False


@pytest.mark.parametrize(("missing", "there", "not_there"), [("train", "val", "train"), ("val", "train", "val")])
def test_a_class_in_one_split_only_is_named(tmp_path, missing, there, not_there):
    folder_set(tmp_path, {"train": {"cat": 1, "dog": 1, "fox": 1}, "val": {"cat": 1, "dog": 1, "fox": 1}})
    shutil.rmtree(tmp_path / missing / "fox")
    with pytest.raises(UsageError, match=f"'fox' is in {there}/ and not in {not_there}/"):
        open_folder(tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_class_folder_is_named(tmp_path, split):
    folder_set(tmp_path, {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1}})
    (tmp_path / split / "dog" / "000.png").rename(tmp_path / split / "dog" / "000.txt")
    with pytest.raises(UsageError, match=f"class folder .*{split}/dog is empty: put images in it or remove it"):
        open_folder(tmp_path)


def test_a_folder_without_class_folders_says_what_is_expected(tmp_path):
    (tmp_path / "a.png").write_bytes(file_bytes(picture(0)))
    with pytest.raises(UsageError, match="neither class folders, nor train/"):
        open_folder(tmp_path)


def test_a_train_folder_without_class_folders_is_not_taken_for_a_class(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    with pytest.raises(UsageError, match="has no train/ folder with class folders in it, only train, val/"):
        open_folder(tmp_path)
