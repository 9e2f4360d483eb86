"""How one optimiser step is made: the same arithmetic for every model, launched the fastest way that its device has.

On a CPU the operations are launched one by one. On a GPU that leaves a small model waiting for Python, so a whole step,
from the forward pass to the optimiser, is recorded once as a CUDA graph and replayed with one launch; where enough
work is left to pay for it, the model goes through torch.compile first, which is kept if it is faster. Graph and
compiled code serve all trainings of a model: each copies its initial weights into the recorded one and its trained
weights out again.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from bench.data.share import ALONE, Share
from bench.errors import first_line
from bench.measure.sweep import is_out_of_memory
from bench.protocol import Protocol
from bench.records import StepKind
from bench.training.recipe import make_optimizer, step_clipped
from bench.training.team import together

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

log = logging.getLogger("bench")

WARM_UP_STEPS = 3
"""Steps before a graph is recorded, in which libraries choose their algorithms and the optimiser makes its state."""
RATED_STEPS, RATED_S = 20, 0.5
"""Steps and seconds, at least, over which the rate of a recorded step is measured."""
COMPILE_PAYS_S = 240.0
"""Seconds of training left of a model, at the rate without, from which compiling it is tried: it takes a minute or two
and seldom gains less than a third of that time."""


class Eager:
    """Forward pass, backward pass and optimiser step of one model, launched operation by operation."""

    kind: StepKind = "eager"

    def __init__(
        self,
        model: nn.Module,
        protocol: Protocol,
        precision: str,
        device: torch.device,
        forward: Callable[[Any], Any] | None = None,
        parts: int = 1,
    ) -> None:
        """`forward` stands for the model where it was compiled or is trained by several processes; a batch goes through
        in so many `parts`, their gradients added up."""
        import torch

        self.model, self.protocol, self.device, self.parts = model, protocol, device, parts
        self._forward = model if forward is None else forward
        self.optimizer = make_optimizer(model, protocol.weight_decay, on_gpu=device.type == "cuda")
        self._rate = torch.zeros((), device=device) if device.type == "cuda" else None
        self._autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")

    def __call__(self, images: Tensor, targets: Tensor, lr: float) -> Tensor:
        """One step at rate `lr` on images [b, 3, px, px]; the loss, which the next step may overwrite."""
        return self._step(images, targets, self._set(lr))

    def _set(self, lr: float) -> float | Tensor:
        """The rate where the optimiser reads it: on a GPU a tensor there, so that a recorded step can be given one."""
        return lr if self._rate is None else self._rate.fill_(lr)

    def _step(self, images: Tensor, targets: Tensor, lr: float | Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.gradients(images, targets)
        step_clipped(self.optimizer, self.protocol.clip_grad, lr)
        return loss

    def gradients(self, images: Tensor, targets: Tensor) -> Tensor:
        """Forward and backward pass of a batch, in parts if need be; the mean loss."""
        if self.parts == 1:
            return self._backward(images, targets, 1.0)
        losses = []
        halves = list(zip(images.tensor_split(self.parts), targets.tensor_split(self.parts), strict=True))
        for k, (some, their) in enumerate(halves):
            waits = k < len(halves) - 1 and hasattr(self._forward, "no_sync")  # gradients are exchanged once a step
            with self._forward.no_sync() if waits else contextlib.nullcontext():  # type: ignore[attr-defined]
                losses.append(self._backward(some, their, len(some) / len(images)))
        return sum(losses[1:], losses[0])

    def _backward(self, images: Tensor, targets: Tensor, weight: float) -> Tensor:
        from torch.nn.functional import cross_entropy

        with self._autocast:
            logits = self._forward(images)
        loss = cross_entropy(logits.float(), targets, label_smoothing=self.protocol.smoothing)
        if weight != 1:
            loss = loss * weight
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


class Recorded(Eager):
    """A step recorded as a CUDA graph over a model of its own; `kind` says whether it was compiled first."""

    def __init__(
        self,
        model: nn.Module,
        protocol: Protocol,
        precision: str,
        device: torch.device,
        *,
        compiled: bool,
        images: Any,
        targets: Any,
        parts: int = 1,
    ) -> None:
        """Record a step on a batch like these. Raises whatever a model raises that cannot be recorded or compiled."""
        import torch

        forward = torch.compile(model, dynamic=False) if compiled else None
        super().__init__(model, protocol, precision, device, forward, parts)
        self.kind = "compiled" if compiled else "graph"
        self._images, self._targets = images, targets
        model.train()
        rate = self._set(0.0)
        side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                self._step(images, targets, rate)
        torch.cuda.current_stream(device).wait_stream(side)
        self.optimizer.zero_grad(set_to_none=True)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss = self._step(images, targets, rate)

    def __call__(self, images: Tensor, targets: Tensor, lr: float) -> Tensor:
        """One step at rate `lr` on images [b, 3, px, px]; the loss, which the next step overwrites."""
        self._images.copy_(images)
        self._targets.copy_(targets)
        self._set(lr)
        self._graph.replay()
        return self._loss

    def fits(self, model: nn.Module) -> bool:
        """Whether a model has the same parameters and buffers."""
        own, other = self.model.state_dict(), model.state_dict()
        return own.keys() == other.keys() and all(own[name].shape == other[name].shape for name in own)

    def load(self, model: nn.Module) -> None:
        """Begin a training with the weights of `model` and an optimiser that has seen nothing."""
        import torch

        with torch.no_grad():
            _copy_state(model, self.model)
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def seconds_per_step(self) -> float:
        """Seconds of a replay, at a rate of zero."""
        import torch

        self._set(0.0)
        steps, start = 0, time.perf_counter()
        while steps < RATED_STEPS or time.perf_counter() - start < RATED_S:
            self._graph.replay()
            steps += 1
            if steps % RATED_STEPS == 0:
                torch.cuda.synchronize(self.device)
        torch.cuda.synchronize(self.device)
        return (time.perf_counter() - start) / steps


class Engine:
    """Gives the trainings of one model, one after the other, their steps; what it records serves all of them."""

    def __init__(
        self,
        precision: str,
        device: torch.device,
        images_left: int = 0,
        *,
        share: Share = ALONE,
        parts: int | None = None,
    ) -> None:
        """`images_left` is how many training images the model has to see in all, from which compiling may pay.

        Processes that train a model together each have a `share`. A batch goes through in so many `parts`; as few as
        the memory of a GPU allows where that is None.
        """
        self.precision, self.device, self.images_left, self.share = precision, device, images_left, share
        self.setup_s = 0.0  # of everything recorded so far
        self._parts = parts if parts is not None or device.type == "cuda" else 1
        self._recorded: Recorded | None = None
        self._unfit = device.type != "cuda" or not share.alone

    @contextlib.contextmanager
    def training(self, model: nn.Module, protocol: Protocol, images: Tensor, targets: Tensor) -> Iterator[Eager]:
        """The steps of a training of `model`, whose batches are like this one.

        Inside, `.model` of what is given is the one that trains; after it, if nothing was raised, `model` has its
        weights.
        """
        parts = self._parts = self._parts or self._fewest_parts(model, protocol, images, targets)
        recorded = self._ready(model, protocol, images, targets)
        if recorded is None:
            many = contextlib.nullcontext() if self.share.alone else together(model, self.device)
            with many as forward:
                yield Eager(model, protocol, self.precision, self.device, forward, parts)
            return
        recorded.load(model)
        yield recorded
        _copy_state(recorded.model, model)

    def _fewest_parts(self, model: nn.Module, protocol: Protocol, images: Tensor, targets: Tensor) -> int:
        """The fewest parts, doubled, in which a batch fits into memory; the most that any process needs."""
        start = time.perf_counter()
        parts = 1
        while parts < len(images) and not self._fits(model, protocol, images, targets, parts):
            parts = min(2 * parts, len(images))
        self.setup_s += time.perf_counter() - start
        return int(max(self.share.each(parts)))

    def _fits(self, model: nn.Module, protocol: Protocol, images: Tensor, targets: Tensor, parts: int) -> bool:
        """Whether a step of a copy in so many parts runs without using up the memory; other errors wait."""
        try:
            trial = Eager(copy.deepcopy(model).train(), protocol, self.precision, self.device, parts=parts)
            trial(images, targets, 0.0)
        except Exception as error:
            _recover(self.device)
            return not is_out_of_memory(error)
        return True

    def forget(self) -> None:
        """Give back what was recorded, with its memory."""
        self._recorded = None

    def _ready(self, model: nn.Module, protocol: Protocol, images: Tensor, targets: Tensor) -> Recorded | None:
        """The recorded step of this model, recorded now if need be; None where its steps are launched one by one."""
        if self._unfit or (self._recorded is not None and self._recorded.fits(model)):
            return self._recorded
        start = time.perf_counter()
        self._recorded = None
        try:
            self._recorded = self._record(model, protocol, images, targets, compiled=False)
        except Exception as error:
            log.info("a training step of this model is not recorded as a CUDA graph: %s", first_line(error))
            self._unfit = True
            _recover(self.device)
            return None
        plain = self._recorded.seconds_per_step()
        if self.images_left / len(images) * plain > COMPILE_PAYS_S:
            self._recorded = self._faster_compiled(model, protocol, images, targets, plain) or self._recorded
        self.setup_s += time.perf_counter() - start
        return self._recorded

    def _faster_compiled(
        self, model: nn.Module, protocol: Protocol, images: Tensor, targets: Tensor, plain_s: float
    ) -> Recorded | None:
        """The step recorded of compiled code, if that works and takes less than `plain_s` seconds."""
        try:
            compiled = self._record(model, protocol, images, targets, compiled=True)
        except Exception as error:
            log.info("this model is trained without torch.compile: %s", first_line(error))
            _recover(self.device)
            return None
        return compiled if compiled.seconds_per_step() < plain_s else None

    def _record(
        self, model: nn.Module, protocol: Protocol, images: Tensor, targets: Tensor, *, compiled: bool
    ) -> Recorded:
        return Recorded(
            copy.deepcopy(model), protocol, self.precision, self.device, compiled=compiled, images=images.clone(),
            targets=targets.clone(), parts=self._parts or 1,
        )  # fmt: skip


def _copy_state(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters and buffers in place, those that are not saved with a model too."""
    import torch

    with torch.no_grad():
        for kind in ("named_parameters", "named_buffers"):
            values = dict(getattr(source, kind)())
            for name, tensor in getattr(target, kind)():
                tensor.copy_(values[name])


def _recover(device: torch.device) -> None:
    """Leave the device as if nothing had been tried."""
    import gc

    import torch

    gc.collect()
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
