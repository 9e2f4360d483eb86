"""Small valid records for tests."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.splits import dev_counts, resolve_train_sizes
from bench.protocol import PRESETS, Protocol, content_hash
from bench.records import (
    CellSpec,
    DataInfo,
    Environment,
    EvalMetrics,
    Failure,
    Geometry,
    ModelInfo,
    RunRecord,
    Stage,
    TrainMetrics,
    TrialResult,
)
from bench.store import Store, cell_id
from tests.cost_samples import make_profile

DATA = DataInfo(
    dataset="digits",
    fingerprint="d" * 64,
    classes=[str(k) for k in range(10)],
    n_train=1437,
    n_test=360,
    train_counts=[144] * 7 + [143] * 3,
    channels=1,
    native_px=8,
    cached_px=8,
    mean=[0.3],
    std=[0.4],
    flip=False,
)
"""A dataset like digits."""

ENVIRONMENT = Environment(
    hardware="Test CPU",
    device="cpu",
    threads=2,
    precision="fp32",
    platform="Linux",
    python="3.12",
    versions={"torch": "2.9"},
    git_commit=None,
    git_dirty=None,
    command="python run_bench.py",
)
"""A machine."""


def make_cell(**changes: Any) -> CellSpec:
    """A valid cell, with some fields changed."""
    values: dict[str, Any] = {
        "kind": "run",
        "model": "resnet18",
        "protocol_id": PRESETS["smoke"].id,
        "data_fingerprint": DATA.fingerprint,
        "hardware": ENVIRONMENT.hardware,
        "threads": 2,
        "precision": "fp32",
        "train_size": 129,
        "seed": 0,
        "lr": None,
    }
    return CellSpec(**{**values, **changes})


def make_run(**changes: Any) -> RunRecord:
    """A valid record of `make_cell()`, without results, with some fields changed."""
    cell = changes.pop("cell", make_cell())
    values: dict[str, Any] = {
        "id": cell_id(cell),
        "cell": cell,
        "status": "ok",
        "created": "2026-01-01T00:00:00+00:00",
        "protocol": PRESETS["smoke"].to_dict(),
        "data": DATA,
        "environment": ENVIRONMENT,
    }
    return RunRecord(**{**values, **changes})


@dataclass(frozen=True)
class Fake:
    """A made-up model of a made-up study."""

    name: str
    """Its name on the board."""
    top1: float = 0.9
    """True accuracy at the largest size."""
    family: str = "CNN"
    """Its family."""
    params: int = 11_000_000
    """Parameters."""
    macs: int = 600_000_000
    """Multiply-accumulates."""
    speed: float = 800.0
    """Inference images per second; training runs at a third of it."""
    degenerate: tuple[str, ...] = ()
    """Why its geometry says nothing."""
    weights: str = "scratch"
    """What it starts from."""
    fails: tuple[tuple[int, int], ...] = ()
    """(position of the train size, seed) of cells that fail."""
    under_trained: bool = False
    """Whether its dev loss still falls."""
    best_trial: int = 1
    """Which of the learning rates tried has the lowest dev loss."""
    cost: tuple[tuple[str, Any], ...] = ()
    """(name, value) of fields in which its profile differs from `make_profile`."""


CANONICAL_FAKES = (
    Fake("resnet50", 0.93, "CNN", 23_528_522, 85_400_000, 410.0, ("the last map is 1×1",)),
    Fake("vit_b16", 0.84, "ViT", 85_224_970, 344_000_000, 150.0, ("attention sees 4 tokens",)),
    Fake("swin_t", 0.925, "Swin", 27_527_044, 95_000_000, 290.0, ("windows cover the whole map in stages 2 to 4",)),
    Fake("cvt_13", 0.90, "Hybrid", 19_615_498, 92_000_000, 240.0, ("the last grid has 4 tokens",)),
)
"""Something like the default command's board."""


