"""What a worker is told, and what a cell comes to: plain values that go from one process to another."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bench.data.share import ALONE, Share
from bench.errors import first_line
from bench.measure.hardware import Hardware
from bench.protocol import Protocol
from bench.records import CellSpec, DataInfo, Environment, Failure, RunRecord, TrialResult
from bench.store import Store, cell_id
from bench.values import now


@dataclass(frozen=True)
class Site:
    """What a worker needs besides its cells. Plain and picklable."""

    protocol: Protocol
    """The protocol of the study."""
    data: DataInfo
    """The dataset as prepared."""
    cache_dir: Path
    """Where the decoded images are."""
    hardware: Hardware
    """The device as resolved."""
    environment: Environment
    """Goes into every record."""
    root: Path
    """Output folder."""
    images_left: int = 0
    """Training images that this worker's model has to see in all."""
    checkpoint: Path | None = None
    """File with the initial weights of this worker's model."""
    plugins: tuple[str, ...] = ()
    """Modules to import first; they may register models."""
    parts: int | None = None
    """Parts that each batch goes through a model in; None for as few as the memory allows."""
    save_every_s: float = 0.0
    """Seconds of a training after which its state is kept; 0 for never."""
    ranks: int = 1
    """Workers that train each model together."""
    share: Share = ALONE
    """This worker's part of every batch, where several train a model together."""
    meeting: Path | None = None
    """File at which they meet."""

    def of_rank(self, rank: int, meeting: Path) -> Site:
        """The same for one of several workers that train a model together, each on a GPU of its own if on any."""
        share = Share(rank, self.ranks)
        kind, _, first = self.hardware.device.partition(":")
        device = kind if kind == "cpu" else f"{kind}:{int(first or 0) + share.rank}"
        return replace(self, share=share, meeting=meeting, hardware=replace(self.hardware, device=device))


@dataclass(frozen=True)
class Made:
    """What a cell came to, not yet written."""

    record: RunRecord
    """Good or failed."""
    predictions: dict[str, NDArray[Any]] | None = None
    """What goes into predictions.npz."""
    weights: bytes | None = None
    """The content of a safetensors file, where weights are kept."""


def write(made: Made, store: Store) -> None:
    """Write a cell's weights if they are kept, its predictions, and then its record. Raises StoreError."""
    if made.weights is not None:
        store.write_weights(made.record.cell, made.weights)
    store.write_run(made.record, made.predictions)
    store.drop_state(made.record.cell)  # a training that failed by itself would fail there again


def failed_run(site: Site, cell: CellSpec, why: Failure, trials: list[TrialResult]) -> RunRecord:
    """The record of a cell that has no result."""
    return RunRecord(
        id=cell_id(cell),
        cell=cell,
        status="failed",
        created=now(),
        protocol=site.protocol.to_dict(),
        data=site.data,
        environment=site.environment,
        trials=trials,
        failure=why,
    )


def failure(error: BaseException) -> Failure:
    """An exception as it stands in a record: its class, its first line, the end of its traceback."""
    tail = "".join(traceback.format_exception(error))[-4000:]
    return Failure(kind=type(error).__name__, message=first_line(error)[:500], traceback=tail)
