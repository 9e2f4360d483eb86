"""Training steps of the mini family, in both precisions: what the claims lab spends nearly all of its time on.

`python -m pytest tests/benchmarks/test_minis.py -n 0 --benchmark-enable --benchmark-group-by=param:precision`
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.benchmarks.steps import describe_model, make_model, training_step
from tests.models.minis import FAMILY


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", FAMILY)
def test_training_step_of_a_mini(name: str, precision: str, benchmark: Any) -> None:
    model = make_model(name)
    describe_model(benchmark, name)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    benchmark(training_step(model, precision))
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert moved[-1]
    assert sum(moved) > 0.9 * len(moved)
