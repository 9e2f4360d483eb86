"""How long a forward pass takes: warm-up, repeats, median and quartiles."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bench.profiles import Timing

if TYPE_CHECKING:
    import torch
    from torch import nn

WARM_UP_CALLS, WARM_UP_S = 3, 0.3
"""Calls and seconds before anything is timed, both at least."""
MIN_REPEATS, MAX_REPEATS, REPEATS_S = 10, 200, 1.0
"""Timed calls: at least the first number, then until the second number or the seconds are reached."""


def time_calls(call: Callable[[], object], batch_size: int, wait: Callable[[], None] = lambda: None) -> Timing:
    """Time `call`, which handles `batch_size` images; `wait` returns when the device has finished.

    Each repeat is timed by itself, from a quiet device to a quiet device.
    """
    _repeat(call, wait, WARM_UP_CALLS, WARM_UP_CALLS * 100, WARM_UP_S)
    ms = 1e3 * np.array(_repeat(call, wait, MIN_REPEATS, MAX_REPEATS, REPEATS_S))
    q25, median, q75 = np.quantile(ms, [0.25, 0.5, 0.75])
    return Timing(
        batch_size=batch_size,
        repeats=len(ms),
        median_ms=float(median),
        q25_ms=float(q25),
        q75_ms=float(q75),
        throughput_img_per_s=float(1e3 * batch_size / median),
    )


def forward_timing(model: nn.Module, *, img_size: int, batch_size: int, device: torch.device) -> Timing:
    """Time float32 inference of `model` (in eval mode, on `device`) on a batch that lies on the device."""
    import torch

    if model.training:
        raise ValueError("inference is timed in eval mode")
    images = torch.randn(batch_size, 3, img_size, img_size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    wait = (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else lambda: None
    with torch.inference_mode():
        return time_calls(lambda: model(images), batch_size, wait)


def _repeat(call: Callable[[], object], wait: Callable[[], None], least: int, most: int, seconds: float) -> list[float]:
    """Seconds of each call, of `least` to `most` calls, ending once `seconds` have passed."""
    taken: list[float] = []
    wait()
    begin = time.perf_counter()
    while len(taken) < least or (len(taken) < most and time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        call()
        wait()
        taken.append(time.perf_counter() - start)
    return taken
