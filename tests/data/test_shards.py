"""Folders of tar shards: every way to tell classes and splits, and what is done about shards that are not whole."""

from __future__ import annotations

import gzip
import json
import logging
import os
import pickle
import tarfile

import numpy as np
import pytest
import torch

from bench.data.batches import Streamed, load
from bench.data.cache import content_folder
from bench.data.examples import HOLDOUT_NOTE
from bench.data.shards import open_shards
from bench.data.sources import open_source, parse
from bench.data.stream import Stream
from bench.data.tar import members
from bench.errors import UsageError
from tests.data.makers import file_bytes, folder_set, picture, prepared, samples, tar_file, tar_set

CPU = torch.device("cpu")


def contents(split):
    return [example.read().read() for example in split.walk()]


def pictures(seeds):
    return [file_bytes(picture(seed)) for seed in seeds]


@pytest.mark.parametrize("extension", ["cls", "json"])
def test_samples_are_read_in_order_with_the_labels_beside_them(tmp_path, extension):
    source = open_shards(tar_set(tmp_path / "pets", extension=extension))
    assert (source.name, source.classes, source.flip, source.notes) == ("pets", ["cat", "dog"], True, ())
    assert source.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    assert source.test.labels.tolist() == [1, 0]
    assert contents(source.train) == pictures(range(8))
    assert contents(source.test) == pictures((8, 9))
    assert [e.name for e in source.train.walk()][3:5] == ["train-000000.tar/000003.png", "train-000001.tar/000004.png"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"label": 1, "cls": 0}, 1),
        ({"cls": 1, "class_id": 0}, 1),
        ({"class_id": 1, "caption": "a dog"}, 1),
    ],
)
def test_json_tells_the_class_by_the_first_key_that_is_there(tmp_path, content, code):
    files = {}
    for k, about in enumerate([content, {"label": 0}]):
        files |= {f"{k}.png": file_bytes(picture(k)), f"{k}.json": json.dumps(about).encode()}
    tar_file(tmp_path / "train.tar", files)
    tar_file(tmp_path / "test.tar", files)
    assert open_shards(tmp_path).train.labels.tolist() == [code, 0]


def test_numbers_are_the_classes_in_order_and_a_file_beside_the_shards_names_them(tmp_path):
    tar_set(tmp_path, labels=(10, 9))
    source = open_shards(tmp_path)
    assert source.classes == ["9", "10"]
    assert source.train.labels.tolist() == [1, 1, 1, 0, 0, 0, 1, 0]
    tar_set(tmp_path, labels=(1, 0))
    (tmp_path / "classnames.txt").write_text("tench\ngoldfish\n")
    source = open_shards(tmp_path)
    assert source.classes == ["tench", "goldfish"]
    assert source.train.labels.tolist() == [1, 1, 1, 0, 0, 0, 1, 0]


def test_names_that_are_too_few_are_not_taken(tmp_path):
    tar_set(tmp_path, labels=(10, 9))
    (tmp_path / "classes.txt").write_text("tench\ngoldfish\n")
    assert open_shards(tmp_path).classes == ["9", "10"]


@pytest.mark.parametrize("above", ["", "./", "train/"])
def test_without_labels_the_folder_in_the_shard_is_the_class(tmp_path, above):
    files = {f"{above}{name}/{k}.v2.png": file_bytes(picture(k)) for k, name in enumerate(("dog", "cat", "dog"))}
    tar_file(tmp_path / "train-0.tar", files)
    tar_file(tmp_path / "val-0.tar", files)
    source = open_shards(tmp_path)
    assert (source.classes, source.train.labels.tolist()) == (["cat", "dog"], [1, 0, 1])
    assert source.notes == ("val is the test split",)


