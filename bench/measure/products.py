"""Closed formulas for every operator that is a matrix product or a convolution, read off a traced graph.

Each formula returns what one call costs as `Work`, one for each of the products that a fused operator holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from bench.measure.graph import Call
from bench.profiles import Kind


@dataclass(frozen=True)
class Work:
    """What one matrix product or convolution, or a fused group of them, costs."""

    operator: str
    """Kind of operator: `linear`, `product`, `attention`, `conv` or `recurrent`."""
    macs: int
    """Multiply-accumulates."""
    written: int
    """Elements that the products write."""
    read: int
    """Elements that they read of what is made from the image; weights do not count."""
    kind: Kind | None = None
    """What it is spent on, where the operator alone tells."""
    mixes: bool = False
    """Both factors are made from the image."""
    batched: bool = False
    """Both factors have three dimensions or more, so that torch runs it as one product for each head."""
    elementwise: int = 0
    """Elements that a fused operator writes beside its products: scaling, mask, softmax, activation, residuals."""
    norm: int = 0
    """Elements that norms inside a fused operator read."""


Formula = Callable[[Call], "list[Work]"]


def formulas() -> dict[str, Formula]:
    """Formula of each counted ATen operator, by its name without `aten::`."""
    last = dict.fromkeys(("mm", "bmm", "matmul", "mv", "dot", "vdot", "inner"), _product(0))
    after_a_sum = dict.fromkeys(("addmm", "baddbmm", "addmv"), _product(1))
    recurrent = ("lstm", "gru", "rnn_tanh", "rnn_relu")
    return {
        **last,
        **after_a_sum,
        **dict.fromkeys(recurrent, _recurrent),
        "addbmm": _addbmm,
        "linear": _linear,
        "tensordot": _tensordot,
        "bilinear": _bilinear,
        "einsum": _einsum,
        "convolution": _convolution,
        "_convolution": _convolution,
        "_convolution_mode": _convolution_mode,
        "scaled_dot_product_attention": _attention,
        "_native_multi_head_attention": _multi_head_attention,
        "_transformer_encoder_layer_fwd": _encoder_layer,
    }


def _pair(call: Call, left: int, right: int, macs: int, operator: str = "product") -> Work:
    """The product of inputs number `left` and `right`, whose result is the call's output."""
    return Work(
        operator,
        macs,
        prod(call.out()),
        call.read(left, right),
        mixes=call.depends(left) and call.depends(right),
        batched=min(len(call.shape(left)), len(call.shape(right))) > 2,
    )


def _product(left: int) -> Formula:
    """A product whose left factor [..., k] is input number `left`: k multiply-accumulates per output."""
    return lambda call: [_pair(call, left, left + 1, prod(call.out()) * call.shape(left)[-1])]


def _linear(call: Call) -> list[Work]:
    """x Wᵀ with x [..., k]: k per output."""
    return [_pair(call, 0, 1, prod(call.out()) * call.shape(0)[-1], "linear")]


def _addbmm(call: Call) -> list[Work]:
    """The sum of b products [n, k] [k, p]: b·n·k·p."""
    return [_pair(call, 1, 2, prod(call.shape(1)) * call.shape(2)[-1])]


def _tensordot(call: Call) -> list[Work]:
    """Each output is a sum over all contracted dimensions of the left factor."""
    contracted = prod(call.shape(0)[d] for d in call.numbers(2))
    return [_pair(call, 0, 1, prod(call.out()) * contracted)]


def _bilinear(call: Call) -> list[Work]:
    """x1 W x2 with W [o, i, j]: x1 is multiplied into W, and the result into x2: o·i·j + o·j per position."""
    outputs, i, j = call.shape(2)
    positions = prod(call.out()) // outputs
    work = _pair(call, 0, 1, positions * outputs * (i * j + j))
    return [work]


def _convolution(call: Call) -> list[Work]:
    """Each output is a sum over kernel and input channels of its group; transposed, each input feeds such a sum."""
    transposed = bool(call.constant(6))
    positions = prod(call.shape(0) if transposed else call.out())
    return [_pair(call, 0, 1, positions * prod(call.shape(1)[1:]), "conv")]


def _convolution_mode(call: Call) -> list[Work]:
    """A convolution whose padding is a word, never transposed."""
    return [_pair(call, 0, 1, prod(call.out()) * prod(call.shape(1)[1:]), "conv")]


def _attention(call: Call) -> list[Work]:
    """softmax(QKᵀ)V with Q [..., l, e], K [..., s, e], V [..., s, ev]: l·s·(e + ev) per head of Q.

    The same whatever the mask, causal or not: what is masked is computed all the same. Heads of Q that share keys
    (`enable_gqa`) are multiplied one by one. Beside the products: scaled queries, scores plus mask, softmax.
    """
    (*_, width), keys, value_width = call.shape(0), call.shape(1)[-2], call.shape(2)[-1]
    scores = prod(call.out()[:-1]) * keys
    masked = len(call.inputs) > 3 and not call.is_none(3)
    seen = call.depends(0) or call.depends(1)
    return [
        Work(
            "attention",
            scores * (width + value_width),
            scores + prod(call.out()),
            call.read(0, 1, 2) + (scores if seen else 0),
            kind="attention",
            elementwise=prod(call.shape(0)) + scores * (2 if masked else 1),
        )
    ]


