"""What one pass over a source finds out: counts, moments, corrupt images, duplicates, the fingerprint."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from bench.data import building
from bench.data.examples import JPEG_NOTE
from bench.errors import UsageError
from tests.data.makers import file_bytes, folder_set, parquet_set, picture, prepared, shard

BOTH = {"train": {"cat": 6, "dog": 6}, "test": {"cat": 2, "dog": 2}}


@pytest.fixture
def pets(tmp_path):
    return folder_set(tmp_path / "pets", BOTH)


def test_a_folder_is_described_as_it_is(pets, tmp_path):
    info = prepared(pets, tmp_path / "cache", img_size=32)
    assert (info.dataset, info.classes) == ("pets", ["cat", "dog"])
    assert (info.n_train, info.n_test, info.train_counts) == (12, 4, [6, 6])
    assert (info.channels, info.native_px, info.cached_px) == (3, 8, 8)
    assert (info.corrupt, info.n_corrupt, info.duplicates_train_test, info.notes) == ([], 0, 0, [])


def test_moments_are_those_of_the_train_split_alone(pets, tmp_path):
    info = prepared(pets, tmp_path / "cache")
    train = np.stack([picture(k) for k in range(1, 13)]) / 255
    assert np.allclose(info.mean, train.mean((0, 1, 2)))
    assert np.allclose(info.std, train.std((0, 1, 2)))


def test_a_constant_channel_has_a_deviation_that_can_be_divided_by(tmp_path):
    root = folder_set(tmp_path / "set", BOTH)
    for file in root.rglob("*.png"):
        file.write_bytes(file_bytes(np.full((8, 8, 3), 7, np.uint8)))
    assert prepared(root, tmp_path / "cache").std == [1 / 255] * 3


def test_images_of_several_sizes_are_resized_to_the_protocols(pets, tmp_path):
    (pets / "test" / "cat" / "000.png").write_bytes(file_bytes(picture(99, 20, 10)))
    info = prepared(pets, tmp_path / "cache", img_size=16)
    assert (info.native_px, info.cached_px) == (None, 16)


def test_one_colour_image_among_grey_ones_makes_the_set_colour(tmp_path):
    root = folder_set(tmp_path / "set", {"train": {"cat": 40, "dog": 40}, "test": {"cat": 1, "dog": 1}}, channels=1)
    assert prepared(root, tmp_path / "cache").channels == 1
    (root / "test" / "dog" / "000.png").write_bytes(file_bytes(picture(1)))
    assert prepared(root, tmp_path / "cache").channels == 3


def test_corrupt_images_are_counted_named_and_left_out(pets, tmp_path):
    (pets / "train" / "cat" / "001.png").write_bytes(b"")
    (pets / "train" / "dog" / "003.png").write_bytes(file_bytes(picture(0))[:60])
    (pets / "test" / "dog" / "000.png").unlink()
    (pets / "test" / "dog" / "000.png").symlink_to(pets / "nothing")
    info = prepared(pets, tmp_path / "cache")
    assert info.corrupt == ["train/cat/001.png", "train/dog/003.png", "test/dog/000.png"]
    assert (info.n_corrupt, info.n_train, info.n_test, info.train_counts) == (3, 10, 3, [5, 5])


def test_of_many_corrupt_images_all_are_counted_and_a_hundred_named(tmp_path):
    root = folder_set(tmp_path / "set", {"train": {"cat": 130, "dog": 2}, "test": {"cat": 1, "dog": 1}})
    for k in range(120):
        (root / "train" / "cat" / f"{k:03}.png").write_bytes(b"junk")
    info = prepared(root, tmp_path / "cache")
    assert (info.n_corrupt, len(info.corrupt), info.n_train) == (120, 100, 12)


def test_a_class_whose_images_are_all_corrupt_is_empty(pets, tmp_path):
    for file in (pets / "train" / "dog").iterdir():
        file.write_bytes(b"junk")
    with pytest.raises(UsageError, match="pets: class 'dog' is empty: it has no readable training image"):
        prepared(pets, tmp_path / "cache")


def test_a_class_that_the_schema_names_but_no_row_has_is_empty(tmp_path):
    parquet_set(tmp_path / "set", names=("cat", "dog", "fox"))
    with pytest.raises(UsageError, match="class 'fox' is empty"):
        prepared(tmp_path / "set", tmp_path / "cache")


def test_a_test_split_without_a_readable_image_is_refused(pets, tmp_path):
    for file in (pets / "test").rglob("*.png"):
        file.write_bytes(b"junk")
    with pytest.raises(UsageError, match="pets: the test split has no readable image"):
        prepared(pets, tmp_path / "cache")


def test_one_class_only_is_refused(tmp_path):
    root = folder_set(tmp_path / "set", {"train": {"cat": 3}, "test": {"cat": 2}})
    with pytest.raises(UsageError, match=r"set has one class only \(cat\): classification needs at least two"):
        prepared(root, tmp_path / "cache")


def test_test_images_that_also_stand_in_train_are_counted(pets, tmp_path):
    for name in ("copy.png", "second.png"):
        shutil.copy(pets / "train" / "cat" / "000.png", pets / "test" / "dog" / name)
    (pets / "test" / "cat" / "again.bmp").write_bytes(file_bytes(picture(2), "BMP"))
    shutil.copy(pets / "test" / "cat" / "001.png", pets / "test" / "cat" / "twice.png")
    info = prepared(pets, tmp_path / "cache")
    assert info.duplicates_train_test == 3
    assert info.near_duplicates_train_test == 3


def test_a_recompressed_copy_is_a_near_duplicate_but_no_exact_one(tmp_path):
    root = folder_set(tmp_path / "set", BOTH, height=32, width=32)
    smooth = np.asarray(Image.fromarray(picture(50, 4, 4)).resize((32, 32), Image.Resampling.BICUBIC))
    (root / "train" / "cat" / "x.png").write_bytes(file_bytes(smooth))
    (root / "test" / "cat" / "x.jpg").write_bytes(file_bytes(smooth, "JPEG", quality=97))
    info = prepared(root, tmp_path / "cache", img_size=32)
    assert (info.duplicates_train_test, info.near_duplicates_train_test) == (0, 1)


def test_near_duplicates_are_not_computed_beyond_the_limit(pets, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "NEAR_DUPLICATE_LIMIT", 15)
    assert prepared(pets, tmp_path / "cache").near_duplicates_train_test is None


def test_the_fingerprint_is_of_pixels_and_labels_not_of_files(tmp_path):
    root = parquet_set(tmp_path / "pets")
    files = {"train": [0, 0, 0, 1, 1, 1, 0, 1], "test": [1, 0]}
    k = 0
    for split, labels in files.items():
        for label in labels:
            folder = tmp_path / "other" / split / ("cat", "dog")[label]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{k}.bmp").write_bytes(file_bytes(picture(k), "BMP"))
            k += 1
    by_class = prepared(tmp_path / "other", tmp_path / "cache")
    order = [0, 1, 2, 6, 3, 4, 5, 7]
    images = [file_bytes(picture(k)) for k in order]
    shard(root / "train-00000-of-00002.parquet", images[:4], [0] * 4, ["cat", "dog"])
    shard(root / "train-00001-of-00002.parquet", images[4:], [1] * 4, ["cat", "dog"])
    shard(
        root / "test-00000-of-00001.parquet", [file_bytes(picture(9)), file_bytes(picture(8))], [0, 1], ["cat", "dog"]
    )
    assert prepared(root, tmp_path / "cache").fingerprint == by_class.fingerprint


@pytest.mark.parametrize("change", ["pixel", "label", "class name", "image size"])
def test_the_fingerprint_changes_with_what_a_result_depends_on(pets, tmp_path, change):
    before = prepared(pets, tmp_path / "cache", img_size=4).fingerprint
    if change == "pixel":
        array = picture(3).copy()
        array[:4, :4] ^= 255
        (pets / "train" / "cat" / "002.png").write_bytes(file_bytes(array))
    elif change == "label":
        (pets / "train" / "cat" / "005.png").rename(pets / "train" / "dog" / "-.png")
    elif change == "class name":
        (pets / "train" / "dog").rename(pets / "train" / "fox")
        (pets / "test" / "dog").rename(pets / "test" / "fox")
    after = prepared(pets, tmp_path / "cache", img_size=5 if change == "image size" else 4).fingerprint
    assert before != after


def test_a_jpeg_copy_of_a_set_published_without_loss_is_named_as_one(tmp_path):
    for name, shown in (("cifar10", "cifar10-jpeg"), ("CIFAR-10", "CIFAR-10-jpeg"), ("photos", "photos")):
        root = folder_set(tmp_path / name, BOTH)
        assert prepared(root, tmp_path / "cache").dataset == name
        (root / "train" / "cat" / "000.png").write_bytes(file_bytes(picture(1), "JPEG"))
        info = prepared(root, tmp_path / "cache")
        assert (info.dataset, info.notes) == (shown, [JPEG_NOTE])


def test_progress_is_told_of_every_image(pets, tmp_path):
    told = []
    prepared(pets, tmp_path / "cache", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (16, 16)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
