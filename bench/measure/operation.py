"""One thing that is timed: single images, batches, or training steps of one model on images that lie on its device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.measure.settings import CostSettings, Metric

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.optim import Optimizer

LEARNING_RATE = 1e-6
"""Small enough that thousands of steps on random labels leave a model finite."""
SAMPLE_S = {"cpu": 0.02, "cuda": 0.1}
"""Seconds of queued steps that one sample of a throughput should span, by kind of device."""
MOST_QUEUED = 1000
"""Steps of one sample at most."""


class Subject:
    """A model on its device, laid out as it is to be timed, and the optimiser that its training steps share."""

    def __init__(
        self,
        model: nn.Module,
        *,
        img_size: int,
        settings: CostSettings,
        device: torch.device,
        make_optimizer: Callable[[nn.Module], Optimizer],
    ) -> None:
        import torch

        self.img_size, self.settings, self.device, self._make_optimizer = img_size, settings, device, make_optimizer
        self.layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.model = model.to(device).to(memory_format=self.layout)
        self.forward: Callable[[Any], Any] = self.model
        self._optimizer: Optimizer | None = None

    def compile(self) -> None:
        """Send the operations made from now on through torch.compile; the first step of each compiles it."""
        import torch

        self.forward = torch.compile(self.model, dynamic=False)

    @property
    def optimizer(self) -> Optimizer:
        """The study's optimiser over this model, made on first use, at a rate that changes next to nothing."""
        if self._optimizer is None:
            self._optimizer = self._make_optimizer(self.model)
            for group in self._optimizer.param_groups:
                group["lr"] = LEARNING_RATE
        return self._optimizer


class Operation:
    """One metric at one batch size. Making it allocates its images [batch, 3, px, px] on the device."""

    def __init__(self, subject: Subject, metric: Metric, batch_size: int) -> None:
        import torch

        self.subject, self.metric, self.batch_size = subject, metric, batch_size
        self.precision = subject.settings.precision(metric)
        self.queued = 1
        self.steps = 0
        self._forward = subject.forward
        size = (batch_size, 3, subject.img_size, subject.img_size)
        images = torch.randn(size, device=subject.device)
        self._images: Any = images.contiguous(memory_format=subject.layout)
        self._labels: Any = None

    def sample(self) -> float:
        """Milliseconds per step: `queued` steps between two synchronisations, by CUDA events on a GPU."""
        import torch

        self._set_mode()
        device = self.subject.device
        if device.type != "cuda":
            start = time.perf_counter()
            self._run(self.queued)
            return 1e3 * (time.perf_counter() - start) / self.queued
        torch.cuda.synchronize(device)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        self._run(self.queued)
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / self.queued

    def queue_for(self, step_ms: float) -> None:
        """Choose how many steps a sample holds, given about how long one takes; always one for latency."""
        if self.metric != "latency":
            wanted = 1e3 * SAMPLE_S[self.subject.device.type] / max(step_ms, 1e-3)
            self.queued = min(MOST_QUEUED, max(1, math.ceil(wanted)))

    def queue(self, count: int) -> None:
        """Queue `count` steps without waiting for them."""
        self._set_mode()
        self._run(count)

    def wait(self) -> None:
        """Return when the device has finished."""
        if self.subject.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.subject.device)

    def release(self) -> None:
        """Give back what the operation holds on the device, gradients included."""
        self.subject.model.zero_grad(set_to_none=True)
        self._images = self._labels = None

    def _set_mode(self) -> None:
        training = self.metric == "training"
        if self.subject.model.training != training:
            self.subject.model.train(training)
            if not training:
                self.subject.model.zero_grad(set_to_none=True)

    def _run(self, count: int) -> None:
        import torch

        self.steps += count
        autocast = torch.autocast(self.subject.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        if self.metric == "training":
            for _ in range(count):
                self._train(autocast)
        else:
            with torch.inference_mode(), autocast:
                for _ in range(count):
                    self._forward(self._images)

    def _train(self, autocast: Any) -> None:
        """Forward, backward and optimiser step on one batch."""
        import torch
        from torch.nn.functional import cross_entropy

        optimizer = self.subject.optimizer
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            logits = self._forward(self._images)
        if self._labels is None:
            self._labels = torch.arange(self.batch_size, device=self.subject.device) % logits.shape[-1]
        cross_entropy(logits.float(), self._labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
