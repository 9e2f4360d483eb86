"""What one built model costs at one image size on one device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.measure.latency import forward_timing
from bench.measure.macs import count_macs, flop_counter_macs

if TYPE_CHECKING:
    import torch
    from torch import nn


def measure_model(model: nn.Module, *, img_size: int, batch_size: int, device: torch.device) -> dict[str, Any]:
    """The measured fields of a ProfileRecord, by name. Leaves `model` in eval mode, its weights untouched."""
    import torch

    model.eval()
    image = torch.zeros(1, 3, img_size, img_size, device=device)
    counted = count_macs(model, image)
    return {
        "macs": counted.macs,
        "macs_by_operator": counted.by_operator,
        "flop_counter_macs": flop_counter_macs(model, image),
        "uncounted": counted.uncounted,
        "activations": counted.activations,
        "latency": forward_timing(model, img_size=img_size, batch_size=1, device=device),
        "inference": forward_timing(model, img_size=img_size, batch_size=batch_size, device=device),
    }
