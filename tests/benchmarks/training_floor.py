"""How near the training loop is to its floor: `python -m tests.benchmarks.training_floor`.

The floor is a model's own forward pass, backward pass and optimiser step on one resident batch, in the same arithmetic
and layout: no data, no augmentation, no schedule, no clipping, nothing logged. Beside it, in the same process and in
turns of changing order, runs the loop that studies train with, on light augmentation, and for evaluation the pass over
a test split against bare forward calls. On a GPU the floor is given both ways: launched operation by operation, as a
plain loop does, and recorded as a CUDA graph, as the loop's own steps are. Printed as a Markdown table: images/s of
both, and the loop's rate over the floor's, turn by turn, with the 95 % interval of the median.
"""

from __future__ import annotations

import argparse
import copy
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bench.data.batches import ImageData, Resident
from bench.data.info import DataInfo
from bench.execution.worker import full_precision, keep_freed_memory
from bench.measure.hardware import Hardware, detect
from bench.measure.sampling import median_interval
from bench.models.build import build
from bench.protocol import Protocol
from bench.study import CANONICAL
from bench.training.evaluate import EVAL_BATCH_SIZE, predict
from bench.training.fit import looping
from bench.training.recipe import make_optimizer
from bench.training.step import Engine

CLASSES, IMAGES = 10, 512


def made_up_images(img_size: int, device: torch.device) -> ImageData:
    """Random images as a prepared dataset; what is in them costs nothing."""
    rng = np.random.default_rng(0)
    splits, labels = {}, {}
    for split in ("train", "test"):
        pixels = torch.from_numpy(rng.integers(0, 256, (IMAGES, img_size, img_size, 3), dtype=np.uint8))
        splits[split] = Resident(pixels.to(device), device)
        labels[split] = np.arange(IMAGES, dtype=np.int64) % CLASSES
    info = DataInfo(
        dataset="random",
        fingerprint="",
        classes=[str(k) for k in range(CLASSES)],
        n_train=IMAGES,
        n_test=IMAGES,
        mean=[0.5, 0.5, 0.5],
        std=[0.25, 0.25, 0.25],
        flip=True,
        channels=3,
        native_px=img_size,
        cached_px=img_size,
    )
    return ImageData(info, splits, labels, img_size=img_size, device=device)  # type: ignore[arg-type]