def test_one_tar_file_a_class_is_named_by_its_class(tmp_path):
    for k, name in enumerate(("n01440764", "n01443537")):
        for split in ("train", "val"):
            seeds = range(10 * k + 5 * (split == "val"), 10 * k + 5 * (split == "val") + 3)
            files = {f"{name}_{seed}.JPEG": file_bytes(picture(seed), "JPEG") for seed in seeds}
            tar_file(tmp_path / split / f"{name}.tar", files)
    source = open_shards(tmp_path)
    assert source.classes == ["n01440764", "n01443537"]
    assert source.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert next(iter(source.test.walk())).name == "val/n01440764.tar/n01440764_5.JPEG"


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train-000000.tar", "test-000000.tar"),
        ("imagenet1k-train-0000.tar", "imagenet1k-validation-0000.tar"),
        ("train/0000.tar", "val/0000.tar"),
        ("data/train/0000.tar", "data/val/0000.tar"),
    ],
)
def test_the_split_is_told_by_the_name_of_the_file_or_its_folder(tmp_path, train, test):
    tar_file(tmp_path / train, samples(range(4), [0, 1, 0, 1]))
    tar_file(tmp_path / test, samples(range(4, 6), [0, 1]))
    request = parse(str(tmp_path), None, tmp_path)
    assert request.kind == "shards"
    source = open_source(request, download=False)
    assert contents(source.train) == pictures(range(4))
    assert contents(source.test) == pictures((4, 5))


@pytest.mark.parametrize("names", [["train-0.tar", "train-1.tar"], ["pets-0000.tar", "pets-0001.tar"]])
def test_without_a_test_split_a_stratified_fifth_is_held_out(tmp_path, names):
    for k, name in enumerate(names):
        tar_file(tmp_path / name, samples(range(10 * k, 10 * k + 10), [0, 1] * 5))
    source = open_shards(tmp_path)
    assert source.notes == (HOLDOUT_NOTE,)
    assert np.bincount(source.train.labels).tolist() == [8, 8]
    assert np.bincount(source.test.labels).tolist() == [2, 2]
    assert sorted(contents(source.train) + contents(source.test)) == sorted(pictures(range(20)))


def test_a_test_split_without_labels_is_passed_over(tmp_path):
    tar_file(tar_set(tmp_path, test="val") / "test-0.tar", samples((20, 21), [-1, -1]))
    source = open_shards(tmp_path)
    assert source.notes == ("val is the test split",)
    assert contents(source.test) == pictures((8, 9))


def test_an_archive_beside_class_folders_does_not_make_them_shards(tmp_path):
    folder_set(tmp_path, {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1}})
    tar_set(tmp_path)
    assert parse(str(tmp_path), None, tmp_path).kind == "folder"


@pytest.mark.parametrize("at", ["within an image", "within a header", "between two files", "before a label"])
def test_of_a_shard_that_is_cut_off_the_images_before_the_cut_are_used_and_it_is_said(tmp_path, at, caplog):
    torn = tar_set(tmp_path / "pets") / "train-000001.tar"
    third_image, third_label = list(members(torn))[4:6]
    place = {
        "within an image": third_image[1] + 20,
        "within a header": third_image[1] - 300,
        "between two files": third_image[1] - 512,
        "before a label": third_label[1] - 512,
    }[at]
    os.truncate(torn, place)
    with caplog.at_level(logging.WARNING, "bench"):
        info = prepared(tmp_path / "pets", tmp_path / "cache")
    line = "train-000001.tar is cut off after 2 images: the rest is missing"
    assert info.notes == [line]
    assert [record.getMessage() for record in caplog.records] == [line]
    assert (info.n_train, info.train_counts, info.corrupt) == (6, [3, 3], [])


def test_a_damaged_header_ends_a_shard_and_is_said(tmp_path):
    torn = tar_set(tmp_path) / "train-000000.tar"
    _, offset, _ = list(members(torn))[2]
    with torn.open("r+b") as file:
        file.seek(offset - 512)
        file.write(b"rubbish")
    source = open_shards(tmp_path)
    assert source.notes == ("train-000000.tar is damaged after 1 image: the rest is missing",)
    assert len(source.train) == 5


