"""How long 1,000 models × 5 train sizes × 5 seeds take: `python -m tests.benchmarks.plan_on_paper`.

Multiplies what each kind of study shows a model by measured rates, and adds what the machinery around it costs. Rates
are arguments, so that the table can be made for other devices; the defaults are those that README measured: one H100 at
224 px (`training_floor`), two CPU cores for decoding (`jpeg_loading`) and for the machinery (`scheduler`, `growth`).
Nothing is measured here.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from tabulate import tabulate

from bench.execution.progress import duration
from bench.protocol import PRESETS

DEVICES = (1, 8, 64)
TRAIN, TEST = 1_281_167, 50_000
"""Images of ImageNet-1k."""
DEV = 0.1
"""Part of the training images that choices look at."""
FRACTIONS = (0.01, 0.0316, 0.1, 0.316, 1.0)
YEAR_S, DAY_S = 365.25 * 86_400, 86_400


@dataclass(frozen=True)
class Work:
    """One kind of study: images that one training sees, and how many trainings a model has."""

    name: str
    images: float
    trainings: float


def works(sizes: int, seeds: int) -> list[Work]:
    """What the table has a line for; evaluation at a third of training's cost is in `images`."""
    cells, judged = sizes * seeds, (2 * DEV * TRAIN + TEST) / 3
    whole = PRESETS["imagenet"].samples_seen
    passes = 90 * TRAIN * (1 - DEV) * sum(FRACTIONS) / len(FRACTIONS)
    return [
        Work("`imagenet`: 115,305,000 images at every size", whole + judged, cells),
        Work("90 passes over each subset (`--epochs 90`)", passes + judged, cells),
        Work("`finetune`, 400,000 images each", 400_000 + judged, cells),
        Work("`linear`: one pass, forward only", (TRAIN + TEST) / 3, 1),
        Work("`evaluate`: the validation images once", TEST / 3, 1),
    ]


def spoken(seconds: float) -> str:
    """`37.4 years`, `12.1 days`, or as `duration` says it."""
    if seconds >= YEAR_S:
        return f"{seconds / YEAR_S:,.1f} years"
    return f"{seconds / DAY_S:,.1f} days" if seconds >= 2 * DAY_S else duration(seconds)


def main() -> None:
    """Print the table and the limits, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--sizes", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--slow", type=float, default=2444.6, help="training images/s of one device (ViT-B/16)")
    parser.add_argument("--fast", type=float, default=3761.0, help="the same of a faster model (ResNet-50)")
    parser.add_argument("--overhead-ms", type=float, required=True, help="machinery per cell, by `scheduler`")
    parser.add_argument("--decode", type=float, required=True, help="JPEG files/s of one core, by `jpeg_loading`")
    asked = parser.parse_args()
    cells = asked.models * asked.sizes * asked.seeds
    rows = []
    for work in works(asked.sizes, asked.seeds):
        images = work.images * work.trainings * asked.models
        one = [spoken(images / rate / work.trainings / asked.models) for rate in (asked.fast, asked.slow)]
        cost = " to ".join(dict.fromkeys(one))
        many = [" to ".join(spoken(images / rate / n) for rate in (asked.fast, asked.slow)) for n in DEVICES]
        rows.append([work.name, cost, *many])
    heads = ["what", "one cell", *(f"{n} GPU{'s' if n > 1 else ''}" for n in DEVICES)]
    print(tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True))
    print(f"\n{asked.models:,} models × {asked.sizes} sizes × {asked.seeds} seeds = {cells:,} cells")
    print(f"machinery: {asked.overhead_ms:g} ms per cell, {spoken(cells * asked.overhead_ms / 1000)} in all")
    for name, rate in (("fast", asked.fast), ("slow", asked.slow)):
        print(f"cores that decode JPEG files for one GPU training the {name} model: {rate / asked.decode:.0f}")


if __name__ == "__main__":
    main()
