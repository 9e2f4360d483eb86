"""Models × train sizes × seeds under one protocol → cells, in the order they run; what is done, what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.protocol import content_hash
from bench.study import COST_ONLY_CLASSES, Study, initial_weights

if TYPE_CHECKING:
    from bench.measure.hardware import Hardware
    from bench.records import CellSpec, DataInfo, RunRecord, TrialResult
    from bench.store import Store


@dataclass(frozen=True)
class Job:
    """One unit of work, and whether its record is there."""

    kind: Literal["profile", "trial", "run"]
    """`profile` measures cost; `trial` and `run` train."""
    model: str
    """The model's name."""
    id: str
    """Content hash of the request."""
    folder: Path
    """Where the record stands or will stand."""
    cell: CellSpec | None
    """The request of a trial or run; None for a profile."""
    done: bool
    """Whether a good record is there (and is to be kept)."""
    failures: int
    """Failed attempts so far; a failed job is tried again."""
    keep_weights: bool = False
    """Whether the trained weights are kept beside the record, for probes."""

    @property
    def title(self) -> str:
        """A few words for progress lines."""
        if self.cell is None:
            return f"{self.model} cost"
        rate = f" lr {self.cell.lr:g}" if self.kind == "trial" else ""
        word = "trial" if self.kind == "trial" else "run"
        under = f" {self.cell.intervention}" if self.cell.intervention != "none" else ""
        return f"{self.model}{under} {word} n={self.cell.train_size} seed {self.cell.seed}{rate}"


@dataclass(frozen=True)
class Branch:
    """The trainings of one model under one intervention: every seed, and every train size or the largest only."""

    model: str
    """The model's name."""
    intervention: str = "none"
    """What is done to every image."""
    largest_only: bool = False
    """Whether only the largest train size is trained."""
    keep_weights: bool = False
    """Whether the weights trained at the largest size are kept, for probes."""


@dataclass(frozen=True)
class Plan:
    """All jobs of a study in the order they run: what every model costs, then model by model trials and runs."""

    study: Study
    """The request."""
    data: DataInfo | None
    """The dataset as prepared; None where only cost is measured."""
    hardware: Hardware
    """The device as resolved."""
    train_sizes: tuple[int, ...]
    """Train sizes as counts, ascending."""
    jobs: tuple[Job, ...]
    """Every job, done or not."""

    @property
    def dataset(self) -> DataInfo:
        """The dataset of a plan that has cells."""
        if self.data is None:
            raise ValueError("a plan that only measures cost has no dataset")
        return self.data

    @property
    def num_classes(self) -> int:
        """Outputs of every model."""
        return len(self.data.classes) if self.data is not None else COST_ONLY_CLASSES

    def of(self, model: str) -> tuple[Job, ...]:
        """The jobs of one model."""
        return tuple(job for job in self.jobs if job.model == model)

    def left(self) -> tuple[Job, ...]:
        """Jobs without a good record."""
        return tuple(job for job in self.jobs if not job.done)

    def images(self, job: Job) -> int:
        """Training images that a job shows its model (0 for a profile, and where features are all that is needed)."""
        if job.cell is None or self.study.protocol.task == "linear":
            return 0
        return self.study.protocol.steps(job.cell.train_size) * self.study.protocol.batch_size

    def images_left(self, model: str) -> int:
        """Training images that the unfinished jobs of a model show it."""
        return sum(self.images(job) for job in self.of(model) if not job.done)


