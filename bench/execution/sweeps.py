"""The learning-rate trials of a model: what they came to, and the rate that its runs take from them."""

from __future__ import annotations

from bench.plan import Plan, choose_lr, trial_results
from bench.records import CellSpec, RunRecord, TrialResult
from bench.store import Store

NO_RATE = "no learning-rate trial of this model succeeded"


class Sweeps:
    """The trials of one model, by intervention, those of earlier calls among them."""

    def __init__(self, plan: Plan, model: str, store: Store) -> None:
        self._protocol = plan.study.protocol
        self._found: dict[str, dict[float, RunRecord | None]] = {}
        for job in plan.of(model):
            if job.kind == "trial" and job.done and job.cell is not None:
                self._keep(job.cell, store.read_run(job.folder))

    def add(self, record: RunRecord) -> None:
        """Take in what a job came to; runs change nothing."""
        if record.cell.kind == "trial":
            self._keep(record.cell, record)

    def of(self, cell: CellSpec) -> list[TrialResult]:
        """The trials that choose the rate of a run: those under its own intervention. None of a trial."""
        return trial_results(self._found.get(cell.intervention, {})) if cell.kind == "run" else []

    def rate(self, cell: CellSpec) -> float | None:
        """The rate to train a cell with; None where every trial failed.

        A trial's own; of a run the only one there is, or the one that its trials chose; any for a linear fit.
        """
        if cell.lr is not None:
            return cell.lr
        rates = self._protocol.learning_rates()
        return rates[0] if len(rates) == 1 or self._protocol.task == "linear" else choose_lr(self.of(cell))

    def _keep(self, cell: CellSpec, record: RunRecord) -> None:
        if cell.lr is not None:
            self._found.setdefault(cell.intervention, {})[cell.lr] = record
