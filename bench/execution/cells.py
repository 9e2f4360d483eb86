"""Runs one cell inside a worker process; every outcome becomes a record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.data.share import Share
from bench.data.splits import dev_split, index_sha256, subset
from bench.errors import UsageError
from bench.execution.features import features
from bench.execution.process import WorkFailed
from bench.execution.site import Made, Site, failed_run, failure, write
from bench.measure.memory import peak_resident_bytes
from bench.measure.sweep import give_back_memory, is_out_of_memory
from bench.models.weights import CheckpointError
from bench.records import (
    CellSpec,
    EvalMetrics,
    LinearMetrics,
    ModelInfo,
    RunRecord,
    SubsetInfo,
    TrainMetrics,
    TrialResult,
)
from bench.store import Store, StoreError, cell_id
from bench.training.evaluate import has_batchnorm, predict
from bench.training.fit import Fit, fit, training_rate
from bench.training.linear import STRENGTHS, LinearFit, fit_linear
from bench.training.metrics import evaluate_logits
from bench.training.state import Keeper
from bench.training.step import Engine
from bench.values import now

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bench.data.batches import ImageData

MAX_LOGITS = 4_000_000
"""Largest number of logits kept beside the predictions of a run (16 MB as float32)."""


@dataclass
class _Trained:
    """A trained model and how it came about; kept so that the best trial need not be trained twice."""

    key: tuple[str, str, int, int, float]
    model: nn.Module
    info: ModelInfo
    fit: Fit
    build_s: float

    def worse_than(self, other: _Trained) -> bool:
        """Whether `other` is the one to keep: the better of two trials of one sweep, the newer of two sweeps."""
        return self.key[:2] != other.key[:2] or other.fit.dev_loss < self.fit.dev_loss


@dataclass
class Bench:
    """The state of a worker: the dataset on its device, and the best trial so far."""

    site: Site
    on_images: Callable[[int], None] = lambda images: None
    _data: ImageData | None = None
    _best: _Trained | None = None
    _info: ModelInfo | None = None
    _unfit: CheckpointError | None = None
    _splits: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    _engine: Engine | None = None
    _frozen: tuple[nn.Module, ModelInfo] | None = None
    _fits: dict[tuple[str, str], LinearFit] = field(default_factory=dict)

    def run_cell(self, cell: CellSpec, lr: float, trials: list[TrialResult], keep_weights: bool = False) -> RunRecord:
        """Train and evaluate one cell, write its record (weights first, if kept) and return it. Raises StoreError."""
        store = Store(self.site.root)
        keeper = None
        if self.site.save_every_s > 0:
            keeper = Keeper(partial(store.read_state, cell), partial(store.write_state, cell), self.site.save_every_s)
        made = self.make(cell, lr, trials, keep_weights, keeper)
        if self.site.share.rank == 0:
            write(made, store)
        return made.record

    def make(
        self,
        cell: CellSpec,
        lr: float,
        trials: list[TrialResult],
        keep_weights: bool = False,
        keeper: Keeper | None = None,
    ) -> Made:
        """Train and evaluate one cell; whatever fails is in the record. Writes nothing but states, by `keeper`."""
        try:
            return self._run(cell, lr, trials, keep_weights, keeper)
        except StoreError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                self.engine.forget()
            give_back_memory(self.device)
            if not self.site.share.alone:
                raise WorkFailed(failure(error)) from error  # the others that train with it have to be ended first
            return Made(failed_run(self.site, cell, failure(error), trials))

    def training_rate(self, model: str, weights: str, seconds: float = 0.0) -> float:
        """Training images per second over a few steps, and so many seconds at least. Writes nothing."""
        train_idx, _ = self._indices()
        built, _ = self._build(model, weights, seed=0)
        return training_rate(
            built,
            self.data,
            train_idx,
            protocol=self.site.protocol,
            engine=self.engine,
            seconds=seconds,
        )

    def check_weights(self, model: str) -> None:
        """Raise UsageError where the checkpoint of this worker's model does not fit; any other trouble waits."""
        try:
            self._build(model, "checkpoint", seed=0)
        except UsageError:
            raise
        except Exception:
            return  # the model's own fault, which becomes the record of its cells

    @property
    def device(self) -> torch.device:
        """Where models and images are."""
        import torch

        return torch.device(self.site.hardware.device)

    @property
    def engine(self) -> Engine:
        """What makes the steps of all trainings of this worker."""
        if self._engine is None:
            site = self.site
            self._engine = Engine(
                site.hardware.precision, self.device, site.images_left, share=site.share, parts=site.parts
            )
        return self._engine

    @property
    def data(self) -> ImageData:
        """The dataset, loaded onto the device on first use."""
        if self._data is None:
            from bench.data.batches import load

            self._data = load(
                self.site.data,
                cache_dir=self.site.cache_dir,
                img_size=self.site.protocol.img_size,
                device=self.device,
            )
        return self._data

    def _run(
        self, cell: CellSpec, lr: float, trials: list[TrialResult], keep_weights: bool, keeper: Keeper | None
    ) -> Made:
        train_idx, dev_idx = self._indices()
        data = self.data.under(cell.intervention, cell.seed)
        chosen = subset(data.labels("train"), train_idx, cell.train_size, cell.seed)
        if self.site.protocol.task == "linear":
            return self._run_linear(cell, data, chosen, dev_idx)
        trained = self._train(cell, lr, data, chosen, dev_idx, keeper)
        metrics, predictions, test_s = None, None, 0.0
        if cell.kind == "run":
            metrics, predictions, test_s = test(trained.model, self._as_recorded(data, trained.info), self.site.share)
        elif self._best is None or self._best.worse_than(trained):
            self._best = trained
        weights = packed_weights(trained.model) if keep_weights else None
        train = train_metrics(trained, self.site, len(chosen), test_s, self._peak_bytes())
        results = {"model": trained.info, "train": train, "test": metrics, "trials": trials}
        return Made(self._record(cell, chosen, dev_idx, results), predictions, weights)

    def _run_linear(
        self, cell: CellSpec, data: ImageData, chosen: NDArray[np.int64], dev_idx: NDArray[np.int64]
    ) -> Made:
        """Fit a classifier on features that are made once for all cells of a model."""
        labels = data.labels("train")
        frozen, info = self._frozen_model(cell)
        shown = self._as_recorded(data, info)
        what = cell.intervention if cell.intervention == "none" else f"{cell.intervention} seed {cell.seed}"
        seen = features(frozen, shown, what=what, cache_dir=self.site.cache_dir)
        begin, same = time.perf_counter(), (what, index_sha256(chosen))
        if same not in self._fits:  # at the full size all seeds have the same images
            self._fits[same] = fit_linear(
                seen.train[chosen], labels[chosen], seen.train[dev_idx], labels[dev_idx],
                classes=len(self.site.data.classes), device=self.device,
            )  # fmt: skip
        found, fit_s = self._fits[same], time.perf_counter() - begin
        answers = found.logits(seen.test)
        mean, std = shown.moments
        linear = LinearMetrics(
            features=seen.train.shape[1],
            weights_sha256=seen.weights_sha256,
            mean=mean,
            std=std,
            l2=found.l2,
            l2_tried=list(STRENGTHS),
            dev_losses=list(found.dev_losses),
            dev_loss=min(found.dev_losses),
            dev_top1=found.dev_top1,
            iterations=found.iterations,
            converged=found.converged,
            extract_s=seen.extract_s,
            fit_s=fit_s,
        )
        metrics, predictions = judged(answers, data.labels("test"))
        return Made(
            self._record(cell, chosen, dev_idx, {"model": info, "linear": linear, "test": metrics}), predictions
        )

    def _frozen_model(self, cell: CellSpec) -> tuple[nn.Module, ModelInfo]:
        """The model with its initial weights, which are the same for all cells, built once."""
        if self._frozen is None:
            self._frozen = self._build(cell.model, cell.weights, self.site.protocol.seeds[0])
        return self._frozen

    def _as_recorded(self, data: ImageData, info: ModelInfo) -> ImageData:
        """The images, normalised as the model's weights were made with where the task starts from such weights."""
        if self.site.protocol.task == "scratch" or info.mean is None or info.std is None:
            return data
        return data.normalised(info.mean, info.std)

    def _record(
        self, cell: CellSpec, chosen: NDArray[np.int64], dev_idx: NDArray[np.int64], results: dict[str, Any]
    ) -> RunRecord:
        return RunRecord(
            id=cell_id(cell),
            cell=cell,
            status="ok",
            created=now(),
            protocol=self.site.protocol.to_dict(),
            data=self.site.data,
            environment=self.site.environment,
            subset=SubsetInfo(
                size=len(chosen),
                index_sha256=index_sha256(chosen),
                dev_size=len(dev_idx),
                dev_sha256=index_sha256(dev_idx),
            ),
            **results,
        )

    def _train(
        self,
        cell: CellSpec,
        lr: float,
        data: ImageData,
        chosen: NDArray[np.int64],
        dev_idx: NDArray[np.int64],
        keeper: Keeper | None,
    ) -> _Trained:
        """A model trained as `cell` asks; the best trial's own if it is the same training, bit for bit."""
        key = _key(cell, lr)
        if self._best is not None and self._best.key == key:
            best, self._best = self._best, None
            return best
        start = time.perf_counter()
        model, info = self._build(cell.model, cell.weights, cell.seed)
        built = time.perf_counter() - start
        result = fit(
            model,
            self._as_recorded(data, info),
            chosen,
            dev_idx,
            protocol=self.site.protocol,
            lr=lr,
            seed=cell.seed,
            engine=self.engine,
            on_step=self.on_images,
            keeper=keeper,
        )
        return _Trained(key, model, info, result, built)

    def _build(self, model: str, weights: str, seed: int) -> tuple[nn.Module, ModelInfo]:
        """A fresh model on the device."""
        import torch

        from bench.models.build import build

        if self._unfit is not None:
            raise self._unfit
        try:
            built, self._info = build(
                model,
                num_classes=len(self.site.data.classes),
                img_size=self.site.protocol.img_size,
                drop=self.site.protocol.drop,
                drop_path=self.site.protocol.drop_path,
                pretrained=weights == "pretrained",
                checkpoint=self.site.checkpoint,
                seed=seed,
                known=self._info,
            )
        except CheckpointError as error:
            self._unfit = error  # a hub that cannot be reached is not tried again for every cell
            raise
        return built.to(self.device).to(memory_format=torch.channels_last), self._info

    def _indices(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Train and dev indices into the train split, the same for all cells."""
        if not self._splits:
            labels = self.data.labels("train")
            self._splits["train"], self._splits["dev"] = dev_split(labels, self.site.protocol.dev_fraction)
        return self._splits["train"], self._splits["dev"]

    def _peak_bytes(self) -> int:
        if self.device.type == "cuda":
            import torch

            return int(torch.cuda.max_memory_allocated(self.device))
        return peak_resident_bytes()


def test(model: nn.Module, data: ImageData, share: Share) -> tuple[EvalMetrics, dict[str, NDArray[Any]], float]:
    """Open the test split, once, after training: metrics, what goes into predictions.npz, seconds."""
    start = time.perf_counter()
    labels = data.labels("test")
    logits = predict(model, data, "test", np.arange(len(labels), dtype=np.int64), share=share)
    metrics, arrays = judged(logits, labels)
    return metrics, arrays, time.perf_counter() - start


def judged(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[EvalMetrics, dict[str, NDArray[Any]]]:
    """Metrics of the test split's logits [images, classes], and what goes into predictions.npz."""
    index = np.arange(len(labels), dtype=np.int64)
    arrays: dict[str, NDArray[Any]] = {"index": index, "label": labels, "prediction": logits.argmax(1)}
    if logits.size <= MAX_LOGITS:
        arrays["logits"] = logits
    return evaluate_logits(logits, labels), arrays


def packed_weights(model: nn.Module) -> bytes:
    """A model's parameters and buffers as the content of a safetensors file."""
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})


