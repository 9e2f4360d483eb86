"""Every source is decoded once. What comes out is kept under its content's hash and found again by a cheap key.

<cache>/keys/<key>-<px>.json     the DataInfo of a source as it was when it was prepared
<cache>/<fingerprint>/           arrays of decoded images, or the places to stream them from
<cache>/downloads/               what --download fetched, where no --data-dir was given
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.data.info import DataInfo
from bench.data.sources import Request, identity, open_source, parse
from bench.errors import UsageError

FORMAT = 1
"""Version of what is written and of how pixels are decoded; another version is prepared anew."""


def default_cache_dir() -> Path:
    """$BACKBONE_BENCH_CACHE, else $XDG_CACHE_HOME/backbone-bench, else ~/.cache/backbone-bench."""
    own = os.environ.get("BACKBONE_BENCH_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "backbone-bench"


def lookup(dataset: str, *, data_dir: Path | None, img_size: int, cache_dir: Path) -> DataInfo | None:
    """The prepared dataset, or None where it is not prepared or has changed on disk since. Quick, without torch.

    Raises UsageError for an unknown dataset or a missing folder.
    """
    return _find(cache_dir, _key(parse(dataset, data_dir, _downloads(cache_dir))), img_size)


def prepare(
    dataset: str,
    *,
    data_dir: Path | None,
    img_size: int,
    download: bool,
    cache_dir: Path,
    progress: Callable[[int, int], None] | None = None,
    max_resident_bytes: int | None = None,
) -> DataInfo:
    """Decode `dataset` into the cache unless it is there, and describe it.

    `progress(done, total)` is told about images. Sets whose decoded images take more than `max_resident_bytes`
    (default: a third of physical memory) are not kept decoded but streamed. Raises UsageError for a dataset
    that is unknown, missing or unsound, and for a cache folder that cannot be written.
    """
    request = parse(dataset, data_dir, _downloads(cache_dir))
    limit = _third_of_memory() if max_resident_bytes is None else max_resident_bytes
    with _writing(cache_dir, request) as folder:
        found = _find(cache_dir, _key(request), img_size)
        if found is not None:
            return found
        from bench.data.building import build

        try:
            source = open_source(request, download=download)
        except OSError as error:
            raise UsageError(f"cannot read dataset {dataset!r}: {error}.") from error
        key = _key(request)  # not before: opening may have downloaded the files that it is made of
        folder.mkdir()
        info, layout = build(source, folder, img_size=img_size, max_resident_bytes=limit, progress=progress)
        _publish(info, folder, cache_dir, f"{key}-native" if layout.native else f"{key}-{img_size}px")
        return info


def content_folder(info: DataInfo, cache_dir: Path) -> Path:
    """Where the images of a prepared dataset are. Raises UsageError where they have been deleted."""
    folder = _content_folder(info, cache_dir)
    if not folder.is_dir():
        raise UsageError(f"the prepared images of {info.dataset} are gone from {cache_dir}: start the command again.")
    return folder


def _content_folder(info: DataInfo, cache_dir: Path) -> Path:
    suffix = "-streamed" if info.cached_px is None else ""
    return cache_dir / f"{info.fingerprint[:32]}{suffix}"


def _downloads(cache_dir: Path) -> Path:
    return cache_dir / "downloads"


def _key(request: Request) -> str:
    text = json.dumps([FORMAT, request.kind, request.name, identity(request)])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _find(cache_dir: Path, key: str, img_size: int) -> DataInfo | None:
    for name in (f"{key}-{img_size}px", f"{key}-native"):
        try:
            info = DataInfo.model_validate_json((cache_dir / "keys" / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            continue
        too_large = name.endswith("-native") and (info.native_px or 0) > img_size
        if not too_large and _content_folder(info, cache_dir).is_dir():
            return info
    return None


def _publish(info: DataInfo, folder: Path, cache_dir: Path, name: str) -> None:
    """Move the finished folder to its place, then write the key that makes it known."""
    target = _content_folder(info, cache_dir)
    if info.cached_px is None and target.is_dir():
        shutil.rmtree(target)  # the same content, but listed where it was before
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    keys = cache_dir / "keys"
    keys.mkdir(exist_ok=True)
    temporary = keys / f".{name}.{os.getpid()}"
    temporary.write_text(info.model_dump_json(indent=1))
    temporary.replace(keys / f"{name}.json")


@contextmanager
def _writing(cache_dir: Path, request: Request) -> Iterator[Path]:
    """A folder's path for half-made work; whoever else prepares the same source waits.

    What a killed process left there is removed by the next one.
    """
    from filelock import FileLock

    text = f"{request.name}\n{request.root}".encode(errors="surrogateescape")
    name = hashlib.sha256(text).hexdigest()[:32]
    folder = cache_dir / f"unfinished-{name}"
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir / f"{name}.lock"):
            shutil.rmtree(folder, ignore_errors=True)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"cannot write the cache folder {cache_dir}: {error.strerror or error}; free some space, or set "
            "BACKBONE_BENCH_CACHE to another folder."
        ) from error


def _third_of_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().total) // 3
