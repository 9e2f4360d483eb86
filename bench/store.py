"""The only writer of runs: atomic, append-only, resumable.

Layout below the output folder::

    runs/<protocol>/<model>/n<size>-s<seed>-<id>/record.json       written last: its presence is "done"
    runs/<protocol>/<model>/n<size>-s<seed>-<id>/predictions.npz
    runs/<protocol>/<model>/n<size>-s<seed>-<id>/failed-1.json     one per failed attempt
    profiles/<model>-<px>px-<id>/record.json                       what a model costs, likewise
    runs/<protocol>/<model>/n<size>-s<seed>-<id>/training.pt       the state of a training in the middle
    devices/<hardware>-<id>/record.json                            what a device can do at best
    runs/<protocol>/<model>/n<size>-s<seed>-<id>/weights.safetensors  of those trained models that probes look at
    images/<fingerprint>/thumbnails.npz                            small copies of the test images that boards show
    evaluations/<model>-<id>/record.json                           given weights on a folder; predictions.npz beside it
    probes/<probe>/<model>-<id>/record.json                        what a probe found; arrays.npz beside it
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import re
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.arrays import packed, read_arrays
from bench.errors import UsageError
from bench.files import atomic_write
from bench.profiles import DeviceRecord, ProfileRecord
from bench.protocol import content_hash
from bench.records import SCHEMA_VERSION, CellSpec, EvaluationRecord, ProbeRecord, ProbeSpec, RunRecord

RECORD = "record.json"
PREDICTIONS = "predictions.npz"
THUMBNAILS = "thumbnails.npz"
WEIGHTS = "weights.safetensors"
ARRAYS = "arrays.npz"
STATE = "training.pt"
LAB = "lab.json"
_SHARED = ("protocol", "data", "environment")
"""Fields of a record that are the same in all records of one call."""
_LATEST = 8
"""Different values of such a field that are remembered while records are read."""
_BEGINNING = re.compile(rb'\{\s*"schema_version"\s*:\s*(\d+)\s*,')
_R = TypeVar("_R", RunRecord, ProfileRecord, DeviceRecord, ProbeRecord, EvaluationRecord)


class StoreError(UsageError):
    """The output folder cannot be written; what is already there is intact."""


def cell_id(cell: CellSpec) -> str:
    """The name of a cell: SHA-256 of its exact request, 64 hex digits.

    An intact cell hashes as it did before there were interventions, so that older records keep their names.
    """
    return content_hash(cell.model_dump(mode="json", exclude={"intervention"} if cell.intervention == "none" else None))


def probe_id(spec: ProbeSpec) -> str:
    """The name of a probe's record: SHA-256 of its exact request, 64 hex digits."""
    return content_hash(spec.model_dump(mode="json"))


def slug(name: str) -> str:
    """`name` as a folder name: letters, digits, `.`, `_`, `-`, `=`, `,` and nothing else."""
    return re.sub(r"[^A-Za-z0-9._=,-]+", "_", name).strip(".") or "_"


