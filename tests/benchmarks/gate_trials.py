"""Do the gates catch what they should, and only that? `python -m tests.benchmarks.gate_trials --output FILE.md`.

Slow-downs and losses of accuracy are planted on purpose, while other processes burn the processors in random bursts,
and the alarms are counted. Every trial and every training is appended to FILE.jsonl as it ends; the same command goes
on from there, so that a long run can be made in pieces (`--limit`).

Speed: base and head are two temporary repositories that register the same model; head's applies some of its equal
blocks more often, so that it does 5, 15 or 30 % more of the same work. A trial is one whole gate, retry included.

Accuracy: a small model is trained with many seeds as it is, and with each defect. A trial draws ten seeds of the sound
trainings as its baseline and judges four trainings with the defect on the first of these seeds; "seeds drawn anew" are
four other sound trainings, the case for which the tolerance is calibrated.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.intervals import wilson
from bench.gates.accuracy import Trainer
from bench.gates.baseline import pack, unpack
from bench.gates.calibration import CHECK_SEEDS, SEEDS, compare_accuracy, compare_agreement
from bench.gates.findings import Finding
from bench.gates.speed import compare_speed
from bench.measure.hardware import detect
from bench.protocol import PRESETS, Protocol
from bench.report.words import pipe_table

SLOW_DOWNS = (0, 5, 15, 30)
"""Planted slow-downs in percent."""
BLOCKS = 20
"""Equal blocks of the timed model; 5 % of them is one."""
MODEL = "test_convnext"
"""The model that is trained."""
POOL, WITH_DEFECT = 30, 15
"""Seeds trained as they are, and with each defect."""

PLANTED = """\
import torch
from timm.models import register_model
from torch import nn


class Planted(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.embed = nn.Conv2d(3, 64, 4, 4)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)) for _ in range({blocks})
        )
        self.head = nn.Linear(64, num_classes)

    def forward(self, images):
        x = self.embed(images).flatten(2).transpose(1, 2)
        for block in [*self.blocks, *self.blocks[:{extra}]]:
            x = x + block(x)
        return self.head(x.mean(1))


@register_model
def planted(pretrained=False, num_classes=10, **kwargs):
    return Planted(num_classes)
"""

BURNER = """\
import random, sys, time
random.seed(int(sys.argv[1]))
while True:
    end = time.perf_counter() + random.uniform(0.02, 1.0)
    while time.perf_counter() < end:
        sum(range(2000))
    time.sleep(random.uniform(0.02, 1.0))
"""


@dataclass(frozen=True)
class Defect:
    """Something that a change of code could break."""

    name: str
    """As the table says it."""
    protocol: Callable[[Protocol], Protocol] = lambda protocol: protocol
    """What the protocol becomes."""
    mislabelled: float = 0.0
    """Part of the training images that get the label of another one."""


DEFECTS = (
    Defect("seeds drawn anew"),
    Defect("budget 10 % shorter", lambda p: replace(p, samples_seen=round(0.9 * p.samples_seen))),
    Defect("budget halved", lambda p: replace(p, samples_seen=p.samples_seen // 2)),
    Defect("learning rate 3 times too low", lambda p: replace(p, lr=p.lr / 3)),
    Defect("learning rate 10 times too high", lambda p: replace(p, lr=10 * p.lr)),
    Defect("10 % of the labels shuffled", mislabelled=0.1),
    Defect("30 % of the labels shuffled", mislabelled=0.3),
)


class Ledger:
    """What is done, one JSON line each."""

    def __init__(self, file: Path, limit: int) -> None:
        self.file, self.left = file, limit
        lines = file.read_text().splitlines() if file.exists() else []
        self.entries: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def do(self, key: dict[str, Any], work: Callable[[], dict[str, Any]]) -> None:
        """Do and append one piece of work unless it is done or the limit is reached."""
        if self.left <= 0 or any(key.items() <= entry.items() for entry in self.entries):
            return
        begin = time.perf_counter()
        entry = {**key, **work(), "seconds": round(time.perf_counter() - begin, 1)}
        with self.file.open("a") as out:
            out.write(json.dumps(entry) + "\n")
        self.entries.append(entry)
        self.left -= 1
        print({k: v for k, v in entry.items() if k != "predictions"}, file=sys.stderr, flush=True)

    def of(self, **key: Any) -> list[dict[str, Any]]:
        """The entries with these values."""
        return [entry for entry in self.entries if key.items() <= entry.items()]


def main() -> None:
    """Run what is left, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20, help="trials of each planted change")
    parser.add_argument("--only", choices=("speed", "accuracy"), help="only one of the gates")
    parser.add_argument("--limit", type=int, default=10**9, help="stop after this many trials and trainings")
    parser.add_argument("--planted", type=int, nargs="+", default=SLOW_DOWNS, help="slow-downs to plant, in percent")
    parser.add_argument("--burners", type=int, default=2, help="processes that compete for the processors")
    parser.add_argument("--output", type=Path, required=True, help="Markdown file to write")
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(args.output.with_suffix(".jsonl"), args.limit)
    with competing_load(args.burners):
        if args.only != "accuracy":
            for trial in range(args.trials):
                for percent in args.planted:
                    ledger.do({"gate": "speed", "planted": percent, "trial": trial}, partial(speed_trial, percent))
        if args.only != "speed":
            train_all(ledger)
    text = f"{speed_table(ledger)}\n\n{accuracy_table(ledger, args.trials)}\n"
    args.output.write_text(text)
    print(text)


