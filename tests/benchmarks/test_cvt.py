"""CvT's speed: `pytest -n 0 --benchmark-enable tests/benchmarks/test_cvt.py`, of all with `-m 'slow or not slow'`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.measure.macs import count_macs
from tests.benchmarks.cvt_ratio import CASES, THREADS, Case, make_step, ours, ratio_interval, take_turns, theirs
from tests.benchmarks.steps import describe

pytest.importorskip("transformers")


@pytest.fixture(autouse=True)
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both sides get the same number of threads; one where nothing is timed. The next test gets its own back."""
    before = torch.get_num_threads()
    timed = "benchmark" in request.fixturenames and request.getfixturevalue("benchmark").enabled
    torch.set_num_threads(THREADS if timed else 1)
    yield
    torch.set_num_threads(before)


def _marked() -> list[Any]:
    return [pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.px > 32 else []) for case in CASES]


@cache
def _macs(px: int) -> int:
    """Multiply-accumulates of one image, the same on both sides: they compute the same."""
    return count_macs(ours().eval(), torch.zeros(1, 3, px, px)).macs


@pytest.mark.parametrize("build", [ours, theirs])
@pytest.mark.parametrize("case", _marked())
def test_time_of_a_step(benchmark: Any, case: Case, build: Callable[[], nn.Module]) -> None:
    benchmark.group = case.name
    name = "cvt_13" if build is ours else "transformers CvT-13"
    describe(benchmark, model=name, batch=case.batch, macs=_macs(case.px))
    benchmark(make_step(build(), case))


def test_a_training_step_moves_the_parameters_and_leaves_no_gradients() -> None:
    model = ours()
    before = model.get_parameter("head.weight").detach().clone()
    make_step(model, Case(px=32, training=True, bf16=False))()
    assert not torch.equal(model.get_parameter("head.weight"), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_sides_take_turns_and_who_goes_first_alternates() -> None:
    calls: list[str] = []
    seconds = take_turns(lambda: calls.append("A"), lambda: calls.append("B"), turns=3)
    assert "".join(calls) == "ABAB" + "AB" + "BA" + "AB"
    assert seconds.shape == (3, 2)
    assert (seconds >= 0).all()


def test_a_ratio_is_the_second_side_over_the_first_within_a_turn() -> None:
    slowed = np.array([1.0, 1.0, 10.0, 1.0, 1.0])  # a turn in which the machine was busy weighs no more than others
    median, low, high = ratio_interval(np.stack([slowed, 2 * slowed], axis=1))
    assert (median, low, high) == (2.0, 2.0, 2.0)
    median, low, high = ratio_interval(np.stack([np.ones(9), np.linspace(1, 3, 9)], axis=1))
    assert low < median < high
