"""How near a model comes to what its device can do (Williams et al. 2009, "Roofline", CACM 52:65).

A device has two roofs: matrix rate and memory bandwidth. A model that does I floating-point operations for each byte
it moves can at best reach min(matrix rate, I × bandwidth). All numbers here follow from recorded ones.

Operations are two per multiply-accumulate; training counts three forward passes, the backward one costing two.

Bytes moved are those of a device without caches between operators: every product and convolution reads its input and
writes its output (at the arithmetic's width) and reads its weights (as stored, in 4 bytes). Training moves the
activations three times, and the weights ten times: read forward and backward, gradient written; AdamW reads weight,
gradient and two moments and writes three of them. Norms and elementwise operators are left out on both sides. Where
caches hold activations, less is moved and a model may pass its slanted roof.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench.analysis.settings import same_machine, timings
from bench.profiles import DeviceRecord, ProfileRecord
from bench.records import Environment

Use = Literal["inference", "training"]
FORWARD_PASSES: dict[Use, int] = {"inference": 1, "training": 3}
"""Cost of a step in forward passes."""
WEIGHT_PASSES: dict[Use, int] = {"inference": 1, "training": 10}
"""How often a step moves the weights."""
STORED_BYTES = 4
"""Bytes of a stored weight."""
_WIDTH = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class RoofPoint:
    """One model in one use under the roofs of its device."""

    use: Use
    """`inference` or `training`."""
    precision: str
    """Arithmetic."""
    flops_per_image: float
    """Floating-point operations for one image."""
    flops_per_s: float
    """Rate that was reached."""
    intensity: float | None
    """Floating-point operations per byte; None where the elements read are not recorded."""
    attainable_flops_per_s: float | None
    """The lower of the two roofs at that intensity; None where device or intensity is not known."""
    mfu: float | None
    """Model FLOPs utilisation: the rate as a fraction of the measured matrix rate; None without a device record."""

    @property
    def fraction(self) -> float | None:
        """The rate as a fraction of the attainable one."""
        return self.flops_per_s / self.attainable_flops_per_s if self.attainable_flops_per_s else None


def roof_point(profile: ProfileRecord, use: Use, device: DeviceRecord | None) -> RoofPoint | None:
    """Where a model stands; None where its MACs or its timing are not known."""
    timing = timings(profile).get(use)
    if timing is None or not profile.macs:
        return None
    flops = 2.0 * profile.macs * FORWARD_PASSES[use]
    rate = flops * timing.throughput_img_per_s
    intensity = _intensity(profile, use, timing.batch_size, timing.precision, flops)
    roof = device.flops_per_s.get(timing.precision) if device is not None else None
    attainable = None
    if device is not None and roof is not None and intensity is not None:
        attainable = min(roof.median_per_s, intensity * device.copy_bytes_per_s.median_per_s)
    return RoofPoint(
        use=use,
        precision=timing.precision,
        flops_per_image=flops,
        flops_per_s=rate,
        intensity=intensity,
        attainable_flops_per_s=attainable,
        mfu=rate / roof.median_per_s if roof is not None else None,
    )


def device_of(environment: Environment, devices: Iterable[DeviceRecord]) -> DeviceRecord | None:
    """The newest record of the device that an environment computes on, with the same threads; None without one."""
    same = [d for d in devices if same_machine(d.environment, environment)]
    return max(same, key=lambda d: d.created, default=None)


def _intensity(profile: ProfileRecord, use: Use, batch: int, precision: str, flops: float) -> float | None:
    if profile.activations is None or profile.activations_read is None:
        return None
    params = profile.info.params if profile.info else 0
    weights = profile.memory.weights_bytes if profile.memory else STORED_BYTES * params
    moved = _WIDTH.get(precision, STORED_BYTES) * (profile.activations + profile.activations_read)
    total = batch * moved * FORWARD_PASSES[use] + weights * WEIGHT_PASSES[use]
    return batch * flops / total if total else None
