"""Multiply-accumulates as a function of image size, on the meta device: no data, no weights, a fraction of a second.

fvcore's tracing needs tensors with content; here torch's FlopCounterMode runs the model instead, and its counts are
given the same kinds by the same rules as a traced graph's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from bench.measure.breakdown import Placed, by_kind
from bench.measure.macs import plain_kernels
from bench.measure.products import Work, recurrent_work
from bench.profiles import SizeCost

if TYPE_CHECKING:
    from torch import Tensor, nn

SIZES = (224, 256, 320, 384, 512, 640, 768, 1024)
"""Image sides in pixels at which a model's growth is shown."""


def macs_by_size(build: Callable[[int], nn.Module], sizes: Sequence[int] = SIZES) -> list[SizeCost]:
    """The cost at each of `sizes` of the model that `build` makes for that size; a size that it refuses is left out.

    `build` is called with the meta device as torch's default, so that weights take no memory. Positions and windows
    come out as the model sets them up for the size, which may differ from resizing one that was built for another.
    """
    import torch

    costs = []
    for size in sizes:
        try:
            with torch.device("meta"):
                model = build(size).eval()
            placed = meta_work(model, torch.empty(1, 3, size, size, device="meta"))
        except Exception:
            continue
        macs = sum(p.work.macs for p in placed)
        costs.append(SizeCost(img_size=size, macs=macs, macs_by_kind=by_kind(model, placed)))
    return costs


def meta_work(model: nn.Module, image: Tensor) -> list[Placed]:
    """The products and convolutions of one forward pass of a model on the meta device, in order.

    The weights are frozen and `image` is not, so autograd tells which factor is made from the image.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode, flop_registry

    model.requires_grad_(False)
    placed: list[Placed] = []
    with _innermost(model) as path, _recurrent_by_formula(model, placed, path):
        counted = {
            operator: _recorder(partial(_note, placed, path, operator), formula)
            for operator, formula in flop_registry.items()
            if str(operator) in _FACTORS
        }
        with plain_kernels(), torch.enable_grad(), FlopCounterMode(display=False, custom_mapping=counted) as counter:
            model(image.requires_grad_())
    recorded = 2 * sum(p.work.macs for p in placed if p.work.kind != "recurrent")
    if recorded != counter.get_total_flops():
        raise RuntimeError("torch's FlopCounterMode counted operators of which no kind is known")
    return placed


_FACTORS = {
    "aten.mm": (0, 1),
    "aten.addmm": (1, 2),
    "aten.bmm": (0, 1),
    "aten.baddbmm": (1, 2),
    "aten.convolution": (0, 1),
    "aten._convolution": (0, 1),
}
"""Operators that a model comes down to, and where their two factors stand."""


def _recorder(note: Callable[..., None], formula: Callable[..., int]) -> Callable[..., int]:
    """torch's formula, which also notes what it counts."""

    def count(*inputs: Any, out_val: Any = None, **more: Any) -> int:
        flops = int(formula(*inputs, out_val=out_val, **more))
        note(inputs, out_val, flops // 2)
        return flops

    count._get_raw = True  # type: ignore[attr-defined]
    return count


def _note(placed: list[Placed], path: list[str], operator: Any, inputs: Sequence[Any], out: Any, macs: int) -> None:
    name = str(operator)
    left, right = (inputs[i] for i in _FACTORS[name])
    work = Work(
        operator="conv" if "convolution" in name else "product",
        macs=macs,
        written=prod(out.shape),
        read=sum(factor.numel() for factor in (left, right) if factor.requires_grad),
        mixes=bool(left.requires_grad and right.requires_grad),
        batched="bmm" in name,
    )
    placed.append(Placed(path[-1], work))


@contextmanager
def _recurrent_by_formula(model: nn.Module, placed: list[Placed], path: list[str]) -> Iterator[None]:
    """Recurrent layers note their cost and return a result of the right shape.

    On the meta device torch would run every position of every sequence as operators of its own: minutes.
    """
    from torch import nn

    layers = [module for module in model.modules() if isinstance(module, nn.RNNBase)]
    for layer in layers:
        layer.forward = partial(_recurrent, layer, placed, path)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _recurrent(layer: nn.RNNBase, placed: list[Placed], path: list[str], x: Tensor, state: Any = None) -> Any:
    matrices = [list(p.shape) for p in layer.parameters() if p.dim() == 2]
    placed.append(Placed(path[-1], recurrent_work(prod(x.shape[:-1]), matrices)))
    directions = 2 if layer.bidirectional else 1
    width = layer.proj_size or layer.hidden_size
    batch = () if x.dim() == 2 else (x.shape[0 if layer.batch_first else 1],)
    states = (directions * layer.num_layers, *batch)
    last = x.new_empty(*states, width)
    result = x.mean(-1, keepdim=True).expand(*x.shape[:-1], directions * width)
    return result, (last, x.new_empty(*states, layer.hidden_size)) if layer.mode == "LSTM" else last


@contextmanager
def _innermost(model: nn.Module) -> Iterator[list[str]]:
    """A stack of the names of the modules that are running, the innermost last."""
    path = [""]

    def enter(name: str, *_: Any) -> None:
        path.append(name)

    def leave(*_: Any) -> None:
        path.pop()

    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(partial(enter, name)))
        hooks.append(module.register_forward_hook(leave))
    try:
        yield path
    finally:
        for hook in hooks:
            hook.remove()
