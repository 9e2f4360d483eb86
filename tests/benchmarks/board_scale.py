"""How long and how much memory a large board takes: `python -m tests.benchmarks.board_scale --output FOLDER`.

Writes the records of a made-up study of many models below FOLDER (once; they are kept), then runs
`run_bench.py --report-only` on it in a process of its own, pictures included, and prints its time, its CPU time (which
other work on the machine disturbs less) and its peak resident memory.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np

from bench.execution.costs import TOGETHER
from bench.protocol import PRESETS
from tests.samples import Fake, make_study

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ("CNN", "ViT", "Swin", "Hybrid", "RNN")


def made_up_models(count: int) -> list[Fake]:
    """Models of all sizes, the larger ones better on the whole."""
    rng = np.random.default_rng(0)
    macs = np.exp(rng.uniform(np.log(5e7), np.log(5e10), count))
    top1 = 0.55 + 0.1 * np.log10(macs / 5e7) + rng.normal(0, 0.03, count)
    return [
        Fake(
            f"model_{k:04d}",
            float(np.clip(top1[k], 0.3, 0.97)),
            FAMILIES[k % len(FAMILIES)],
            params=round(float(macs[k]) ** 0.5 * 250),
            macs=round(float(macs[k])),
            speed=float(4e10 / macs[k] * rng.uniform(0.5, 2)),
            cost=(("session", f"session {k // TOGETHER}"),),
        )
        for k in range(count)
    ]


def main() -> None:
    """Make the records that are missing, report, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=1300)
    parser.add_argument("--images", type=int, default=1000, help="test images")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    if not options.output.is_dir():
        print(f"writing {options.models:,} models × 5 train sizes × 3 seeds", file=sys.stderr)
        with mock.patch("os.fsync"):
            make_study(
                options.output,
                made_up_models(options.models),
                PRESETS["standard"],
                n_train=50_000,
                n_test=options.images,
            )
    # Pictures of an earlier call would not be drawn again.
    (options.output / ".drawn.json").unlink(missing_ok=True)
    start = time.perf_counter()
    command = [sys.executable, str(ROOT / "run_bench.py"), "--report-only", "--output", str(options.output)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    records = sum(1 for _ in options.output.rglob("record.json"))
    took = f"{seconds:.1f} s, CPU {cpu:.1f} s, peak {peak / 2**30:.2f} GiB"
    print(f"{options.models:,} models, {records:,} records: {took}")


if __name__ == "__main__":
    main()
