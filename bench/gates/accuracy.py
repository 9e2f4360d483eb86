"""Gate 2: do models trained by this code still predict as well, and the same, as those of the baseline?

The study is small and seeded: each model is trained from scratch at the protocol's centre learning rate on its
largest train size, once per seed, and predicts the test split. Training is in float32 unless the protocol says
bfloat16, and on one thread of a CPU: sums in one order, on any number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from bench.gates.baseline import Baseline, Reference, SeedRuns, pack, torch_minor, unpack
from bench.gates.calibration import (
    CHECK_SEEDS,
    SEEDS,
    Comparison,
    Predictions,
    compare_accuracy,
    compare_agreement,
    identical,
)
from bench.gates.exact import one_line
from bench.gates.findings import Finding, GateName, Outcome, Verdict, judged
from bench.measure.environment import environment
from bench.measure.hardware import Hardware
from bench.protocol import Protocol
from bench.report.words import NOTHING, percent, points
from bench.values import now

if TYPE_CHECKING:
    from pathlib import Path

    from bench.data.batches import ImageData
    from bench.data.info import DataInfo

GATE: GateName = "2 accuracy"


class Trainer:
    """Trains models of one protocol on one device."""

    def __init__(self, protocol: Protocol, info: DataInfo, cache_dir: Path, hardware: Hardware) -> None:
        import torch

        from bench.data.batches import load
        from bench.execution.worker import full_precision
        from bench.training.step import Engine

        full_precision()
        self.protocol, self.info, self.hardware = protocol, info, hardware
        self.device = torch.device(hardware.device)
        self.data: ImageData = load(info, cache_dir=cache_dir, img_size=protocol.img_size, device=self.device)
        self.engine = Engine(self.precision, self.device)

    @property
    def labels(self) -> Predictions:
        """Labels int64 [images] of the test split."""
        return self.data.labels("test")

    def predictions(self, model: str, seed: int) -> Predictions:
        """Predicted classes int64 [images] of the test split after one training. Raises whatever training raises."""
        import torch

        from bench.data.splits import dev_split, resolve_train_sizes, subset
        from bench.models.build import build
        from bench.training.evaluate import predict
        from bench.training.fit import fit

        p = self.protocol
        train_labels = self.data.labels("train")
        train_idx, dev_idx = dev_split(train_labels, p.dev_fraction)
        size = max(resolve_train_sizes(p.train_sizes, len(train_idx)))
        built, _ = build(
            model,
            num_classes=len(self.info.classes),
            img_size=p.img_size,
            drop=p.drop,
            drop_path=p.drop_path,
            seed=seed,
        )
        built = built.to(self.device).to(memory_format=torch.channels_last)
        with _one_thread(self.device.type):
            fit(
                built,
                self.data,
                subset(train_labels, train_idx, size, seed),
                dev_idx,
                protocol=p,
                lr=p.lr,
                seed=seed,
                engine=self.engine,
            )
            logits = predict(built, self.data, "test", np.arange(len(self.labels), dtype=np.int64))
        predicted: Predictions = logits.argmax(axis=1)
        return predicted

    @property
    def precision(self) -> str:
        """Training arithmetic: `auto` is float32 here, so that machines with and without bfloat16 do the same."""
        return "bf16" if self.protocol.precision == "bf16" else "fp32"


def make_reference(trainer: Trainer, models: Sequence[str], log: Callable[[str], None]) -> Reference:
    """Train every model with every seed; one that cannot be trained is left out, with the reason."""
    runs: dict[str, SeedRuns] = {}
    left_out: dict[str, str] = {}
    for name in models:
        try:
            found = np.stack([trainer.predictions(name, seed) for seed in range(SEEDS)])
        except Exception as error:
            left_out[name] = one_line(error)
            log(f"{name}: {left_out[name]}")
            continue
        accuracy = (found == trainer.labels).mean(axis=1)
        runs[name] = SeedRuns(predictions=[pack(row) for row in found], accuracy=[float(a) for a in accuracy])
        log(f"{name}: trained {SEEDS} times, accuracy {percent(accuracy.mean())} ± {percent(accuracy.std(ddof=1))} %")
    made_by = environment(trainer.hardware, "")
    return Reference(
        created=now(),
        hardware=made_by.hardware,
        versions=made_by.versions,
        data_fingerprint=trainer.info.fingerprint,
        labels=pack(trainer.labels),
        models=runs,
        left_out=left_out,
    )


def reference_for(baseline: Baseline, torch_version: str) -> Reference | str:
    """The reference of this minor version of torch, or one sentence that says why gate 2 cannot be run."""
    minor = torch_minor(torch_version)
    found = baseline.references.get(minor)
    if found is not None:
        return found
    known = ", ".join(sorted(baseline.references)) or "none"
    return (
        f"this is torch {minor} and the baseline knows torch {known}: predictions of different versions are not "
        "compared; --save-baseline with this torch adds it to the file"
    )


def compare(reference: Reference, trainer: Trainer, log: Callable[[str], None]) -> Outcome:
    """Train the first seeds again and hold them against the reference."""
    if trainer.info.fingerprint != reference.data_fingerprint:
        moved = Finding(
            GATE,
            "data",
            f"{trainer.info.dataset}: fingerprint",
            reference.data_fingerprint[:12],
            trainer.info.fingerprint[:12],
            "other images or labels",
            "FAIL",
        )
        return judged(GATE, [moved], "")
    findings: list[Finding] = []
    for name, runs in reference.models.items():
        old = np.stack([unpack(text) for text in runs.predictions])
        try:
            new = np.stack([trainer.predictions(name, seed) for seed in range(CHECK_SEEDS)])
        except Exception as error:
            findings.append(Finding(GATE, name, "training", "works", one_line(error), NOTHING, "FAIL"))
            log(f"{name}: {one_line(error)}")
            continue
        findings += _rows(name, old, new, unpack(reference.labels), len(reference.models))
        log(f"{name}: trained {CHECK_SEEDS} times, {findings[-1].head} identical")
    return judged(
        GATE,
        findings,
        f"{len(reference.models)} models trained {CHECK_SEEDS} times each, none worse than its {SEEDS} seeds in the "
        "baseline allow",
    )


def _rows(name: str, old: Predictions, new: Predictions, labels: Predictions, models: int) -> list[Finding]:
    """Accuracy, agreement, and how many trainings are repeated to the last prediction."""
    same = identical(old, new)
    rows = []
    for quantity, found in (
        ("accuracy %", compare_accuracy(old, new, labels, models)),
        ("agreement between seeds %", compare_agreement(old, new, models)),
    ):
        rows.append(_row(name, quantity, found, same == len(new)))
    alike = f"{percent(float((old[: len(new)] == new).mean()))} % of predictions are the same"
    moved = "none" if same == len(new) else alike
    return [*rows, Finding(GATE, name, "repeated bit for bit", str(len(new)), f"{same} of {len(new)}", moved, "ok")]


def _row(name: str, quantity: str, found: Comparison, same: bool) -> Finding:
    """A repeated training cannot be a regression, whatever seeds it happens to be."""
    verdict: Verdict = "ok" if same else "FAIL" if found.fell else "better" if found.rose else "ok"
    moved = "none" if same else f"{points(found.head - found.base)} (may fall {percent(found.tolerance)})"
    return Finding(GATE, name, quantity, percent(found.base), percent(found.head), moved, verdict)


@contextmanager
def _one_thread(device: str) -> Iterator[None]:
    """Compute on one thread of a CPU meanwhile."""
    import torch

    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
