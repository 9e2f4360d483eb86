"""How the cost of models is measured: the same for every model of a call, and part of a profile's identity."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Metric = Literal["latency", "inference", "training"]
METRICS: tuple[Metric, ...] = ("latency", "inference", "training")
"""What is timed: a single image, a batch, a training step."""
LARGEST_BATCH = {"cpu": 256, "cuda": 4096}
"""Where a sweep of batch sizes ends by itself, by kind of device."""
MEMORY_BATCH = 8
"""Largest batch of the memory pass where cost is all that is asked for."""
COST_ONLY_S, IN_STUDY_S, IN_SMOKE_S = 36.0, 10.0, 1.0
"""Default time budget of a model in seconds: where cost is all that is asked for, within a study, in a smoke test."""


@dataclass(frozen=True)
class CostSettings:
    """Everything that decides what a timing means. Plain and picklable."""

    inference_precision: str = "fp32"
    """Arithmetic of latency and inference: `fp32`, or `bf16` autocast."""
    training_precision: str = "fp32"
    """Arithmetic of the training step."""
    channels_last: bool = True
    """Layout of images and weights: channels last, or contiguous."""
    compiled: bool = False
    """Whether models go through torch.compile."""
    batch_sizes: tuple[int, ...] = ()
    """Batches of the sweep; empty for powers of two as far as they help."""
    budget_s: float = COST_ONLY_S
    """Seconds that the timing of one model may take, its first steps and compiling not counted."""
    memory_batch: int = 8
    """Images per step of the memory pass, the same for all models."""

    @property
    def memory_format(self) -> str:
        """The layout's name in records."""
        return "channels_last" if self.channels_last else "contiguous"

    def precision(self, metric: Metric) -> str:
        """Arithmetic of a metric."""
        return self.training_precision if metric == "training" else self.inference_precision

    def identity(self) -> dict[str, Any]:
        """JSON values that make two profiles of the same model different."""
        return {**asdict(self), "batch_sizes": list(self.batch_sizes)}
