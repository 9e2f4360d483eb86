"""`--task evaluate` against timm's own validation loop: `python -m tests.benchmarks.validation_speed`.

Made-up JPEG files of 500×375 pixels in class folders, the same model, batch and loader processes; turns of changing
order in one process. Printed as a Markdown table: images/s of both, their ratio with the 95 % interval of the median,
and how many predictions differ.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from timm.data.config import resolve_data_config
from timm.data.dataset_factory import create_dataset
from timm.data.loader import create_loader
from torch import nn

from bench.data.imagenet import synsets
from bench.measure.sampling import median_interval
from bench.training.validate import VALIDATION_BATCH, validate


def write_files(folder: Path, images: int, classes: int) -> None:
    """So many photographs that never were, of a photograph's size and compressibility."""
    rng = np.random.default_rng(0)
    for k in range(images):
        path = folder / synsets()[k % classes]
        path.mkdir(exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(path / f"{k}.jpg", quality=90)


def timm_logits(model: nn.Module, folder: Path, workers: int, device: torch.device) -> np.ndarray:
    """Logits by the loop of timm's validation script."""
    config = resolve_data_config({}, model=model, use_test_size=True)  # type: ignore[no-untyped-call]
    loader = create_loader(
        create_dataset("", root=str(folder), split="validation"), input_size=config["input_size"],
        batch_size=VALIDATION_BATCH, use_prefetcher=device.type == "cuda", interpolation=config["interpolation"],
        mean=config["mean"], std=config["std"], num_workers=workers, crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"], pin_memory=device.type == "cuda", device=device, persistent_workers=False,
    )  # fmt: skip
    with torch.inference_mode():
        found = [model(x.to(device).contiguous(memory_format=torch.channels_last)).cpu() for x, _ in loader]
    return torch.cat(found).numpy()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="test_resnet")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = timm.create_model(asked.model).eval().to(device).to(memory_format=torch.channels_last)
    times: dict[str, list[float]] = {"timm": [], "ours": []}
    with tempfile.TemporaryDirectory() as name:
        write_files(Path(name), asked.images, asked.classes)
        answers = {}
        for turn in range(asked.turns):
            for who in ("timm", "ours") if turn % 2 else ("ours", "timm"):
                start = time.perf_counter()
                if who == "timm":
                    answers[who] = timm_logits(model, Path(name), asked.workers, device).argmax(1)
                else:
                    found = validate(model, Path(name), device=device, workers=asked.workers)
                    answers[who] = found.logits.argmax(1)
                times[who].append(time.perf_counter() - start)
    ratios = [t / o for t, o in zip(times["timm"], times["ours"], strict=True)]
    low, high = median_interval(ratios)
    rate = {who: asked.images / float(np.median(taken)) for who, taken in times.items()}
    differ = int((answers["timm"] != answers["ours"]).sum())
    print("| model | timm img/s | ours img/s | ours ÷ timm (95 %) | predictions that differ |")
    print("| --- | ---: | ---: | --- | ---: |")
    print(
        f"| {asked.model} | {rate['timm']:,.0f} | {rate['ours']:,.0f} | {np.median(ratios):.3f} ({low:.3f}–{high:.3f}) "
        f"| {differ} of {asked.images} |"
    )
