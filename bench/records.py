"""What a run leaves: typed, versioned, with the unit of every number in its name.

`RunRecord` is one training run (a cell). It is immutable and self-sufficient: a board can be drawn from records alone,
years later, on another machine. What a model costs stands in `bench.profiles`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bench.data.info import DataInfo as DataInfo
from bench.models.info import Geometry as Geometry
from bench.models.info import ModelInfo as ModelInfo
from bench.models.info import Stage as Stage
from bench.values import Frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

StepKind = Literal["eager", "graph", "compiled"]

SCHEMA_VERSION = 1
"""Version of all kinds of record; a record of another version is named and left out of a board."""


class SubsetInfo(Frozen):
    """The training images of one run."""

    size: int
    """Training images."""
    index_sha256: str
    """SHA-256 of the chosen indices: equal hashes mean the same images."""
    dev_size: int
    """Images held out of training to choose the learning rate."""
    dev_sha256: str
    """SHA-256 of the dev indices."""


class Environment(Frozen):
    """The machine and software that produced a record."""

    hardware: str
    """Name of the device: processor or GPU."""
    device: str
    """`cpu` or `cuda:i`."""
    threads: int
    """Threads that torch computes with."""
    precision: str
    """Training arithmetic as resolved: `fp32` or `bf16`."""
    platform: str
    """Operating system and architecture."""
    python: str
    """Python version."""
    versions: dict[str, str]
    """Versions of torch, timm, numpy and the other libraries that can change a number."""
    git_commit: str | None
    """Commit of this project, where known."""
    git_dirty: bool | None
    """True where the checkout's code had uncommitted changes."""
    command: str
    """The exact command line."""
    memory_bytes: int | None = None
    """Physical memory of the machine."""
    cells_per_device: int = 1
    """Models that trained side by side on the device; above 1, training speeds are those of a shared device."""


class EvalMetrics(Frozen):
    """How a trained model does on one split, in float32 and eval mode."""

    n: int
    """Images."""
    top1: float
    """Fraction of images whose highest logit is the label."""
    top5: float | None
    """Fraction whose label is among the five highest logits; None up to 10 classes."""
    balanced_accuracy: float
    """Mean of the per-class recalls over classes that occur."""
    nll: float
    """Mean negative log-likelihood in nats."""
    ece: float
    """Expected calibration error, 15 equal-width bins of the top confidence (Guo et al. 2017)."""
    confusion: list[list[int]] | str
    """Counts: rows true, columns predicted; above 100 classes those that are not 0, as `bench.arrays.packed_counts`
    writes them."""
    recall: list[float | None]
    """Recall per class; None for a class without images."""

    def counts(self) -> NDArray[np.int64]:
        """The confusion int64 [classes, classes]: rows true, columns predicted."""
        import numpy as np

        from bench.arrays import unpacked_counts

        if isinstance(self.confusion, str):
            return unpacked_counts(self.confusion, len(self.recall))
        return np.asarray(self.confusion, dtype=np.int64)


class TrialResult(Frozen):
    """One learning-rate trial, judged on dev."""

    lr: float
    """Peak learning rate."""
    dev_loss: float | None
    """Mean dev negative log-likelihood in nats; None where the trial failed."""
    dev_top1: float | None
    """Dev accuracy; None where the trial failed."""


class TrainMetrics(Frozen):
    """What training did."""

    steps: int
    """Optimiser steps made."""
    samples_seen: int
    """Images shown, repeats counted."""
    epochs: float
    """Passes over the subset."""
    batch_size: int
    """Images per step."""
    lr: float
    """Peak learning rate."""
    final_lr: float
    """Learning rate of the last step: a small part of the peak, since the schedule always finishes."""
    train_loss: float
    """Mean training loss (with label smoothing) over the last tenth of the steps."""
    loss_curve: list[tuple[int, float]]
    """(step, training loss), at most 100 points."""
    dev_loss_before_last_tenth: float
    """Dev negative log-likelihood at nine tenths of the steps."""
    dev_loss: float
    """Dev negative log-likelihood at the end, in nats."""
    dev_top1: float
    """Dev accuracy at the end."""
    under_trained: bool
    """True where dev loss still fell by more than 2 % in the last tenth of the steps."""
    throughput_img_per_s: float
    """Training images per second: steps only, after the first one, data and augmentation included."""
    train_s: float
    """Wall time of the training steps in seconds."""
    eval_s: float
    """Wall time of dev and test evaluation in seconds."""
    total_s: float
    """Wall time of the cell in seconds, building the model included."""
    memory_format: str = "channels_last"
    """Layout of images and weights in memory."""
    step: StepKind = "eager"
    """How steps were launched: operation by operation, as one CUDA graph, or as one of compiled code."""
    setup_s: float = 0.0
    """Wall time of recording and compiling the step in seconds, in the run before which it was done."""
    devices: int = 1
    """GPUs that trained the model together (processes on a CPU), each on its part of every batch."""
    parts: int = 1
    """Parts that each batch went through the model in, their gradients added up."""
    resumed: int = 0
    """Times that the training was ended and went on from its kept state."""
    bn_batch: int | None = None
    """Images over which BatchNorm took its statistics in training, at least; None for a model without BatchNorm."""
    bn_synchronised: bool = False
    """Whether it took them over the parts of all devices."""
    bn_samples: int = 0
    """Training images over which BatchNorm statistics were re-estimated; 0 for a model without BatchNorm."""
    peak_bytes: int | None = None
    """Peak memory: allocated on a GPU, resident size of the worker process on a CPU."""


