"""A source is decoded once, found again in no time, and decoded anew when it has changed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bench.data import building, cache
from bench.data.cache import content_folder, default_cache_dir, lookup
from bench.errors import UsageError
from tests.data.makers import file_bytes, folder_set, picture, prepared

ROOT = Path(__file__).resolve().parents[2]
BOTH = {"train": {"cat": 4, "dog": 4}, "test": {"cat": 2, "dog": 2}}


@pytest.fixture
def pets(tmp_path):
    return folder_set(tmp_path / "pets", BOTH)


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def decodings(monkeypatch):
    """A list that grows by one whenever a source is decoded."""
    calls = []
    build = building.build

    def counted(*arguments, **options):
        calls.append(1)
        return build(*arguments, **options)

    monkeypatch.setattr(building, "build", counted)
    return calls


def found(dataset, cache_dir, img_size=8):
    return lookup(str(dataset), data_dir=None, img_size=img_size, cache_dir=cache_dir)


def run(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], env=environment, cwd=ROOT)


def test_nothing_is_found_before_it_was_prepared_and_the_same_afterwards(pets, kept, decodings):
    assert found(pets, kept) is None
    info = prepared(pets, kept)
    assert found(pets, kept) == info == prepared(pets, kept)
    assert len(decodings) == 1


def test_images_kept_at_their_own_size_serve_every_larger_size(pets, kept, decodings):
    prepared(pets, kept, img_size=32)
    assert found(pets, kept, img_size=64) is not None
    assert found(pets, kept, img_size=4) is None
    assert prepared(pets, kept, img_size=4).cached_px == 4
    assert len(decodings) == 2


def test_images_that_were_resized_serve_their_size_only(pets, kept):
    prepared(pets, kept, img_size=4)
    assert found(pets, kept, img_size=4) is not None
    assert found(pets, kept, img_size=6) is None


@pytest.mark.parametrize("change", ["new image", "edited image", "new class"])
def test_a_source_that_has_changed_is_prepared_again(pets, kept, change):
    before = prepared(pets, kept)
    if change == "new image":
        (pets / "train" / "cat" / "new.png").write_bytes(file_bytes(picture(77)))
    elif change == "edited image":
        (pets / "train" / "cat" / "000.png").write_bytes(file_bytes(picture(77)))
    else:
        for split in ("train", "test"):
            (pets / split / "fox").mkdir()
            (pets / split / "fox" / "a.png").write_bytes(file_bytes(picture(77)))
    assert found(pets, kept) is None
    after = prepared(pets, kept)
    assert after.fingerprint != before.fingerprint
    assert found(pets, kept) == after
    assert content_folder(before, kept).is_dir()


def test_a_touched_source_is_the_same_data(pets, kept):
    before = prepared(pets, kept)
    os.utime(pets / "train" / "cat" / "000.png", ns=(1, 1))
    assert found(pets, kept) is None
    assert prepared(pets, kept) == before


def test_a_copy_elsewhere_shares_the_decoded_images(pets, kept, tmp_path):
    first = prepared(pets, kept)
    shutil.copytree(pets, tmp_path / "copy")
    second = prepared(tmp_path / "copy", kept)
    assert (first.dataset, second.dataset) == ("pets", "copy")
    assert content_folder(first, kept) == content_folder(second, kept)


def test_a_deleted_cache_is_noticed_and_made_again(pets, kept, decodings):
    info = prepared(pets, kept)
    shutil.rmtree(content_folder(info, kept))
    with pytest.raises(UsageError, match=f"prepared images of pets are gone from {kept}: start the command again"):
        content_folder(info, kept)
    assert found(pets, kept) is None
    assert prepared(pets, kept) == info
    assert len(decodings) == 2


def test_a_torn_key_is_as_good_as_none(pets, kept):
    info = prepared(pets, kept)
    (key,) = (kept / "keys").glob("*.json")
    key.write_text(key.read_text()[:50])
    assert found(pets, kept) is None
    assert prepared(pets, kept) == info


def test_a_cache_folder_that_cannot_be_made_is_one_line(pets, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write the cache folder .*BACKBONE_BENCH_CACHE") as caught:
        prepared(pets, tmp_path / "file" / "cache")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_folder_without_permission_is_one_line(pets, kept):
    kept.mkdir(mode=0o500)
    with pytest.raises(UsageError, match=r"cannot write the cache folder .*Permission denied"):
        prepared(pets, kept)


def test_a_full_disk_is_one_line_and_leaves_nothing_half_made(pets, kept, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(building.np, "save", full)
    with pytest.raises(UsageError, match=r"cannot write the cache folder .*: No space left on device; free some"):
        prepared(pets, kept)
    monkeypatch.undo()
    assert not list(kept.glob("unfinished-*"))
    assert found(pets, kept) is None
    assert prepared(pets, kept).n_train == 8


def test_an_error_in_the_source_leaves_nothing_half_made(pets, kept):
    for file in (pets / "test").rglob("*.png"):
        file.write_bytes(b"junk")
    with pytest.raises(UsageError, match="no readable image"):
        prepared(pets, kept)
    assert sorted(p.suffix for p in kept.iterdir()) == [".lock"]


def test_two_at_once_decode_once_and_get_the_same(pets, kept, decodings):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: prepared(pets, kept), range(2))
    assert first == second
    assert len(decodings) == 1


def test_two_processes_at_once_both_succeed(pets, kept):
    script = """
