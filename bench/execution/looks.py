"""Runs probes in a worker process: on trained models, whose weights lie beside their records, and on untrained ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench.data.info import DataInfo
from bench.execution.costs import describe
from bench.execution.process import Worker, WorkerDied, WorkFailed
from bench.execution.site import failure
from bench.execution.worker import keep_freed_memory, serve, settle_in
from bench.measure.hardware import Hardware
from bench.measure.sweep import give_back_memory
from bench.probes.registry import find
from bench.records import CellSpec, Environment, Failure, ProbeRecord, ProbeSpec
from bench.store import Store, probe_id
from bench.values import now

if TYPE_CHECKING:
    from torch import nn

    from bench.data.batches import ImageData
    from bench.probes.subject import Subject


@dataclass(frozen=True)
class LookSite:
    """What a worker needs besides the probes it is asked for. Plain and picklable."""

    data: DataInfo | None
    """The dataset as prepared; None where no probe needs images."""
    img_size: int
    """Side of the dataset's images as models see them, in pixels."""
    cache_dir: Path
    """Where the decoded images are."""
    hardware: Hardware
    """The device as resolved."""
    environment: Environment
    """Goes into every record."""
    root: Path
    """Folder of the records."""
    plugins: tuple[str, ...] = ()
    """Modules to import first; they may register models."""


@dataclass(frozen=True)
class LookRequest:
    """One probe to make."""

    spec: ProbeSpec
    """The request."""
    cells: tuple[CellSpec, ...] = ()
    """The trained cells of `spec.cells`, whose weights have been kept."""


@dataclass
class Looker:
    """The state of a worker: the dataset on its device."""

    site: LookSite
    _data: ImageData | None = None

    def look(self, request: LookRequest) -> ProbeRecord:
        """Make one probe, write its record and return it. Raises only StoreError."""
        start, spec = time.perf_counter(), request.spec
        values: dict[str, Any] = {}
        arrays, why = None, None
        try:
            found = find(spec.probe).load()(self._subject(request), **spec.options)
            values, arrays = dict(found.values), found.arrays
        except Exception as error:
            why = failure(error)
            give_back_memory(self._device())
        record = look_record(self.site, spec, time.perf_counter() - start, values=values, why=why)
        Store(self.site.root).write_probe(record, arrays)
        return record

    def _subject(self, request: LookRequest) -> Subject:
        import torch

        from bench.probes.subject import Subject

        spec = request.spec
        torch.manual_seed(spec.seed)

        def build(name: str, *, seed: int = 0, **geometry: int) -> nn.Module:
            return self._build(name, seed, **({"img_size": spec.img_size, "num_classes": spec.num_classes} | geometry))

        models = tuple(self._trained(cell, spec) for cell in request.cells) or (build(spec.model, seed=spec.seed),)
        data = None
        if spec.data_fingerprint is not None:
            whole = self._images()
            data = whole.under(request.cells[0].intervention, request.cells[0].seed) if request.cells else whole
        return Subject(
            name=spec.model,
            models=models,
            img_size=spec.img_size,
            num_classes=spec.num_classes,
            device=self._device(),
            seed=spec.seed,
            build=build,
            data=data,
        )

    def _trained(self, cell: CellSpec, spec: ProbeSpec) -> nn.Module:
        """The model of a cell with the weights that were kept of it."""
        from safetensors.torch import load_file

        model = self._build(spec.model, spec.seed, img_size=spec.img_size, num_classes=spec.num_classes)
        model.load_state_dict(load_file(Store(self.site.root).weights_file(cell), device=self.site.hardware.device))
        return model

    def _build(self, name: str, seed: int, **geometry: int) -> nn.Module:
        from bench.models.build import build_module

        return build_module(name, seed=seed, **geometry).to(self._device()).eval()

    def _images(self) -> ImageData:
        if self._data is None:
            from bench.data.batches import load

            if self.site.data is None:
                raise ValueError("the probe needs images, and no dataset was prepared")
            self._data = load(
                self.site.data, cache_dir=self.site.cache_dir, img_size=self.site.img_size, device=self._device()
            )
        return self._data

    def _device(self) -> Any:
        import torch

        return torch.device(self.site.hardware.device)


def run_looks(
    requests: Sequence[LookRequest], site: LookSite, *, on_done: Callable[[ProbeRecord], None] = lambda record: None
) -> list[ProbeRecord]:
    """Make every probe, one after the other in one worker, and return their records in the same order.

    A worker that dies leaves a failed record, and the rest goes on. Raises StoreError where nothing can be written.
    """
    records = []
    with Worker(work, (site,), "probes") as worker:
        for request in requests:
            start = time.perf_counter()
            try:
                record = cast(ProbeRecord, worker.ask(("look", request)))
            except (WorkerDied, WorkFailed) as error:
                record = look_record(site, request.spec, time.perf_counter() - start, values={}, why=describe(error))
                Store(site.root).write_probe(record)
            records.append(record)
            on_done(record)
    return records


def look_record(
    site: LookSite, spec: ProbeSpec, seconds: float, *, values: dict[str, Any], why: Failure | None
) -> ProbeRecord:
    """The record of a probe, good unless `why` says otherwise."""
    return ProbeRecord(
        id=probe_id(spec),
        spec=spec,
        status="ok" if why is None else "refused" if why.kind == "NotProbable" else "failed",
        created=now(),
        environment=site.environment,
        values=values,
        seconds=seconds,
        failure=why,
    )


def work(connection: Connection, site: LookSite, parent: int) -> None:
    """Serve probes: ("look", request)."""
    settle_in(parent, site.hardware.threads, site.plugins)
    keep_freed_memory()
    serve(connection, {"look": Looker(site).look})
