"""Training: one loop for all, BatchNorm statistics that fit the weights, nothing chosen by the test split."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.protocol import Protocol
from bench.training.evaluate import predict, reestimate_batchnorm
from bench.training.fit import Fit, NonFiniteLoss, fit, training_rate
from bench.training.step import Eager, Engine

CPU = torch.device("cpu")
PROTOCOL = Protocol(batch_size=8, samples_seen=160, lr_trials=1, bn_samples=32, augment="none", img_size=8)


@dataclass
class Squares:
    """A data source with the interface of ImageData: bright images are class 1; counts what is asked of it."""

    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self._labels = rng.integers(0, 2, 64)
        noise = torch.from_numpy(rng.normal(size=(64, 3, 8, 8)).astype(np.float32))
        self._images = noise + 2 * torch.from_numpy(self._labels).float()[:, None, None, None]

    def labels(self, split: str) -> NDArray[np.int64]:
        return self._labels

    def eval_batches(self, split: str, indices: NDArray[np.int64], batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        self.asked.append(split)
        for k in range(0, len(indices), batch_size):
            part = indices[k : k + batch_size]
            yield self._images[part], torch.from_numpy(self._labels[part])

    def train_batches(
        self, indices: NDArray[np.int64], *, steps: int, batch_size: int, seed: int, first: int = 0, **_: object
    ) -> Iterator[tuple[Tensor, Tensor]]:
        order = itertools.cycle(np.random.default_rng(seed).permutation(indices))
        for step in range(steps):
            part = np.fromiter(order, np.int64, batch_size)
            if step < first:
                continue
            yield self._images[part], torch.from_numpy(self._labels[part])


def _model(norm: bool = True) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), *([nn.BatchNorm2d(8)] if norm else []), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 2))


def _fit(model: nn.Module, data: Squares | None = None, **changes: object) -> Fit:
    settings = {"protocol": PROTOCOL, "lr": 1e-2, "seed": 0, "engine": Engine("fp32", CPU), **changes}
    return fit(model, data or Squares(), np.arange(48), np.arange(48, 64), **settings)  # type: ignore[arg-type]


def test_a_model_learns_and_the_record_of_it_adds_up() -> None:
    seen: list[int] = []
    result = _fit(_model(), on_step=seen.append)
    assert result.steps == 20
    assert seen == [8] * 20
    assert result.dev_top1 > 0.8
    assert result.loss_curve[0][1] > result.loss_curve[-1][1]
    assert result.final_lr < 0.05 * result.lr
    assert result.throughput_img_per_s > 0
    assert result.bn_samples == 32


def test_training_looks_at_the_train_split_only() -> None:
    data = Squares()
    _fit(_model(), data)
    assert set(data.asked) == {"train"}


def test_equal_seeds_train_bit_identical_weights_and_other_seeds_do_not() -> None:
    def weights(seed: int) -> bytes:
        model = _model()
        _fit(model, seed=seed)
        return b"".join(p.detach().numpy().tobytes() for p in model.parameters())

    assert weights(0) == weights(0)
    assert weights(0) != weights(1)


def test_dropout_depends_on_the_seed_and_not_on_what_ran_before() -> None:
    def weights(drawn_before: int) -> bytes:
        model = nn.Sequential(*_model(), nn.Dropout(0.5))
        torch.rand(drawn_before)
        _fit(model)
        return b"".join(p.detach().numpy().tobytes() for p in model.parameters())

    assert weights(0) == weights(7)


def test_a_loss_that_is_not_finite_stops_the_training_by_name() -> None:
    class Diverging(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = super().forward(images)
            return logits / 0.0

    with pytest.raises(NonFiniteLoss, match="not finite by step 1 of 20"):
        _fit(Diverging(*_model()))


def test_dev_loss_that_still_falls_marks_a_run_as_under_trained() -> None:
    result = _fit(_model())
    assert replace(result, dev_loss_before_last_tenth=1.0, dev_loss=0.97).under_trained
    assert not replace(result, dev_loss_before_last_tenth=1.0, dev_loss=0.99).under_trained
    assert not replace(result, dev_loss_before_last_tenth=1.0, dev_loss=1.5).under_trained


def test_batchnorm_statistics_become_those_of_the_training_images_for_the_present_weights() -> None:
    data, model = Squares(), _model()
    with torch.no_grad():
        model[0].weight.mul_(5)  # type: ignore[index]
    assert reestimate_batchnorm(model, data, np.arange(48), 48, 8) == 48  # type: ignore[arg-type]
    with torch.no_grad():
        activations = model[0](data._images[:48])  # type: ignore[index]
    norm = model[1]  # type: ignore[index]
    assert torch.allclose(norm.running_mean, activations.mean(dim=(0, 2, 3)), atol=1e-5)
    assert torch.allclose(norm.running_var, activations.var(dim=(0, 2, 3)), rtol=2e-2)
    assert norm.momentum == 0.1


def test_a_model_without_batchnorm_is_left_alone() -> None:
    data, model = Squares(), _model(norm=False)
    assert reestimate_batchnorm(model, data, np.arange(48), 48, 8) == 0  # type: ignore[arg-type]
    assert data.asked == []


def test_fewer_images_than_a_batch_still_fill_whole_batches() -> None:
    assert reestimate_batchnorm(_model(), Squares(), np.arange(3), 48, 8) == 8  # type: ignore[arg-type]


def test_evaluation_is_in_eval_mode_and_float32_and_in_the_order_asked_for() -> None:
    data, model = Squares(), _model().bfloat16().float()
    order = np.array([5, 3, 60])
    logits = predict(model, data, "test", order, batch_size=2)  # type: ignore[arg-type]
    assert not model.training
    assert logits.dtype == np.float32
    with torch.no_grad():
        assert np.allclose(logits, model(data._images[order]).numpy(), atol=1e-6)


def test_bfloat16_training_keeps_float32_weights_and_loss() -> None:
    model = _model()
    result = _fit(model, engine=Engine("bf16", CPU))
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert result.dev_top1 > 0.8


def test_the_training_rate_is_measured_without_the_first_step() -> None:
    rate = training_rate(_model(), Squares(), np.arange(48), protocol=PROTOCOL, engine=Engine("fp32", CPU))  # type: ignore[arg-type]
    assert rate > 0


def test_a_rate_counts_the_steps_that_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    step = Eager.__call__

    def counted(self: Eager, images: Tensor, targets: Tensor, lr: float) -> Tensor:
        made.append(len(images))
        return step(self, images, targets, lr)

    monkeypatch.setattr(Eager, "__call__", counted)
    start = time.perf_counter()
    ask = {"protocol": PROTOCOL, "engine": Engine("fp32", CPU), "seconds": 0.3}
    rate = training_rate(_model(), Squares(), np.arange(48), **ask)  # type: ignore[arg-type]
    taken = time.perf_counter() - start
    assert len(made) > 3
    assert 0.5 * sum(made) / taken < rate < 2 * sum(made) / 0.3
