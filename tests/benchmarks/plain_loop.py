"""Our throughput against a plain loop that anybody would write: `python -m tests.benchmarks.plain_loop`.

For every model, this project's meter and a plain loop over the same batch run in processes of their own and take turns
in changing order, so that drift hits both. There are two plain loops: one with the same allocator setting as the meter
(freed memory is kept), and one with the C library's default, which gives large tensors back to the system after every
use. Printed as a Markdown table: the plain loop's time over ours, turn by turn, with the 95 % bootstrap interval of the
median; and how long our figure took to become valid, next to what a fixed schedule of 10 warm-up and 40 timed batches
of 256 images takes at that rate.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from bench.execution.local import cost_requests
from bench.execution.meter import CostRequest, measure
from bench.execution.process import Worker
from bench.execution.worker import keep_freed_memory, serve
from bench.measure.hardware import detect
from bench.measure.sampling import median_interval
from bench.models.zoo import resolve
from bench.plan import profile_jobs
from bench.protocol import Protocol
from bench.store import Store
from bench.study import Study

FIXED_BATCHES, FIXED_BATCH = 50, 256
TURN_S = 1.0


def plain(connection: Connection, builder: str, px: int, batch: int, threads: int, keep: bool, parent: int) -> None:
    """A worker that is nothing but a loop of forward calls; asked for ("loop", calls) it answers ms per call."""
    import timm
    import torch

    torch.set_num_threads(threads)
    if keep:
        keep_freed_memory()
    model = timm.create_model(builder).eval().to(memory_format=torch.channels_last)
    images = torch.randn(batch, 3, px, px).to(memory_format=torch.channels_last)

    def loop(calls: int) -> float:
        with torch.inference_mode():
            start = time.perf_counter()
            for _ in range(calls):
                model(images)
            return 1e3 * (time.perf_counter() - start) / calls

    serve(connection, {"loop": loop})


def compare(request: CostRequest, builder: str, turns: int) -> dict[str, Any]:
    """One row: our figure, and for each plain loop the ratios of its time to ours, turn by turn."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(Worker(measure, (request,), "ours"))
        ours.ask(("open",))
        ours.ask(("start", "inference"))
        while not ours.ask(("turn", "inference", TURN_S)):
            pass
        figure = ours.ask(("close",))["inference"]
        calls = max(1, round(1e3 * TURN_S / figure.median_ms))
        rival = (builder, request.img_size, figure.batch_size, request.hardware.threads)
        plains = {keep: stack.enter_context(Worker(plain, (*rival, keep), "plain")) for keep in (True, False)}
        for worker in plains.values():
            worker.ask(("loop", calls))
        ratios: dict[bool, list[float]] = {True: [], False: []}
        taken = len(figure.samples_ms)
        for turn in range(turns):
            ms: dict[bool | str, float] = {}
            sides = ["ours", True, False]
            for side in sides[turn % 3 :] + sides[: turn % 3]:
                if side == "ours":
                    ours.ask(("turn", "inference", TURN_S))
                    samples = ours.ask(("close",))["inference"].samples_ms
                    ms["ours"], taken = float(np.median(samples[taken:])), len(samples)
                else:
                    ms[side] = plains[bool(side)].ask(("loop", calls))
            for keep in (True, False):
                ratios[keep].append(ms[keep] / ms["ours"])
    return {"figure": figure, "ratios": ratios}


def _ratio(values: list[float]) -> str:
    low, high = median_interval(values)
    return f"{np.median(values):.3f} ({low:.3f}–{high:.3f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="resnet50,vit_b16,swin_t")
    parser.add_argument("--px", type=int, default=224)
    parser.add_argument("--turns", type=int, default=12)
    options = parser.parse_args()
    hardware = detect("cpu", "fp32")
    study = Study(models=tuple(options.models.split(",")), protocol=Protocol(img_size=options.px), cost_only=True)
    jobs = profile_jobs(study, 1000, hardware, Store(study.output))
    print("| model | batch | img/s | same allocator: plain ÷ ours | default allocator | valid | s | schedule, s |")
    print("| --- | ---: | ---: | --- | --- | --- | ---: | ---: |")
    for request in cost_requests(study, jobs, 1000, hardware, "plain_loop"):
        row = compare(request, resolve(request.model).builder, options.turns)
        figure, ratios = row["figure"], row["ratios"]
        print(
            f"| {request.model} | {figure.batch_size} | {figure.throughput_img_per_s:.2f} | {_ratio(ratios[True])} | "
            f"{_ratio(ratios[False])} | {'no' if figure.invalid else 'yes'} | {figure.seconds:.1f} | "
            f"{FIXED_BATCHES * FIXED_BATCH / figure.throughput_img_per_s:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
