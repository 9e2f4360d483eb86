"""What a cell costs besides its work: `python -m tests.benchmarks.scheduler --cells 10000 [--launcher ray]`.

Cells leave a record that was made before. What is timed is planning, handing out and writing, and planning again.
With `--profile` the calls that take longest are named.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from bench.execution import foreman, worker
from bench.execution.launch import Here, launcher_of
from bench.execution.local import prepare_data
from bench.execution.progress import Silent
from bench.plan import Branch, Job, Plan, make_plan
from bench.profiles import ProfileRecord
from bench.protocol import PRESETS
from bench.records import RunRecord
from bench.store import Store
from bench.study import Study
from tests.benchmarks.no_work import IdleSeat, no_work

MODELS = ("test_resnet", "test_vit", "test_convnext", "test_efficientnet")
"""Their names only."""


def study_of(cells: int, launcher: str, output: Path) -> Study:
    """A study of about so many cells: four models, every seed at two train sizes, no trials."""
    seeds = tuple(range(max(1, cells // (2 * len(MODELS)))))
    protocol = replace(PRESETS["smoke"], seeds=seeds, train_sizes=(0.5, 1.0), lr_trials=1)
    return Study(models=MODELS, protocol=protocol, output=output, device="cpu", launcher=launcher)  # type: ignore[arg-type]


class Watch(Silent):
    """When the first cell was done."""

    def __init__(self) -> None:
        self.first: float | None = None

    def finished(self, job: Job, record: RunRecord | ProfileRecord) -> None:
        """Note the time, once."""
        self.first = self.first or time.perf_counter()


def measure(cells: int, launcher_name: str, output: Path, profile: cProfile.Profile | None) -> None:
    """Run one study of nothing, and print ms per cell."""
    study = study_of(cells, launcher_name, output)
    store = Store(output).open()
    data, cache_dir = prepare_data(study)

    def plan() -> Plan:
        branches = [Branch(model) for model in MODELS]
        return make_plan(study, data, Here(study).hardware(), store, branches)

    def timed(what: str, start: float) -> None:
        seconds = time.perf_counter() - start
        print(f"{what:<24}{seconds:8.2f} s  {1000 * seconds / count:8.3f} ms per cell", flush=True)

    start = time.perf_counter()
    first = plan()
    count = len(first.jobs)
    print(f"{count} cells, {launcher_name} launcher")
    timed("planning", start)
    with (
        patch.object(worker, "work", no_work),
        patch.object(foreman, "Seat", IdleSeat),
        launcher_of(study) as launcher,
        profile or nullcontext(),
    ):
        start = time.perf_counter()
        watch = Watch()
        tally = launcher.execute(first, cache_dir, command="benchmark", reporter=watch)
        assert watch.first is not None
        print(f"{'to the first cell':<24}{watch.first - start:8.2f} s")
        timed("handing out, writing", watch.first)
    assert (tally.finished, tally.failed, tally.left) == (count, 0, 0)
    start = time.perf_counter()
    assert plan().left() == ()
    timed("planning again", start)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--launcher", choices=("local", "ray"), default="local")
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    profile = cProfile.Profile() if asked.profile else None
    with tempfile.TemporaryDirectory() as folder:
        measure(asked.cells, asked.launcher, Path(folder) / "results", profile)
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
