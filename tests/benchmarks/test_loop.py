"""The training loop against its floor, the same model's forward, backward and step on one resident batch.

`python -m pytest tests/benchmarks/test_loop.py --benchmark-enable --benchmark-group-by=param:name`
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bench.data.batches import ImageData, load
from bench.data.cache import prepare
from bench.measure.hardware import detect
from bench.models.build import build
from bench.protocol import Protocol
from bench.training.evaluate import predict
from bench.training.fit import training_rate
from bench.training.recipe import make_optimizer

STEPS = 8
PROTOCOL = replace(Protocol(), samples_seen=STEPS * 32)
CPU = torch.device("cpu")
MODELS = ("resnet18", "deit_ti")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    cache = tmp_path_factory.mktemp("cache")
    info = prepare("digits", data_dir=None, img_size=32, download=False, cache_dir=cache)
    return load(info, cache_dir=cache, img_size=32, device=CPU)


def _model(name: str) -> nn.Module:
    model, _ = build(name, num_classes=10, img_size=32)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _floor(model: nn.Module, precision: str) -> None:
    optimizer = make_optimizer(model.train(), PROTOCOL.weight_decay)
    images = torch.randn(PROTOCOL.batch_size, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    targets = torch.arange(PROTOCOL.batch_size) % 10
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = cross_entropy(model(images).float(), targets, label_smoothing=0.1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@pytest.mark.parametrize("name", MODELS)
def test_floor_of_training(name: str, benchmark: Any) -> None:
    precision = detect("cpu", "auto").precision
    benchmark.pedantic(_floor, args=(_model(name), precision), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("name", MODELS)
def test_training_loop_with_data_augmentation_and_schedule(name: str, digits: ImageData, benchmark: Any) -> None:
    model, precision = _model(name), detect("cpu", "auto").precision

    def train() -> None:
        training_rate(model, digits, np.arange(1000), protocol=PROTOCOL, precision=precision, device=CPU, steps=STEPS)

    benchmark.pedantic(train, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("name", MODELS)
def test_evaluation(name: str, digits: ImageData, benchmark: Any) -> None:
    model, index = _model(name), np.arange(len(digits.labels("test")))
    benchmark.pedantic(predict, args=(model, digits, "test", index), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("augment", ["none", "light", "heavy"])
def test_training_batches(augment: str, digits: ImageData, benchmark: Any) -> None:
    def batches() -> None:
        for _ in digits.train_batches(np.arange(1000), steps=20, batch_size=128, seed=0, augment=augment):
            pass

    benchmark.pedantic(batches, rounds=5, warmup_rounds=1)


def test_preparing_the_default_dataset(tmp_path: Path, benchmark: Any) -> None:
    counter = iter(range(100))

    def cold() -> None:
        cache = tmp_path / str(next(counter))
        prepare("digits", data_dir=None, img_size=32, download=False, cache_dir=cache)

    benchmark.pedantic(cold, rounds=3, warmup_rounds=1)