def test_a_shard_that_was_only_given_its_space_is_not_taken_for_a_whole_one(tmp_path):
    shard = tar_set(tmp_path) / "train-000001.tar"
    third = list(members(shard))[4]
    os.truncate(shard, third[1] - 512)
    os.truncate(shard, 3 << 20)  # zeros follow, as where a download had claimed all its space
    assert open_shards(tmp_path).notes == ("train-000001.tar is damaged after 2 images: the rest is missing",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-000002.tar", b"<html>404</html>" * 100, r"train-000002\.tar is not a tar file"),
        ("train-000002.tar", b"short", r"train-000002\.tar is not a tar file"),
        (
            "train-000002.tar",
            gzip.compress(b"x" * 2000, mtime=0),
            r"train-000002\.tar is compressed, .*decompress it once",
        ),
        ("train-000002.tar.gz", gzip.compress(b"x" * 2000, mtime=0), r"train-000002\.tar\.gz is compressed"),
    ],
)
def test_what_is_no_plain_tar_file_is_one_line(tmp_path, name, content, message):
    (tar_set(tmp_path) / name).write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        open_shards(tmp_path)
    assert "\n" not in str(caught.value)


def test_shards_without_train_are_named(tmp_path):
    tar_file(tmp_path / "val-0.tar", samples(range(2), [0, 1]))
    with pytest.raises(UsageError, match=r"has no train-\*\.tar .*only val"):
        open_shards(tmp_path)


def test_samples_without_a_label_are_left_out_counted_and_named(tmp_path):
    files = samples(range(8), ["cat", "dog"] * 4)
    del files["000002.cls"], files["000005.cls"]
    tar_file(tar_set(tmp_path) / "train-000002.tar", files)
    source = open_shards(tmp_path)
    lost = "train-000002.tar/000002.png, train-000002.tar/000005.png"
    assert source.notes == (f"2 of 16 images have no label and are left out: {lost}",)
    assert contents(source.train)[8:] == pictures((0, 1, 3, 4, 6, 7))


def test_shards_without_any_label_are_refused_in_one_line(tmp_path):
    files = {f"{k}.jpg": file_bytes(picture(k), "JPEG") for k in range(3)}
    tar_file(tmp_path / "train-0.tar", files)
    tar_file(tmp_path / "train-1.tar", files)
    with pytest.raises(UsageError, match=r"none of the 6 images in train-0\.tar … has a label: put a \.cls") as caught:
        open_shards(tmp_path)
    assert "\n" not in str(caught.value)


def test_tar_files_within_a_tar_file_are_to_be_unpacked(tmp_path):
    inner = tar_file(tmp_path / "n01440764.tar", {"a.JPEG": b"x"})
    tar_file(tmp_path / "set" / "ILSVRC2012_img_train.tar", {inner.name: inner.read_bytes()})
    with pytest.raises(UsageError, match=r"no image is in ILSVRC2012_img_train\.tar: .* unpack it once"):
        open_shards(tmp_path / "set")


def test_a_class_that_only_test_has_is_named(tmp_path):
    tar_file(tar_set(tmp_path) / "test-000001.tar", samples((30,), ["fox"]))
    with pytest.raises(UsageError, match="test: label 'fox' is not among the 2 classes of train"):
        open_shards(tmp_path)


def test_an_image_that_does_not_decode_is_counted_named_and_left_out(tmp_path):
    files = samples(range(10, 14), ["cat", "dog"] * 2) | {"000011.png": b"junk"}
    tar_file(tar_set(tmp_path / "pets") / "train-000002.tar", files)
    info = prepared(tmp_path / "pets", tmp_path / "cache", max_resident_bytes=0)
    assert (info.corrupt, info.n_train) == (["train-000002.tar/000011.png"], 11)
    stream = Stream(content_folder(info, tmp_path / "cache"), "train")
    assert np.array_equal(stream[9], picture(12))


def test_of_several_images_in_a_sample_one_is_taken(tmp_path):
    seen, other = file_bytes(picture(0), "JPEG"), file_bytes(picture(1))
    files = {"a.seg.png": other, "a.png": other, "a.jpg": seen, "a.cls": b"0", **samples((5,), [1])}
    tar_file(tmp_path / "train-0.tar", files)
    tar_file(tmp_path / "test-0.tar", files)
    assert contents(open_shards(tmp_path).train) == [seen, *pictures((5,))]


