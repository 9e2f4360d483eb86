"""A folder of JPEG files too large for memory: `python -m tests.benchmarks.jpeg_loading --folder DIR [--shards]`.

Writes made-up photographs into DIR once, in class folders and in tar shards; prepares them as a dataset that is
streamed; then walks over the same images in the same shuffled order, at 224 pixels, as uint8 batches in main memory,
with the same number of loader processes, alternately with our loader and with timm's (`create_loader` with its
evaluation transform, before it normalises; always from the class folders). Printed as Markdown tables: images/s of
both and their processor time an image (which a busy machine disturbs less), each with the ratio and the 95 % interval
of its median, and the memory of all processes together (proportional set
size, so that what they share counts once) in the course of the preparation and of one whole pass.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import torch
from timm.data.dataset_factory import create_dataset
from timm.data.loader import create_loader
from torch import Tensor

from bench.data.batches import Streamed
from bench.data.cache import content_folder, prepare
from bench.data.shards import read_index, splits
from bench.data.stream import Stream
from bench.measure.sampling import median_interval
from tests.benchmarks.jpegs import write_folders, write_shards

PX = 224
BATCH = 64
CPU = torch.device("cpu")
PARTS = (0.1, 0.5, 1.0)
"""Parts of a pass after which memory is read."""


def of_timm(train: Path, order: np.ndarray, workers: int) -> Callable[[], Iterator[Tensor]]:
    """Walks of timm's own loader over the images of class folders."""
    dataset = create_dataset("", root=str(train), split="train")
    dataset.reader.samples = [dataset.reader.samples[k] for k in order]
    loader = create_loader(
        dataset, input_size=(3, PX, PX), batch_size=BATCH, interpolation="bicubic", num_workers=workers,
        pin_memory=False, persistent_workers=False, device=CPU,
    )  # fmt: skip
    return lambda: (images for images, _ in loader.loader)


def memory_mb() -> float:
    """Proportional set size of this process and those below it, in MB."""
    me = psutil.Process()
    total = 0
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


class Course:
    """Memory in the course of a pass."""

    def __init__(self) -> None:
        self.parts, self.read = list(PARTS), list[str]()

    def at(self, done: int, total: int) -> None:
        """Read the memory if the next part has been passed."""
        if self.parts and done >= self.parts[0] * total:
            self.parts.pop(0)
            self.read.append(f"{memory_mb():,.0f}")


def seconds(walk: Iterator[Tensor], images: int, course: Course | None = None) -> tuple[float, float]:
    """Wall time, and processor time of all processes, of one pass, which must bring every image."""
    start, used, seen = time.perf_counter(), sum(os.times()[:4]), 0
    for batch in walk:
        assert batch.dtype == torch.uint8
        seen += len(batch)
        if course is not None:
            course.at(seen, images)
    assert seen == images
    took = time.perf_counter() - start
    del walk
    gc.collect()  # ends the loader's processes, whose time counts once they have ended
    return took, sum(os.times()[:4]) - used


def compared(name: str, ours: list[float], timm: list[float], shown: Callable[[float], float]) -> str:
    """A row: the median of both as it is to be `shown`, and timm's time divided by ours."""
    ratios = [t / o for t, o in zip(timm, ours, strict=True)]
    low, high = median_interval(ratios)
    both = " | ".join(f"{shown(float(np.median(v))):,.1f}" for v in (ours, timm))
    return f"| {name} | {both} | {np.median(ratios):.3f} ({low:.3f}–{high:.3f}) |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000, help="Files to write; a tenth is the test split.")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--folder", type=Path, required=True, help="100 kB an image, twice.")
    parser.add_argument("--shards", action="store_true", help="Read ours from tar shards.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--subset", type=int, default=5000, help="Images of a pass in the alternating rounds.")
    asked = parser.parse_args()
    folders, shards, cache = (asked.folder / name for name in ("folders", "shards", "cache"))
    if not folders.is_dir():
        write_folders(folders, asked.images, asked.classes)
    if not shards.is_dir():
        write_shards(folders, asked.images, asked.classes, shards)

    if asked.shards:
        start = time.perf_counter()
        found = len(read_index(shards, splits(shards)["train"]))
        print(f"{found / (time.perf_counter() - start):,.0f} images/s are found by the shards' headers\n", flush=True)
    shutil.rmtree(cache, ignore_errors=True)
    preparing, start = Course(), time.perf_counter()
    before = f"{memory_mb():,.0f}"
    info = prepare(
        str(shards if asked.shards else folders), data_dir=None, img_size=PX, download=False, cache_dir=cache,
        progress=preparing.at, max_resident_bytes=0,
    )  # fmt: skip
    took = time.perf_counter() - start
    stream = Stream(content_folder(info, cache), "train")

    order = np.random.default_rng(0).permutation(len(stream))
    subset = order[: asked.subset]
    ours, theirs = Streamed(stream, CPU, asked.workers), of_timm(folders / "train", subset, asked.workers)
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "timm": []}
    for turn in range(asked.rounds):
        for who in ("ours", "timm") if turn % 2 else ("timm", "ours"):
            walk = theirs() if who == "timm" else ours.walk_once(subset, BATCH)
            times[who].append(seconds(walk, len(subset)))
    course = Course()
    whole, _ = seconds(ours.walk_once(order, BATCH), len(order), course)

    wall, cpu = ({who: [t[k] for t in taken] for who, taken in times.items()} for k in (0, 1))
    n, source = len(subset), "shards" if asked.shards else "class folders"
    print(
        f"| from {source}, {n:,} images a pass | ours | timm | timm's time ÷ ours (95 %) |\n| --- | ---: | ---: | --- |"
    )
    print(compared("images/s", wall["ours"], wall["timm"], lambda s: n / s))
    print(compared("processor time an image, ms", cpu["ours"], cpu["timm"], lambda s: 1e3 * s / n) + "\n")
    print(f"| pass | images | img/s | MB before | {' | '.join(f'at {part:.0%}' for part in PARTS)} |")
    print(f"| --- | ---: | ---: | ---: | {' | '.join('---:' for _ in PARTS)} |")
    count = info.n_train + info.n_test
    print(f"| preparation | {count:,} | {count / took:,.0f} | {before} | {' | '.join(preparing.read)} |")
    print(f"| one epoch | {len(order):,} | {len(order) / whole:,.0f} | | {' | '.join(course.read)} |")
