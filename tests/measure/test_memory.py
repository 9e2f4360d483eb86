"""Memory: weights exactly, peaks that follow what a model allocates, batches reduced only when memory runs out."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from torch import Tensor, nn

from bench.measure import memory as module
from bench.measure.memory import measure_memory, weights_bytes
from bench.measure.operation import Subject
from bench.measure.settings import CostSettings
from bench.profiles import Memory
from bench.training.recipe import make_optimizer

MIB = 1 << 20


class Hungry(nn.Module):
    """Holds `held` MiB of weights and, in a forward pass, 4 MiB for each image (8 with gradients)."""

    def __init__(self, held: int = 16) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(held * MIB // 4))
        self.limit = 10**9

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.limit:
            raise torch.cuda.OutOfMemoryError("out of memory")
        wide = images.new_ones(len(images), MIB) * self.weight[:1]
        return (wide * wide).sum(1, keepdim=True) + self.weight.sum() + images.new_zeros(len(images), 3)


def _subject(model: nn.Module) -> Subject:
    return Subject(
        model,
        img_size=8,
        settings=CostSettings(),
        device=torch.device("cpu"),
        make_optimizer=lambda m: make_optimizer(m, 0.05),
    )


def _measure(batch: int, held: int) -> Memory:
    torch.set_num_threads(1)
    return measure_memory(_subject(Hungry(held)), batch)


def _fresh(batch: int, held: int) -> Memory:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, batch, held).result()


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is reset through /proc")
@pytest.mark.slow
def test_peaks_in_a_fresh_process_follow_weights_and_batch() -> None:
    small, large, heavy = _fresh(4, 16), _fresh(24, 16), _fresh(4, 64)
    assert (small.weights_bytes, heavy.weights_bytes) == (16 * MIB, 64 * MIB)
    assert large.inference_peak_bytes - small.inference_peak_bytes == pytest.approx(20 * 8 * MIB, rel=0.35)
    assert small.training_peak_bytes is not None
    assert heavy.training_peak_bytes is not None
    # AdamW keeps two moments beside weights and gradient, and its step holds up to two temporary copies of the weights
    assert 2.6 * 48 * MIB < heavy.training_peak_bytes - small.training_peak_bytes < 6.5 * 48 * MIB
    for found in (small, large, heavy):
        assert found.weights_bytes < found.inference_peak_bytes < (found.training_peak_bytes or 0)
        assert found.method == "resident"


def test_weights_are_parameters_and_buffers_in_their_own_types() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    floats = 4 * 3 + 3 + 3 + 3 + 3 + 3
    assert weights_bytes(model) == 4 * floats + 8
    assert weights_bytes(model.half()) == 2 * floats + 8


def test_a_batch_that_does_not_fit_is_halved_and_both_numbers_are_told() -> None:
    model = Hungry(1)
    model.limit = 3
    found = measure_memory(_subject(model), 16)
    assert (found.batch_size, found.requested_batch_size) == (2, 16)


def test_a_model_that_only_infers_has_no_training_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    real = module._peak

    def peak(subject: Subject, metric: str, *rest: int) -> tuple[int, int] | None:
        return None if metric == "training" else real(subject, metric, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_peak", peak)
    found = measure_memory(_subject(Hungry(1)), 4)
    assert found.training_peak_bytes is None
    assert found.inference_peak_bytes > 0


def test_other_errors_are_not_swallowed() -> None:
    class Broken(Hungry):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("a kernel is missing")

    with pytest.raises(RuntimeError, match="a kernel is missing"):
        measure_memory(_subject(Broken(1)), 4)
