"""A worker whose cells are no work: what they leave was made before, so that what remains is the machinery."""

from __future__ import annotations

from multiprocessing.connection import Connection
from unittest.mock import patch

import numpy as np

from bench.execution import worker
from bench.execution.remote import Seat
from bench.execution.site import Made, Site, write
from bench.records import CellSpec, RunRecord, TrialResult
from bench.store import Store, cell_id
from tests.samples import DATA, Fake, make_metrics, make_predictions, make_run, make_train, model_info


def no_work(connection: Connection, site: Site, parent: int) -> None:
    """Serve cells as `bench.execution.worker.work` does."""
    worker.settle_in(parent, site.hardware.threads, ())
    label, prediction = make_predictions(10, 360, 0.9, (0,))
    logits = np.zeros((360, 10), np.float32)
    logits[np.arange(360), prediction] = 1.0
    arrays = {"index": np.arange(360), "label": label, "prediction": prediction, "logits": logits}
    results = {
        "model": model_info(Fake("none"), 32),
        "train": make_train(),
        "test": make_metrics(label, prediction, DATA),
    }
    canned = make_run(protocol=site.protocol.to_dict(), data=site.data, environment=site.environment, **results)

    def make(cell: CellSpec, lr: float, trials: list[TrialResult], keep_weights: bool) -> Made:
        return Made(canned.model_copy(update={"cell": cell, "id": cell_id(cell), "trials": trials}), arrays)

    def run_cell(cell: CellSpec, lr: float, trials: list[TrialResult], keep_weights: bool) -> RunRecord:
        made = make(cell, lr, trials, keep_weights)
        write(made, Store(site.root))
        return made.record

    worker.serve(connection, {"cell": run_cell, "make": make})


class IdleSeat(Seat):
    """A seat whose worker does nothing."""

    def __init__(self) -> None:
        super().__init__()
        patch.object(worker, "work", no_work).start()
