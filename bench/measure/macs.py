"""Canonical multiply-accumulates: matrix products and convolutions, attention's two products included.

fvcore walks the traced graph; `bench.measure.products` gives it a formula for every product, `bench.measure.operators`
the lists of what is free. One walk gives the count, its parts by layer and by kind, activations, and in columns of
their own what norms and elementwise operators do. A multiply-accumulate is one multiplication and one addition; torch's
FlopCounterMode counts two operations for it.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from bench.measure.breakdown import Placed, by_kind, by_layer
from bench.measure.graph import Call, Origins, Value
from bench.measure.operators import ELEMENTWISE, MOVES, NORMS
from bench.measure.products import Formula, formulas
from bench.profiles import LayerCost

if TYPE_CHECKING:
    from torch import Tensor, nn

Handle = Callable[[Sequence[Value], Sequence[Value]], "Counter[str]"]


class TraceError(RuntimeError):
    """A model cannot be traced, so nothing can be counted. One line: what failed, and what to do."""


@dataclass(frozen=True)
class MacCount:
    """What one forward pass of one image costs in arithmetic."""

    macs: int
    """Canonical multiply-accumulates."""
    by_operator: dict[str, int]
    """The same by kind of operator, largest first."""
    by_kind: dict[str, int]
    """The same by what they are spent on."""
    layers: list[LayerCost]
    """The same by module, in forward order."""
    activations: int
    """Elements written by matrix products and convolutions, attention scores included."""
    activations_read: int
    """Elements that they read of what is made from the image: a factor made of weights alone does not count."""
    norm_ops: int
    """Elements that norms read; not in `macs`."""
    elementwise_ops: int
    """Elements that elementwise operators, softmax, reductions and pooling write; not in `macs`."""
    output_shape: list[int]
    """Shape of the result; empty where the model returns something else than a tensor."""
    uncounted: list[str]
    """Operators met that are neither counted nor known to be free; not empty means that `macs` may be too low."""


class _Ledger:
    """What the handles write down while fvcore walks one graph."""

    def __init__(self) -> None:
        self.placed: list[Placed] = []
        self.norm = 0
        self.elementwise = 0
        self.unreadable: set[str] = set()
        self._origins = Origins()

    def handles(self) -> dict[str, Handle | None]:
        """fvcore's handle of every known operator; None marks a free one."""
        return {
            **{f"aten::{name}": None for name in MOVES},
            **{f"aten::{name}": self._on_norm for name in NORMS},
            **{f"aten::{name}": self._on_elementwise for name in ELEMENTWISE},
            **{f"aten::{name}": partial(self._on_product, name, formula) for name, formula in formulas().items()},
        }

    def _on_norm(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> Counter[str]:
        self.norm += _elements(inputs[0])
        return Counter()

    def _on_elementwise(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> Counter[str]:
        self.elementwise += _elements(outputs[0])
        return Counter()

    def _on_product(
        self, name: str, formula: Formula, inputs: Sequence[Value], outputs: Sequence[Value]
    ) -> Counter[str]:
        call = Call(inputs, outputs, self._origins)
        try:
            done = formula(call)
        except (ValueError, TypeError, IndexError):
            self.unreadable.add(name)
            return Counter()
        self.placed += [Placed(call.module, work) for work in done if work.macs]
        self.norm += sum(work.norm for work in done)
        self.elementwise += sum(work.elementwise for work in done)
        return Counter()


def _elements(value: Value) -> int:
    """Elements of a tensor; a lone number, such as a traced size, and what has no shape count nothing."""
    kind = value.type()
    sizes = kind.sizes() if kind.kind() == "TensorType" else None
    return int(prod(sizes)) if sizes else 0


def count_macs(model: nn.Module, image: Tensor) -> MacCount:
    """Count one forward pass of `model` (in eval mode) on `image` [1, 3, h, w], whatever attention kernel it uses.

    Raises TraceError where the forward pass fails or cannot be traced.
    """
    from fvcore.nn.jit_analysis import JitModelAnalysis

    if model.training:
        raise ValueError("MACs are counted in eval mode")
    ledger = _Ledger()
    analysis = JitModelAnalysis(model, image).clear_op_handles().set_op_handle(**ledger.handles())
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with _output_shape(model) as shape:
        unknown = _walk(analysis, model)
    by_operator: Counter[str] = Counter()
    for placed in ledger.placed:
        by_operator[placed.work.operator] += placed.work.macs
    return MacCount(
        macs=by_operator.total(),
        by_operator=dict(by_operator.most_common()),
        by_kind=by_kind(model, ledger.placed),
        layers=by_layer(model, ledger.placed),
        activations=sum(placed.work.written for placed in ledger.placed),
        activations_read=sum(placed.work.read for placed in ledger.placed),
        norm_ops=ledger.norm,
        elementwise_ops=ledger.elementwise,
        output_shape=shape,
        uncounted=sorted({name.removeprefix("aten::") for name in unknown} | ledger.unreadable),
    )


def _walk(analysis: Any, model: nn.Module) -> list[str]:
    """Let fvcore trace and walk; the operators that nobody knows."""
    import torch

    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
            analysis.by_operator()
            return list(analysis.unsupported_ops())
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise TraceError(
            f"{type(model).__name__} cannot be traced, so its MACs stay unknown: {reason}. "
            "Check that it takes one image at this size, and that torch.jit.trace accepts it."
        ) from error


@contextmanager
def _output_shape(model: nn.Module) -> Iterator[list[int]]:
    """A list that holds the shape of what `model` returns once it has run."""
    import torch

    shape: list[int] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        shape[:] = [int(n) for n in output.shape] if isinstance(output, torch.Tensor) else []

    hook = model.register_forward_hook(keep)
    try:
        yield shape
    finally:
        hook.remove()


def flop_counter_macs(model: nn.Module, image: Tensor) -> int | None:
    """Half the FLOPs that torch's own FlopCounterMode counts, as a check by another road.

    It runs on the meta device, where no data is touched; a model that cannot, because it makes tensors on a device
    of its own or asks for their values, runs on its own device. None where the counter cannot know: there, an LSTM
    may be one operator of the processor that the counter does not see, and a model may not run at all.
    """
    import torch
    from torch import nn

    try:
        return _flop_counter(_on_meta(model), torch.empty(image.shape, dtype=image.dtype, device="meta"))
    except Exception:
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            return None
    try:
        return _flop_counter(model, image)
    except Exception:
        return None


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy of `model` on the meta device, which shares nothing with it and takes no memory."""
    import torch
    from torch import nn

    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return deepcopy(model, memo)


def _flop_counter(model: nn.Module, image: Tensor) -> int:
    """The counter's MACs. Fused kernels are off: on a CPU some versions of torch count them as nothing."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with plain_kernels(), counter:
        model(image)
    return counter.get_total_flops() // 2


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Attention and encoder layers run as the products that they are made of, and autograd is off."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
