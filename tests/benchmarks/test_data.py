"""Batches with and without augmentation, and preparing a dataset.

`python -m pytest tests/benchmarks/test_data.py -n 0 --benchmark-enable`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.batches import ImageData
from bench.data.cache import prepare
from tests.benchmarks.steps import PX, describe

BATCH, STEPS = 128, 20


@pytest.mark.parametrize("augment", ["none", "light", "heavy"])
def test_training_batches(augment: str, digits: ImageData, benchmark: Any) -> None:
    describe(benchmark, batch=BATCH)

    def batches() -> int:
        found = digits.train_batches(np.arange(1000), steps=STEPS, batch_size=BATCH, seed=0, augment=augment)
        return sum(len(batch) for batch, _ in found)

    assert benchmark.pedantic(batches, rounds=5, warmup_rounds=1) == STEPS * BATCH


def test_test_batches(digits: ImageData, benchmark: Any) -> None:
    describe(benchmark, batch=BATCH)
    index = np.arange(len(digits.labels("test")))

    def batches() -> int:
        return sum(len(batch) for batch, _ in digits.eval_batches("test", index, batch_size=BATCH))

    assert benchmark.pedantic(batches, rounds=5, warmup_rounds=1) == len(index)


def test_preparing_the_default_dataset(tmp_path: Path, benchmark: Any) -> None:
    counter = iter(range(100))

    def cold() -> None:
        cache = tmp_path / str(next(counter))
        prepare("digits", data_dir=None, img_size=PX, download=False, cache_dir=cache)

    benchmark.pedantic(cold, rounds=3, warmup_rounds=1)