def test_the_same_images_in_class_folders_have_the_same_fingerprint(tmp_path):
    root = folder_set(tmp_path / "pets", {"train": {"cat": 3, "dog": 3}, "test": {"cat": 2, "dog": 2}})
    for split in ("train", "test"):
        files = {}
        for k, path in enumerate(sorted((root / split).rglob("*.png"))):
            files |= {f"{k:04}.png": path.read_bytes(), f"{k:04}.cls": path.parent.name.encode()}
        tar_file(tmp_path / "packed" / f"{split}-0.tar", files)
    plain, packed = (prepared(tmp_path / name, tmp_path / "cache") for name in ("pets", "packed"))
    assert packed.fingerprint == plain.fingerprint


def test_streamed_images_are_not_copied_and_are_the_resident_ones_bit_for_bit(tmp_path):
    root = tar_set(tmp_path / "pets")
    info = prepared(root, tmp_path / "streaming", max_resident_bytes=0)
    resident = prepared(root, tmp_path / "resident")
    assert info.fingerprint == resident.fingerprint
    folder = content_folder(info, tmp_path / "streaming")
    assert not (folder / "train_images.bin").exists()
    stream = pickle.loads(pickle.dumps(Stream(folder, "train")))
    order = np.array([7, 0, 3, 3, 6, 1])
    whole = load(resident, cache_dir=tmp_path / "resident", img_size=8, device=CPU)
    held = next(iter(whole._splits["train"].walk_once(order, 6)))
    for workers in (0, 2):
        walked = Streamed(stream, CPU, workers).walk_once(order, 2)
        assert torch.equal(torch.cat(list(walked)), held)


def test_a_shard_that_has_become_shorter_or_gone_is_an_error_and_not_another_image(tmp_path):
    root = tar_set(tmp_path / "pets")
    info = prepared(root, tmp_path / "cache", max_resident_bytes=0)
    stream = Stream(content_folder(info, tmp_path / "cache"), "train")
    os.truncate(root / "train-000001.tar", 600)
    with pytest.raises(OSError, match=r"train-000001\.tar ends before the image"):
        stream[7]


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_members_are_those_of_python_s_own_reader_in_every_format(tmp_path, kind):
    names = ["a.jpg", "n/" * 45 + "b.jpg", "x" * 90 + ".jpg", "s p a c e.jpg"]
    names += ["ä" * 80 + ".jpg", "d/" * 80 + "y" * 120] if kind != tarfile.USTAR_FORMAT else []
    (tmp_path / "folder").mkdir()
    with tarfile.open(tmp_path / "t.tar", "w", format=kind) as tar:
        tar.add(tmp_path / "folder", "folder")
        for k, name in enumerate(names):
            (tmp_path / "file").write_bytes(b"x" * (k * 511))
            member = tar.gettarinfo(tmp_path / "file", name)
            member.mtime = 1.5  # what makes pax write a header of its own
            with (tmp_path / "file").open("rb") as file:
                tar.addfile(member, file)
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "a.jpg"
        tar.addfile(link)
    with tarfile.open(tmp_path / "t.tar") as tar:
        expected = [(m.name, m.offset_data, m.size) for m in tar if m.isreg()]
    assert list(members(tmp_path / "t.tar")) == expected
    assert [name for name, *_ in expected] == names


def test_a_tar_file_that_belongs_to_no_split_is_said_to_be_unused(tmp_path):
    tar_file(tar_set(tmp_path) / "extra-0.tar", samples((30,), ["fox"]))
    source = open_shards(tmp_path)
    assert source.notes == ("not used, since their names tell no split: extra-0.tar",)
    assert (source.classes, len(source.train)) == (["cat", "dog"], 8)


def test_a_class_may_be_called_like_a_split_below_the_folder_of_its_own(tmp_path):
    for split, start in (("train", 0), ("val", 10)):
        for k, name in enumerate(("car", "train-station")):
            seed = start + 2 * k
            tar_file(tmp_path / split / f"{name}.tar", {f"{seed}.png": file_bytes(picture(seed))})
    source = open_shards(tmp_path)
    assert source.classes == ["car", "train-station"]
    assert (source.train.labels.tolist(), source.test.labels.tolist()) == ([0, 1], [0, 1])
