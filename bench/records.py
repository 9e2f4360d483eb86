"""What a run leaves: typed, versioned, with the unit of every number in its name.

`RunRecord` is one training run (a cell); `ProfileRecord` is what one model costs on one device. Both are
immutable and self-sufficient: a board can be drawn from them alone, years later, on another machine.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
"""Version of both record kinds; a record of another version is named and left out of a board."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataInfo(_Frozen):
    """A dataset as it was used: what it holds, and the fingerprint of its content."""

    dataset: str
    """The name asked for, such as `digits` or `torch/cifar10`; a folder is named by its last part."""
    fingerprint: str
    """SHA-256 over all decoded pixels and labels of all splits, at the cached size."""
    classes: list[str]
    """Class names, in label order."""
    n_train: int
    """Images in the train split, the dev part included."""
    n_test: int
    """Images in the test split."""
    train_counts: list[int] = Field(default_factory=list)
    """Images per class in the train split, in label order."""
    channels: int
    """Channels as stored (1 or 3); grey images are shown to models as three equal channels."""
    native_px: int | None
    """Side of the source's images in pixels before resizing; None where they differ."""
    cached_px: int | None
    """Side of the decoded images in the cache, in pixels; None where images are streamed."""
    mean: list[float]
    """Per-channel mean of the train split, pixels scaled to 0..1."""
    std: list[float]
    """Per-channel standard deviation of the train split, pixels scaled to 0..1."""
    flip: bool
    """Whether a horizontal flip keeps the label (not so for digits and street numbers)."""
    corrupt: list[str] = Field(default_factory=list)
    """Images that did not decode: skipped, by name (at most the first 100)."""
    n_corrupt: int = 0
    """How many images did not decode."""
    duplicates_train_test: int = 0
    """Test images whose decoded pixels also stand in the train split."""
    near_duplicates_train_test: int | None = None
    """Test images whose 64-bit difference hash is the same as a train image's; None where not computed."""
    notes: list[str] = Field(default_factory=list)
    """What a reader should know, such as that the test split was carved from the only split there was."""


class SubsetInfo(_Frozen):
    """The training images of one run."""

    size: int
    """Training images."""
    index_sha256: str
    """SHA-256 of the chosen indices: equal hashes mean the same images."""
    dev_size: int
    """Images held out of training to choose the learning rate."""
    dev_sha256: str
    """SHA-256 of the dev indices."""


class Stage(_Frozen):
    """The grid of features that one stage of a model works on."""

    name: str
    """The module's name in the model, or a short word such as `stage 2`."""
    height: int
    """Rows of the feature or token grid."""
    width: int
    """Columns of the feature or token grid."""
    channels: int
    """Channels or embedding width."""
    window: int | None = None
    """Side of the attention window in cells of the grid; None where there is no window."""
    keys: int | None = None
    """Keys that each query attends to; None where there is no attention."""


class Geometry(_Frozen):
    """What a model makes of an image of the protocol's size, read off the built module."""

    img_size: int
    """Side of the input image in pixels."""
    stages: list[Stage]
    """Grids in forward order."""
    degenerate: list[str] = Field(default_factory=list)
    """Why conclusions about locality or attention do not hold at this size; empty where it is sound."""


class ModelInfo(_Frozen):
    """A model as it was built."""

    name: str
    """The name on the board."""
    builder: str
    """The timm architecture name that built it."""
    family: str
    """`CNN`, `ViT`, `Swin`, `Hybrid`, `RNN` or `other`."""
    paper: str = ""
    """Authors and year of the paper."""
    year: int | None = None
    """Year of the paper."""
    params: int
    """Parameters with the head for this dataset."""
    provenance: str = "from scratch"
    """Where the initial weights come from."""
    regularisation: dict[str, float] = Field(default_factory=dict)
    """Rates that the protocol set, as far as this model has them (`drop_rate`, `drop_path_rate`)."""
    recipe_diff: list[str] = Field(default_factory=list)
    """Where this model could not follow the common recipe; empty for most."""
    geometry: Geometry | None = None
    """Grids per stage; None where the module does not tell."""


class Environment(_Frozen):
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
    """True where the checkout had uncommitted changes."""
    command: str
    """The exact command line."""
    memory_bytes: int | None = None
    """Physical memory of the machine."""


class EvalMetrics(_Frozen):
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
    confusion: list[list[int]]
    """Counts: rows true, columns predicted."""
    recall: list[float | None]
    """Recall per class; None for a class without images."""


class TrialResult(_Frozen):
    """One learning-rate trial, judged on dev."""

    lr: float
    """Peak learning rate."""
    dev_loss: float | None
    """Mean dev negative log-likelihood in nats; None where the trial failed."""
    dev_top1: float | None
    """Dev accuracy; None where the trial failed."""


class TrainMetrics(_Frozen):
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
    bn_samples: int = 0
    """Training images over which BatchNorm statistics were re-estimated; 0 for a model without BatchNorm."""
    peak_bytes: int | None = None
    """Peak memory: allocated on a GPU, resident size of the worker process on a CPU."""


class Failure(_Frozen):
    """Why a cell has no result."""

    kind: str
    """Class of the error, such as `OutOfMemoryError`, `NonFiniteLoss` or `WorkerDied`."""
    message: str
    """One line."""
    traceback: str = ""
    """The last lines of the traceback, for whoever looks into it."""


class CellSpec(_Frozen):
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


class RunRecord(_Frozen):
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
    test: EvalMetrics | None = None
    """Result on the test split; None for trials and failures."""
    trials: list[TrialResult] = Field(default_factory=list)
    """The learning-rate trials that chose this run's rate."""
    failure: Failure | None = None
    """Why there is no result; None where there is one."""


class Timing(_Frozen):
    """Repeated timings of one operation."""

    batch_size: int
    """Images per call."""
    repeats: int
    """Timed calls, warm-up not counted."""
    median_ms: float
    """Median milliseconds per call."""
    q25_ms: float
    """Lower quartile of milliseconds per call."""
    q75_ms: float
    """Upper quartile of milliseconds per call."""
    throughput_img_per_s: float
    """`batch_size` divided by the median."""


class ProfileRecord(_Frozen):
    """What one model costs at one image size on one device."""

    schema_version: int = SCHEMA_VERSION
    """Version of this layout."""
    id: str
    """Content hash of the request: model, image size, classes, hardware and threads."""
    status: Literal["ok", "failed"]
    """Whether there is a result."""
    created: str
    """UTC time of writing, ISO 8601."""
    model: str
    """The name asked for."""
    img_size: int
    """Side of the input image in pixels."""
    num_classes: int
    """Outputs of the head."""
    environment: Environment
    """Machine and software."""
    info: ModelInfo | None = None
    """The model as built."""
    macs: int | None = None
    """Canonical multiply-accumulates for one image: matrix products and convolutions, attention included."""
    macs_by_operator: dict[str, int] = Field(default_factory=dict)
    """Canonical multiply-accumulates by operator name."""
    flop_counter_macs: int | None = None
    """The same by torch's FlopCounterMode (half its FLOPs), as a check."""
    uncounted: list[str] = Field(default_factory=list)
    """Operators that are neither counted nor known to be free; not empty means `macs` is incomplete."""
    activations: int | None = None
    """Elements written by matrix products and convolutions for one image."""
    latency: Timing | None = None
    """Inference of a single image, float32."""
    inference: Timing | None = None
    """Inference of a batch, float32, model only, without the loader."""
    failure: Failure | None = None
    """Why there is no result."""
