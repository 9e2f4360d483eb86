"""What is timed is what is said: the batch, the mode, the arithmetic, the number of queued steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from bench.measure.operation import MOST_QUEUED, SAMPLE_S, Operation, Subject
from bench.measure.settings import CostSettings
from bench.training.recipe import make_optimizer

CPU = torch.device("cpu")


class Spy(nn.Module):
    """A linear model that notes how it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 5)
        self.calls: list[dict[str, object]] = []

    def forward(self, images: Tensor) -> Tensor:
        features = self.conv(images)
        self.calls.append(
            {
                "shape": tuple(images.shape),
                "training": self.training,
                "grad": torch.is_grad_enabled(),
                "channels_last": images.is_contiguous(memory_format=torch.channels_last)
                and self.conv.weight.is_contiguous(memory_format=torch.channels_last),
                "bf16": features.dtype == torch.bfloat16,
            }
        )
        return self.head(features.mean(dim=(2, 3)))


def _subject(**settings: object) -> tuple[Spy, Subject]:
    model = Spy()
    changed = replace(CostSettings(), **settings)  # type: ignore[arg-type]
    return model, Subject(
        model, img_size=12, settings=changed, device=CPU, make_optimizer=lambda m: make_optimizer(m, 0.05)
    )


def test_latency_and_inference_run_in_eval_mode_without_gradients_at_their_batch() -> None:
    model, subject = _subject()
    Operation(subject, "latency", 1).sample()
    Operation(subject, "inference", 6).sample()
    assert [call["shape"] for call in model.calls] == [(1, 3, 12, 12), (6, 3, 12, 12)]
    assert not any(call["training"] or call["grad"] for call in model.calls)


def test_a_training_step_is_forward_backward_and_a_step_of_the_optimiser() -> None:
    model, subject = _subject()
    before = model.head.weight.detach().clone()
    operation = Operation(subject, "training", 4)
    operation.sample()
    assert model.calls[-1]["training"]
    assert model.calls[-1]["grad"]
    assert not torch.equal(before, model.head.weight)
    assert torch.allclose(before, model.head.weight, atol=1e-4), "the rate must leave the model practically as it was"
    assert subject.optimizer.state


def test_the_mode_is_set_anew_when_metrics_alternate() -> None:
    model, subject = _subject()
    inference, training = Operation(subject, "inference", 2), Operation(subject, "training", 2)
    for operation in (inference, training, inference):
        operation.sample()
    assert [call["training"] for call in model.calls] == [False, True, False]


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_and_weights_have_the_layout_that_the_record_names(channels_last: bool) -> None:
    model, subject = _subject(channels_last=channels_last)
    Operation(subject, "inference", 2).sample()
    assert model.calls[-1]["channels_last"] is channels_last
    assert subject.settings.memory_format == ("channels_last" if channels_last else "contiguous")


def test_each_metric_runs_in_its_own_arithmetic() -> None:
    model, subject = _subject(inference_precision="fp32", training_precision="bf16")
    for metric in ("inference", "training"):
        operation = Operation(subject, metric, 2)
        operation.sample()
        assert model.calls[-1]["bf16"] is (operation.precision == "bf16")
    assert [call["bf16"] for call in model.calls] == [False, True]


def test_short_steps_are_queued_into_one_sample_and_latency_never_is() -> None:
    model, subject = _subject()
    batch = Operation(subject, "inference", 2)
    batch.queue_for(step_ms=1.0)
    assert batch.queued == round(1e3 * SAMPLE_S["cpu"])
    batch.sample()
    assert len(model.calls) == batch.queued == batch.steps
    batch.queue_for(step_ms=1e-9)
    assert batch.queued == MOST_QUEUED
    single = Operation(subject, "latency", 1)
    single.queue_for(step_ms=1e-3)
    assert single.queued == 1


def test_a_sample_is_the_time_of_one_step_however_many_are_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([10.0, 10.8])
    monkeypatch.setattr("bench.measure.operation.time.perf_counter", lambda: next(ticks))
    _, subject = _subject()
    operation = Operation(subject, "inference", 2)
    operation.queued = 4
    assert operation.sample() == pytest.approx(200.0)


def test_released_operations_leave_no_gradients_behind() -> None:
    model, subject = _subject()
    operation = Operation(subject, "training", 2)
    operation.sample()
    operation.release()
    assert all(p.grad is None for p in model.parameters())
