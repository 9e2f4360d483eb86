"""A cost board as plain rows of values: what `costs.csv` and `costs.json` are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from bench.analysis.cost_notes import completeness
from bench.analysis.costs import CostRow
from bench.analysis.roofline import RoofPoint
from bench.analysis.speeds import INVALID, high_img_per_s, low_img_per_s, state_of
from bench.profiles import Kind, Timing

KINDS: tuple[str, ...] = get_args(Kind)
"""What multiply-accumulates are spent on, in the order of columns and bars."""

_RATES = {
    "img_per_s": "images per second of {}",
    "low_img_per_s": "lower end of the 95 % interval of {} in images per second",
    "high_img_per_s": "upper end",
    "batch": "images per step of {}, as run",
    "requested_batch": "images per step of {} that were asked for",
    "state": "whether that figure can be relied on: `valid`, `INVALID`, or `not judged` without an interval",
}
_LIMITS = {
    "intensity": "floating-point operations per byte moved in {}, see `bench/analysis/roofline.py`",
    "fraction": "rate of {} as a fraction of what the device can do at that intensity",
    "mfu": "rate of {} as a fraction of the device's measured matrix rate in the same precision",
}

COST_COLUMNS: dict[str, str] = {
    "model": "name of the model",
    "family": "`CNN`, `ViT`, `Swin`, `Hybrid`, `RNN` or `other`",
    "params": "parameters with the head",
    "macs": "canonical multiply-accumulates for one image",
    "macs_state": "`complete`, `incomplete` (operators without a count), `in doubt` (counts differ) or `not traced`",
    "flop_counter_macs": "the same by torch's FlopCounterMode",
    **{f"macs_{kind}": f"multiply-accumulates of kind {kind.replace('_', ' ')}" for kind in KINDS},
    "norm_ops": "elements that norms read; not in `macs`",
    "elementwise_ops": "elements that elementwise operators, softmax and pooling write; not in `macs`",
    "activations": "elements that products and convolutions write",
    "activations_read": "elements that products and convolutions read, weights not counted",
    "latency_ms": "median milliseconds for a single image, synchronised each time",
    "latency_low_ms": "lower end of its 95 % interval",
    "latency_high_ms": "upper end",
    "latency_p90_ms": "90th percentile; empty from fewer than 64 samples",
    "latency_p99_ms": "99th percentile; empty from fewer than 662 samples",
    "latency_state": "whether that figure can be relied on",
    **{
        f"{use}_{name}": text.format(use)
        for use in ("inference", "training")
        for name, text in {**_RATES, **_LIMITS}.items()
    },
    "device_state": "whether the device's own rates can be relied on: `valid` or `INVALID`; empty without them",
    "memory_method": "`resident` (peak of the process) or `allocated` (torch's allocator)",
    "memory_batch": "images per step of the memory pass",
    "weights_bytes": "parameters and buffers",
    "inference_peak_bytes": "peak during inference, weights included",
    "training_peak_bytes": "peak during a training step",
    "energy_mj_per_image": "millijoules above idle for one image of inference; empty where there is no counter",
    "energy_gross_mj_per_image": "the same with idle power left in",
    "session": "rows with the same one took turns; only their ratios are free of drift",
    "measured": "UTC time of writing the profile",
    "notes": "short remarks, separated by `; `",
    "status": "`ok` or `failed`",
    "reason": "why it failed, or why a figure is invalid",
}
"""Every column of `costs.csv` and what it holds."""


def cost_rows(rows: Iterable[CostRow]) -> list[dict[str, Any]]:
    """One dict per row of a board, with the keys of `COST_COLUMNS`; None where there is no value."""
    return [_line(row) for row in rows]


def kind_shares(macs_by_kind: dict[str, int]) -> dict[str, float]:
    """Fractions of the multiply-accumulates by kind, in the order of `KINDS`; empty where there is none."""
    total = sum(macs_by_kind.values())
    order = [*KINDS, *(kind for kind in macs_by_kind if kind not in KINDS)]
    return {kind: macs_by_kind[kind] / total for kind in order if macs_by_kind.get(kind)} if total else {}


def _line(row: CostRow) -> dict[str, Any]:
    profile, latency, memory, energy = row.profile, row.latency, row.memory, row.energy
    return {
        "model": row.model,
        "family": row.family,
        "params": row.params,
        "macs": row.macs,
        "macs_state": None if row.failed else completeness(profile),
        "flop_counter_macs": profile.flop_counter_macs,
        **{f"macs_{kind}": profile.macs_by_kind.get(kind, 0) if profile.macs_by_kind else None for kind in KINDS},
        "norm_ops": profile.norm_ops,
        "elementwise_ops": profile.elementwise_ops,
        "activations": profile.activations,
        "activations_read": profile.activations_read,
        "latency_ms": latency.median_ms if latency else None,
        "latency_low_ms": latency.low_ms if latency else None,
        "latency_high_ms": latency.high_ms if latency else None,
        "latency_p90_ms": latency.p90_ms if latency else None,
        "latency_p99_ms": latency.p99_ms if latency else None,
        "latency_state": state_of(latency) if latency else None,
        **_rates("inference", row.inference, row.inference_point),
        **_rates("training", row.training, row.training_point),
        "device_state": (INVALID if row.device.invalid else "valid") if row.device else None,
        "memory_method": memory.method if memory else None,
        "memory_batch": memory.batch_size if memory else None,
        "weights_bytes": memory.weights_bytes if memory else None,
        "inference_peak_bytes": memory.inference_peak_bytes if memory else None,
        "training_peak_bytes": memory.training_peak_bytes if memory else None,
        "energy_mj_per_image": energy.millijoule_per_image if energy else None,
        "energy_gross_mj_per_image": energy.gross_millijoule_per_image if energy else None,
        "session": profile.session or None,
        "measured": profile.created,
        "notes": "; ".join(note.short for note in row.notes),
        "status": profile.status,
        "reason": _reason(row),
    }


def _rates(use: str, timing: Timing | None, point: RoofPoint | None) -> dict[str, Any]:
    values = {
        "img_per_s": timing.throughput_img_per_s if timing else None,
        "low_img_per_s": low_img_per_s(timing) if timing else None,
        "high_img_per_s": high_img_per_s(timing) if timing else None,
        "batch": timing.batch_size if timing else None,
        "requested_batch": (timing.requested_batch_size or timing.batch_size) if timing else None,
        "state": state_of(timing) if timing else None,
        "intensity": point.intensity if point else None,
        "fraction": point.fraction if point else None,
        "mfu": point.mfu if point else None,
    }
    return {f"{use}_{name}": value for name, value in values.items()}


def _reason(row: CostRow) -> str | None:
    """The sentence of a failure or of invalid figures; None where there is neither."""
    return next((note.long for note in row.notes if note.short in ("cost unknown", INVALID)), None)
