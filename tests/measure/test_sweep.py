"""The best batch of a sweep, and what happens when memory runs out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from bench.measure import sweep as module
from bench.measure.operation import Subject
from bench.measure.settings import LARGEST_BATCH, CostSettings
from bench.measure.sweep import is_out_of_memory, sweep

OOM = RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried …")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], float]], list[int]]:
    """A pretended machine: milliseconds per step by batch size. Gives the list of batches that were tried."""

    def pretend(step_ms: Callable[[int], float]) -> list[int]:
        tried: list[int] = []

        class Pretended:
            def __init__(self, subject: Subject, metric: str, batch: int) -> None:
                tried.append(batch)
                self.batch = batch

            def sample(self) -> float:
                return step_ms(self.batch)

            def release(self) -> None:
                pass

        monkeypatch.setattr(module, "Operation", Pretended)
        monkeypatch.setattr(module, "LEAST_S", 0.0)
        return tried

    return pretend


def _subject() -> Subject:
    model = torch.nn.Flatten()
    return Subject(
        model, img_size=4, settings=CostSettings(), device=torch.device("cpu"), make_optimizer=lambda m: None  # type: ignore[arg-type, return-value]
    )  # fmt: skip


def _fits_up_to(limit: int, step_ms: Callable[[int], float]) -> Callable[[int], float]:
    def run(batch: int) -> float:
        if batch > limit:
            raise OOM
        return step_ms(batch)

    return run


def test_the_smallest_batch_that_is_practically_as_fast_is_chosen(machine: Callable[..., list[int]]) -> None:
    machine(
        lambda batch: max(8.0, 1.0 * batch)
    )  # 8 images take as long as one; beyond, every image takes a millisecond
    found = sweep(_subject(), "inference", (), longest_step_s=10)
    assert found.batch_size == found.requested_batch_size == 8
    assert [point.batch_size for point in found.curve] == [1, 2, 4, 8, 16, 32]
    assert found.curve[3].throughput_img_per_s == pytest.approx(1000.0)


def test_a_sweep_goes_on_as_long_as_larger_batches_help_and_ends_at_the_largest(
    machine: Callable[..., list[int]],
) -> None:
    machine(lambda batch: 5.0)
    found = sweep(_subject(), "inference", (), longest_step_s=10)
    assert found.batch_size == LARGEST_BATCH["cpu"]


def test_a_step_that_takes_too_long_ends_the_sweep(machine: Callable[..., list[int]]) -> None:
    tried = machine(lambda batch: 400.0 * batch**0.9)
    sweep(_subject(), "inference", (), longest_step_s=1)
    assert tried == [1, 2, 4]


def test_training_starts_at_two_images_for_batchnorm(machine: Callable[..., list[int]]) -> None:
    assert machine(lambda batch: 1.0 * batch) is not None
    assert sweep(_subject(), "training", (), longest_step_s=10).curve[0].batch_size == 2


def test_lack_of_memory_ends_a_sweep_and_stands_in_its_curve(machine: Callable[..., list[int]]) -> None:
    machine(_fits_up_to(16, lambda batch: 5.0))
    found = sweep(_subject(), "inference", (), longest_step_s=10)
    assert found.batch_size == found.requested_batch_size == 16
    assert (found.curve[-1].batch_size, found.curve[-1].median_ms) == (32, None)


def test_a_batch_that_was_asked_for_and_does_not_fit_is_halved_visibly(machine: Callable[..., list[int]]) -> None:
    tried = machine(_fits_up_to(70, lambda batch: 5.0))
    found = sweep(_subject(), "inference", (256,), longest_step_s=10)
    assert tried == [256, 128, 64]
    assert (found.batch_size, found.requested_batch_size) == (64, 256)
    assert [(p.batch_size, p.median_ms) for p in found.curve] == [(64, 5.0), (128, None), (256, None)]


def test_batches_that_were_asked_for_are_all_tried_even_where_they_are_slow(machine: Callable[..., list[int]]) -> None:
    tried = machine(lambda batch: 9000.0)
    found = sweep(_subject(), "inference", (4, 12, 20), longest_step_s=1)
    assert tried == [4, 12, 20]
    assert found.batch_size == 20


def test_a_model_of_which_nothing_fits_raises_what_it_met(machine: Callable[..., list[int]]) -> None:
    machine(_fits_up_to(0, lambda batch: 5.0))
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        sweep(_subject(), "inference", (8,), longest_step_s=1)


def test_any_other_error_is_not_taken_for_a_lack_of_memory(machine: Callable[..., list[int]]) -> None:
    def broken(batch: int) -> float:
        if batch > 4:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return 5.0

    machine(broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        sweep(_subject(), "inference", (), longest_step_s=10)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (OOM, True),
        (MemoryError(), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_only_true_lack_of_memory_counts_as_such(error: BaseException, verdict: bool) -> None:
    assert is_out_of_memory(error) is verdict


def test_torch_itself_raises_an_error_that_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.float32)
    assert is_out_of_memory(caught.value)
