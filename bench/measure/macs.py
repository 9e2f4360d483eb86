"""Canonical multiply-accumulates: matrix products and convolutions, attention's two products included.

fvcore walks the traced graph; the handles here replace its own where those miss something (fused attention, LSTM)
or count what is not canonical (norms and pooling). One walk gives MACs and activations together.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

Value = Any
"""A value of a traced graph, `torch._C.Value`."""
Handle = Callable[[Sequence[Value], Sequence[Value]], "Counter[str]"]

_MACS, _ACTIVATIONS = "macs:", "activations:"

FREE = (
    "abs", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "add", "add_", "addcdiv", "addcmul",
    "alias", "all", "amax", "amin", "any", "arange", "as_strided", "avg_pool2d", "batch_norm", "bernoulli_",
    "bitwise_not", "broadcast_to", "cat", "ceil", "celu", "channel_shuffle", "chunk", "clamp", "clamp_", "clamp_min",
    "clone", "constant_pad_nd", "contiguous", "copy_", "cos", "cumsum", "detach", "div", "div_", "dropout", "dropout_",
    "elu", "elu_", "embedding", "empty", "empty_like", "eq", "erf", "exp", "expand", "expand_as", "eye",
    "feature_dropout", "fill_", "flatten", "flip", "floor", "floor_divide", "full", "full_like", "gather", "ge", "gelu",
    "gelu_", "glu", "grid_sampler", "group_norm", "gt", "hardsigmoid", "hardsigmoid_", "hardswish", "hardswish_",
    "hardtanh", "hardtanh_", "im2col", "index", "index_add", "index_add_", "index_put_", "index_select",
    "instance_norm", "l1_norm", "layer_norm", "le", "leaky_relu", "leaky_relu_", "lerp", "linalg_norm",
    "linalg_vector_norm", "linspace", "log", "log_softmax", "logical_and", "logical_not", "logical_or", "lt",
    "masked_fill", "masked_fill_", "max", "max_pool1d", "max_pool2d", "max_pool2d_with_indices", "maximum", "mean",
    "meshgrid", "min", "minimum", "mish", "mish_", "movedim", "mul", "mul_", "narrow", "ne", "neg", "new_empty",
    "new_full", "new_ones", "new_zeros", "norm", "normal_", "numpy_T", "ones", "ones_like", "pad", "permute",
    "pixel_shuffle", "pixel_unshuffle", "pow", "pow_", "prelu", "rand", "rand_like", "randn", "reciprocal",
    "reflection_pad2d", "relu", "relu6", "relu6_", "relu_", "remainder", "renorm", "repeat", "repeat_interleave",
    "reshape", "reshape_as", "rms_norm", "roll", "rot90", "round", "rsqrt", "rsub", "scatter", "scatter_", "select",
    "select_scatter", "selu", "selu_", "sigmoid", "sigmoid_", "sign", "silu", "silu_", "sin", "size", "slice",
    "slice_scatter", "softmax", "softplus", "sort", "split", "split_with_sizes", "sqrt", "square", "squeeze",
    "squeeze_", "stack", "std", "std_mean", "sub", "sub_", "sum", "swapaxes", "t", "tanh", "tanh_", "tensor_split",
    "tile", "to", "topk", "transpose", "tril", "triu", "type_as", "unbind", "unflatten", "unfold", "unsqueeze",
    "unsqueeze_", "upsample_bicubic2d", "upsample_bilinear2d", "upsample_nearest2d", "var", "var_mean", "view",
    "view_as", "where", "zero_", "zeros", "zeros_like",
)  # fmt: skip
"""ATen operators that hold no matrix product and no convolution: elementwise, norms, pooling, reductions, copies."""


@dataclass(frozen=True)
class MacCount:
    """What one forward pass of one image costs in arithmetic."""

    macs: int
    """Canonical multiply-accumulates."""
    by_operator: dict[str, int]
    """The same by kind of operator, largest first."""
    activations: int
    """Elements written by matrix products and convolutions, attention scores included."""
    uncounted: list[str]
    """Operators met that are neither counted nor in `FREE`; not empty means that `macs` may be too low."""


def count_macs(model: nn.Module, image: Tensor) -> MacCount:
    """Count one forward pass of `model` (in eval mode) on `image` [1, 3, h, w], whatever attention kernel it uses."""
    from fvcore.nn.jit_analysis import JitModelAnalysis

    if model.training:
        raise ValueError("MACs are counted in eval mode")
    analysis = JitModelAnalysis(model, image)
    for name in FREE:
        analysis.set_op_handle(f"aten::{name}", None)
    for name, handle in _handles().items():
        analysis.set_op_handle(f"aten::{name}", handle)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
        counts = analysis.by_operator()
        uncounted = analysis.unsupported_ops()
    macs = {key.removeprefix(_MACS): int(n) for key, n in counts.most_common() if key.startswith(_MACS)}
    return MacCount(
        macs=sum(macs.values()),
        by_operator=macs,
        activations=int(sum(n for key, n in counts.items() if key.startswith(_ACTIVATIONS))),
        uncounted=sorted(name.removeprefix("aten::") for name in uncounted),
    )


def flop_counter_macs(model: nn.Module, image: Tensor) -> int:
    """Half the FLOPs that torch's own FlopCounterMode counts, as a check by another road.

    On a CPU some versions of torch count fused attention as nothing, hence the plain kernel.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), counter:
        model(image)
    return counter.get_total_flops() // 2