def floor(
    model: nn.Module, batch: int, img_size: int, hardware: Hardware, *, recorded: bool = False
) -> Callable[[int], None]:
    """So many bare steps on a resident batch."""
    device = torch.device(hardware.device)
    optimizer = make_optimizer(model, 0.05, on_gpu=device.type == "cuda")
    images = torch.randn(batch, 3, img_size, img_size, device=device).contiguous(memory_format=torch.channels_last)
    targets = torch.arange(batch, device=device) % CLASSES

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=hardware.precision == "bf16"):
            loss = cross_entropy(model(images), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    model.train()
    once = as_graph(step, device) if recorded else step
    resident = (images, targets, optimizer)  # a graph does not keep what it reads

    def run(steps: int) -> None:
        assert resident
        model.train()
        for _ in range(steps):
            once()
        wait(device)

    return run


def as_graph(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """A step recorded as a CUDA graph."""
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


@contextmanager
def loop(
    model: nn.Module, data: ImageData, protocol: Protocol, hardware: Hardware, compile_too: bool
) -> Iterator[Callable[[int], None]]:
    """So many steps of one long training."""
    long = replace(protocol, samples_seen=10_000_000)
    engine = Engine(hardware.precision, torch.device(hardware.device), images_left=10**9 if compile_too else 0)
    with looping(model, data, np.arange(IMAGES), protocol=long, lr=1e-4, seed=0, engine=engine) as made:
        yield lambda steps: made.run(until=made.step + steps)


def bare_evaluation(model: nn.Module, img_size: int, device: torch.device) -> Callable[[int], None]:
    """So many forward passes of an evaluation batch."""
    images = torch.randn(EVAL_BATCH_SIZE, 3, img_size, img_size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)

    def run(batches: int) -> None:
        model.eval()
        with torch.inference_mode():
            for _ in range(batches):
                model(images)
        wait(device)

    return run


def evaluation(model: nn.Module, data: ImageData) -> Callable[[int], None]:
    """So many batches of the pass over the test split."""
    index = np.arange(IMAGES, dtype=np.int64)

    def run(batches: int) -> None:
        predict(model, data, "test", np.resize(index, batches * EVAL_BATCH_SIZE))

    return run


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare(ours: Callable[[int], None], bare: Callable[[int], None], images: int, turns: int, turn_s: float) -> str:
    """`bare img/s | our img/s | ours ÷ bare (95 % interval)` over turns in changing order."""
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    runs = {"ours": ours, "bare": bare}
    for run in runs.values():
        run(4)
    start = time.perf_counter()
    bare(4)
    count = max(2, round(turn_s / ((time.perf_counter() - start) / 4)))
    for turn in range(turns):
        for name in ("ours", "bare") if turn % 2 else ("bare", "ours"):
            start = time.perf_counter()
            runs[name](count)
            times[name].append((time.perf_counter() - start) / count)
    rates = {name: images / float(np.median(taken)) for name, taken in times.items()}
    ratios = [bare_s / our_s for bare_s, our_s in zip(times["bare"], times["ours"], strict=True)]
    low, high = median_interval(ratios)
    shown = f"{np.median(ratios):.3f} ({low:.3f}–{high:.3f})"
    return f"{rates['bare']:,.1f} | {rates['ours']:,.1f} | {shown}"


def rows(
    models: list[str], sizes: list[int], batch: int, hardware: Hardware, parts: list[str], turns: int, turn_s: float,
    compile_too: bool,
) -> Iterator[str]:  # fmt: skip
    """The table's lines, as they are measured."""
    device = torch.device(hardware.device)
    floors = {"training": False, "training, recorded floor": True} if device.type == "cuda" else {"training": False}
    yield "| model | px | | floor img/s | ours img/s | ours ÷ floor (95 %) |"
    yield "| --- | ---: | --- | ---: | ---: | --- |"
    for img_size in sizes:
        data = made_up_images(img_size, device)
        protocol = Protocol(img_size=img_size, batch_size=batch)
        for name in models:
            model = build(name, num_classes=CLASSES, img_size=img_size)[0].to(device)
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if "training" in parts:
                with loop(model, data, protocol, hardware, compile_too) as ours:
                    for part, recorded in floors.items():
                        bare = floor(copy.deepcopy(model), batch, img_size, hardware, recorded=recorded)
                        yield f"| {name} | {img_size} | {part} | {compare(ours, bare, batch, turns, turn_s)} |"
            if "evaluation" in parts:
                model.zero_grad(set_to_none=True)
                found = compare(
                    evaluation(model, data), bare_evaluation(model, img_size, device), EVAL_BATCH_SIZE, turns, turn_s
                )
                yield f"| {name} | {img_size} | evaluation | {found} |"
            del model
            gc.collect()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(CANONICAL))
    parser.add_argument("--sizes", default="32,64,224", help="Image sizes in pixels.")
    parser.add_argument("--batch", type=int, default=32, help="Images of a training step.")
    parser.add_argument("--parts", default="training,evaluation")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="Length of a turn.")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="Let the loop compile a model where that is faster.")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    asked = parser.parse_args()
    keep_freed_memory()
    full_precision()
    found_hardware = detect(asked.device, asked.precision)
    torch.set_num_threads(found_hardware.threads)
    for line in rows(
        asked.models.split(","), [int(px) for px in asked.sizes.split(",")], asked.batch, found_hardware,
        asked.parts.split(","), asked.turns, asked.seconds, asked.compile,
    ):  # fmt: skip
        print(line, flush=True)
