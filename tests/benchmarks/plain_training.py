"""Training as studies do it against a plain loop: `python -m tests.benchmarks.plain_training --data FOLDER`.

The plain loop is that of `plain_scripts`: a DataLoader with worker processes that opens image files, PIL transforms,
float32, kernels launched one by one. Both train the same model on the same images in one process, one after the other.
Printed as a Markdown table: training images/s of both and their ratio.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.data.batches import ImageData, load
from bench.data.cache import default_cache_dir, prepare
from bench.data.decode import usable_cpus
from bench.execution.worker import full_precision, keep_freed_memory
from bench.measure.hardware import detect
from bench.models.build import build_module
from bench.models.zoo import parse_models
from bench.protocol import Protocol
from bench.study import CANONICAL
from bench.training.fit import training_rate
from bench.training.step import Engine
from tests.benchmarks import plain_scripts

FILES = 4096
"""Images that are written as files; the plain loop passes over them again and again."""


def image_files(data: ImageData, folder: Path) -> None:
    """Some training images, spread evenly, as PNG files in class folders."""
    labels = data.labels("train")
    chosen = np.linspace(0, len(labels) - 1, min(FILES, len(labels))).astype(np.int64)
    (pixels,) = data._splits["train"].walk([chosen])
    for k, image in zip(chosen, pixels.cpu().numpy(), strict=True):
        path = folder / "train" / str(labels[k])
        path.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.squeeze()).convert("RGB").save(path / f"{k}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="Dataset, as --dataset of run_bench.py.")
    parser.add_argument("--models", default=",".join(CANONICAL))
    parser.add_argument("--sizes", default="32,224", help="Image sizes in pixels.")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40, help="Steps of the plain loop.")
    parser.add_argument("--seconds", type=float, default=3.0, help="Seconds of ours.")
    parser.add_argument("--geometry", default="canonical", choices=("canonical", "small"))
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    keep_freed_memory()
    hardware = detect(asked.device, "auto")
    device, workers = torch.device(hardware.device), min(16, usable_cpus())
    print("| model | px | plain loop img/s | ours img/s | ours ÷ plain |")
    print("| --- | ---: | ---: | ---: | ---: |", flush=True)
    info = prepare(asked.data, data_dir=None, img_size=32, download=False, cache_dir=default_cache_dir(), progress=None)
    with tempfile.TemporaryDirectory() as folder:
        native = load(info, cache_dir=default_cache_dir(), img_size=info.native_px or 32, device=torch.device("cpu"))
        image_files(native, Path(folder))
        for px in map(int, asked.sizes.split(",")):
            geometry = asked.geometry if px < 128 else "canonical"
            protocol = Protocol(img_size=px, batch_size=asked.batch, geometry=geometry)
            data = load(info, cache_dir=default_cache_dir(), img_size=px, device=device)
            for name in parse_models(asked.models, protocol.small_px):
                model = build_module(name, num_classes=len(info.classes), img_size=px).to(device)
                files = plain_scripts.loader(Path(folder), px, asked.batch, True, 1.0, workers)
                plain = plain_scripts.fit(model, files, asked.steps, 1e-4, device)["img_per_s"]
                full_precision()
                model = build_module(name, num_classes=len(info.classes), img_size=px).to(device)
                model = model.to(memory_format=torch.channels_last)
                ours = training_rate(
                    model, data, np.arange(info.n_train), protocol=replace(protocol, lr=1e-4),
                    engine=Engine(hardware.precision, device), seconds=asked.seconds,
                )  # fmt: skip
                print(f"| {name} | {px} | {plain:,.0f} | {ours:,.0f} | {ours / plain:.2f} |", flush=True)
                del model, files
                gc.collect()
