"""What work costs as it grows: `python -m tests.benchmarks.growth --output FOLDER`.

Each part is measured at sizes a few times apart: training and inference against batch and image size, a study against
its cells, the resume scan and the report against records, the data's memory against images. Written to FOLDER: one
picture, `growth.svg` and `growth.png`, and `growth.md` with every point and the slope of a straight line through the
last half of the points on log axes: 1 is linear, more is worse. Parts that were measured are kept in `growth.json`, so
that `--parts` can be given one after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from bench.measure.hardware import detect
from bench.plan import make_plan
from bench.protocol import PRESETS, Protocol
from bench.report.figures.drawing import End, log_y, names_at_the_right, tick_text
from bench.report.figures.style import GREY, files_of, new_figure, nth_look, styled
from bench.store import Store, load_records
from bench.study import Study
from tests.benchmarks.board_scale import made_up_models
from tests.benchmarks.finished import CPU, finished_study
from tests.samples import DATA, make_study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODELS = ("resnet18", "deit_ti")
Points = dict[float, float]
PANELS: dict[str, tuple[str, str]] = {
    "batch": ("images in a training step", "ms per step"),
    "pixels": ("pixels of an image", "ms per image, training"),
    "cells": ("cells of a study", "s, all of them"),
    "records": ("records", "s"),
    "dataset": ("images of 32 px", "MiB"),
}
"""Axes of each part."""


def batch() -> Iterator[tuple[str, float, float]]:
    """(model, images, ms) of training steps at 32 px."""
    for name in MODELS:
        for size in (2, 4, 8, 16, 32, 64, 128, 256):
            yield name, size, 1e3 * _step_s(name, 32, size)


def pixels() -> Iterator[tuple[str, float, float]]:
    """(model, pixels, ms per image) of training steps of 8 images."""
    for name in MODELS:
        for side in (32, 48, 64, 96, 128, 160, 224):
            yield name, side**2, 1e3 * _step_s(name, side, 8) / 8


def cells() -> Iterator[tuple[str, float, float]]:
    """("", cells, s) of whole studies of the smallest model: one step each, so that what is seen is overhead."""
    for count in (1, 3, 10, 30, 100, 300, 1000):
        with tempfile.TemporaryDirectory() as folder:
            seeds = ",".join(map(str, range(count)))
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "run_bench.py", "--models", "test_vit", "--protocol", "smoke", "--train-sizes", "1.0",
                 "--samples-seen", "8", "--seeds", seeds, "--no-pictures", "-q", "--output", folder],
                check=True, capture_output=True, cwd=Path(__file__).resolve().parents[2],
            )  # fmt: skip
            yield "study", count, time.perf_counter() - start


def records() -> Iterator[tuple[str, float, float]]:
    """(what, records, s): finding out what is done, reading all records, and the report without pictures."""
    for count in (10, 100, 1000, 10_000, 50_000):
        with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"):
            root = Path(folder)
            study = _finished(root / "scan", count)
            yield "resume scan", count, _seconds(lambda s=study: make_plan(s, DATA, CPU, Store(s.output)))  # type: ignore[misc]
            yield "reading", count, _seconds(lambda s=study: load_records(s.output))  # type: ignore[misc]
    for models, seeds in ((1, 3), (10, 3), (100, 3), (700, 3), (700, 15)):
        with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"):
            protocol = replace(PRESETS["standard"], seeds=tuple(range(seeds)))
            make_study(Path(folder), made_up_models(models), protocol, n_train=50_000, n_test=1000)
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "run_bench.py", "--report-only", "--no-pictures", "-q", "--output", folder],
                check=True, capture_output=True, cwd=Path(__file__).resolve().parents[2],
            )  # fmt: skip
            yield "report", models * 5 * seeds, time.perf_counter() - start


def dataset() -> Iterator[tuple[str, float, float]]:
    """("resident", images, MiB) that a worker grows by when it loads a decoded dataset."""
    for count in (1000, 4000, 16_000, 64_000, 256_000):
        code = f"from tests.benchmarks.growth import resident_mib; print(resident_mib({count}))"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        yield "resident", count, float(done.stdout)


def resident_mib(count: int) -> float:
    """MiB that loading `count` decoded images of 32 px takes, measured in this process."""
    import psutil
    import torch

    from bench.data.batches import load
    from bench.data.cache import content_folder

    info = DATA.model_copy(update={"cached_px": 32, "channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / info.fingerprint[:32]).mkdir()
        content = content_folder(info, Path(folder))
        for split, n in (("train", count), ("test", 100)):
            np.save(content / f"{split}_images.npy", np.full((n, 32, 32, 3), 7, np.uint8))
            np.save(content / f"{split}_labels.npy", np.zeros(n, np.int64))
        before = psutil.Process().memory_info().rss
        data = load(info, cache_dir=Path(folder), img_size=32, device=torch.device("cpu"))
        grown = (psutil.Process().memory_info().rss - before) / 2**20
        assert len(data.labels("train")) == count
    return float(grown)


PARTS: dict[str, Callable[[], Iterator[tuple[str, float, float]]]] = {
    "batch": batch,
    "pixels": pixels,
    "cells": cells,
    "records": records,
    "dataset": dataset,
}


def _step_s(name: str, side: int, images: int) -> float:
    """Median seconds of a training step over about a second."""
    import torch

    from tests.benchmarks.steps import make_model, training_step

    hardware = detect("cpu", "auto")
    torch.set_num_threads(hardware.threads)
    step = training_step(make_model(name, side), hardware.precision, px=side, batch=images)
    taken: list[float] = []
    while len(taken) < 4 or (sum(taken) < 1.5 and len(taken) < 40):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[2:]))


def _finished(output: Path, count: int) -> Study:
    """A finished study of `count` runs, written without waiting for the disk: more models, since a record lists all
    seeds and sizes of its protocol."""
    import timm

    protocol = Protocol(
        train_sizes=tuple(round(0.1 * (k + 1), 1) for k in range(10)),
        seeds=tuple(range(10 if count >= 100 else 1)),
        lr_trials=1,
    )
    return finished_study(output, protocol, tuple(timm.list_models()[: max(1, count // 100)]))


def _seconds(call: Callable[[], object], times: int = 3) -> float:
    """The median of a few calls, of one where it is slow."""
    taken: list[float] = []
    while len(taken) < times and sum(taken) < 10:
        start = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):
            call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def slope(points: Points) -> float:
    """Slope on log axes of the line through the upper half of the points, three at least."""
    places = sorted(points)
    upper = places[-max(3, -(-len(places) // 2)) :]
    return float(np.polyfit(np.log(upper), np.log([points[place] for place in upper]), 1)[0])


def draw(found: dict[str, dict[str, Points]], output: Path) -> None:
    """One panel for each part, on log axes."""
    parts = [part for part in PANELS if part in found]
    down = -(-len(parts) // 2)
    with styled():
        height = 0.7 + 2.9 * down
        figure = new_figure(9.4, height)
        for k, part in enumerate(parts):
            row, column = divmod(k, 2)
            left, bottom = 0.075 + 0.49 * column, (0.6 + 2.9 * (down - 1 - row)) / height
            _panel(figure.add_axes((left, bottom, 0.39, 1.95 / height)), part, found[part], until=left + 0.405)
        figure.text(0.012, 1 - 0.1 / height, "Cost as work grows", fontsize=12, fontweight="bold", va="top")
        for ending, data in files_of(figure).items():
            (output / f"growth{ending}").write_bytes(data)


def _panel(axes: Axes, part: str, curves: dict[str, Points], until: float) -> None:
    x_axis, y_axis = PANELS[part]
    values = [y for points in curves.values() for y in points.values()]
    places = sorted({x for points in curves.values() for x in points})
    axes.set_xscale("log")
    axes.set_xlim(places[0] / 1.3, places[-1] * 1.3)
    log_y(axes, min(values) / 1.6, max(values) * 1.6)
    ends = []
    for k, (name, points) in enumerate(curves.items()):
        look = nth_look(k)
        xs = sorted(points)
        axes.plot(xs, [points[x] for x in xs], color=look.colour, marker=look.marker, markersize=5)
        ends.append(End(name, xs[-1], points[xs[-1]], look.colour, look.ink))
    axes.set_xlabel(x_axis)
    axes.set_title(y_axis, fontsize=9.5, fontweight="normal", color=GREY)
    names_at_the_right(axes, ends, until=until)
    step = max(1, -(-len(places) // 5))
    axes.set_xticks(places[::step], [tick_text(place) for place in places[::step]])
    axes.set_xticks([], minor=True)


def page(found: dict[str, dict[str, Points]]) -> str:
    """The points and slopes as a Markdown table for each part."""
    lines = ["# Cost as work grows", "", "![Cost as work grows](growth.svg)", ""]
    lines += ["| | from | to | at the end | slope of the upper half |", "| --- | ---: | ---: | ---: | ---: |"]
    for part, curves in found.items():
        x_axis, y_axis = PANELS[part]
        for name, points in curves.items():
            first, last = min(points), max(points)
            lines.append(
                f"| {y_axis} against {x_axis}, {name} | {first:,.0f} | {last:,.0f} | {points[last]:,.4g} | "
                f"{slope(points):.2f} |"
            )
    for part, curves in found.items():
        x_axis, y_axis = PANELS[part]
        places = sorted({x for points in curves.values() for x in points})
        lines += ["", f"{y_axis} by {x_axis}:", "", "| | " + " | ".join(f"{x:,.0f}" for x in places) + " |"]
        lines.append("| --- |" + " ---: |" * len(places))
        for name, points in curves.items():
            cells_of = [f"{points[x]:,.3g}" if x in points else "" for x in places]
            lines.append(f"| {name} | " + " | ".join(cells_of) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is asked for, and write everything that is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--parts", default=",".join(PARTS))
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    kept = asked.output / "growth.json"
    known: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for part in filter(None, asked.parts.split(",")):
        curves: dict[str, dict[str, float]] = {}
        for name, x, y in PARTS[part]():
            curves.setdefault(name, {})[f"{x:g}" if x < 1e5 else str(int(x))] = y
            print(part, name, f"{x:,.0f}", f"{y:.4g}", file=sys.stderr, flush=True)
        known[part] = curves
        kept.write_text(json.dumps(known, indent=1) + "\n")
    found = {
        part: {name: {float(x): y for x, y in points.items()} for name, points in known[part].items()}
        for part in PARTS
        if part in known
    }
    (asked.output / "growth.md").write_text(page(found), encoding="utf-8")
    draw(found, asked.output)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
