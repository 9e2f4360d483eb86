"""Models × train sizes × seeds under one protocol → cells; what is done, what is left."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import UsageError, did_you_mean, first_line
from bench.models.zoo import parse_models
from bench.protocol import Protocol, content_hash
from bench.rules import rules_of

if TYPE_CHECKING:  # the command line must answer --help without waiting for pydantic and numpy
    from bench.measure.hardware import Hardware
    from bench.measure.settings import CostSettings
    from bench.records import CellSpec, DataInfo, RunRecord, TrialResult
    from bench.store import Store

GATE_MODELS = ("test_resnet", "test_vit", "test_convnext")
"""The default of `--models` for `--save-baseline`: timm's smallest of three families, seconds to train."""
COST_ONLY_PX, COST_ONLY_CLASSES = 224, 1000
"""Image size and outputs where only cost is measured: those under which published costs are told."""
CANONICAL = ("resnet50", "vit_b16", "swin_t", "cvt_13")
"""The four backbones that the project is about, and the default of `--models`."""


@dataclass(frozen=True)
class Study:
    """What to compare, on what machine, and where the results go. Everything else is in the protocol."""

    models: tuple[str, ...] = CANONICAL
    """Models to compare: names of `--list-models`, torchvision's spellings, timm names, `hf_hub:…`."""
    protocol: Protocol = field(default_factory=Protocol)
    """Everything held equal between the models."""
    interventions: tuple[str, ...] = ("none",)
    """Fixed changes to every image, in training and in test, each with a board of its own: `none`, `patch-permute`,
    `within-patch-permute`, `pixel-permute`, `row-permute`, `shift`; `:N` after one gives its size in pixels."""
    data_dir: Path | None = None
    """Folder that holds the dataset, for those that are not a folder themselves."""
    download: bool = False
    """Download the dataset into `data_dir` where its source can."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:i`."""
    test_px: int | None = None
    """With `--task evaluate`, side of the images; as the weights are published with unless given, as the next three."""
    crop_pct: float | None = None
    """With `--task evaluate`, part of the resized image that is cut out."""
    interpolation: str | None = None
    """With `--task evaluate`, resampling: `bilinear`, `bicubic`, `nearest`, `lanczos`."""
    crop_mode: str | None = None
    """With `--task evaluate`, how images are cut: `center`, `squash` or `border`."""
    pretrained: bool = False
    """Start every model from its default published weights; stands in the row."""
    checkpoint: tuple[str, ...] = ()
    """MODEL=FILE: start that model from a local `.pth` or `.safetensors` file; stands in the row."""
    plugins: tuple[str, ...] = ()
    """Python modules to import first; they may register models of your own with timm."""
    output: Path = Path("results")
    """Folder for runs and boards."""
    fresh: bool = False
    """Run every cell again, also those that are done; old records stand until new ones replace them."""
    limit: int | None = None
    """Run at most this many unfinished cells in this call; the same command goes on from there."""
    threads: int | None = None
    """Threads that torch computes with; as many as there are physical cores unless given."""
    cells_per_device: str = "auto"
    """How many models train side by side on the device, `auto` or a number. `auto` is as many as raise the total on a
    GPU (measured, where that pays), and one on a CPU; a number shares the threads of a CPU out among them."""
    gpus_per_cell: int = 1
    """GPUs of this machine that train one model together, each on its part of every batch; on a CPU so many processes,
    which share its threads."""
    accumulate: str = "auto"
    """Parts that each batch goes through a model in, gradients added up: `auto` is as few as fit into a GPU's memory,
    and one on a CPU."""
    save_every: float = 10.0
    """Minutes of a training after which its state is kept, to go on from there if it is ended; 0 for never."""
    launcher: Literal["local", "ray"] = "local"
    """Where cells run: `local`, on this machine, or `ray`, on the nodes of a Ray cluster."""
    ray_address: str | None = None
    """With `--launcher ray`, the cluster: HOST:PORT, or `auto` for that of this machine; a new one on this machine
    alone unless given."""
    cost_only: bool = False
    """Measure what the models cost (at 224 px and 1,000 classes unless given), train nothing, need no dataset."""
    channels_last: bool = True
    """Layout of images and weights where cost is measured: channels last, or contiguous."""
    compile: bool = False
    """Send the models through torch.compile where cost is measured."""
    batch_sizes: tuple[int, ...] = ()
    """Batches of the throughput sweep; powers of two, as far as they help, unless given."""
    time_budget: float | None = None
    """Seconds that the timing of one model may take; 40 with --cost-only, 10 in a study (1 in smoke)."""

    def __post_init__(self) -> None:
        import_plugins(self.plugins)
        object.__setattr__(self, "models", tuple(parse_models(",".join(self.models), self.protocol.small_px)))
        object.__setattr__(self, "interventions", _interventions(self.interventions, self.protocol.img_size))
        for holds, message in rules_of(self):
            if not holds:
                raise UsageError(f"{message}.")
        self.checkpoints()

    @property
    def fixed_cells(self) -> int:
        """Models side by side as asked for; 1 where that is left to a measurement."""
        return 1 if self.cells_per_device == "auto" else int(self.cells_per_device)

    @property
    def parts(self) -> int | None:
        """Parts of a batch as asked for; None where the memory decides."""
        return None if self.accumulate == "auto" else int(self.accumulate)

    def cost_settings(self, training_precision: str) -> CostSettings:
        """How cost is measured, given the training arithmetic as resolved; inference is float32 unless asked."""
        from bench.measure.settings import COST_ONLY_S, IN_SMOKE_S, IN_STUDY_S, MEMORY_BATCH, CostSettings

        asked = self.protocol.precision
        batch = self.protocol.batch_size
        default_s = COST_ONLY_S if self.cost_only else IN_SMOKE_S if self.protocol.preset == "smoke" else IN_STUDY_S
        return CostSettings(
            inference_precision="fp32" if asked == "auto" else asked,
            training_precision=training_precision,
            channels_last=self.channels_last,
            compiled=self.compile,
            batch_sizes=tuple(sorted(self.batch_sizes)),
            budget_s=self.time_budget or default_s,
            memory_batch=min(batch, MEMORY_BATCH) if self.cost_only else batch,
        )

    def checkpoints(self) -> dict[str, Path]:
        """Checkpoint file of each model that has one; UsageError where one is malformed, unknown or missing."""
        files: dict[str, Path] = {}
        for item in self.checkpoint:
            name, separator, file = item.partition("=")
            if not separator or not name.strip() or not file.strip():
                raise UsageError(f"--checkpoint takes MODEL=FILE, not {item!r}.")
            model = parse_models(name, self.protocol.small_px)[0]
            if model not in self.models:
                raise UsageError(
                    f"--checkpoint names {name!r}, which is not among the models.{did_you_mean(model, self.models)}"
                )
            path = Path(file.strip()).expanduser()
            if not path.is_file():
                raise UsageError(f"--checkpoint {name}: there is no file {path}.")
            files[model] = path
        return files


def _interventions(texts: Sequence[str], img_size: int) -> tuple[str, ...]:
    """Each intervention once, in its one spelling. Raises UsageError for an unknown one, or none at all."""
    if tuple(texts) == ("none",):
        return ("none",)
    from bench.data.interventions import parse_intervention

    found = tuple(dict.fromkeys(parse_intervention(text, img_size).text for text in texts))
    if not found:
        raise UsageError("--interventions needs at least one, such as none,patch-permute.")
    return found


def import_plugins(modules: Sequence[str]) -> None:
    """Import each module by name; UsageError where there is none or its import fails."""
    here = os.getcwd()
    if modules and here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # an installed command does not look there by itself
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise UsageError(f"--plugins: cannot import {name!r}: {first_line(error)}.") from error


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


def initial_weights(study: Study) -> dict[str, str]:
    """What each model starts from, as it stands in its cells: `scratch`, `pretrained` or a file's hash."""
    files = study.checkpoints()
    start = "pretrained" if study.pretrained or study.protocol.task != "scratch" else "scratch"
    return {m: f"sha256:{_file_sha256(files[m])}" if m in files else start for m in study.models}


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
