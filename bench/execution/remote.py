"""What runs on the nodes of a cluster: who they are, what they lack, what models cost there, and cells."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError, first_line
from bench.execution.costs import describe, measure_costs
from bench.execution.meter import CostRequest
from bench.execution.packing import hardware_of
from bench.execution.parcel import Parcel, unwrap
from bench.execution.process import Worker, WorkerDied, WorkFailed, warm_up
from bench.execution.ranks import Ranks, worker_of
from bench.execution.site import Made, Site
from bench.execution.software import software
from bench.measure.hardware import Hardware
from bench.profiles import DeviceRecord, ProfileRecord
from bench.records import CellSpec, DataInfo, Failure, TrialResult
from bench.store import Store, load_records
from bench.study import Study, import_plugins


@dataclass(frozen=True)
class Answer:
    """How a node introduces itself. Plain and picklable."""

    software: dict[str, str]
    """Whatever of its software can change a number, with its version."""
    hardware: Hardware | None = None
    """The device that cells run on there; None where there is trouble."""
    cache_dir: Path = Path()
    """Where it keeps prepared datasets."""
    trouble: str = ""
    """Why it cannot take part, in a few words."""


def introduce(study: Study) -> Answer:
    """What this node has for a study."""
    from bench.data.cache import default_cache_dir

    _forget_threads()
    try:
        import_plugins(study.plugins)
        return Answer(software(), hardware_of(study), default_cache_dir())
    except UsageError as error:
        return Answer(software(), trouble=str(error).rstrip("."))


def lacks(names: Sequence[str], cache_dir: Path) -> list[str]:
    """Which of these folders are not in this node's cache."""
    return [name for name in names if not (cache_dir / name).is_dir()]


def receive(parcels: Sequence[Parcel], data: DataInfo | None, cache_dir: Path) -> str:
    """Keep what this node lacked; why the dataset cannot be used all the same, in a few words, or nothing."""
    import ray

    try:
        for parcel in parcels:
            unwrap(parcel, cache_dir, ray.get)
        return "" if data is None else _unreadable(data, cache_dir)
    except UsageError as error:
        return str(error).rstrip(".")


def measure(
    requests: Sequence[CostRequest], known: DeviceRecord | None
) -> tuple[list[ProfileRecord], DeviceRecord | None]:
    """What models cost here, taking turns, and what the device can do at best, measured unless it is known."""
    _forget_main()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        if known is not None:
            store.write_device(known)
        profiles = list(measure_costs(requests, store))
        devices = load_records(folder).devices
    return profiles, devices[0] if devices else None


class Seat:
    """A place for one cell at a time on one device; a model's worker process stays until another model comes."""

    def __init__(self) -> None:
        _forget_main()
        warm_up()
        self._site: Site | None = None
        self._worker: Worker | Ranks | None = None

    def ready(self) -> None:
        """Answer once the seat is there."""

    def make(
        self, site: Site, cell: CellSpec, lr: float, trials: list[TrialResult], keep_weights: bool
    ) -> Made | Failure:
        """What a cell came to, in a worker process such as the local launcher's; a Failure where that process died."""
        try:
            made: Made = self._worker_for(site).ask(("make", cell, lr, trials, keep_weights))
        except (WorkerDied, WorkFailed) as error:
            return describe(error)
        return made

    def _worker_for(self, site: Site) -> Worker | Ranks:
        if self._worker is None or self._site != site:
            if self._worker is not None:
                self._worker.stop()
            self._site, self._worker = site, worker_of(site, site.environment.device)
        return self._worker


def _unreadable(data: DataInfo, cache_dir: Path) -> str:
    """Why the images of a prepared dataset cannot be had here, in a few words; decoded ones always can."""
    from bench.data.cache import content_folder
    from bench.data.stream import Stream

    folder = content_folder(data, cache_dir)
    if data.cached_px is not None:
        return ""
    try:
        for split in ("train", "test"):
            stream = Stream(folder, split)
            for index in (0, len(stream) - 1):
                stream[index]
    except OSError as error:
        return f"the images of {data.dataset} are not there ({first_line(error)})"
    return ""


def _forget_threads() -> None:
    """Drop the OMP_NUM_THREADS that Ray sets for its tasks, unless whoever started the node has set it."""
    started_with = Path("/proc/self/environ")
    if not started_with.is_file() or b"OMP_NUM_THREADS=" not in started_with.read_bytes():
        os.environ.pop("OMP_NUM_THREADS", None)


def _forget_main() -> None:
    """Keep worker processes from importing Ray's own script, and with it Ray, before they start."""
    main: Any = sys.modules["__main__"]
    vars(main).pop("__file__", None)
