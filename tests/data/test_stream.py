"""Images that do not fit in memory are found one by one, in any order, and are the same as those that do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from bench.data.cache import content_folder
from bench.data.stream import Stream
from tests.data.makers import cifar_set, file_bytes, folder_set, parquet_set, picture, prepared

BOTH = {"train": {"cat": 5, "dog": 5}, "test": {"cat": 2, "dog": 2}}


def streamed(dataset, cache_dir, **options):
    info = prepared(dataset, cache_dir, max_resident_bytes=0, **options)
    assert info.cached_px is None
    return info, content_folder(info, cache_dir)


def test_files_are_listed_not_copied(tmp_path):
    root = folder_set(tmp_path / "pets", BOTH)
    info, folder = streamed(root, tmp_path / "cache")
    stream = Stream(folder, "train")
    assert len(stream) == 10
    assert all(np.array_equal(stream[k], picture(k + 1)) for k in (9, 0, 4))
    assert (folder / "train_paths.bin").read_bytes().startswith(str(root).encode())
    assert info.notes == ["too large for memory: decoded anew in every epoch"]


def test_rows_of_shards_are_copied_still_encoded(tmp_path):
    _, folder = streamed(parquet_set(tmp_path / "pets"), tmp_path / "cache")
    assert (folder / "train_images.bin").read_bytes() == b"".join(file_bytes(picture(k)) for k in range(8))
    assert np.array_equal(Stream(folder, "test")[1], picture(9))


def test_images_that_were_never_files_are_kept_without_loss(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    _, folder = streamed("torch/cifar10", tmp_path / "cache", data_dir=cifar_set(tmp_path, "cifar10"), img_size=32)
    assert np.array_equal(Stream(folder, "train")[7], picture(7, 32, 32))


def test_corrupt_images_are_left_out_of_the_stream(tmp_path):
    root = folder_set(tmp_path / "pets", BOTH)
    (root / "train" / "cat" / "001.png").write_bytes(b"junk")
    info, folder = streamed(root, tmp_path / "cache")
    assert (info.n_train, len(Stream(folder, "train"))) == (9, 9)
    assert np.array_equal(Stream(folder, "train")[1], picture(3))


@pytest.mark.parametrize("odd", [picture(70, 9, 12), picture(70, 8, 8, 3)])
def test_a_layout_that_breaks_late_starts_the_stream_over(tmp_path, odd):
    root = folder_set(tmp_path / "pets", {**BOTH, "train": {"cat": 40, "dog": 2}}, channels=1)
    (root / "train" / "dog" / "001.png").write_bytes(file_bytes(odd))
    _, folder = streamed(root, tmp_path / "cache", img_size=16)
    stream = Stream(folder, "train")
    assert len(stream) == 42
    assert {stream[k].shape for k in range(42)} == {(stream.layout.px, stream.layout.px, 3)}


def test_resident_and_streamed_copies_have_one_fingerprint_and_live_side_by_side(tmp_path):
    root = folder_set(tmp_path / "pets", BOTH)
    info, folder = streamed(root, tmp_path / "cache")
    (tmp_path / "cache" / "keys" / next((tmp_path / "cache" / "keys").iterdir()).name).unlink()
    resident = prepared(root, tmp_path / "cache")
    assert resident.fingerprint == info.fingerprint
    assert content_folder(resident, tmp_path / "cache") != folder
    assert folder.is_dir()


def test_a_moved_folder_of_files_is_listed_anew(tmp_path):
    root = folder_set(tmp_path / "pets", BOTH)
    streamed(root, tmp_path / "cache")
    root.rename(tmp_path / "moved")
    _, folder = streamed(tmp_path / "moved", tmp_path / "cache")
    assert np.array_equal(Stream(folder, "train")[0], picture(1))


def test_a_stream_can_be_sent_to_another_process(tmp_path):
    _, folder = streamed(folder_set(tmp_path / "pets", BOTH), tmp_path / "cache")
    copy = pickle.loads(pickle.dumps(Stream(folder, "train")))
    assert np.array_equal(copy[3], picture(4))


def test_a_file_that_has_gone_since_is_an_error_and_not_another_image(tmp_path):
    root = folder_set(tmp_path / "pets", BOTH)
    _, folder = streamed(root, tmp_path / "cache")
    (root / "train" / "cat" / "000.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"cat/000\.png"):
        Stream(folder, "train")[0]
