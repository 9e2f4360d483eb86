"""Small tensors on their way to the device, without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor


def onto(device: torch.device, values: Tensor) -> Tensor:
    """`values` of the CPU on `device`. To a GPU it goes through page-locked memory, since from any other memory torch
    waits until the GPU has done everything that was asked of it before."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
