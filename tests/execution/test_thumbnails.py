"""The images that boards want are kept while the dataset is at hand; without them a board is still a board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.analysis.agreement import wanted_images
from bench.analysis.answers import read_answers
from bench.analysis.board import build_board
from bench.data.cache import content_folder
from bench.data.info import DataInfo
from bench.execution.thumbnails import keep_thumbnails
from bench.store import Store, load_records
from tests.data.makers import prepared
from tests.samples import DATA, Fake, make_study

TWO = (Fake("resnet18", 0.9), Fake("deit_ti", 0.7))


@pytest.fixture
def digits(tmp_path: Path) -> DataInfo:
    """The digits, prepared in the cache folder `tmp_path / "cache"`."""
    info = prepared("digits", tmp_path / "cache")
    assert isinstance(info, DataInfo)
    return info


def _study(root: Path, data: DataInfo) -> Store:
    """A study of two models on `data`."""
    unlike = {"fingerprint", "dataset", "cached_px", "channels"}
    return make_study(root, TWO, n_test=data.n_test, **{name: getattr(data, name) for name in unlike})


def test_what_a_board_wants_is_kept_as_it_lies_in_the_cache(tmp_path: Path, digits: DataInfo) -> None:
    store = _study(tmp_path / "results", digits)
    boards = build_board(load_records(store.root))
    assert keep_thumbnails(boards, digits, tmp_path / "cache", store) is None
    kept = store.thumbnails(digits.fingerprint)
    wanted = wanted_images(read_answers(boards[0], store), 10)
    assert sorted(kept) == sorted(wanted)
    pixels = np.load(content_folder(digits, tmp_path / "cache") / "test_images.npy")
    assert all((kept[k] == pixels[k]).all() for k in kept)


def test_nothing_is_written_again_where_all_is_there(tmp_path: Path, digits: DataInfo) -> None:
    store = _study(tmp_path / "results", digits)
    boards = build_board(load_records(store.root))
    keep_thumbnails(boards, digits, tmp_path / "cache", store)
    (file,) = store.root.rglob("thumbnails.npz")
    before = file.stat().st_mtime_ns
    assert keep_thumbnails(boards, digits, tmp_path / "nowhere", store) is None
    assert file.stat().st_mtime_ns == before


def test_only_what_is_missing_is_fetched_and_what_nobody_wants_any_more_goes(tmp_path: Path, digits: DataInfo) -> None:
    store = _study(tmp_path / "results", digits)
    boards = build_board(load_records(store.root))
    wanted = wanted_images(read_answers(boards[0], store), 10)
    unwanted = next(k for k in range(digits.n_test) if k not in wanted)
    mark = np.full((8, 8, 1), 77, dtype=np.uint8)
    store.write_thumbnails(digits.fingerprint, {wanted[0]: mark, unwanted: mark})
    keep_thumbnails(boards, digits, tmp_path / "cache", store)
    kept = store.thumbnails(digits.fingerprint)
    assert (kept[wanted[0]] == mark).all()
    assert sorted(kept) == sorted(wanted)


def test_a_cache_that_has_gone_is_said_in_one_line_and_keeps_what_is_there(tmp_path: Path, digits: DataInfo) -> None:
    store = _study(tmp_path / "results", digits)
    boards = build_board(load_records(store.root))
    store.write_thumbnails(digits.fingerprint, {0: np.zeros((8, 8, 1), dtype=np.uint8)})
    said = keep_thumbnails(boards, digits, tmp_path / "nowhere", store)
    assert said is not None
    assert said.startswith("no thumbnails of digits: ")
    assert len(said.splitlines()) == 1
    assert list(store.thumbnails(digits.fingerprint)) == [0]


def test_a_folder_that_cannot_be_written_is_said_too(tmp_path: Path, digits: DataInfo) -> None:
    store = _study(tmp_path / "results", digits)
    (store.root / "images").write_text("a file")
    assert keep_thumbnails(build_board(load_records(store.root)), digits, tmp_path / "cache", store) is not None


def test_boards_of_another_dataset_want_nothing_of_this_one(tmp_path: Path, digits: DataInfo) -> None:
    store = _study(tmp_path / "results", DATA.model_copy(update={"fingerprint": "e" * 64}))
    assert keep_thumbnails(build_board(load_records(store.root)), digits, tmp_path / "cache", store) is None
    assert not list(store.root.rglob("thumbnails.npz"))
