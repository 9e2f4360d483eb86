"""Every figure that needs a CUDA GPU, the most wanted first: `python -m tests.benchmarks.on_gpu --data FOLDER`.

Each step is a command of its own with a limit of its own; what it prints goes to a file of its own below `--output`.
A step that was done is not done again, and one that does not fit into what is left of `--minutes` is left for the next
call, so that a GPU that is there for a quarter of an hour at a time is enough. The board's records are kept by the
study itself, which goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BOARD = "resnet50,vit_b16,swin_t,cvt_13,convnext_t,deit_s,sequencer2d_s"
GRACE_S = 20.0
"""Seconds that a command has to put its work away after it was interrupted."""


@dataclass(frozen=True)
class Step:
    """One command that prints figures."""

    name: str
    """What its file is called."""
    seconds: float
    """Longest time it may take."""
    argv: tuple[str, ...]
    """What follows `python`."""
    goes_on: bool = False
    """Whether a later call goes on where an interrupted one stopped."""


def steps(data: str, output: Path) -> list[Step]:
    """All of them, in the order of their worth."""
    loop = "tests.benchmarks.training_floor"
    plain = ("-m", "tests.benchmarks.plain_training", "--data", data, "--seconds", "2")
    study = ("run_bench.py", "--models", BOARD, "--dataset", data, "--protocol", "standard", "--output")
    packs = ("--dataset", data, "--protocol", "standard", "--batch", "128", "--counts", "1,2,4,8", "--seconds", "3")
    return [
        Step("tests", 240, ("-m", "pytest", "-n", "0", "tests/gpu")),
        Step("share", 150, ("-m", "tests.benchmarks.training_share", "--models", "vit_b16", "--batch", "256")),
        Step("plain-32", 180, (*plain, "--sizes", "32", "--steps", "40")),
        Step("plain-224", 240, (*plain, "--sizes", "224", "--steps", "12")),
        Step("floor-32", 180, ("-m", loop, "--sizes", "32", "--batch", "128", "--turns", "3", "--seconds", "0.3")),
        Step("packs", 180, ("-m", "tests.benchmarks.side_by_side", *packs)),
        Step("costs", 240, ("run_bench.py", "--cost-only", "--models", BOARD, "--output", str(output / "costs"))),
        Step("cvt", 120, ("-m", "tests.benchmarks.cvt_ratio", "--seconds", "5")),
        Step("board", 900, (*study, str(output / "board"), "--cells-per-device", "auto"), goes_on=True),
    ]


def run_steps(wanted: Sequence[Step], output: Path, seconds: float) -> dict[str, str]:
    """What became of each step within so many seconds: done, failed, interrupted, or left for the next call."""
    output.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    told: dict[str, str] = {}
    for step in wanted:
        file, left = output / f"{step.name}.txt", end - time.monotonic() - GRACE_S
        if file.exists():
            told[step.name] = "done"
        elif left < (step.seconds if not step.goes_on else GRACE_S):
            told[step.name] = "left"
        else:
            told[step.name] = _run(step, file, min(step.seconds, left))
        print(f"{step.name}: {told[step.name]}", flush=True)
    return told


def _run(step: Step, file: Path, seconds: float) -> str:
    """Run one step, its output beside `file` until it is whole."""
    begun = file.with_suffix(".part")
    with begun.open("w") as out:
        process = subprocess.Popen([sys.executable, *step.argv], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
            process.kill()
            process.wait()
            return "interrupted"
    if code:
        return f"failed with exit code {code}, see {begun}"
    begun.rename(file)
    return "done"


def main() -> int:
    """Run what is left; exit code 0 once everything is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="CIFAR-10, as --dataset of run_bench.py.")
    parser.add_argument("--output", type=Path, default=Path("results/gpu"))
    parser.add_argument("--minutes", type=float, default=9.0, help="All that this call may take.")
    parser.add_argument("--only", help="Names of the steps wanted, as a,b.")
    asked = parser.parse_args()
    wanted = steps(asked.data, asked.output.resolve())
    if asked.only:
        wanted = [step for step in wanted if step.name in asked.only.split(",")]
    told = run_steps(wanted, asked.output, 60 * asked.minutes)
    return 0 if set(told.values()) <= {"done"} else 1


if __name__ == "__main__":
    sys.exit(main())