def train_metrics(trained: _Trained, site: Site, size: int, test_s: float, peak_bytes: int) -> TrainMetrics:
    """The record's view of a training."""
    result, protocol = trained.fit, site.protocol
    normed = has_batchnorm(trained.model)
    samples = result.steps * protocol.batch_size
    return TrainMetrics(
        steps=result.steps,
        samples_seen=samples,
        epochs=samples / size,
        batch_size=protocol.batch_size,
        lr=result.lr,
        final_lr=result.final_lr,
        train_loss=result.train_loss,
        loss_curve=result.loss_curve,
        dev_loss_before_last_tenth=result.dev_loss_before_last_tenth,
        dev_loss=result.dev_loss,
        dev_top1=result.dev_top1,
        under_trained=result.under_trained,
        throughput_img_per_s=result.throughput_img_per_s,
        train_s=result.train_s,
        eval_s=result.eval_s + test_s,
        total_s=trained.build_s + result.setup_s + result.train_s + result.eval_s + test_s,
        step=result.step,
        setup_s=result.setup_s,
        devices=site.share.ranks,
        parts=result.parts,
        resumed=result.resumed,
        bn_samples=result.bn_samples,
        bn_batch=protocol.batch_size // result.parts if normed else None,
        bn_synchronised=normed and not site.share.alone,
        peak_bytes=peak_bytes,
    )


def _key(cell: CellSpec, lr: float) -> tuple[str, str, int, int, float]:
    """What decides a training, given the site: two cells with equal keys train bit-identical models."""
    return (cell.model, cell.intervention, cell.train_size, cell.seed, lr)
