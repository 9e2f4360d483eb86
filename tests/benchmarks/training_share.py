"""What share of the measured matrix rate training reaches: `python -m tests.benchmarks.training_share`.

The loop is that of studies, compiled where that is faster; an image costs three times the forward pass's arithmetic,
two floating-point operations per multiply-accumulate. The matrix rate is that of the largest plain product in the same
precision, measured in the same process. Printed as a Markdown table.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from bench.execution.worker import full_precision, keep_freed_memory
from bench.measure.environment import environment
from bench.measure.hardware import detect
from bench.measure.macs import count_macs
from bench.measure.roofline import measure_device
from bench.models.build import build_module
from bench.protocol import Protocol
from bench.training.fit import training_rate
from bench.training.step import Engine
from tests.benchmarks.training_floor import CLASSES, IMAGES, made_up_images

PASSES = 3
"""The backward pass costs twice the forward pass."""

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="vit_b16")
    parser.add_argument("--size", type=int, default=224, help="Image size in pixels.")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=10.0, help="Training of each model; half of it for the rate.")
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    keep_freed_memory()
    full_precision()
    hardware = detect(asked.device, "auto")
    torch.set_num_threads(hardware.threads)
    device = torch.device(hardware.device)
    record = measure_device(hardware, environment(hardware, "training_share"), seconds=asked.seconds / 2)
    rate = record.flops_per_s[hardware.precision].median_per_s
    print(f"{hardware.name}: {rate / 1e12:,.1f} TFLOP/s in {hardware.precision} {' '.join(record.invalid)}\n")
    print("| model | px | batch | step | img/s | TFLOP/s | share of the matrix rate |")
    print("| --- | ---: | ---: | --- | ---: | ---: | ---: |")
    data = made_up_images(asked.size, device)
    for name in asked.models.split(","):
        model = build_module(name, num_classes=CLASSES, img_size=asked.size).to(device)
        macs = count_macs(model.eval(), torch.zeros(1, 3, asked.size, asked.size, device=device)).macs
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        protocol = Protocol(img_size=asked.size, batch_size=asked.batch)
        engine = Engine(hardware.precision, device, images_left=10**9)
        index = np.arange(IMAGES)
        images = training_rate(model, data, index, protocol=protocol, engine=engine, seconds=asked.seconds)
        done = images * PASSES * 2 * macs
        kind = engine._recorded.kind if engine._recorded is not None else "eager"
        row = [
            name,
            asked.size,
            asked.batch,
            kind,
            f"{images:,.1f}",
            f"{done / 1e12:,.2f}",
            f"{100 * done / rate:.1f} %",
        ]
        print(f"| {' | '.join(map(str, row))} |", flush=True)