class LinearMetrics(Frozen):
    """What fitting a linear classifier on frozen features did."""

    features: int
    """Features of one image."""
    weights_sha256: str
    """SHA-256 of the frozen weights and buffers: equal hashes gave the same features."""
    mean: list[float]
    """Mean of each channel that images were normalised by."""
    std: list[float]
    """Standard deviation of each channel, likewise."""
    l2: float
    """Regularisation chosen on dev: the classifier's loss is the mean cross-entropy plus l2 / 2 times the sum of its
    squared weights, on features of deviation 1."""
    l2_tried: list[float]
    """All strengths that were tried, the strongest first."""
    dev_losses: list[float]
    """Dev negative log-likelihood of each, in nats."""
    dev_loss: float
    """Dev negative log-likelihood of the chosen one, in nats."""
    dev_top1: float
    """Dev accuracy of the chosen one."""
    iterations: int
    """L-BFGS iterations over all strengths."""
    converged: bool
    """Whether every fit ended by its own criterion and not by the limit of iterations."""
    extract_s: float
    """Wall time of the pass that made the features in seconds; 0 in the runs that found them made."""
    fit_s: float
    """Wall time of fitting in seconds."""


class Failure(Frozen):
    """Why a cell has no result."""

    kind: str
    """Class of the error, such as `OutOfMemoryError`, `NonFiniteLoss` or `WorkerDied`."""
    message: str
    """One line."""
    traceback: str = ""
    """The last lines of the traceback, for whoever looks into it."""

    @property
    def line(self) -> str:
        """Class and message, as people read it."""
        return f"{self.kind}: {self.message}"


class CellSpec(Frozen):
    """The exact request of a cell; its content hash names the cell."""

    kind: Literal["trial", "run"]
    """`trial`: one learning rate, judged on dev, never sees the test split. `run`: a point of the board."""
    model: str
    """The name asked for."""
    protocol_id: str
    """SHA-256 of the protocol."""
    data_fingerprint: str
    """Fingerprint of the dataset."""
    hardware: str
    """Name of the device."""
    threads: int
    """Threads on a CPU; 0 on a GPU."""
    precision: str
    """`fp32` or `bf16`, as resolved."""
    train_size: int
    """Training images, as resolved."""
    seed: int
    """Seed of subset, order, augmentation and initial weights."""
    lr: float | None
    """Peak learning rate of a trial; None for a run, whose rate the trials choose."""
    weights: str = "scratch"
    """`scratch`, `pretrained`, or `sha256:…` of a checkpoint file."""
    intervention: str = "none"
    """What is done to every image after augmentation, in training and in test, such as `patch-permute`."""


class RunRecord(Frozen):
    """What a cell leaves, whether it succeeded or failed."""

    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""
    id: str
    """Content hash of `cell`."""
    cell: CellSpec
    """The exact request."""
    status: Literal["ok", "failed"]
    """Whether there is a result."""
    created: str
    """UTC time of writing, ISO 8601."""
    protocol: dict[str, Any]
    """All fields of the protocol."""
    data: DataInfo
    """The dataset as used."""
    environment: Environment
    """Machine and software."""
    model: ModelInfo | None = None
    """The model as built; None where building failed."""
    subset: SubsetInfo | None = None
    """The training images."""
    train: TrainMetrics | None = None
    """What training did; None where it failed."""
    linear: LinearMetrics | None = None
    """What fitting a linear classifier did; None where the whole model was trained."""
    test: EvalMetrics | None = None
    """Result on the test split; None for trials and failures."""
    trials: list[TrialResult] = Field(default_factory=list)
    """The learning-rate trials that chose this run's rate."""
    failure: Failure | None = None
    """Why there is no result; None where there is one."""


