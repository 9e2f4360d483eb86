"""What a model makes of an image of a given size: grids, windows and keys, read off a real forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

from bench.models.info import Geometry, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn

FEW_TOKENS = 16
"""Grids with fewer tokens than this (4×4) hold too little structure for a model that never changes its grid."""
FEW_KEYS = 4
"""Attention over this many keys or fewer has next to nothing to choose from."""


@dataclass(frozen=True)
class _Seen:
    """What one stage put out, and the attention that ran in it."""

    name: str
    shape: tuple[int, ...]
    keys: int | None
    window: int | None


def read_geometry(model: nn.Module, img_size: int) -> Geometry:
    """The grid after each stage of `model`, on its own device. Leaves the model in eval mode, its weights untouched.

    Stages are the modules that timm's `feature_info` names, else the model's children; neighbours with the same grid
    and the same attention are one stage.
    """
    stages = [stage for seen in _watch(model, img_size) if (stage := _to_stage(seen, model)) is not None]
    merged = _merge(stages)
    return Geometry(img_size=img_size, stages=merged, degenerate=degenerate(merged))


def degenerate(stages: list[Stage]) -> list[str]:
    """Why conclusions about locality or attention would not hold on these grids; empty where they are sound."""
    if not stages:
        return []
    last, reasons = stages[-1], []
    if last.height * last.width == 1:
        reasons.append("the last map is a single cell (1×1)")
    tokens = last.height * last.width
    if len(stages) == 1 and last.keys is not None and 1 < tokens < FEW_TOKENS:
        reasons.append(f"only {tokens} tokens ({last.height}×{last.width})")
    whole = [k for k, s in enumerate(stages, 1) if s.window is not None and s.window >= max(s.height, s.width)]
    if [k for k in whole if k < len(stages)]:  # the last stage of a Swin has one window by design
        reasons.append(f"windows cover the whole map in stage{'s' if len(whole) > 1 else ''} {_enumerate(whole)}")
    few = [s.keys for s in stages if s.keys is not None and s.keys <= FEW_KEYS and s.window is None]
    if few:
        reasons.append(f"as few as {min(few)} key{'s' if min(few) > 1 else ''} per query")
    return reasons


def _watch(model: nn.Module, img_size: int) -> list[_Seen]:
    """One forward pass of a blank image, with an eye on every stage's output and every attention matrix."""
    import torch
    from torch.overrides import TorchFunctionMode

    seen: list[_Seen] = []
    keys: list[int] = []

    class Attention(TorchFunctionMode):
        """Notes the keys of each attention, fused or as a softmax over the last dimension of scores."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            name = getattr(func, "__name__", "")
            if name == "scaled_dot_product_attention":
                keys.append(int((kwargs.get("key", args[1] if len(args) > 1 else None)).shape[-2]))
            elif name == "softmax" and args and args[0].ndim >= 3:
                dim = kwargs.get("dim", args[1] if len(args) > 1 else -1)
                if dim in (-1, args[0].ndim - 1):
                    keys.append(int(args[0].shape[-1]))
            return func(*args, **kwargs)

    def note(name: str, module: nn.Module, output: Any) -> None:
        tensor = _first_tensor(output)
        if tensor is not None:
            own, keys[:] = max(keys, default=None), []
            seen.append(_Seen(name, tuple(tensor.shape), own, _window(module)))

    def watch(name: str, stage: nn.Module) -> Any:
        called = _last_called(stage)
        return called.register_forward_hook(lambda _module, _args, output: note(name, stage, output))

    model.eval()
    hooks = [watch(name, module) for name, module in stage_modules(model)]
    parameter = next(model.parameters())
    image = torch.zeros(1, 3, img_size, img_size, device=parameter.device, dtype=parameter.dtype)
    try:
        with torch.inference_mode(), Attention():
            model(image)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def stage_modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """(name, module) of each stage, as timm's `feature_info` lists them, else the model's children."""
    info = getattr(model, "feature_info", None) or []
    names = [str(entry["module"]) for entry in getattr(info, "info", info)]
    known = dict(model.named_modules())
    stages = [(name, known[name]) for name in names if name in known]
    return stages or list(model.named_children())


def _last_called(stage: nn.Module) -> nn.Module:
    """The module whose output is the stage's: itself, or the last of a list, which is never called itself."""
    from torch import nn

    while isinstance(stage, nn.ModuleList) and len(stage):
        stage = stage[-1]
    return stage


def _first_tensor(output: Any) -> Tensor | None:
    import torch

    items = output if isinstance(output, (tuple, list)) else [output]
    return next((item for item in items if isinstance(item, torch.Tensor) and item.ndim in (3, 4)), None)


def _window(stage: nn.Module) -> int | None:
    """Side of the attention windows in a stage, as its attention modules have them."""
    sides = [
        max(window) if isinstance(window, (tuple, list)) else window
        for module in stage.modules()
        if "Attention" in type(module).__name__ and (window := getattr(module, "window_size", None))
    ]
    return int(max(sides)) if sides else None


def _to_stage(seen: _Seen, model: nn.Module) -> Stage | None:
    """The grid of an output [1, c, h, w], [1, h, w, c] or [1, tokens, c]; None where it is no grid."""
    grid: tuple[int, int, int] | None = None
    if len(seen.shape) == 4:
        _, a, b, c = seen.shape
        channels_last = getattr(model, "output_fmt", "") == "NHWC" or (a == b and b != c)
        grid = (a, b, c) if channels_last else (b, c, a)
    else:
        _, tokens, channels = seen.shape
        prefix = getattr(model, "num_prefix_tokens", 0)
        side = next((isqrt(n) for n in (tokens - prefix, tokens, tokens - 1) if n > 0 and isqrt(n) ** 2 == n), None)
        grid = (side, side, channels) if side is not None else None
    if grid is None:
        return None
    height, width, channels = grid
    return Stage(name=seen.name, height=height, width=width, channels=channels, window=seen.window, keys=seen.keys)


def _merge(stages: list[Stage]) -> list[Stage]:
    """Neighbours that differ in nothing but their name become one stage, `first … last`."""
    merged: list[Stage] = []
    for stage in stages:
        before = merged[-1] if merged else None
        if before is not None and before.model_copy(update={"name": stage.name}) == stage:
            first = before.name.partition(" … ")[0]
            merged[-1] = stage.model_copy(update={"name": f"{first} … {stage.name}"})
        else:
            merged.append(stage)
    return merged


def _enumerate(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:-1])) + (" and " if len(numbers) > 1 else "") + str(numbers[-1])
