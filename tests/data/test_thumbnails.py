"""Single test images come from whatever a dataset was prepared into, small, in place, and without torch."""

import subprocess
import sys

import numpy as np
import pytest

from bench.data.cache import content_folder
from bench.data.thumbnails import thumbnails
from bench.errors import UsageError
from tests.data.makers import folder_set, parquet_set, picture, prepared

BOTH = {"train": {"cat": 5, "dog": 5}, "test": {"cat": 2, "dog": 2}}


@pytest.mark.parametrize("limit", [None, 0])
def test_images_of_folders_are_found_by_their_place_in_the_test_split(tmp_path, limit):
    options = {} if limit is None else {"max_resident_bytes": limit}
    info = prepared(folder_set(tmp_path / "pets", BOTH), tmp_path / "cache", **options)
    found = thumbnails(info, tmp_path / "cache", [3, 0])
    assert list(found) == [3, 0]
    assert np.array_equal(found[0], picture(11))
    assert np.array_equal(found[3], picture(14))


@pytest.mark.parametrize("limit", [None, 0])
def test_images_of_shards_are_found_too(tmp_path, limit):
    options = {} if limit is None else {"max_resident_bytes": limit}
    info = prepared(parquet_set(tmp_path / "pets"), tmp_path / "cache", **options)
    found = thumbnails(info, tmp_path / "cache", [0, 1])
    assert all(np.array_equal(found[k], picture(8 + k)) for k in (0, 1))


def test_digits_keep_their_one_channel(tmp_path):
    info = prepared("digits", tmp_path / "cache")
    found = thumbnails(info, tmp_path / "cache", [5])
    assert found[5].shape == (8, 8, 1)
    assert np.array_equal(found[5], np.load(content_folder(info, tmp_path / "cache") / "test_images.npy")[5])


def test_large_images_become_small_and_small_ones_stay_as_they_are(tmp_path):
    info = prepared(folder_set(tmp_path / "pets", BOTH), tmp_path / "cache")
    (small,) = thumbnails(info, tmp_path / "cache", [0], most_px=4).values()
    assert small.shape == (4, 4, 3)
    assert abs(small.mean() - picture(11).mean()) < 12
    (same,) = thumbnails(info, tmp_path / "cache", [0], most_px=8).values()
    assert same.shape == (8, 8, 3)


@pytest.mark.parametrize("limit", [None, 0])
def test_an_image_that_is_not_there_is_left_out(tmp_path, limit):
    options = {} if limit is None else {"max_resident_bytes": limit}
    info = prepared(folder_set(tmp_path / "pets", BOTH), tmp_path / "cache", **options)
    assert list(thumbnails(info, tmp_path / "cache", [-1, 2, 4])) == [2]


def test_a_streamed_file_that_has_gone_since_is_left_out(tmp_path):
    root = folder_set(tmp_path / "pets", BOTH)
    info = prepared(root, tmp_path / "cache", max_resident_bytes=0)
    (root / "test" / "cat" / "000.png").unlink()
    (root / "test" / "cat" / "001.png").write_bytes(b"\x89PNG torn")
    assert list(thumbnails(info, tmp_path / "cache", [0, 1, 2])) == [2]


def test_a_deleted_cache_is_an_error_that_says_so(tmp_path):
    info = prepared(folder_set(tmp_path / "pets", BOTH), tmp_path / "cache")
    with pytest.raises(UsageError, match="gone"):
        thumbnails(info, tmp_path / "elsewhere", [0])


def test_reading_them_imports_no_torch():
    code = "import sys, bench.data.thumbnails; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