def _heads(query: Sequence[int], keys: int, heads: int) -> Work:
    """Self- or cross-attention of `heads` heads over queries [b, l, e] and `keys` keys of the same width."""
    batch, queries, width = query
    scores = batch * heads * queries * keys
    values = batch * (queries + 2 * keys) * width
    macs = 2 * batch * queries * keys * width
    softmax = scores + batch * queries * width
    return Work(
        "attention", macs, scores + batch * queries * width, values + scores, kind="attention", elementwise=softmax
    )


def _dense(positions: int, width: int, outputs: int, kind: Kind) -> Work:
    """A linear layer that a fused operator holds."""
    return Work("linear", positions * width * outputs, positions * outputs, positions * width, kind=kind)


def _multi_head_attention(call: Call) -> list[Work]:
    """nn.MultiheadAttention in one operator: projections, both products of each head, projection."""
    query, keys = call.shape(0), call.shape(1)[1]
    batch, queries, width = query
    alone = _dense(batch * queries, width, width, "projection"), _dense(batch * keys, width, 2 * width, "projection")
    together = (_dense(batch * queries, width, 3 * width, "projection"),)
    return [
        *(together if call.same(0, 1) else alone),
        _heads(query, keys, int(call.constant(4))),
        _dense(batch * queries, width, width, "projection"),
    ]


def _encoder_layer(call: Call) -> list[Work]:
    """nn.TransformerEncoderLayer in one operator: self-attention and an MLP, each with a norm and a residual."""
    source, hidden = call.shape(0), call.shape(14)[0]
    batch, tokens, width = source
    elements = batch * tokens * width
    beside = Work("linear", 0, 0, 0, kind="mlp", elementwise=2 * elements + batch * tokens * hidden, norm=2 * elements)
    return [
        _dense(batch * tokens, width, 3 * width, "projection"),
        _heads(source, tokens, int(call.constant(2))),
        _dense(batch * tokens, width, width, "projection"),
        _dense(batch * tokens, width, hidden, "mlp"),
        _dense(batch * tokens, hidden, width, "mlp"),
        beside,
    ]


def _recurrent(call: Call) -> list[Work]:
    """Every weight matrix of every layer and direction is applied once at each position of each sequence.

    Inputs are (x, h, weights) or, for packed sequences, (x, sizes, h, weights).
    """
    positions = prod(call.shape(0)[:-1])
    weights = call.items(3) if call.is_list(3) else call.items(2)
    matrices = [shape for shape in map(call.shape_of, weights) if len(shape) == 2]
    return [recurrent_work(positions, matrices)]


def recurrent_work(positions: int, matrices: Sequence[Sequence[int]]) -> Work:
    """What `matrices` [outputs, inputs] cost that are each applied once at every position."""
    written, read = (positions * sum(shape[side] for shape in matrices) for side in (0, 1))
    return Work("recurrent", positions * sum(map(prod, matrices)), written, read, kind="recurrent")


@dataclass(frozen=True)
class _Term:
    """One factor of an einsum: the size of each of its indices, and whether it is made from the image."""

    size: dict[str, int]
    depends: bool


def _einsum(call: Call) -> list[Work]:
    """Factors are contracted in pairs, by the path that torch was given or from left to right.

    A pair costs the product of the sizes of all its indices, save those that only one factor has and nothing
    later needs: torch sums these away before it multiplies.
    """
    equation, _, result = re.sub(r"\s", "", str(call.constant(0))).partition("->")
    values = call.items(1)
    shapes = [call.shape_of(value) for value in values]
    labels = [_spelled_out(term, len(shape)) for term, shape in zip(equation.split(","), shapes, strict=True)]
    terms = [
        _Term(_sizes(label, shape), call.depends_on(value))
        for label, shape, value in zip(labels, shapes, values, strict=True)
    ]
    wanted = set(_spelled_out(result, len(call.out())))
    path = [] if len(call.inputs) < 3 or call.is_none(2) else call.numbers(2)
    work = []
    while len(terms) > 1:
        first, second = sorted(path[:2] or (0, 1))
        path = path[2:]
        right, left = terms.pop(second), terms.pop(first)
        kept = wanted.union(*(t.size for t in terms))
        made, joint = _contracted(left, right, kept)
        work.append(joint)
        terms = [*terms, made] if path else [made, *terms]
    return work


def _contracted(left: _Term, right: _Term, kept: set[str]) -> tuple[_Term, Work]:
    """The product of two factors summed over what is not `kept`, and its cost."""
    sides = [{c: n for c, n in a.size.items() if c in kept or c in b.size} for a, b in ((left, right), (right, left))]
    union = {**sides[0], **{c: max(n, sides[0].get(c, 1)) for c, n in sides[1].items()}}
    made = _Term({c: n for c, n in union.items() if c in kept}, left.depends or right.depends)
    read = sum(prod(t.size.values()) for t in (left, right) if t.depends)
    work = Work(
        "product",
        prod(union.values()),
        prod(made.size.values()),
        read,
        mixes=left.depends and right.depends,
        batched=min(len(left.size), len(right.size)) > 2,
    )
    return made, work


def _sizes(label: str, shape: Sequence[int]) -> dict[str, int]:
    """Size of each index; one that is repeated (a diagonal) counts once."""
    return dict(zip(label, shape, strict=True))


def _spelled_out(term: str, dimensions: int) -> str:
    """One letter for each dimension: an ellipsis becomes digits, counted from the right as broadcasting does."""
    hidden = dimensions - len(term.replace("...", ""))
    return term.replace("...", "".join(str(d) for d in reversed(range(hidden))))