def make_study(
    root: Path,
    models: Sequence[Fake] = CANONICAL_FAKES,
    protocol: Protocol = PRESETS["quick"],
    *,
    classes: Sequence[str] = tuple(DATA.classes),
    n_train: int = 1437,
    n_test: int = 360,
    created: str = "2026-01-01T00:00:00+00:00",
    environment: Environment = ENVIRONMENT,
    **data: Any,
) -> Store:
    """Write the records and predictions that a whole study of `models` would leave; everything follows from its input.

    Seeds differ by about a point; the images that are hard are the same for every model and seed.
    """
    info = DATA.model_copy(
        update={
            "fingerprint": content_hash([list(classes), n_train, n_test]),
            "classes": list(classes),
            "n_train": n_train,
            "n_test": n_test,
            "train_counts": [n_train // len(classes) + (k < n_train % len(classes)) for k in range(len(classes))],
            **data,
        }
    )
    available = n_train - sum(dev_counts(info.train_counts, protocol.dev_fraction))
    sizes = sorted(resolve_train_sizes(protocol.train_sizes, available))
    store = Store(root)
    for model in models:
        _write_profile(store, model, info, protocol, created, environment)
        for trial in _trials(model, protocol):
            _write_trial(store, model, info, protocol, sizes[-1], trial, created, environment)
        for position, size in enumerate(sizes):
            for seed in protocol.seeds:
                base = _base(model, info, protocol, size, seed, created, environment)
                if (position, seed) in model.fails:
                    failure = Failure(kind="OutOfMemoryError", message="tried to allocate 2.5 GiB")
                    store.write_run(make_run(**base, status="failed", failure=failure))
                    continue
                record, predictions = _result(model, base, protocol, size / sizes[-1])
                store.write_run(record, predictions)
    return store


def _base(
    model: Fake, data: DataInfo, protocol: Protocol, size: int, seed: int, created: str, environment: Environment
) -> dict[str, Any]:
    cell = make_cell(
        model=model.name,
        protocol_id=protocol.id,
        data_fingerprint=data.fingerprint,
        hardware=environment.hardware,
        threads=environment.threads if environment.device == "cpu" else 0,
        precision=environment.precision,
        train_size=size,
        seed=seed,
        weights=model.weights,
    )
    values = {"cell": cell, "protocol": protocol.to_dict(), "data": data, "environment": environment}
    return {**values, "created": created, "trials": _trials(model, protocol)}


def model_info(model: Fake, img_size: int) -> ModelInfo:
    """What is known of a made-up model once it is built."""
    stage = Stage(name="stage 1", height=4, width=4, channels=64)
    return ModelInfo(
        name=model.name,
        builder=model.name,
        family=model.family,
        params=model.params,
        provenance="from scratch" if model.weights == "scratch" else "timm weights a1_in1k",
        geometry=Geometry(img_size=img_size, stages=[stage], degenerate=list(model.degenerate)),
    )


def _trials(model: Fake, protocol: Protocol) -> list[TrialResult]:
    if protocol.lr_trials == 1:
        return []
    rates = protocol.learning_rates()
    return [
        TrialResult(
            lr=lr,
            dev_loss=0.5 + 0.1 * abs(k - model.best_trial),
            dev_top1=model.top1 - 0.02 * abs(k - model.best_trial),
        )
        for k, lr in enumerate(rates)
    ]


def _write_trial(
    store: Store,
    model: Fake,
    data: DataInfo,
    protocol: Protocol,
    size: int,
    trial: TrialResult,
    created: str,
    environment: Environment,
) -> None:
    base = _base(model, data, protocol, size, protocol.seeds[0], created, environment)
    base["cell"] = base["cell"].model_copy(update={"kind": "trial", "lr": trial.lr})
    store.write_run(make_run(**{**base, "trials": []}, train=make_train(model.speed / 3, lr=trial.lr)))


def make_train(speed: float = 200.0, **changes: Any) -> TrainMetrics:
    """Plausible training metrics, with some fields changed."""
    values: dict[str, Any] = {
        "steps": 20,
        "samples_seen": 1280,
        "epochs": 5.0,
        "batch_size": 32,
        "lr": 1e-3,
        "final_lr": 1e-6,
        "train_loss": 0.8,
        "loss_curve": [(1, 2.3), (20, 0.8)],
        "dev_loss_before_last_tenth": 0.51,
        "dev_loss": 0.5,
        "dev_top1": 0.9,
        "under_trained": False,
        "throughput_img_per_s": speed,
        "train_s": 1280 / speed,
        "eval_s": 1.0,
        "total_s": 1280 / speed + 2.0,
        "peak_bytes": 900_000_000,
    }
    return TrainMetrics(**{**values, **changes})


def _result(
    model: Fake, base: dict[str, Any], protocol: Protocol, share: float
) -> tuple[RunRecord, dict[str, NDArray[Any]]]:
    data, seed = base["data"], base["cell"].seed
    chance = 1 / len(data.classes)
    entropy = (seed, zlib.crc32(model.name.encode()))
    luck = np.random.default_rng(entropy).normal(0, 0.01)
    wanted = chance + (model.top1 - chance) * (1 - 0.35 * (1 - share**0.4)) + luck
    label, prediction = make_predictions(
        len(data.classes), data.n_test, wanted, (seed, zlib.crc32(model.name.encode()))
    )
    train = make_train(
        model.speed / 3 * (1 + luck),
        lr=protocol.learning_rates()[min(model.best_trial, protocol.lr_trials - 1)],
        under_trained=model.under_trained,
    )
    record = make_run(
        **base, model=model_info(model, protocol.img_size), train=train, test=make_metrics(label, prediction, data)
    )
    return record, {"index": np.arange(len(label)), "label": label, "prediction": prediction}


def make_predictions(
    classes: int, n: int, top1: float, entropy: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels and predictions int64 [n] with about the accuracy asked for; mistakes go to neighbouring classes."""
    label = np.arange(n) % classes
    difficulty = np.random.default_rng((7, n)).random(n)
    rng = np.random.default_rng(entropy)
    wrong = 0.7 * difficulty + 0.3 * rng.random(n) > np.quantile(0.7 * difficulty + 0.3 * rng.random(n), min(top1, 1.0))
    step = np.where(rng.random(n) < 0.6, 5, rng.integers(1, classes, n)) if classes > 5 else 1
    return label, np.where(wrong, (label + step) % classes, label)


def make_metrics(label: NDArray[np.int64], prediction: NDArray[np.int64], data: DataInfo) -> EvalMetrics:
    """Test metrics of given predictions; those that need logits are made up."""
    classes = len(data.classes)
    confusion = np.bincount(label * classes + prediction, minlength=classes**2).reshape(classes, classes)
    images = confusion.sum(axis=1)
    recall = [float(confusion[k, k] / images[k]) if images[k] else None for k in range(classes)]
    known = [value for value in recall if value is not None]
    return EvalMetrics(
        n=len(label),
        top1=float((label == prediction).mean()),
        top5=0.99 if classes > 10 else None,
        balanced_accuracy=sum(known) / len(known),
        nll=0.4,
        ece=0.05,
        confusion=confusion.tolist(),
        recall=recall,
    )


def _write_profile(
    store: Store, model: Fake, data: DataInfo, protocol: Protocol, created: str, environment: Environment
) -> None:
    profile = make_profile(
        model.name,
        model_info(model, protocol.img_size),
        environment,
        protocol.img_size,
        len(data.classes),
        created=created,
        macs=model.macs,
        speed=model.speed,
    )
    store.write_profile(profile.model_copy(update=dict(model.cost)))
