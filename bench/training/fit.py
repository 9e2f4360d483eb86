"""Fit one model on one subset by the protocol: one loop for every model, no choice that looks at the test set."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.data.share import Share
from bench.protocol import Protocol
from bench.records import StepKind
from bench.training.evaluate import predict, reestimate_batchnorm
from bench.training.metrics import log_softmax, nll, top_k
from bench.training.recipe import learning_rate
from bench.training.state import Keeper, restore, state_of
from bench.training.step import Eager, Engine
from bench.training.team import each_alone, seed_layers

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

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
    parts: int = 1
    resumed: int = 0

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
    keeper: Keeper | None = None,
) -> Fit:
    """Train `model` in place on `train_idx` with peak rate `lr`; the last weights count.

    `engine` makes the steps; `on_step` is told the images of each finished one. A training whose state `keeper` has
    goes on from there. Raises NonFiniteLoss.
    """
    steps = protocol.steps(len(train_idx))
    before_last_tenth = steps - max(1, round(steps / 10))
    set_up = engine.setup_s
    with looping(
        model, data, train_idx, protocol=protocol, lr=lr, seed=seed, engine=engine, on_step=on_step, keeper=keeper
    ) as loop:
        dev = _Dev(loop.step_of.model, data, train_idx, dev_idx, protocol, engine.share)
        dev.seconds = loop.told.get("judged_s", 0.0)
        loop.run(until=before_last_tenth)
        if "loss_before" not in loop.told:
            loop.told["loss_before"], _ = dev.judge()
            loop.told["judged_s"] = dev.seconds
        loop.run(until=steps)
        loss_after, top1 = dev.judge()
    losses = np.mean(engine.share.each(loop.losses[:steps].float().cpu().numpy()), axis=0)
    points = np.unique(np.linspace(0, steps - 1, min(steps, 100)).astype(int))
    return Fit(
        steps=steps,
        lr=lr,
        final_lr=loop.rate,
        train_loss=float(losses[-max(1, steps // 10) :].mean()),
        loss_curve=[(int(i) + 1, float(losses[i])) for i in points],
        dev_loss_before_last_tenth=loop.told["loss_before"],
        dev_loss=loss_after,
        dev_top1=top1,
        bn_samples=dev.bn_samples,
        train_s=loop.seconds,
        eval_s=dev.seconds,
        throughput_img_per_s=loop.throughput(),
        step=loop.step_of.kind,
        setup_s=engine.setup_s - set_up,
        parts=loop.step_of.parts,
        resumed=int(loop.told.get("resumed", 0)),
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
    keeper: Keeper | None = None,
) -> Iterator[Loop]:
    """The loop of one training of `model`, which has the trained weights when the context ends without an error.

    It begins where the state that `keeper` has was kept.
    """
    from bench.data.batches import augmentation

    steps, share = protocol.steps(len(train_idx)), engine.share
    state = keeper.earlier(lr, steps) if keeper is not None else None
    made = len(state["losses"]) if state is not None else 0
    generator = augmentation(seed)
    if state is not None:
        generator.set_state(state["streams"]["augment"])
    batches = data.train_batches(
        train_idx, steps=steps, batch_size=protocol.batch_size, seed=seed, augment=protocol.augment,
        generator=generator, first=made, share=share,
    )  # fmt: skip
    first = next(batches)
    with engine.training(model, protocol, *first) as step_of:
        # dropout and stochastic depth draw from here, whatever was built or measured before
        seed_layers(share, seed)
        loop = Loop(step_of, chain([first], batches), steps, lr, on_step)
        if keeper is not None:
            loop.keep_with(keeper, generator, writes=share.rank == 0)
        if state is not None:
            restore(step_of, state, streams=share.rank == 0)
            loop.go_on(state)
        yield loop


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
        self.told: dict[str, float] = {}
        """What else is to be known of a training that goes on."""
        self._keep: Callable[[float], None] = lambda since: None

    def keep_with(self, keeper: Keeper, generator: Generator, *, writes: bool) -> None:
        """Keep the state of the training whenever it is due, if this process `writes`."""

        def keep(since: float) -> None:
            if writes and keeper.due() and self.step < self.steps:
                seconds = self.seconds + time.perf_counter() - since
                known = {"lr": self.lr, "losses": self.losses[: self.step].cpu(), "seconds": seconds}
                told = {**self.told, "first_step_s": self.first_step_s}
                keeper.keep({**state_of(self.step_of, generator), **known, "told": told})

        self._keep = keep

    def go_on(self, state: dict[str, Any]) -> None:
        """Stand where the loop stood when this state was kept."""
        self.step = len(state["losses"])
        self.losses[: self.step] = state["losses"].to(self.device)
        self.told = dict(state["told"])
        self.told["resumed"] = self.told.get("resumed", 0) + 1
        self.seconds, self.first_step_s = state["seconds"], self.told["first_step_s"]

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
            self._keep(start)
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
        share: Share,
    ) -> None:
        self.model, self.data, self.protocol, self.share = model, data, protocol, share
        self.train_idx, self.dev_idx = train_idx, dev_idx
        self.seconds = 0.0
        self.bn_samples = 0

    def judge(self) -> tuple[float, float]:
        """Dev negative log-likelihood in nats, and dev accuracy."""
        start = time.perf_counter()
        with each_alone(self.model):
            self.bn_samples = reestimate_batchnorm(
                self.model, self.data, self.train_idx, self.protocol.bn_samples, self.protocol.batch_size
            )
        logits = predict(self.model, self.data, "train", self.dev_idx, share=self.share)
        if not np.isfinite(logits).all():
            raise NonFiniteLoss("the model gives logits that are not finite on dev")
        labels = self.data.labels("train")[self.dev_idx]
        self.seconds += time.perf_counter() - start
        return nll(log_softmax(logits), labels), top_k(logits, labels, 1)