class EvaluationSpec(Frozen):
    """The exact request of an evaluation without training; its content hash names the record."""

    model: str
    """The name asked for."""
    weights: str
    """`pretrained`, or `sha256:…` of a checkpoint file."""
    folder_sha256: str
    """SHA-256 of the names, sizes and times of change of the folder's files."""
    img_size: int | None
    """Side of the images in pixels as asked for; None for the size that the weights are published with."""
    crop_pct: float | None
    """Part of the resized image that is cut out, as asked for; None likewise."""
    interpolation: str | None
    """Resampling, as asked for; None likewise."""
    crop_mode: str | None
    """How the image is cut, as asked for; None likewise."""
    hardware: str
    """Name of the device."""


class EvaluationMetrics(Frozen):
    """What given weights do on a folder of images, as published, in float32."""

    n: int
    """Images judged."""
    classes: int
    """Classes of the folder."""
    outputs: int
    """Outputs of the model."""
    named_by: str
    """How the folder's classes were told: by `WordNet id`, `number` or sorted `order`."""
    restricted: bool
    """Whether only the folder's classes compete, since it has fewer than the model."""
    corrupt: list[str]
    """Files that do not decode; they are left out."""
    notes: list[str] = Field(default_factory=list)
    """What else is missing: the rest of shards that are cut off, images without label, classes that the model lacks."""
    right: int
    """Images whose highest logit is the label."""
    top1: float
    """The same as a fraction."""
    top5: float | None
    """Fraction whose label is among the five highest logits; None up to 10 classes."""
    nll: float
    """Mean negative log-likelihood in nats."""
    ece: float
    """Expected calibration error, 15 equal-width bins."""
    real_right: int | None
    """Images whose highest logit is one of ReaL's labels; None for other images than ImageNet's validation split."""
    real_n: int | None
    """Images that have such labels."""
    img_size: int
    """Side of the images in pixels."""
    crop_pct: float
    """Part of the resized image that was cut out."""
    crop_mode: str
    """How it was cut."""
    interpolation: str
    """Resampling."""
    mean: list[float]
    """Mean of each channel that images were normalised by."""
    std: list[float]
    """Standard deviation of each channel, likewise."""
    seconds: float
    """Wall time of the pass, decoding included."""
    throughput_img_per_s: float
    """Images per second of the pass."""


class EvaluationRecord(Frozen):
    """What evaluating given weights left, whether it succeeded or failed."""

    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""
    id: str
    """Content hash of `spec`."""
    spec: EvaluationSpec
    """The exact request."""
    status: Literal["ok", "failed"]
    """Whether there is a result."""
    created: str
    """UTC time of writing, ISO 8601."""
    dataset: str
    """The folder as it was named."""
    environment: Environment
    """Machine and software."""
    model: ModelInfo | None = None
    """The model as built; None where building failed."""
    metrics: EvaluationMetrics | None = None
    """The result; None where it failed."""
    failure: Failure | None = None
    """Why there is no result; None where there is one."""


class ProbeSpec(Frozen):
    """The exact request of a probe; its content hash names the record."""

    probe: str
    """Name of the probe."""
    version: int
    """Version of the probe's meaning."""
    model: str
    """The name asked for."""
    cells: list[str]
    """Ids of the trained cells whose weights are looked at, by seed; empty for an untrained model."""
    data_fingerprint: str | None
    """Fingerprint of the dataset whose images are shown; None for a structural probe."""
    img_size: int
    """Side of the images in pixels."""
    num_classes: int
    """Outputs of the model."""
    seed: int
    """Seed of an untrained model's weights and of everything that the probe draws."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keywords of the probe."""


class ProbeRecord(Frozen):
    """What a probe found, or why it found nothing."""

    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""
    id: str
    """Content hash of `spec`."""
    spec: ProbeSpec
    """The exact request."""
    status: Literal["ok", "refused", "failed"]
    """Whether there is a result; `refused` where the model's geometry allows none, which trying again cannot change."""
    created: str
    """UTC time of writing, ISO 8601."""
    environment: Environment
    """Machine and software."""
    values: dict[str, Any] = Field(default_factory=dict)
    """What was found, by name; units are in the names."""
    seconds: float
    """Wall time of the probe in seconds."""
    failure: Failure | None = None
    """Why there is no result; None where there is one."""
