"""Fit one model on one subset by the protocol: one loop for every model, no choice that looks at the test set."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.protocol import Protocol
from bench.records import StepKind
from bench.training.evaluate import predict, reestimate_batchnorm
from bench.training.metrics import log_softmax, nll, top_k
from bench.training.recipe import learning_rate
from bench.training.step import Eager, Engine

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.data.batches import ImageData

CHECK_EVERY = 50
"""Steps between looks at the loss on a GPU, where each look waits for the device."""
RATE_STEPS = 10_000
"""Most steps over which a rate is measured."""
UNDER_TRAINED_FALL = 0.02
"""Relative fall of dev loss in the last tenth of the steps from which a run counts as under-trained."""


class NonFiniteLoss(RuntimeError):
    """The training loss became NaN or infinite."""


@dataclass(frozen=True)
class Fit:
    """What one training did; times in seconds of wall clock."""

    steps: int
    lr: float
    final_lr: float
    train_loss: float
    loss_curve: list[tuple[int, float]]
    dev_loss_before_last_tenth: float
    dev_loss: float
    dev_top1: float
    bn_samples: int
    train_s: float
    eval_s: float
    throughput_img_per_s: float
    step: StepKind = "eager"
    setup_s: float = 0.0

    @property
    def under_trained(self) -> bool:
        """Whether dev loss still fell by more than 2 % in the last tenth of the steps."""
        return self.dev_loss < (1 - UNDER_TRAINED_FALL) * self.dev_loss_before_last_tenth


def fit(
    model: nn.Module,
    data: ImageData,
    train_idx: NDArray[np.int64],
    dev_idx: NDArray[np.int64],
    *,
    protocol: Protocol,
    lr: float,
    seed: int,
    engine: Engine,
    on_step: Callable[[int], None] = lambda images: None,
) -> Fit:
    """Train `model` in place on `train_idx` with peak rate `lr`; the last weights count.

    `engine` makes the steps; `on_step` is told the images of each finished one. Raises NonFiniteLoss.
    """
    import torch

    steps = protocol.steps(len(train_idx))
    before_last_tenth = steps - max(1, round(steps / 10))
    set_up = engine.setup_s
    with looping(model, data, train_idx, protocol=protocol, lr=lr, seed=seed, engine=engine, on_step=on_step) as loop:
        torch.manual_seed(seed)  # dropout and stochastic depth draw from here, whatever was built or measured before
        dev = _Dev(loop.step_of.model, data, train_idx, dev_idx, protocol)
        loop.run(until=before_last_tenth)
        loss_before, _ = dev.judge()
        loop.run(until=steps)
        loss_after, top1 = dev.judge()
    losses = loop.losses[:steps].float().cpu().numpy()
    points = np.unique(np.linspace(0, steps - 1, min(steps, 100)).astype(int))
    return Fit(
        steps=steps,
        lr=lr,
        final_lr=loop.rate,
        train_loss=float(losses[-max(1, steps // 10) :].mean()),
        loss_curve=[(int(i) + 1, float(losses[i])) for i in points],
        dev_loss_before_last_tenth=loss_before,
        dev_loss=loss_after,
        dev_top1=top1,
        bn_samples=dev.bn_samples,
        train_s=loop.seconds,
        eval_s=dev.seconds,
        throughput_img_per_s=loop.throughput(),
        step=loop.step_of.kind,
        setup_s=engine.setup_s - set_up,
    )


def training_rate(
    model: nn.Module,
    data: ImageData,
    train_idx: NDArray[np.int64],
    *,
    protocol: Protocol,
    engine: Engine,
    steps: int = 3,
    seconds: float = 0.0,
) -> float:
    """Training images per second over `steps` of the real loop, and `seconds` at least, the first step left out."""
    most = steps if seconds == 0 else RATE_STEPS
    short = replace(protocol, samples_seen=most * protocol.batch_size, epochs=None)
    with looping(model, data, train_idx, protocol=short, lr=protocol.lr, seed=0, engine=engine) as loop:
        loop.run(until=steps)
        while loop.seconds < seconds and loop.step < most:
            loop.run(until=min(most, 2 * loop.step))
    return loop.throughput()


@contextlib.contextmanager
def looping(
    model: nn.Module,
    data: ImageData,
    train_idx: NDArray[np.int64],
    *,
    protocol: Protocol,
    lr: float,
    seed: int,
    engine: Engine,
    on_step: Callable[[int], None] = lambda images: None,
) -> Iterator[Loop]:
    """The loop of one training of `model`, which has the trained weights when the context ends without an error."""
    steps = protocol.steps(len(train_idx))
    batches = data.train_batches(
        train_idx, steps=steps, batch_size=protocol.batch_size, seed=seed, augment=protocol.augment
    )
    first = next(batches)
    with engine.training(model, protocol, *first) as step_of:
        yield Loop(step_of, chain([first], batches), steps, lr, on_step)


class Loop:
    """The steps of one training, made in two stretches so that dev can be looked at in between."""

    def __init__(
        self,
        step_of: Eager,
        batches: Iterator[tuple[Tensor, Tensor]],
        steps: int,
        lr: float,
        on_step: Callable[[int], None],
    ) -> None:
        """`steps` of `batches`, made by `step_of` at rates up to `lr`."""
        import torch

        self.step_of, self.batches, self.steps, self.lr, self.on_step = step_of, batches, steps, lr, on_step
        self.protocol, self.device = step_of.protocol, step_of.device
        self.losses = torch.zeros(steps, device=self.device)
        self.step = 0
        self.rate = 0.0
        self.seconds = 0.0
        self.first_step_s = 0.0

    def run(self, until: int) -> None:
        """Make steps up to number `until` and keep their wall time."""
        self.step_of.model.train()
        self._wait()
        start = time.perf_counter()
        while self.step < until:
            self._one()
            if self.step == 1:
                self._wait()
                self.first_step_s = time.perf_counter() - start
            if self.device.type == "cpu" or self.step % CHECK_EVERY == 0 or self.step == until:
                self._check()
            self.on_step(self.protocol.batch_size)
        self._wait()
        self.seconds += time.perf_counter() - start

    def throughput(self) -> float:
        """Training images per second of the steps made, but for the first one, which allocates and warms up."""
        if self.step > 1:
            return (self.step - 1) * self.protocol.batch_size / (self.seconds - self.first_step_s)
        return self.protocol.batch_size / self.seconds

    def _one(self) -> None:
        images, targets = next(self.batches)
        self.rate = learning_rate(self.step, self.steps, self.lr, self.protocol.warmup_fraction)
        self.losses[self.step] = self.step_of(images, targets, self.rate)
        self.step += 1

    def _check(self) -> None:
        recent = self.losses[max(0, self.step - CHECK_EVERY) : self.step]
        if not recent.isfinite().all():
            raise NonFiniteLoss(f"the training loss is not finite by step {self.step} of {self.steps} (lr {self.lr:g})")

    def _wait(self) -> None:
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.device)


class _Dev:
    """Judges the model on dev, with BatchNorm statistics that fit its present weights."""

    def __init__(
        self,
        model: nn.Module,
        data: ImageData,
        train_idx: NDArray[np.int64],
        dev_idx: NDArray[np.int64],
        protocol: Protocol,
    ) -> None:
        self.model, self.data, self.train_idx, self.dev_idx, self.protocol = (
            model,
            data,
            train_idx,
            dev_idx,
            protocol,
        )
        self.seconds = 0.0
        self.bn_samples = 0

    def judge(self) -> tuple[float, float]:
        """Dev negative log-likelihood in nats, and dev accuracy."""
        start = time.perf_counter()
        self.bn_samples = reestimate_batchnorm(
            self.model, self.data, self.train_idx, self.protocol.bn_samples, self.protocol.batch_size
        )
        logits = predict(self.model, self.data, "train", self.dev_idx)
        if not np.isfinite(logits).all():
            raise NonFiniteLoss("the model gives logits that are not finite on dev")
        labels = self.data.labels("train")[self.dev_idx]
        self.seconds += time.perf_counter() - start
        return nll(log_softmax(logits), labels), top_k(logits, labels, 1)
