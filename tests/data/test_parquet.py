"""Folders of Parquet shards in the Hugging Face layout."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.examples import HOLDOUT_NOTE
from bench.data.parquet import BATCH_ROWS, open_parquet
from bench.errors import UsageError
from tests.data.makers import file_bytes, parquet_set, picture, prepared, shard

CIFAR10 = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10"


def contents(split):
    return [example.read() for example in split.walk()]


def test_shards_are_read_in_order_with_the_class_names_of_the_schema(tmp_path):
    source = open_parquet(parquet_set(tmp_path / "pets"))
    assert (source.name, source.classes, source.flip) == ("pets", ["cat", "dog"], True)
    assert source.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    assert source.test.labels.tolist() == [1, 0]
    assert contents(source.train) == [file_bytes(picture(k)) for k in range(8)]
    assert contents(source.test) == [file_bytes(picture(k)) for k in (8, 9)]


def test_images_are_named_by_shard_and_row(tmp_path):
    names = [example.name for example in open_parquet(parquet_set(tmp_path)).train.walk()]
    assert names[3:5] == ["train-00000-of-00002.parquet[3]", "train-00001-of-00002.parquet[0]"]


def test_rows_beyond_one_read_keep_their_order(tmp_path):
    labels = [k % 2 for k in range(BATCH_ROWS + 3)]
    shard(tmp_path / "train.parquet", [str(k).encode() for k in range(BATCH_ROWS + 3)], labels, ["a1", "b1"])
    shard(tmp_path / "test.parquet", [b"x"], [0], ["a1", "b1"])
    assert contents(open_parquet(tmp_path).train) == [str(k).encode() for k in range(BATCH_ROWS + 3)]


def test_validation_is_the_test_split_where_there_is_no_other_or_test_has_no_labels(tmp_path):
    parquet_set(tmp_path, test="validation")
    assert open_parquet(tmp_path).notes == ("validation is the test split",)
    shard(tmp_path / "test.parquet", [file_bytes(picture(20))], [-1], ["cat", "dog"])
    source = open_parquet(tmp_path)
    assert source.notes == ("validation is the test split",)
    assert source.test.labels.tolist() == [1, 0]


def test_without_a_test_split_a_stratified_fifth_is_held_out(tmp_path):
    source = open_parquet(parquet_set(tmp_path, test=None))
    assert source.notes == (HOLDOUT_NOTE,)
    assert len(source.train) == 6
    assert len(source.test) == 2
    assert sorted(contents(source.train) + contents(source.test)) == sorted(file_bytes(picture(k)) for k in range(8))


def test_labels_without_names_are_the_classes_in_order(tmp_path):
    images = [file_bytes(picture(k)) for k in range(4)]
    shard(tmp_path / "train.parquet", images, ["newt", "eel", "newt", "eel"])
    shard(tmp_path / "test.parquet", images[:1], ["newt"])
    source = open_parquet(tmp_path)
    assert source.classes == ["eel", "newt"]
    assert source.train.labels.tolist() == [1, 0, 1, 0]
    assert source.test.labels.tolist() == [1]


def test_plain_bytes_and_paths_below_the_folder_are_images_too(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(file_bytes(picture(0)))
    cells = [{"bytes": None, "path": "pictures/a.png"}, {"bytes": file_bytes(picture(1)), "path": None}]
    shard(tmp_path / "train.parquet", cells, [0, 1], ["cat", "dog"])
    table = pa.table({"img": pa.array([file_bytes(picture(2))]), "label": [1]})
    pq.write_table(table, tmp_path / "test.parquet")
    source = open_parquet(tmp_path)
    assert contents(source.train) == [tmp_path / "pictures" / "a.png", file_bytes(picture(1))]


def test_a_row_without_an_image_is_corrupt(tmp_path):
    root = parquet_set(tmp_path / "set")
    cells = [{"bytes": None, "path": None}, {"bytes": b"", "path": "nowhere.png"}, file_bytes(picture(9))]
    shard(root / "test-00000-of-00001.parquet", cells, [0, 1, 1], ["cat", "dog"])
    info = prepared(root, tmp_path / "cache")
    assert info.corrupt == ["test-00000-of-00001.parquet[0]", "test-00000-of-00001.parquet[1]"]
    assert info.n_test == 1


@pytest.mark.parametrize("label", [2, None, -1])
def test_a_label_that_no_class_has_is_named(tmp_path, label):
    images = [file_bytes(picture(k)) for k in range(2)]
    shard(tmp_path / "train.parquet", images, pa.array([0, label], pa.int64()), ["cat", "dog"])
    with pytest.raises(UsageError, match=f"train: label {label} is not among the 2 classes"):
        open_parquet(tmp_path)


def test_columns_that_hold_no_images_or_labels_are_listed(tmp_path):
    pq.write_table(pa.table({"text": ["a"], "label": [0]}), tmp_path / "train.parquet")
    with pytest.raises(UsageError, match="has the columns text, label: an image column"):
        open_parquet(tmp_path)
    pq.write_table(pa.table({"image": ["a"], "label": [0]}), tmp_path / "train.parquet")
    with pytest.raises(UsageError, match="column 'image' is string, not a struct of bytes"):
        open_parquet(tmp_path)


def test_metadata_that_is_not_json_is_as_good_as_none(tmp_path):
    shard(tmp_path / "train.parquet", [b"x", b"y"], [3, 5], metadata={"huggingface": "{torn"})
    shard(tmp_path / "test.parquet", [b"z"], [5])
    assert open_parquet(tmp_path).classes == ["3", "5"]


def test_shards_without_a_train_split_are_named(tmp_path):
    shard(tmp_path / "extra-0.parquet", [b"x"], [0], ["cat", "dog"])
    with pytest.raises(UsageError, match=r"has no train-\*\.parquet, only the splits extra"):
        open_parquet(tmp_path)


def test_a_shard_whose_end_is_missing_is_named_once(tmp_path):
    torn = parquet_set(tmp_path) / "train-00001-of-00002.parquet"
    os.truncate(torn, torn.stat().st_size // 2)
    with pytest.raises(UsageError, match=r"train-00001-of-00002\.parquet is not a readable Parquet file") as caught:
        open_parquet(tmp_path)
    assert str(caught.value).count("is not a readable Parquet file") == 1


def test_a_shard_with_a_hole_in_it_stops_the_preparation_in_one_line(tmp_path):
    torn = parquet_set(tmp_path / "set") / "train-00001-of-00002.parquet"
    start = pq.ParquetFile(torn).metadata.row_group(0).column(0).data_page_offset
    with torn.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 40)
    with pytest.raises(UsageError, match=r"train-00001-of-00002\.parquet is not a readable Parquet file"):
        prepared(tmp_path / "set", tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR10.is_dir(), reason="../shared/data/cifar10 is not there")
def test_cifar10_of_the_shared_folder_is_whole_and_shown_as_a_jpeg_copy(tmp_path):
    info = prepared(CIFAR10, tmp_path, img_size=32)
    assert info.dataset == "cifar10-jpeg"
    assert info.classes[:3] == ["airplane", "automobile", "bird"]
    assert info.train_counts == [5000] * 10
    assert (info.n_train, info.n_test, info.n_corrupt) == (50_000, 10_000, 0)
    assert (info.native_px, info.cached_px, info.channels, info.flip) == (32, 32, 3, True)
    assert np.allclose(info.mean, [0.491, 0.482, 0.447], atol=2e-3)
    assert "images are JPEG-encoded" in info.notes
    assert info.duplicates_train_test <= (info.near_duplicates_train_test or 0)
