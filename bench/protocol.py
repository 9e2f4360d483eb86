"""Everything held equal between models: frozen, hashed, with presets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from bench.errors import UsageError, did_you_mean
from bench.models.small import BELOW_PX, CELL_PX, LOWEST_PX, has_small

PresetName = Literal["smoke", "quick", "standard", "imagenet", "gate"]
AugmentName = Literal["none", "light", "heavy"]
PrecisionName = Literal["auto", "fp32", "bf16"]
GeometryName = Literal["canonical", "small"]
TaskName = Literal["scratch", "finetune", "linear", "evaluate"]


@dataclass(frozen=True)
class Protocol:
    """What every model of a study goes through, the same for all.

    Two protocols with equal fields are the same protocol, whatever preset they came from: `id` hashes the fields.
    """

    dataset: str = "digits"
    """`digits`, `synthetic/TASK`, `torch/NAME`, `hfds/NAME`, or a folder (class folders, tar or Parquet shards)."""
    task: TaskName = "scratch"
    """`scratch`: train from random weights (or `--pretrained`, `--checkpoint`) with the images' own normalisation;
    `finetune`: train on from published or given weights, with the normalisation these were made with; `linear`: leave
    such weights as they are and fit a linear classifier on their features, its regularisation chosen on dev;
    `evaluate`: judge such weights, classifier included, on a folder of images, through timm's own pipeline."""
    img_size: int = 32
    """Side in pixels of the square that every model sees, in training and in test."""
    geometry: GeometryName = "canonical"
    """`canonical`: models as published, whatever the image size; `small`: all start on cells of 4×4 pixels, no map
    goes below 2×2, and names say so (`vit_b4@32`). For images below 128 px, where standard uses it."""
    batch_size: int = 32
    """Images per training step; no step ever has fewer."""
    samples_seen: int = 1280
    """Training budget of each run in images, the same at every train size (rounded up to whole batches)."""
    epochs: float | None = None
    """If set, the budget is this many passes over the train subset instead of `samples_seen`."""
    train_sizes: tuple[float, ...] = (0.1, 0.3, 1.0)
    """Train subsets: fractions of the training images up to 1.0, or counts above 1."""
    seeds: tuple[int, ...] = (0,)
    """Each seed draws its own nested subsets, order, augmentation and initial weights."""
    lr: float = 5e-4
    """Centre of the learning-rate trials (peak learning rate of AdamW)."""
    lr_trials: int = 2
    """Learning rates tried for every model, half a decade apart around `lr`, chosen by dev loss."""
    weight_decay: float = 0.05
    """Decoupled weight decay; none on norms, biases, position embeddings and class tokens."""
    warmup_fraction: float = 0.1
    """Part of the steps in which the learning rate rises linearly; a cosine to zero follows."""
    clip_grad: float = 1.0
    """Largest global gradient norm."""
    smoothing: float = 0.1
    """Label smoothing of the training loss."""
    drop: float = 0.0
    """Dropout rate, for every model that has dropout."""
    drop_path: float = 0.0
    """Stochastic depth rate, for every model that has it."""
    augment: AugmentName = "light"
    """`none`; `light`: pad and crop, flip where labels allow; `heavy`: RandAugment, mixup or CutMix, erasing too."""
    precision: PrecisionName = "auto"
    """Training arithmetic: `auto` is bfloat16 autocast where the hardware has it. Evaluation is always float32."""
    bn_samples: int = 128
    """Training images over which BatchNorm statistics are re-estimated after training (0: keep running averages)."""
    dev_fraction: float = 0.1
    """Part of the training images carved out, by class, for choosing the learning rate."""

    def __post_init__(self) -> None:
        _validate(self)

    @property
    def id(self) -> str:
        """SHA-256 of all fields, as 64 hex digits; fields that came later count where they are not at their default."""
        return content_hash({k: v for k, v in asdict(self).items() if k not in _LATER or v != _LATER[k]})

    @property
    def small_px(self) -> int | None:
        """The image size that models are fitted to; None in the published geometry."""
        return self.img_size if self.geometry == "small" else None

    @property
    def short_id(self) -> str:
        """The first 8 digits of `id`, for names and headings."""
        return self.id[:8]

    @property
    def preset(self) -> str:
        """The preset these fields equal apart from the dataset, `claims-…` for one of the lab's, or `custom`."""
        known = {**PRESETS, **{f"claims-{name}": claims_protocol(name) for name in CLAIMS}}
        return next((name for name, preset in known.items() if replace(preset, dataset=self.dataset) == self), "custom")

    @property
    def exploratory(self) -> bool:
        """True where there are too few seeds to tell a model's luck from its merit."""
        return len(self.seeds) < 3

    def learning_rates(self) -> tuple[float, ...]:
        """The grid of peak learning rates tried for every model, ascending."""
        middle = (self.lr_trials - 1) / 2
        return tuple(float(f"{self.lr * 10 ** (0.5 * (k - middle)):.3g}") for k in range(self.lr_trials))

    def steps(self, train_size: int) -> int:
        """Optimiser steps of a run on `train_size` images: the budget in whole batches, rounded up."""
        budget = self.samples_seen if self.epochs is None else self.epochs * train_size
        return max(1, -(-round(budget) // self.batch_size))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, in the order of the fields."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Protocol:
        """The inverse of `to_dict`; unknown names raise UsageError."""
        known = {f.name for f in fields(cls)}
        for name in values:
            if name not in known:
                raise UsageError(f"unknown protocol field {name!r}.{did_you_mean(name, known)}")
        converted: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**converted)


_LATER = {"geometry": "canonical", "task": "scratch"}
"""Fields without which protocols have been hashed, and what they then were."""


def content_hash(value: Any) -> str:
    """SHA-256 hex digest of a JSON-able value, independent of key order and of tuple against list."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _validate(p: Protocol) -> None:
    """Raise UsageError for the first field that no run could use."""
    rules: list[tuple[bool, str]] = [
        (8 <= p.img_size <= 4096, f"--img-size must be between 8 and 4096 pixels, not {p.img_size}"),
        (
            p.geometry == "canonical" or has_small(p.img_size),
            f"--geometry small is for images of {LOWEST_PX} to {BELOW_PX - CELL_PX} pixels in steps of {CELL_PX}, "
            f"not {p.img_size}: give --geometry canonical or another --img-size",
        ),
        (
            p.task == "scratch" or p.geometry == "canonical",
            f"--task {p.task} needs --geometry canonical: published weights do not fit the small geometry",
        ),
        (
            p.batch_size >= 2,
            f"--batch-size must be at least 2 (BatchNorm needs two images), not {p.batch_size}",
        ),
        (p.samples_seen >= 1, f"--samples-seen must be at least 1, not {p.samples_seen}"),
        (p.epochs is None or p.epochs > 0, f"--epochs must be above 0, not {p.epochs}"),
        (len(p.train_sizes) > 0, "--train-sizes needs at least one size, such as 0.1,0.3,1"),
        (all(s > 0 for s in p.train_sizes), f"--train-sizes must all be above 0, not {list(p.train_sizes)}"),
        (
            all(s <= 1 or float(s).is_integer() for s in p.train_sizes),
            f"--train-sizes above 1 are counts and must be whole numbers, not {list(p.train_sizes)}",
        ),
        (
            len(set(p.train_sizes)) == len(p.train_sizes),
            f"--train-sizes has a size twice: {list(p.train_sizes)}",
        ),
        (len(p.seeds) > 0, "--seeds needs at least one seed, such as 0,1,2"),
        (len(set(p.seeds)) == len(p.seeds), f"--seeds has a seed twice: {list(p.seeds)}"),
        (all(s >= 0 for s in p.seeds), f"--seeds must not be negative: {list(p.seeds)}"),
        (p.lr > 0, f"--lr must be above 0, not {p.lr}"),
        (1 <= p.lr_trials <= 9, f"--lr-trials must be between 1 and 9, not {p.lr_trials}"),
        (p.weight_decay >= 0, f"--weight-decay must not be negative, not {p.weight_decay}"),
        (0 <= p.warmup_fraction < 1, f"--warmup-fraction must be in [0, 1), not {p.warmup_fraction}"),
        (p.clip_grad > 0, f"--clip-grad must be above 0, not {p.clip_grad}"),
        (0 <= p.smoothing < 1, f"--smoothing must be in [0, 1), not {p.smoothing}"),
        (0 <= p.drop < 1, f"--drop must be in [0, 1), not {p.drop}"),
        (0 <= p.drop_path < 1, f"--drop-path must be in [0, 1), not {p.drop_path}"),
        (p.bn_samples >= 0, f"--bn-samples must not be negative, not {p.bn_samples}"),
        (0 < p.dev_fraction < 0.5, f"--dev-fraction must be above 0 and below 0.5, not {p.dev_fraction}"),
    ]
    for holds, message in rules:
        if not holds:
            raise UsageError(message + ".")


PRESETS: dict[str, Protocol] = {
    "smoke": Protocol(
        batch_size=8, samples_seen=16, train_sizes=(0.1, 1.0), lr_trials=1, augment="none", bn_samples=16
    ),
    "quick": Protocol(),
    "standard": Protocol(
        geometry="small",
        batch_size=128,
        samples_seen=400_000,
        train_sizes=(0.01, 0.0316, 0.1, 0.316, 1.0),
        seeds=(0, 1, 2),
        lr_trials=3,
        bn_samples=4096,
    ),
    "imagenet": Protocol(
        dataset="torch/imagenet",
        img_size=224,
        batch_size=1024,
        samples_seen=115_305_000,
        train_sizes=(0.01, 0.1, 0.3, 1.0),
        lr=1e-3,
        lr_trials=1,
        augment="heavy",
        bn_samples=16384,
    ),
    "gate": Protocol(samples_seen=5120, train_sizes=(1.0,), lr=1e-3, lr_trials=1),
}
"""Starting points; every field can be set on top of one."""

CLAIMS: dict[str, dict[str, Any]] = {
    "smoke": {"seeds": (0, 1, 2), "train_sizes": (0.1, 0.5, 1.0)},
    "quick": {
        "batch_size": 16,
        "samples_seen": 3840,
        "train_sizes": (0.2, 1.0),
        "seeds": (0, 1, 2),
        "lr": 2e-3,
        "augment": "none",
    },
    "standard": {
        "geometry": "canonical",
        "samples_seen": 40_000,
        "train_sizes": (0.02, 0.1, 0.3, 1.0),
        "lr": 2e-3,
        "lr_trials": 2,
    },
}
"""What differs from a preset by default where claims are tested: three seeds, and budgets for hundreds of trainings."""


def claims_protocol(preset: str) -> Protocol:
    """The protocol in which claims are tested unless its fields are given: a preset with the lab's differences."""
    return replace(PRESETS[preset], **CLAIMS.get(preset, {}))