class Store:
    """Runs and profiles below one output folder."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def open(self) -> Store:
        """Create the folder and prove that it can be written; StoreError says why not."""
        with _explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as probe:
                probe.write(b"0")
        return self

    def cell_folder(self, cell: CellSpec) -> Path:
        """Where a cell's record stands or will stand."""
        what = f"n{cell.train_size}-s{cell.seed}" + (f"-lr{cell.lr:g}" if cell.lr is not None else "")
        if cell.intervention != "none":
            what += f"-{slug(cell.intervention)}"
        return self.root / "runs" / cell.protocol_id[:8] / slug(cell.model) / f"{what}-{cell_id(cell)[:12]}"

    def profile_folder(self, model: str, img_size: int, profile_id: str) -> Path:
        """Where a profile's record stands or will stand."""
        return self.root / "profiles" / f"{slug(model)}-{img_size}px-{profile_id[:12]}"

    def device_folder(self, hardware: str, device_id: str) -> Path:
        """Where a device's record stands or will stand; `hardware` is its name."""
        return self.root / "devices" / f"{slug(hardware)}-{device_id[:12]}"

    def probe_folder(self, spec: ProbeSpec) -> Path:
        """Where a probe's record stands or will stand."""
        return self.root / "probes" / slug(spec.probe) / f"{slug(spec.model)}-{probe_id(spec)[:12]}"

    def weights_file(self, cell: CellSpec) -> Path:
        """Where the weights of a trained cell stand, if they were kept."""
        return self.cell_folder(cell) / WEIGHTS

    def is_done(self, folder: Path) -> bool:
        """Whether a complete record stands in `folder`; a torn one counts as not there."""
        try:
            with (folder / RECORD).open("rb") as file:
                file.seek(-2, os.SEEK_END)
                return file.read() == b"}\n"
        except OSError:
            return False

    def failures(self, folder: Path) -> int:
        """Failed attempts recorded in `folder`."""
        return sum(1 for _ in folder.glob("failed-*.json"))

    def write_run(self, record: RunRecord, predictions: dict[str, NDArray[np.generic]] | None = None) -> Path:
        """Write a run's record, its predictions first. A failed run never replaces a good one. Returns its folder."""
        folder = self.cell_folder(record.cell)
        if predictions is not None:
            self._write(folder / PREDICTIONS, packed(predictions))
        self._write_record(folder, record)
        return folder

    def write_profile(self, record: ProfileRecord) -> Path:
        """Write a profile's record. Returns its folder."""
        folder = self.profile_folder(record.model, record.img_size, record.id)
        self._write_record(folder, record)
        return folder

    def write_device(self, record: DeviceRecord) -> Path:
        """Write what a device can do, in place of an older measurement of the same one. Returns its folder."""
        folder = self.device_folder(record.environment.hardware, record.id)
        self._write(folder / RECORD, _as_json(record))
        return folder

    def write_weights(self, cell: CellSpec, data: bytes) -> Path:
        """Keep the weights of a trained cell, the content of a safetensors file. Returns the file's path."""
        path = self.weights_file(cell)
        self._write(path, data)
        return path

    def write_state(self, cell: CellSpec, data: bytes) -> None:
        """Keep the state of a training in the middle, in place of the one before."""
        self._write(self.cell_folder(cell) / STATE, data)

    def read_state(self, cell: CellSpec) -> bytes | None:
        """The state of a training in the middle; None where none is kept."""
        try:
            return (self.cell_folder(cell) / STATE).read_bytes()
        except OSError:
            return None

    def drop_state(self, cell: CellSpec) -> None:
        """Forget the state of a training."""
        with contextlib.suppress(OSError):
            (self.cell_folder(cell) / STATE).unlink(missing_ok=True)

    def write_probe(self, record: ProbeRecord, arrays: Mapping[str, NDArray[np.generic]] | None = None) -> Path:
        """Write what a probe found, its arrays first. A failed one never replaces a good one. Returns its folder."""
        folder = self.probe_folder(record.spec)
        if arrays:
            self._write(folder / ARRAYS, packed(arrays))
        self._write_record(folder, record)
        return folder

    def evaluation_folder(self, model: str, evaluation_id: str) -> Path:
        """Where the record of evaluating given weights stands or will stand."""
        return self.root / "evaluations" / f"{slug(model)}-{evaluation_id[:12]}"

    def write_evaluation(self, record: EvaluationRecord, predictions: Mapping[str, NDArray[np.generic]]) -> Path:
        """Write what given weights do on a folder, predictions first if there are any. Returns the record's folder."""
        folder = self.evaluation_folder(record.spec.model, record.id)
        if predictions:
            self._write(folder / PREDICTIONS, packed(predictions))
        self._write_record(folder, record)
        return folder

    def write_lab(self, data: bytes) -> Path:
        """Write what a lab was asked for, in place of what it was asked for before. Returns the file's path."""
        self._write(self.root / LAB, data)
        return self.root / LAB

    def write_thumbnails(self, fingerprint: str, images: Mapping[int, NDArray[np.uint8]]) -> Path:
        """Keep small copies of test images of one dataset, in place of those kept before. Returns the file's path.

        `images` are uint8 [px, px, channels], all of one shape, by their position in the test split.
        """
        order = sorted(images)
        pixels = np.stack([images[k] for k in order]) if order else np.empty((0, 0, 0, 0), dtype=np.uint8)
        path = self.thumbnail_file(fingerprint)
        self._write(path, packed({"index": np.array(order, dtype=np.int64), "pixels": pixels}))
        return path

    def thumbnails(self, fingerprint: str) -> dict[int, NDArray[np.uint8]]:
        """What `write_thumbnails` kept of one dataset, by position in the test split; empty where there is nothing."""
        try:
            arrays = read_arrays(self.thumbnail_file(fingerprint), ("index", "pixels"))
            index, pixels = arrays["index"], arrays["pixels"].astype(np.uint8, casting="safe")
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return dict(zip(index.tolist(), pixels, strict=True)) if index.shape == pixels.shape[:1] else {}

    def predictions(self, cell: CellSpec, names: Collection[str] | None = None) -> dict[str, NDArray[np.generic]]:
        """Arrays of a cell's `predictions.npz`, or only those in `names`; raises KeyError where there are none."""
        try:
            return read_arrays(self.cell_folder(cell) / PREDICTIONS, names)
        except (OSError, ValueError) as error:
            raise KeyError(cell_id(cell)) from error

    def read_run(self, folder: Path) -> RunRecord:
        """The good record in `folder`; raises ValueError where it is broken, OSError where it is missing."""
        return _parse(RunRecord, (folder / RECORD).read_bytes())

    def read_profile(self, folder: Path) -> ProfileRecord:
        """The good profile in `folder`; raises ValueError where it is broken, OSError where it is missing."""
        return _parse(ProfileRecord, (folder / RECORD).read_bytes())

    def read_device(self, folder: Path) -> DeviceRecord:
        """The device's record in `folder`; raises ValueError where it is broken, OSError where it is missing."""
        return _parse(DeviceRecord, (folder / RECORD).read_bytes())

    @contextlib.contextmanager
    def exclusive(self, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the output folder: one study runs in it at a time, so that timings stay clean. Dies with its owner."""
        lock = FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def thumbnail_file(self, fingerprint: str) -> Path:
        """Where the test images that boards of one dataset show stand or will stand."""
        return self.root / "images" / slug(fingerprint[:12]) / THUMBNAILS

    def read_probe(self, folder: Path) -> ProbeRecord:
        """The good record in `folder`; raises ValueError where it is broken, OSError where it is missing."""
        return _parse(ProbeRecord, (folder / RECORD).read_bytes())

    def _write_record(self, folder: Path, record: RunRecord | ProfileRecord | ProbeRecord | EvaluationRecord) -> None:
        name = RECORD if record.status != "failed" else f"failed-{self.failures(folder) + 1}.json"
        self._write(folder / name, _as_json(record))

    def _write(self, path: Path, data: bytes) -> None:
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, data)


@dataclass(frozen=True)
class Records:
    """Everything that could be read below one output folder."""

    root: Path
    """The output folder."""
    runs: list[RunRecord]
    """Trials and runs, good and failed."""
    profiles: list[ProfileRecord]
    """Profiles, good and failed."""
    problems: list[str]
    """Records that were left out: the file and why."""
    folders: dict[str, Path] = field(default_factory=dict)
    """Folder of each record id, relative to `root`."""
    devices: list[DeviceRecord] = field(default_factory=list)
    """What each device can do at best."""
    probes: list[ProbeRecord] = field(default_factory=list)
    """What probes found, good and failed."""
    evaluations: list[EvaluationRecord] = field(default_factory=list)
    """What given weights do on folders of images, good and failed."""
    _in_common: dict[tuple[str, int, int], NDArray[np.generic]] = field(default_factory=dict, repr=False, compare=False)

    def predictions(self, run_id: str, names: Collection[str] | None = None) -> dict[str, NDArray[np.generic]]:
        """Arrays of one run's `predictions.npz`, or only those in `names`; raises KeyError where there are none."""
        try:
            return read_arrays(self.root / self.folders[run_id] / PREDICTIONS, names, self._in_common)
        except (OSError, ValueError) as error:
            raise KeyError(run_id) from error

    def probe_arrays(self, record_id: str) -> dict[str, NDArray[np.generic]]:
        """The arrays beside a probe's record; raises KeyError where there are none."""
        try:
            return read_arrays(self.root / self.folders[record_id] / ARRAYS, None)
        except (OSError, ValueError) as error:
            raise KeyError(record_id) from error

    def run_path(self, run_id: str) -> str | None:
        """Folder of a record relative to the output folder, with forward slashes."""
        folder = self.folders.get(run_id)
        return folder.as_posix() if folder is not None else None


def load_records(root: Path | str) -> Records:
    """Read every record below `root`, in a stable order; broken, foreign and newer ones are named in `problems`."""
    base = Path(root)
    problems: list[str] = []
    folders: dict[str, Path] = {}
    with _without_collector():
        return Records(
            root=base,
            runs=_load(RunRecord, base, "runs", problems, folders),
            profiles=_load(ProfileRecord, base, "profiles", problems, folders),
            problems=problems,
            folders=folders,
            devices=_load(DeviceRecord, base, "devices", problems, folders),
            probes=_load(ProbeRecord, base, "probes", problems, folders),
            evaluations=_load(EvaluationRecord, base, "evaluations", problems, folders),
        )


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """No search for cyclic garbage in this block: among the objects of ten thousand records there is none, and every
    search looks through all of them again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _load(kind: type[_R], base: Path, part: str, problems: list[str], folders: dict[str, Path]) -> list[_R]:
    """The records below `base / part`; their folders and what was left out go into `folders` and `problems`."""
    found: list[_R] = []
    met: dict[str, deque[Any]] = {}
    for path in _record_files(base / part):
        record = _read(kind, path, base, problems)
        if record is not None:
            found.append(_with_shared_parts(record, met))
            folders[record.id] = path.parent.relative_to(base)
    return found


def _with_shared_parts(record: _R, met: dict[str, deque[Any]]) -> _R:
    """The record with those parts that thousands have in common held once; `met` are the latest ones, by field."""
    same: dict[str, Any] = {}
    for name in _SHARED:
        part = getattr(record, name, None)
        latest = met.setdefault(name, deque(maxlen=_LATEST))
        known = next((other for other in latest if other == part), None)
        if known is None:
            latest.append(part)
        else:
            same[name] = known
    return record.model_copy(update=same)


def _as_json(record: RunRecord | ProfileRecord | DeviceRecord | ProbeRecord | EvaluationRecord) -> bytes:
    return (record.model_dump_json(indent=1) + "\n").encode()


def _record_files(folder: Path) -> list[Path]:
    """Every record below `folder`, good and failed, in the order of paths."""
    found = [
        os.path.join(at, name)
        for at, _, names in os.walk(folder)
        for name in names
        if name == RECORD or fnmatchcase(name, "failed-*.json")
    ]
    return [Path(path) for path in sorted(found, key=lambda path: path.split(os.sep))]


def _read(kind: type[_R], path: Path, base: Path, problems: list[str]) -> _R | None:
    """The record at `path`, or None with the reason appended to `problems`."""
    try:
        return _parse(kind, path.read_bytes())
    except (ValueError, OSError) as error:
        problems.append(f"{path.relative_to(base)}: left out: {error}")
        return None


def _parse(kind: type[_R], data: bytes) -> _R:
    """A validated record; ValueError with one line where it is torn, of another version, or not what its id says."""
    version = _version(data)
    if version != SCHEMA_VERSION:
        raise ValueError(f"schema version {version}, this program reads version {SCHEMA_VERSION}")
    try:
        record = kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise ValueError("not a complete JSON record") from error
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"field {where}: {first['msg']}") from error
    if isinstance(record, RunRecord) and record.id != cell_id(record.cell):
        raise ValueError("its id is not the hash of its request: edited, or of another program")
    return record


def _version(data: bytes) -> object:
    """The record's schema version. Written records begin with it, so that the whole need not be parsed twice."""
    if (found := _BEGINNING.match(data)) is not None:
        return int(found[1])
    try:
        return json.loads(data).get("schema_version")
    except (ValueError, AttributeError) as error:
        raise ValueError("not a complete JSON record") from error


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an operating-system error on writing `path` into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "free some space and run the same command again; finished cells are kept"
        else:
            advice = "choose another folder with --output, or make this one writable"
        raise StoreError(f"cannot write {path}: {error.strerror or error}; {advice}.") from error
