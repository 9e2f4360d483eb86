"""Small valid profiles and device records for tests: what models cost on a made-up machine."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from bench.models.info import ModelInfo
from bench.profiles import (
    CurvePoint,
    DeviceRecord,
    LayerCost,
    MachineState,
    Memory,
    ProfileRecord,
    Rate,
    SizeCost,
    Switches,
    Timing,
)
from bench.protocol import content_hash
from bench.records import Environment

SIZES = (224, 256, 320, 384, 512, 640, 768, 1024)
"""Image sizes of the made-up counts."""
SHARES = {
    "CNN": {"convolution": 0.98, "head": 0.02},
    "ViT": {"attention": 0.04, "projection": 0.31, "mlp": 0.63, "patch_embedding": 0.015, "head": 0.005},
    "Swin": {"attention": 0.07, "projection": 0.30, "mlp": 0.61, "patch_embedding": 0.015, "head": 0.005},
    "Hybrid": {"attention": 0.11, "projection": 0.33, "mlp": 0.5, "convolution": 0.05, "head": 0.01},
}
"""Parts of the multiply-accumulates by kind, for each family."""
TURNS, PER_TURN = 8, 5


def make_timing(batch_size: int, speed: float, *, name: str = "", drift: float = 0.03, **changes: Any) -> Timing:
    """A timing of `speed` images per second, taken in turns on a machine that slows down by `drift`.

    The drift is that of the machine: the same for every model. `name` seeds the noise.
    """
    median = 1000 * batch_size / speed
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    place = np.linspace(-0.5, 0.5, TURNS * PER_TURN)
    samples = (1 + drift * place) * np.exp(rng.normal(0, 0.004, TURNS * PER_TURN))
    samples *= median / np.median(samples)
    values: dict[str, Any] = {
        "batch_size": batch_size,
        "requested_batch_size": batch_size,
        "repeats": len(samples),
        "median_ms": median,
        "q25_ms": float(np.quantile(samples, 0.25)),
        "q75_ms": float(np.quantile(samples, 0.75)),
        "throughput_img_per_s": speed,
        "low_ms": 0.995 * median,
        "high_ms": 1.006 * median,
        "first_ms": 4 * median,
        "warm_up_steps": 6,
        "settled": True,
        "seconds": 0.0015 * median * len(samples),
        "drift": 0.67 * drift,
        "cv": float(samples.std() / samples.mean()),
        "samples_ms": [float(f"{ms:.5g}") for ms in samples],
        "turns": [PER_TURN] * TURNS,
    }
    return Timing(**{**values, **changes})


def make_curve(best_batch: int, speed: float, *, runs_out: bool = False) -> list[CurvePoint]:
    """A sweep over powers of two that is best at `best_batch`; its last point ran out of memory if asked for."""
    batches = [1 << k for k in range(best_batch.bit_length() + 1)]
    points = []
    for batch in batches:
        rate = speed * min(1.0, (1.25 * batch / (batch + 0.25 * best_batch))) * (0.97 if batch > best_batch else 1)
        out = runs_out and batch == batches[-1]
        points.append(
            CurvePoint(
                batch_size=batch,
                median_ms=None if out else 1000 * batch / rate,
                throughput_img_per_s=None if out else rate,
            )
        )
    return points


def make_profile(
    name: str, info: ModelInfo, environment: Environment, img_size: int, num_classes: int, **changes: Any
) -> ProfileRecord:
    """The profile of a model of `macs` (default 600 M) that infers `speed` images per second (default 800)."""
    macs, speed = changes.pop("macs", 600_000_000), changes.pop("speed", 800.0)
    kinds = _by_kind(info.family, macs)
    values: dict[str, Any] = {
        "id": content_hash([name, img_size, num_classes, environment.hardware, environment.threads]),
        "status": "ok",
        "created": "2026-01-01T00:00:00+00:00",
        "model": name,
        "img_size": img_size,
        "num_classes": num_classes,
        "environment": environment,
        "info": info,
        "output_shape": [1, num_classes],
        "macs": macs,
        "macs_by_operator": {"linear": macs},
        "macs_by_kind": kinds,
        "macs_by_size": [_at_size(info.family, macs, img_size, size) for size in SIZES],
        "layers": [
            LayerCost(name=kind, kind=kind, macs=part, activations=1000, params=1000) for kind, part in kinds.items()
        ],
        "norm_ops": macs // 400,
        "elementwise_ops": macs // 200,
        "flop_counter_macs": macs,
        "activations": 3_000_000,
        "activations_read": 4_000_000,
        "latency": make_timing(1, speed / 5, name=f"{name} latency"),
        "inference": make_timing(32, speed, name=f"{name} inference"),
        "training": make_timing(16, speed / 3.2, name=f"{name} training"),
        "inference_curve": make_curve(32, speed),
        "training_curve": make_curve(16, speed / 3.2),
        "memory": make_memory(info.params),
        "switches": Switches(
            tf32_matmul=False, tf32_cudnn=False, cudnn_benchmark=False, cudnn_deterministic=False, fused_attention=True
        ),
        "before": MachineState(affinity=2, load=0.2, governor="performance", cpu_mhz=2900.0, cpu_temperature_c=51.0),
        "after": MachineState(affinity=2, load=1.9, governor="performance", cpu_mhz=2850.0, cpu_temperature_c=58.0),
        "session": "session-1",
    }
    return ProfileRecord(**{**values, **changes})


def make_memory(params: int, **changes: Any) -> Memory:
    """Plausible memory of a model in float32, with some fields changed."""
    values: dict[str, Any] = {
        "batch_size": 8,
        "requested_batch_size": 8,
        "method": "resident",
        "weights_bytes": 4 * params,
        "inference_peak_bytes": 4 * params + 90_000_000,
        "training_peak_bytes": 16 * params + 400_000_000,
    }
    return Memory(**{**values, **changes})


def make_device(environment: Environment, **changes: Any) -> DeviceRecord:
    """A device of 400 GFLOP/s and 20 GB/s."""
    values: dict[str, Any] = {
        "id": content_hash([environment.hardware, environment.device, environment.threads]),
        "created": "2026-01-01T00:00:00+00:00",
        "environment": environment,
        "copy_bytes_per_s": _rate(20e9),
        "flops_per_s": {"fp32": _rate(4e11), "bf16": _rate(8e11)},
        "matrix_size": 4096,
        "copy_mib": 512,
    }
    return DeviceRecord(**{**values, **changes})


def _rate(per_s: float) -> Rate:
    return Rate(median_per_s=per_s, low_per_s=0.99 * per_s, high_per_s=1.01 * per_s)


def _by_kind(family: str, macs: int) -> dict[str, int]:
    shares = SHARES.get(family, SHARES["CNN"])
    kinds = {kind: int(macs * share) for kind, share in shares.items()}
    largest = max(kinds, key=lambda kind: kinds[kind])
    return {**kinds, largest: kinds[largest] + macs - sum(kinds.values())}


def _at_size(family: str, macs: int, here: int, size: int) -> SizeCost:
    """Everything grows with the area, global attention with its square."""
    area = (size / here) ** 2
    kinds = {
        kind: int(part * (area**2 if kind == "attention" and family != "Swin" else area))
        for kind, part in _by_kind(family, macs).items()
    }
    return SizeCost(img_size=size, macs=sum(kinds.values()), macs_by_kind=kinds)