@contextlib.contextmanager
def competing_load(processes: int) -> Iterator[None]:
    """Processes that compute for up to a second, rest for up to a second, and so on."""
    burners = [subprocess.Popen([sys.executable, "-c", BURNER, str(k)]) for k in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def speed_trial(percent: int) -> dict[str, Any]:
    """One whole gate 3 on a head that does `percent` more work than the base."""
    with tempfile.TemporaryDirectory() as folder:
        repositories = [Path(folder) / side for side in ("base", "head")]
        for repository, extra in zip(repositories, (0, round(BLOCKS * percent / 100)), strict=True):
            repository.mkdir()
            (repository / "planted_model.py").write_text(PLANTED.replace("{blocks}", str(BLOCKS)).replace(
                "{extra}", str(extra)))  # fmt: skip
        sys.path.insert(0, str(repositories[1]))
        try:
            outcome = compare_speed(
                ["planted"],
                replace(PRESETS["gate"], batch_size=4),
                10,
                base=repositories[0],
                plugins=["planted_model"],
                hardware=detect("cpu", "fp32"),
                log=lambda line: None,
            )
        finally:
            sys.path.remove(str(repositories[1]))
    return {"alarm": outcome.status == "failed", "found": [_found(f) for f in outcome.findings]}


def _found(finding: Finding) -> str:
    return f"{finding.quantity}: {finding.change}: {finding.verdict}"


def train_all(ledger: Ledger) -> None:
    """Train the sound model with every seed, and each defect with some."""
    from bench.execution.local import prepare_data
    from bench.study import Study

    info, cache_dir = prepare_data(Study(models=(MODEL,), protocol=PRESETS["gate"]))
    assert info is not None
    hardware = detect("cpu", "fp32")
    for defect in (Defect("none"), *DEFECTS[1:]):
        trainer = Trainer(defect.protocol(PRESETS["gate"]), info, cache_dir, hardware)
        if defect.mislabelled:
            _shuffle_labels(trainer, defect.mislabelled)
        for seed in range(POOL if defect.name == "none" else WITH_DEFECT):
            key = {"gate": "accuracy", "planted": defect.name, "seed": seed}
            ledger.do(key, partial(_training, trainer, seed))
    if not ledger.of(gate="labels"):
        sound = Trainer(PRESETS["gate"], info, cache_dir, hardware)
        ledger.do({"gate": "labels"}, lambda: {"predictions": pack(sound.labels)})


def _training(trainer: Trainer, seed: int) -> dict[str, Any]:
    return {"predictions": pack(trainer.predictions(MODEL, seed))}


def _shuffle_labels(trainer: Trainer, part: float) -> None:
    """Give a random part of the training images each other's labels, in the targets of the training steps only."""
    targets = trainer.data._targets["train"]
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(targets), round(part * len(targets)), replace=False)
    targets[chosen] = targets[rng.permutation(chosen)]


def speed_table(ledger: Ledger) -> str:
    """Alarms of gate 3 for each planted slow-down."""
    rows = []
    for percent in SLOW_DOWNS:
        trials = ledger.of(gate="speed", planted=percent)
        if trials:
            seconds = np.median([t["seconds"] for t in trials])
            rows.append([f"{percent} % slower", *_alarms([t["alarm"] for t in trials]), f"{seconds:.0f}"])
    return pipe_table(["planted", "alarms", "rate, 95 % interval", "seconds per trial"], rows, right=(1, 3))


def accuracy_table(ledger: Ledger, trials: int) -> str:
    """Alarms of gate 2 for each defect, over trials drawn from the trainings."""
    labels = [unpack(entry["predictions"]) for entry in ledger.of(gate="labels")]
    sound = _pool(ledger, "none")
    rows = []
    for number, defect in enumerate(DEFECTS):
        broken = _pool(ledger, defect.name) if number else sound
        if not labels or len(sound) < SEEDS + CHECK_SEEDS or len(broken) < CHECK_SEEDS:
            continue
        alarms = []
        for trial in range(trials):
            rng = np.random.default_rng((trial, number))
            new = rng.permutation(len(broken))[:CHECK_SEEDS]
            others = rng.permutation([k for k in range(len(sound)) if k not in new])
            old = others[:SEEDS] if number == 0 else [*new, *others[: SEEDS - CHECK_SEEDS]]
            alarms.append(_alarm(sound[old], broken[new], labels[0]))
        drop = 100 * float((sound == labels[0]).mean() - (broken == labels[0]).mean())
        rows.append([defect.name, f"{drop:.1f}", *_alarms(alarms)])
    return pipe_table(["planted", "accuracy lost, points", "alarms", "rate, 95 % interval"], rows, right=(1, 2))


def _alarm(old: NDArray[np.int64], new: NDArray[np.int64], labels: NDArray[np.int64]) -> bool:
    return compare_accuracy(old, new, labels, 1).fell or compare_agreement(old, new, 1).fell


def _pool(ledger: Ledger, name: str) -> NDArray[np.int64]:
    entries = sorted(ledger.of(gate="accuracy", planted=name), key=lambda entry: int(entry["seed"]))
    return np.array([unpack(entry["predictions"]) for entry in entries])


def _alarms(alarms: list[bool]) -> list[str]:
    low, high = wilson(sum(alarms), len(alarms))
    return [f"{sum(alarms)} of {len(alarms)}", f"{sum(alarms) / len(alarms):.2f} [{low:.2f}, {high:.2f}]"]


if __name__ == "__main__":
    main()