def _handles() -> dict[str, Handle]:
    products = dict.fromkeys(("mm", "bmm", "matmul"), _product("product", 0))
    sums_of_products = dict.fromkeys(("addmm", "baddbmm"), _product("product", 1))
    return {
        **products,
        **sums_of_products,
        "linear": _product("linear", 0),
        "_convolution": _convolution,
        "scaled_dot_product_attention": _attention,
        "einsum": _einsum,
        "lstm": _recurrent,
        "gru": _recurrent,
    }


def _tally(kind: str, macs: int, activations: int) -> Counter[str]:
    return Counter({_MACS + kind: macs, _ACTIVATIONS + kind: activations})


def _product(kind: str, left: int) -> Handle:
    """A matrix product whose left factor [..., k] is input number `left`: k multiply-accumulates per output."""

    def handle(inputs: Sequence[Value], outputs: Sequence[Value]) -> Counter[str]:
        written = prod(_shape(outputs[0]))
        return _tally(kind, written * _shape(inputs[left])[-1], written)

    return handle


def _convolution(inputs: Sequence[Value], outputs: Sequence[Value]) -> Counter[str]:
    """Each output is a sum over kernel and input channels of its group; transposed, each input feeds such a sum."""
    image, weight, written = _shape(inputs[0]), _shape(inputs[1]), _shape(outputs[0])
    transposed = bool(inputs[6].toIValue())
    positions = prod(image) if transposed else prod(written)
    return _tally("conv", positions * prod(weight[1:]), prod(written))


def _attention(inputs: Sequence[Value], outputs: Sequence[Value]) -> Counter[str]:
    """softmax(QKᵀ)V with Q [..., l, e], K [..., s, e], V [..., s, ev]: l·s·(e + ev) per head."""
    *batch, queries, width = _shape(inputs[0])
    keys, value_width = _shape(inputs[1])[-2], _shape(inputs[2])[-1]
    scores = prod(batch) * queries * keys
    return _tally("attention", scores * (width + value_width), scores + prod(_shape(outputs[0])))


def _einsum(inputs: Sequence[Value], outputs: Sequence[Value]) -> Counter[str]:
    """Operands contracted from left to right; a pair costs the product of the sizes of all its indices."""
    terms, _, result = re.sub(r"\s", "", inputs[0].toIValue()).partition("->")
    shapes = [_shape(value) for value in inputs[1].node().inputs()]
    labels = [_spelled_out(term, len(shape)) for term, shape in zip(terms.split(","), shapes, strict=True)]
    size: Counter[str] = Counter()
    for label, shape in zip(labels, shapes, strict=True):
        size |= Counter(dict(zip(label, shape, strict=True)))
    kept = set(_spelled_out(result, len(_shape(outputs[0]))))
    macs, left = 0, set(labels[0])
    for k, label in enumerate(labels[1:], start=1):
        left |= set(label)
        macs += prod(size[c] for c in left)
        left &= kept.union(*labels[k + 1 :])
    return _tally("product", macs, prod(_shape(outputs[0])) if len(labels) > 1 else 0)


def _spelled_out(term: str, dimensions: int) -> str:
    """One letter for each dimension: an ellipsis becomes digits, counted from the right as broadcasting does."""
    hidden = dimensions - len(term.replace("...", ""))
    return term.replace("...", "".join(str(d) for d in reversed(range(hidden))))


def _recurrent(inputs: Sequence[Value], outputs: Sequence[Value]) -> Counter[str]:
    """Every weight matrix of every layer and direction is applied once per position of the sequence."""
    steps = prod(_shape(inputs[0])[:-1])
    matrices = [shape for shape in map(_shape, inputs[2].node().inputs()) if len(shape) == 2]
    return _tally("recurrent", steps * sum(map(prod, matrices)), prod(_shape(outputs[0])))


def _shape(value: Value) -> list[int]:
    return [int(n) for n in value.type().sizes()]
