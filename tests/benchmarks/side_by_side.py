"""Total training images/s against the models that train side by side: `python -m tests.benchmarks.side_by_side`.

Each model has a worker process of its own, as in a study; on a CPU the threads are shared out. All models of a pack
train at once for some seconds, packs one after the other; printed as a Markdown table: the total over all models, each
of which has the same number of images to see, and its ratio to one model at a time.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.data.cache import default_cache_dir, prepare
from bench.execution.packing import hardware_of, side_by_side, total_rate
from bench.execution.process import warm_up
from bench.plan import make_plan
from bench.protocol import PRESETS
from bench.store import Store
from bench.study import CANONICAL, Study


def measured(models: tuple[str, ...], at_once: int, asked: argparse.Namespace, output: Path) -> float:
    """Images/s of all models together, `at_once` of them at a time."""
    protocol = replace(PRESETS[asked.protocol], dataset=asked.dataset, batch_size=asked.batch)
    study = Study(
        models=models, protocol=protocol, output=output, device=asked.device, cells_per_device=str(at_once)
    )  # fmt: skip
    info = prepare(
        asked.dataset, data_dir=None, img_size=protocol.img_size, download=False, cache_dir=default_cache_dir()
    )  # fmt: skip
    plan = make_plan(study, info, hardware_of(study), Store(output))
    names = plan.study.models
    packs = [names[k : k + at_once] for k in range(0, len(names), at_once)]
    rates = [side_by_side(plan, pack, default_cache_dir(), "", asked.seconds) for pack in packs]
    return len(packs[0]) * total_rate(rates)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(CANONICAL))
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--protocol", default="quick")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--counts", default="1,2,4")
    parser.add_argument("--seconds", type=float, default=5.0, help="Training of each model in a pack.")
    given = parser.parse_args()
    warm_up()
    alone = None
    print("| models at a time | images/s in all | ÷ one at a time |\n| ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, given.counts.split(",")):
            rate = measured(tuple(given.models.split(",")), count, given, Path(folder))
            alone = alone or rate
            print(f"| {count} | {rate:,.0f} | {rate / alone:.2f} |", flush=True)