def make_plan(
    study: Study,
    data: DataInfo | None,
    hardware: Hardware,
    store: Store,
    branches: Sequence[Branch] | None = None,
) -> Plan:
    """Lay out the study's jobs and see which are done; without `data` only cost. Reads the store, writes nothing.

    Every model is trained under every intervention, and its cost measured, unless `branches` says what to train:
    then that is all there is. Raises UsageError where a train size does not fit the data.
    """
    from bench.data.splits import dev_counts, resolve_train_sizes
    from bench.measure.hardware import several

    protocol = study.protocol
    if data is None:
        jobs = profile_jobs(study, COST_ONLY_CLASSES, hardware, store)
        return Plan(study=study, data=None, hardware=hardware, train_sizes=(), jobs=tuple(jobs))
    available = data.n_train - sum(dev_counts(data.train_counts, protocol.dev_fraction))
    sizes = tuple(sorted(resolve_train_sizes(protocol.train_sizes, available)))
    weights = initial_weights(study)
    jobs = profile_jobs(study, len(data.classes), hardware, store) if branches is None else []
    if branches is None:
        branches = [Branch(model, what) for model in study.models for what in study.interventions]
    for branch in branches:
        shared: dict[str, Any] = {
            "model": branch.model,
            "protocol_id": protocol.id,
            "data_fingerprint": data.fingerprint,
            "hardware": several(hardware.name, study.gpus_per_cell),
            "threads": hardware.threads if hardware.device == "cpu" else 0,
            "precision": hardware.precision,
            "weights": weights[branch.model],
            "intervention": branch.intervention,
        }
        jobs += _branch_jobs(study, branch, sizes, shared, store)
    return Plan(study=study, data=data, hardware=hardware, train_sizes=sizes, jobs=tuple(jobs))


def _branch_jobs(
    study: Study, branch: Branch, sizes: tuple[int, ...], shared: Mapping[str, Any], store: Store
) -> list[Job]:
    """Trials, then runs, the largest size first: the best trial is the first run, and is not trained twice."""
    from bench.records import CellSpec

    protocol, jobs = study.protocol, []
    if protocol.lr_trials > 1 and protocol.task != "linear":
        for lr in protocol.learning_rates():
            cell = CellSpec(kind="trial", train_size=sizes[-1], seed=protocol.seeds[0], lr=lr, **shared)
            jobs.append(_cell_job(study, cell, store))
    for seed in protocol.seeds:
        for size in reversed(sizes[-1:] if branch.largest_only else sizes):
            cell = CellSpec(kind="run", train_size=size, seed=seed, lr=None, **shared)
            jobs.append(_cell_job(study, cell, store, keep_weights=branch.keep_weights and size == sizes[-1]))
    return jobs


def choose_lr(trials: Sequence[TrialResult]) -> float | None:
    """The rate with the lowest dev loss, the smaller one on a tie; None where every trial failed."""
    judged = [(t.dev_loss, t.lr) for t in trials if t.dev_loss is not None]
    return min(judged)[1] if judged else None


def trial_results(trials: Mapping[float, RunRecord | None]) -> list[TrialResult]:
    """The sweep as it is printed: each rate with its dev result, None where the trial failed."""
    from bench.records import TrialResult

    results = []
    for lr, record in sorted(trials.items()):
        train = record.train if record is not None and record.status == "ok" else None
        results.append(
            TrialResult(
                lr=lr,
                dev_loss=train.dev_loss if train else None,
                dev_top1=train.dev_top1 if train else None,
            )
        )
    return results


def _cell_job(study: Study, cell: CellSpec, store: Store, *, keep_weights: bool = False) -> Job:
    from bench.store import cell_id

    folder = store.cell_folder(cell)
    return Job(
        kind=cell.kind,
        model=cell.model,
        id=cell_id(cell),
        folder=folder,
        cell=cell,
        done=not study.fresh and store.is_done(folder) and (not keep_weights or store.weights_file(cell).is_file()),
        failures=store.failures(folder),
        keep_weights=keep_weights,
    )


def profile_jobs(study: Study, num_classes: int, hardware: Hardware, store: Store) -> list[Job]:
    """One job per model that measures what it costs, with `num_classes` outputs. Reads the store, writes nothing."""
    jobs = []
    for model in study.models:
        request = {
            "model": model,
            "img_size": study.protocol.img_size,
            "num_classes": num_classes,
            "hardware": hardware.name,
            "threads": hardware.threads,
            "device": hardware.device.partition(":")[0],
            "settings": study.cost_settings(hardware.precision).identity(),
        }
        identity = content_hash(request)
        folder = store.profile_folder(model, study.protocol.img_size, identity)
        done = not study.fresh and store.is_done(folder)
        jobs.append(Job("profile", model, identity, folder, None, done, store.failures(folder)))
    return jobs
