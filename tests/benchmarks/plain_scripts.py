"""What a person would write instead of this project: a training, a validation and a benchmark script in plain PyTorch.

    python -m tests.benchmarks.plain_scripts train --model resnet50 --data FOLDER --lr 1e-3 --images 1280 --save FILE
    python -m tests.benchmarks.plain_scripts validate --model resnet50 --data FOLDER --weights FILE
    python -m tests.benchmarks.plain_scripts benchmark --model resnet50 --classes 10

DataLoader with worker processes, PIL transforms, float32, torch's AdamW, no compilation; a folder of class folders.
Not a straw man: the model is the same, batches are pinned and copied asynchronously where there is a GPU, and nothing
is evaluated more often than needed. Only `tests.benchmarks.plain_study` calls it.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import timm
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

import bench.models.cvt  # noqa: F401  # timm has no CvT
from bench.models.zoo import resolve

WARM_UP, TIMED = 10, 40


def make(name: str, classes: int, img_size: int) -> nn.Module:
    """The same model, built as timm's documentation says."""
    builder = resolve(name).builder
    try:
        return timm.create_model(builder, num_classes=classes, img_size=img_size)
    except TypeError:
        return timm.create_model(builder, num_classes=classes)


def loader(folder: Path, img_size: int, batch: int, train: bool, part: float, workers: int) -> Any:
    """Images of a split; `part` of them."""
    moments = transforms.Normalize([0.5] * 3, [0.25] * 3)
    steps = [transforms.Resize((img_size, img_size))]
    if train:
        steps += [transforms.RandomCrop(img_size, padding=img_size // 8, padding_mode="reflect")]
    found: Any = datasets.ImageFolder(
        str(folder / ("train" if train else "test")), transforms.Compose([*steps, transforms.ToTensor(), moments])
    )
    if part < 1:
        order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
        found = Subset(found, order[: round(part * len(found))].tolist())
    return DataLoader(
        found, batch, shuffle=train, num_workers=workers, pin_memory=torch.cuda.is_available(), drop_last=train,
        persistent_workers=workers > 0,
    )  # fmt: skip


def train(asked: argparse.Namespace, device: torch.device) -> dict[str, float]:
    """Train on so many images and save the weights."""
    data = loader(asked.data, asked.img_size, asked.batch, True, asked.part, asked.workers)
    classes = len([path for path in (asked.data / "train").iterdir() if path.is_dir()])
    model = make(asked.model, classes, asked.img_size).to(device)
    found = fit(model, data, -(-asked.images // asked.batch), asked.lr, device)
    torch.save(model.state_dict(), asked.save)
    return found


def fit(model: nn.Module, data: Any, steps: int, lr: float, device: torch.device) -> dict[str, float]:
    """AdamW with warm-up and cosine; the mean loss, and images/s after the first tenth of the steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    model.train()
    total, start, begun = 0.0, 0.0, -(-steps // 10)
    passes = chain.from_iterable(repeat(data))
    for k, (images, targets) in zip(range(steps), passes, strict=False):
        if k == begun:
            start = time.perf_counter()
        images, targets = images.to(device, non_blocking=True), targets.to(device, non_blocking=True)
        optimizer.zero_grad()
        loss = criterion(model(images), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        total += loss.item()
    rate = (steps - begun) * data.batch_size / (time.perf_counter() - start) if steps > begun else 0.0
    return {"loss": total / steps, "img_per_s": rate}


def validate(asked: argparse.Namespace, device: torch.device) -> dict[str, float]:
    """Accuracy on the test split."""
    data = loader(asked.data, asked.img_size, 128, False, 1.0, asked.workers)
    classes = len([path for path in (asked.data / "train").iterdir() if path.is_dir()])
    model = make(asked.model, classes, asked.img_size).to(device).eval()
    model.load_state_dict(torch.load(asked.weights, map_location=device, weights_only=True))
    right, seen = 0, 0
    with torch.no_grad():
        for images, targets in data:
            right += int((model(images.to(device)).argmax(1).cpu() == targets).sum())
            seen += len(targets)
    return {"top1": 100 * right / seen}


def benchmark(asked: argparse.Namespace, device: torch.device) -> dict[str, float]:
    """MACs, parameters, latency, inference and training rate by a fixed schedule."""
    model = make(asked.model, asked.classes, asked.img_size).to(device)
    one = torch.randn(1, 3, asked.img_size, asked.img_size, device=device)
    counted = FlopCountAnalysis(model.eval(), one)
    counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    found = {"gmacs": counted.total() / 1e9, "params_m": sum(p.numel() for p in model.parameters()) / 1e6}
    many = one.expand(asked.batch, -1, -1, -1).contiguous()
    targets = torch.zeros(asked.batch, dtype=torch.int64, device=device)
    optimizer = torch.optim.AdamW(model.parameters())

    def inference(images: torch.Tensor) -> None:
        with torch.no_grad():
            model(images)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(many), targets).backward()
        optimizer.step()

    found["latency_ms"] = 1e3 * timed(lambda: inference(one), device)
    found["inference_img_per_s"] = asked.batch / timed(lambda: inference(many), device)
    model.train()
    found["training_img_per_s"] = asked.batch / timed(step, device)
    return found


def timed(call: Any, device: torch.device) -> float:
    """Mean seconds of a call after a warm-up."""
    for _ in range(WARM_UP):
        call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(TIMED):
        call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / TIMED


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "validate", "benchmark"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--img-size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--images", type=int, default=1280)
    parser.add_argument("--part", type=float, default=1.0)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    on = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(json.dumps({"train": train, "validate": validate, "benchmark": benchmark}[given.what](given, on)))
