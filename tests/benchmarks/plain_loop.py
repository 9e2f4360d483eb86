"""Our throughput against a plain loop that anybody would write: `python -m tests.benchmarks.plain_loop`.

For every model, this project's meter and a plain loop over the same batch run in processes of their own and take turns
(A B, B A, …), so that drift hits both. Printed as a Markdown table: the plain loop's time over ours, turn by turn, with
the 95 % bootstrap interval of the median; and how long our figure took to become valid, next to what a fixed schedule
of 10 warm-up and 40 timed batches of 256 images takes at that rate.
"""

from __future__ import annotations

import argparse
import time
from multiprocessing.connection import Connection

import numpy as np

from bench.execution.local import cost_requests
from bench.execution.meter import CostRequest, measure
from bench.execution.process import Worker
from bench.execution.worker import serve
from bench.measure.hardware import detect
from bench.measure.sampling import median_interval
from bench.models.zoo import resolve
from bench.protocol import Protocol
from bench.store import Store
from bench.study import Study, profile_jobs

FIXED_BATCHES, FIXED_BATCH = 50, 256
TURN_S = 1.0


def plain(connection: Connection, builder: str, px: int, batch: int, threads: int, parent: int) -> None:
    """A worker that is nothing but a loop of forward calls; asked for ("loop", calls) it answers ms per call."""
    import timm
    import torch

    torch.set_num_threads(threads)
    model = timm.create_model(builder).eval().to(memory_format=torch.channels_last)
    images = torch.randn(batch, 3, px, px).to(memory_format=torch.channels_last)

    def loop(calls: int) -> float:
        with torch.inference_mode():
            start = time.perf_counter()
            for _ in range(calls):
                model(images)
            return 1e3 * (time.perf_counter() - start) / calls

    serve(connection, {"loop": loop})


def compare(request: CostRequest, builder: str, turns: int) -> dict[str, float]:
    """One row: the batch, both rates, the ratio with its interval, seconds to a valid figure and by the schedule."""
    with Worker(measure, (request,), "ours") as ours:
        ours.ask(("open",))
        ours.ask(("start", "inference"))
        while not ours.ask(("turn", "inference", TURN_S)):
            pass
        figure = ours.ask(("close",))["inference"]
        calls = max(1, round(1e3 * TURN_S / figure.median_ms))
        rival = (builder, request.img_size, figure.batch_size, request.hardware.threads)
        with Worker(plain, rival, "plain") as theirs:
            for _ in range(2):
                theirs.ask(("loop", calls))
            before = len(figure.samples_ms)
            pairs = []
            for turn in range(turns):
                pair = {}
                for side in ("ours", "plain") if turn % 2 == 0 else ("plain", "ours"):
                    if side == "plain":
                        pair[side] = theirs.ask(("loop", calls))
                    else:
                        ours.ask(("turn", "inference", TURN_S))
                        samples = ours.ask(("close",))["inference"].samples_ms
                        pair[side] = float(np.median(samples[before:]))
                        before = len(samples)
                pairs.append(pair["plain"] / pair["ours"])
    low, high = median_interval(pairs)
    return {
        "batch": figure.batch_size,
        "img/s": figure.throughput_img_per_s,
        "ratio": float(np.median(pairs)),
        "low": low,
        "high": high,
        "valid": not figure.invalid,
        "seconds": figure.seconds,
        "schedule s": FIXED_BATCHES * FIXED_BATCH / figure.throughput_img_per_s,
    }


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
    print("| model | batch | img/s | plain ÷ ours (95 %) | valid | seconds to it | fixed schedule, s |")
    print("| --- | ---: | ---: | --- | --- | ---: | ---: |")
    for request in cost_requests(study, jobs, 1000, hardware, "plain_loop"):
        row = compare(request, resolve(request.model).builder, options.turns)
        print(
            f"| {request.model} | {row['batch']} | {row['img/s']:.2f} | {row['ratio']:.3f} "
            f"({row['low']:.3f}–{row['high']:.3f}) | {'yes' if row['valid'] else 'no'} | {row['seconds']:.1f} | "
            f"{row['schedule s']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
