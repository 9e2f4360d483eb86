"""A board as plain rows of values: what the data frame, the CSV file and the JSON file are made of."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean
from typing import Any

from bench.analysis.rows import Row
from bench.analysis.speeds import high_img_per_s, low_img_per_s, state_of

COLUMNS: dict[str, str] = {
    "rank": "shared by rows that cannot be told apart; empty without accuracy at the largest train size",
    "rank_low": "best rank that the row could have at 95 %: 1 + the rows that are surely better",
    "rank_high": "worst rank that it could have: the ranked rows less those that are surely worse",
    "p_best": "share of joint bootstrap draws of seeds and test images in which it has the highest accuracy",
    "model": "name of the model",
    "weights": "`scratch`, `pretrained`, or `sha256:…` of a checkpoint file",
    "family": "`CNN`, `ViT`, `Swin`, `Hybrid`, `RNN` or `other`",
    "top1": "test accuracy at the largest train size, a fraction, mean over seeds",
    "top1_low": "lower end of its 95 % interval",
    "top1_high": "upper end of its 95 % interval",
    "interval": "`wilson` (one seed: test-set uncertainty only), `pooled` (one seed, with the spread over seeds of "
    "the other rows), `bootstrap` (seeds and test images) or `none`",
    "top1_smallest": "test accuracy at the smallest train size",
    "top5": "fraction of test images whose label is among the five best; empty up to 10 classes",
    "balanced_accuracy": "mean of the per-class recalls",
    "nll": "mean negative log-likelihood in nats",
    "ece": "expected calibration error, 15 bins",
    "difference_to_best": "top1 minus that of the best row, on the seeds both have; empty for the best",
    "p_holm": "p-value of that difference, adjusted over all pairs of rows at all train sizes (Holm)",
    "params": "parameters",
    "macs": "multiply-accumulates for one image",
    "activations": "elements written by matrix products and convolutions for one image",
    "train_img_per_s": "training images per second, median over the runs",
    "inference_img_per_s": "images per second of batched inference, model only",
    "inference_low_img_per_s": "lower end of its 95 % interval",
    "inference_high_img_per_s": "upper end",
    "inference_batch": "images per step of that inference",
    "inference_state": "whether it can be relied on: `valid`, `INVALID`, or `not judged` without an interval",
    "training_step_img_per_s": "images per second of a training step on one resident batch, without data",
    "latency_ms": "median milliseconds for a single image",
    "weights_bytes": "parameters and buffers, in bytes",
    "inference_peak_bytes": "peak memory during inference in a process of its own",
    "training_peak_bytes": "peak memory during a training step in a process of its own",
    "energy_mj_per_image": "millijoules above idle for one image of inference; empty where there is no counter",
    "mfu": "rate of inference as a fraction of the device's measured matrix rate",
    "peak_bytes": "largest peak memory of a run at the largest size, in bytes",
    "train_s": "wall time of all training steps of the row's runs, in seconds",
    "lr": "peak learning rate that the trials chose",
    "lr_at_edge": "whether that is the lowest or highest rate tried",
    "seeds": "seeds with a result at the largest train size",
    "notes": "short remarks, separated by `; `",
    "status": "`complete`, `partial` (sizes or seeds missing) or `failed`",
    "reason": "what is missing or why it failed",
}
"""Every column and what it holds."""
WHOLE = (
    "rank", "rank_low", "rank_high", "params", "macs", "activations", "peak_bytes",
    "inference_batch", "weights_bytes", "inference_peak_bytes", "training_peak_bytes",
)  # fmt: skip
"""Columns of whole numbers, which may be empty."""


def table(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One dict per row of a board, with the keys of `COLUMNS`; None where there is no value."""
    return [_line(row) for row in rows]


def _line(row: Row) -> dict[str, Any]:
    point, smallest = row.top1, row.at(row.smallest)
    return {
        "rank": row.rank,
        "rank_low": row.rank_low,
        "rank_high": row.rank_high,
        "p_best": row.p_best,
        "model": row.model,
        "weights": row.weights,
        "family": row.info.family if row.info else None,
        "top1": point.value if point else None,
        "top1_low": point.low if point else None,
        "top1_high": point.high if point else None,
        "interval": point.method if point else None,
        "top1_smallest": smallest.value if smallest else None,
        **{name: _mean(row, name) for name in ("top5", "balanced_accuracy", "nll", "ece")},
        "difference_to_best": row.comparison.difference if row.comparison else None,
        "p_holm": row.comparison.p_holm if row.comparison else None,
        "params": row.params,
        "macs": row.macs,
        "activations": row.profile.activations if row.profile else None,
        "train_img_per_s": row.train_img_per_s,
        **_cost(row),
        "peak_bytes": max((r.train.peak_bytes or 0 for r in row.of_size(row.largest) if r.train), default=0) or None,
        "train_s": sum(r.train.train_s for r in row.runs if r.train) if row.runs else None,
        "lr": row.chosen_lr,
        "lr_at_edge": row.lr_at_edge if row.runs else None,
        "seeds": len(point.per_seed) if point else 0,
        "notes": "; ".join(note.short for note in row.notes),
        "status": row.status,
        "reason": row.notes[0].long if row.status != "complete" and row.notes else None,
    }


def _cost(row: Row) -> dict[str, Any]:
    profile = row.profile
    inference, training = (profile.inference, profile.training) if profile else (None, None)
    memory, energy = (profile.memory, profile.energy) if profile else (None, None)
    return {
        "inference_img_per_s": row.inference_img_per_s,
        "inference_low_img_per_s": low_img_per_s(inference) if inference else None,
        "inference_high_img_per_s": high_img_per_s(inference) if inference else None,
        "inference_batch": inference.batch_size if inference else None,
        "inference_state": state_of(inference) if inference else None,
        "training_step_img_per_s": training.throughput_img_per_s if training else None,
        "latency_ms": row.latency_ms,
        "weights_bytes": memory.weights_bytes if memory else None,
        "inference_peak_bytes": memory.inference_peak_bytes if memory else None,
        "training_peak_bytes": memory.training_peak_bytes if memory else None,
        "energy_mj_per_image": energy.millijoule_per_image if energy else None,
        "mfu": row.mfu,
    }


def _mean(row: Row, metric: str) -> float | None:
    """Mean over seeds of one test metric at the largest train size; None where a run lacks it."""
    values = [getattr(r.test, metric) for r in row.of_size(row.largest)]
    return fmean(values) if values and None not in values else None