import pathlib, sys
from tests.data.makers import prepared
prepared(sys.argv[1], pathlib.Path(sys.argv[2]))
"""
    processes = [run(script, pets, kept) for _ in range(2)]
    assert [p.wait(60) for p in processes] == [0, 0]
    info = found(pets, kept)
    assert np.load(content_folder(info, kept) / "train_images.npy").shape == (8, 8, 8, 3)
    assert len(list((kept / "keys").iterdir())) == 1


def test_a_kill_in_the_middle_leaves_nothing_that_is_taken_for_finished(pets, kept):
    script = """
import os, pathlib, signal, sys
from bench.data import building
from tests.data.makers import prepared
save = building.np.save
def die(path, array):
    save(path, array)
    if "train_images" in str(path):
        os.kill(os.getpid(), signal.SIGKILL)
building.np.save = die
prepared(sys.argv[1], pathlib.Path(sys.argv[2]))
"""
    assert run(script, pets, kept).wait(60) == -signal.SIGKILL
    assert list(kept.glob("unfinished-*"))
    assert found(pets, kept) is None
    assert prepared(pets, kept).n_train == 8
    assert not list(kept.glob("unfinished-*"))


def test_looking_up_imports_nothing_heavy(pets, kept):
    prepared("digits", kept)
    prepared(pets, kept)
    script = """
import pathlib, sys
from bench.data.cache import lookup
for name in ("digits", sys.argv[1]):
    assert lookup(name, data_dir=None, img_size=8, cache_dir=pathlib.Path(sys.argv[2])) is not None
heavy = {"torch", "torchvision", "timm", "sklearn", "scipy", "pandas", "pyarrow", "PIL"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) or 0)
"""
    assert run(script, pets, kept).wait(60) == 0


def test_the_cache_folder_is_the_users_choice(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("BACKBONE_BENCH_CACHE", raising=False)
    assert default_cache_dir() == tmp_path / "xdg" / "backbone-bench"
    monkeypatch.setenv("BACKBONE_BENCH_CACHE", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own"
    monkeypatch.delenv("BACKBONE_BENCH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path.home() / ".cache" / "backbone-bench"


def test_another_format_of_the_cache_is_not_taken_for_this_one(pets, kept, monkeypatch):
    prepared(pets, kept)
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    assert found(pets, kept) is None
