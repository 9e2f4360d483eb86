"""The training loop against its floor, the same model's steps on one resident batch; and evaluation.

`python -m pytest tests/benchmarks/test_loop.py -n 0 --benchmark-enable --benchmark-group-by=param:name`
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.batches import ImageData
from bench.measure.hardware import detect
from bench.training.evaluate import EVAL_BATCH_SIZE, predict
from bench.training.fit import training_rate
from bench.training.recipe import global_norm
from bench.training.step import Engine
from tests.benchmarks.steps import BATCH, PROTOCOL, describe, describe_model, macs_of, make_model, training_step

STEPS = 8
SHORT = replace(PROTOCOL, samples_seen=STEPS * BATCH)
CPU = torch.device("cpu")
MODELS = ("resnet18", "deit_ti")


@pytest.mark.parametrize("name", MODELS)
def test_floor_of_training(name: str, benchmark: Any) -> None:
    describe_model(benchmark, name)
    step = training_step(make_model(name), detect("cpu", "auto").precision)

    def steps() -> None:
        for _ in range(STEPS):
            step()

    benchmark.pedantic(steps, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("name", MODELS)
def test_training_loop_with_data_augmentation_and_schedule(name: str, digits: ImageData, benchmark: Any) -> None:
    describe_model(benchmark, name)
    model, precision = make_model(name), detect("cpu", "auto").precision

    def train() -> None:
        training_rate(model, digits, np.arange(1000), protocol=SHORT, engine=Engine(precision, CPU), steps=STEPS)

    benchmark.pedantic(train, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("name", MODELS)
def test_evaluation(name: str, digits: ImageData, benchmark: Any) -> None:
    describe(benchmark, model=name, batch=EVAL_BATCH_SIZE, macs=macs_of(name))
    model, index = make_model(name), np.arange(len(digits.labels("test")))
    benchmark.pedantic(predict, args=(model, digits, "test", index), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("how", [global_norm, torch.nn.utils.get_total_norm], ids=["ours", "torch"])
def test_norm_of_the_gradients_of_a_vit_b(how: Callable[[list[Tensor]], Tensor], benchmark: Any) -> None:
    """With two threads, of which torch's own norm of one tensor uses one."""
    describe(benchmark, model="vit_b16", batch=BATCH, macs=macs_of("vit_b16"))
    benchmark.extra_info["threads"] = 2
    grads = [torch.randn_like(p) for p in make_model("vit_b16").parameters()]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    benchmark.pedantic(how, args=(grads,), rounds=20, warmup_rounds=2)
    torch.set_num_threads(before)
