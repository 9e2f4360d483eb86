"""Evaluates given weights on a folder of images: each model in a process of its own, each outcome a record."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import UsageError
from bench.execution.costs import describe
from bench.execution.process import Worker, WorkerDied, WorkFailed
from bench.execution.site import failure
from bench.execution.worker import serve, settle_in
from bench.measure.environment import environment
from bench.measure.hardware import Hardware
from bench.protocol import content_hash
from bench.records import Environment, EvaluationMetrics, EvaluationRecord, EvaluationSpec, Failure
from bench.store import Store
from bench.study import Study, initial_weights
from bench.values import now

MAX_LOGITS = 60_000_000
"""Largest number of logits kept beside the predictions (120 MB as float16)."""


@dataclass(frozen=True)
class Request:
    """One model to be evaluated. Plain and picklable."""

    spec: EvaluationSpec
    """What stands in the record."""
    folder: Path
    """The folder of images."""
    hardware: Hardware
    """The device as resolved."""
    environment: Environment
    """Goes into the record."""
    root: Path
    """Output folder."""
    checkpoint: Path | None
    """File with the weights; None for published ones."""
    plugins: tuple[str, ...]
    """Modules to import first."""

    @property
    def id(self) -> str:
        """Content hash of the request."""
        return content_hash(self.spec.model_dump(mode="json"))


def requests_of(study: Study, hardware: Hardware, command: str) -> list[Request]:
    """One request per model of a study. Raises UsageError where the dataset is no folder."""
    folder = Path(study.protocol.dataset).expanduser()
    if not folder.exists():
        raise UsageError(
            f"--task evaluate needs --dataset FOLDER with class folders or tar shards; there is no {folder}."
        )
    listed, weights, files = folder_sha256(folder), initial_weights(study), study.checkpoints()
    here = environment(hardware, command)
    return [
        Request(
            spec=EvaluationSpec(
                model=model, weights=weights[model], folder_sha256=listed, img_size=study.test_px,
                crop_pct=study.crop_pct, interpolation=study.interpolation, crop_mode=study.crop_mode,
                hardware=hardware.name,
            ),
            folder=folder, hardware=hardware, environment=here, root=study.output, checkpoint=files.get(model),
            plugins=study.plugins,
        )
        for model in study.models
    ]  # fmt: skip


def folder_sha256(folder: Path) -> str:
    """SHA-256 of every file's name, size and time of change, below a folder or of one file."""
    digest = hashlib.sha256()
    walked = sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
    for path in walked or [str(folder)]:
        found = os.stat(path)
        digest.update(f"{os.path.relpath(path, folder)} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def evaluate(requests: list[Request], *, fresh: bool) -> Iterator[EvaluationRecord]:
    """Evaluate every request that has no good record, one after the other; the new records as they are written."""
    for request in requests:
        store = Store(request.root)
        folder = store.evaluation_folder(request.spec.model, request.id)
        if not fresh and store.is_done(folder):
            continue
        with Worker(_work, (request,), request.spec.model) as worker:
            try:
                record: EvaluationRecord = worker.ask(("evaluate",))
            except (WorkerDied, WorkFailed) as error:
                record = _record(request, failure=describe(error))
                store.write_evaluation(record, {})
        yield record


def _work(connection: Connection, request: Request, parent: int) -> None:
    """Serve the one evaluation of a worker process."""
    settle_in(parent, request.hardware.threads, request.plugins)
    serve(connection, {"evaluate": lambda: _evaluate(request)})


def _evaluate(request: Request) -> EvaluationRecord:
    """Judge one model and write its record, whatever comes of it."""
    try:
        record, arrays = _judged(request)
    except Exception as error:
        record, arrays = _record(request, failure=failure(error)), {}
    Store(request.root).write_evaluation(record, arrays)
    return record


def _judged(request: Request) -> tuple[EvaluationRecord, dict[str, Any]]:
    import torch

    from bench.data.decode import usable_cpus
    from bench.models.build import build
    from bench.training.metrics import ece, log_softmax, nll, top_k
    from bench.training.validate import outputs_of, test_size, validate

    spec, device = request.spec, torch.device(request.hardware.device)
    outputs = outputs_of(spec.model, request.checkpoint)
    model, info = build(
        spec.model, num_classes=outputs, img_size=spec.img_size or test_size(spec.model),
        pretrained=spec.weights == "pretrained", checkpoint=request.checkpoint,
    )  # fmt: skip
    model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = validate(
        model, request.folder, device=device, workers=min(16, usable_cpus()), img_size=spec.img_size,
        crop_pct=spec.crop_pct, interpolation=spec.interpolation, crop_mode=spec.crop_mode,
    )  # fmt: skip
    if not len(found.labels):
        raise UsageError(f"no image below {request.folder} decodes")
    logits, labels = found.logits, found.labels
    real, chances = found.real_top1(), log_softmax(logits)
    predictions = logits.argmax(1)
    right = int((predictions == labels).sum())
    competing = len(found.mapping.known)
    metrics = EvaluationMetrics(
        n=len(labels), classes=competing, outputs=outputs, named_by=found.mapping.named_by,
        restricted=found.mapping.restricted, corrupt=list(found.corrupt), notes=list(found.notes),
        right=right, top1=right / len(labels),
        top5=top_k(logits, labels, 5) if competing > 10 else None, nll=nll(chances, labels),
        ece=ece(np.exp(chances.max(1)), predictions == labels),
        real_right=real[0] if real else None, real_n=real[1] if real else None,
        img_size=int(found.config["input_size"][-1]), crop_pct=float(found.config["crop_pct"]),
        crop_mode=str(found.config["crop_mode"]), interpolation=str(found.config["interpolation"]),
        mean=[float(v) for v in found.config["mean"]], std=[float(v) for v in found.config["std"]],
        seconds=found.seconds, throughput_img_per_s=(len(labels) + len(found.corrupt)) / found.seconds,
    )  # fmt: skip
    arrays: dict[str, Any] = {"image": np.array(found.files), "label": labels, "prediction": predictions}
    if logits.size <= MAX_LOGITS:
        arrays["logits"] = logits.astype(np.float16)
    return _record(request, model=info, metrics=metrics), arrays


def _record(request: Request, failure: Failure | None = None, **results: Any) -> EvaluationRecord:
    return EvaluationRecord(
        id=request.id, spec=request.spec, status="failed" if failure else "ok", created=now(),
        dataset=str(request.folder), environment=request.environment, failure=failure, **results,
    )  # fmt: skip
