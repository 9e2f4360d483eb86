"""How well a whole cost measurement repeats: `python -m tests.benchmarks.repetitions --times 5 --output FOLDER`.

Runs `run_bench.py --cost-only` several times, each into a folder of its own below FOLDER (folders that are finished
are kept), and prints a Markdown table of every figure's spread: (largest − smallest) / median over the repetitions.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench.profiles import ProfileRecord
from bench.store import load_records
from bench.study import CANONICAL

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ("latency", "inference", "training")


def measure(output: Path, models: str, more: list[str]) -> float:
    """One complete measurement in fresh processes; its wall time in seconds."""
    start = time.perf_counter()
    command = [sys.executable, str(ROOT / "run_bench.py"), "--cost-only", "--models", models, "--output", str(output)]
    subprocess.run([*command, *more], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def profiles(output: Path) -> dict[str, ProfileRecord]:
    """The good profiles of one repetition, by model."""
    return {p.model: p for p in load_records(output).profiles if p.status == "ok"}


def line(model: str, figure: str, repetitions: list[dict[str, ProfileRecord]]) -> str:
    """A row of the table: medians over the repetitions, spread, and how many were valid."""
    timings = [getattr(profile[model], figure) for profile in repetitions if model in profile]
    known = [t for t in timings if t is not None]
    if not known:
        return f"| {model} | {figure} | – | – | – | 0 of {len(timings)} |"
    values = [t.median_ms if figure == "latency" else t.throughput_img_per_s for t in known]
    unit = "ms" if figure == "latency" else "img/s"
    batches = sorted({t.batch_size for t in known})
    spread = (max(values) - min(values)) / median(values)
    valid = sum(not t.invalid for t in known)
    shown = ", ".join(f"{value:.4g}" for value in values)
    return (
        f"| {model} | {figure}, {unit} | {'/'.join(map(str, batches))} | {shown} | {100 * spread:.1f} % | "
        f"{valid} of {len(timings)} |"
    )


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--models", default=",".join(CANONICAL))
    options, more = parser.parse_known_args()
    found = []
    for k in range(options.times):
        folder = options.output / str(k + 1)
        if len(profiles(folder)) < len(options.models.split(",")):
            print(f"repetition {k + 1}: {measure(folder, options.models, more):.0f} s", file=sys.stderr)
        found.append(profiles(folder))
    print("| model | figure | batch | repetitions | spread | valid |")
    print("| --- | --- | ---: | --- | ---: | --- |")
    for model in options.models.split(","):
        for figure in FIGURES:
            print(line(model, figure, found))


if __name__ == "__main__":
    main()
