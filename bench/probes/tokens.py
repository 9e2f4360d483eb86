"""What a transformer does with its class token, its embedding and its norms, found by watching and disturbing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isqrt
from typing import TYPE_CHECKING, Any

from bench.probes.blocks import blocks_of
from bench.probes.subject import Findings, NotProbable, Subject

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

IMAGES = 4


def readout(subject: Subject) -> Findings:
    """Which tokens the logits are read from, and whether a class token depends on the image, exactly (float64).

    Values: `class_tokens` and `cells`, how many enter each block; `spread_in` and `spread_out`, the largest difference
    of the class token between images where it enters its first block and where it leaves the last (null without one);
    `class_learned`, whether what enters depends on a trainable parameter; `head_of_class`, the largest difference
    between head(norm(class token)) and the logits, as a part of their spread (null without the three);
    `cells_permuted`, `cells_replaced` and `class_replaced`, the largest change of a logit, as a part of the logits'
    spread, when the last block's output has its cells in another order, noise for its cells, noise for its class token.
    """
    import torch

    model, images, generator = _prepared(subject)
    blocks = [block for _, block in blocks_of(model)]
    entering: list[Tensor] = []
    hooks = [block.register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0])) for block in blocks]
    leaving: list[Tensor] = []
    hooks.append(blocks[-1].register_forward_hook(lambda _m, _i, output: leaving.append(output)))
    model(images[:1])
    learned = next((_learned(x[0, 0], model) for x in entering if _class_tokens(x)), None)
    entering.clear()
    leaving.clear()
    with torch.inference_mode():
        plain = model(images)
        for hook in hooks:
            hook.remove()
        first = next((x for x in entering if _class_tokens(x)), None)
        last = leaving[0]
        own = _class_tokens(last)
        spread = plain.std()

        def changed(edit: Callable[[Tensor], Tensor]) -> float:
            with _output_edited(blocks[-1], edit):
                return float((model(images) - plain).abs().max() / spread)

        values: dict[str, Any] = {
            "class_tokens": [_class_tokens(x) for x in entering],
            "cells": [_cells(x) for x in entering],
            "spread_in": None if first is None else _spread(first[:, 0]),
            "spread_out": _spread(last[:, 0]) if own else None,
            "class_learned": learned,
            "head_of_class": _head_of_class(model, last, plain) if own else None,
            "cells_permuted": changed(lambda x: _permuted(x, own, generator)),
            "cells_replaced": changed(lambda x: _noised(x, own, generator, cells=True)),
            "class_replaced": changed(lambda x: _noised(x, own, generator, cells=False)) if own else None,
        }
    return Findings(values)


def embedding_norms(subject: Subject) -> Findings:
    """Where a vision transformer normalises, found from the values themselves (float64).

    Values: `embedding_change`, how far what enters the first block is from patches + positions, as a part of its
    spread; `attention_input`, for each block how far its attention's input is from mean 0 and variance 1 a token;
    `block_output`, the same for what the last block puts out; `head_input`, the same for what the head reads. Raises
    NotProbable for a model without patches, a table of positions and a head.
    """
    import torch
    from torch import nn

    model, images, _ = _prepared(subject)
    positions = getattr(model, "pos_embed", None)
    patches = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    head = getattr(model, "head", None)
    if positions is None or patches is None or not isinstance(head, nn.Linear):
        raise NotProbable("it has no patches, table of positions and head to compare with")
    blocks: list[Any] = [block for _, block in blocks_of(model)]
    seen: dict[str, list[Tensor]] = {"patches": [], "first": [], "attention": [], "last": [], "head": []}
    hooks = [
        patches.register_forward_hook(lambda _m, _i, output: seen["patches"].append(output)),
        blocks[0].register_forward_pre_hook(lambda _, inputs: seen["first"].append(inputs[0])),
        blocks[-1].register_forward_hook(lambda _m, _i, output: seen["last"].append(output)),
        head.register_forward_pre_hook(lambda _, inputs: seen["head"].append(inputs[0])),
        *(b.attn.register_forward_pre_hook(lambda _, inputs: seen["attention"].append(inputs[0])) for b in blocks),
    ]
    with torch.inference_mode():
        model(images)
    for hook in hooks:
        hook.remove()
    tokens = seen["patches"][0].flatten(2).transpose(1, 2)
    expected = tokens + positions[:, positions.shape[1] - tokens.shape[1] :]
    first = seen["first"][0][:, -tokens.shape[1] :]
    return Findings(
        {
            "embedding_change": float(((first - expected).abs().max() / expected.std()).detach()),
            "attention_input": [_unnormalised(x) for x in seen["attention"]],
            "block_output": _unnormalised(seen["last"][0]),
            "head_input": _unnormalised(seen["head"][0]),
        }
    )


def _prepared(subject: Subject) -> tuple[nn.Module, Tensor, torch.Generator]:
    """The model in float64, a few random images, and a generator."""
    import torch

    generator = torch.Generator().manual_seed(subject.seed)
    return subject.model.double(), subject.noise(IMAGES, generator), generator


def _class_tokens(x: Tensor) -> int:
    """How many tokens of [b, n, c] are beyond a square of cells; a map has none."""
    return x.shape[1] - isqrt(x.shape[1]) ** 2 if x.ndim == 3 else 0


def _cells(x: Tensor) -> int:
    """Tokens of [b, n, c] or cells of [b, h, w, c] without class tokens."""
    return x.shape[1] - _class_tokens(x) if x.ndim == 3 else x.shape[1] * x.shape[2]


def _spread(x: Tensor) -> float:
    """Largest difference between images, as a part of the vector's own size."""
    return float((x - x[:1]).abs().max() / x.abs().max())


def _learned(token: Tensor, model: nn.Module) -> bool:
    """Whether a token has a gradient by any trainable parameter."""
    import torch

    if not token.requires_grad:
        return False
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(token.square().sum() + token.sum(), trainable, allow_unused=True)
    return any(bool(gradient.any()) for gradient in gradients if gradient is not None)


def _head_of_class(model: nn.Module, last: Tensor, logits: Tensor) -> float | None:
    """How far head(norm(class token)) is from the logits, as a part of their spread; None without norm and head."""
    norm, head = getattr(model, "norm", None), getattr(model, "head", None)
    if norm is None or head is None:
        return None
    return float((head(norm(last)[:, 0]) - logits).abs().max() / logits.std())


def _unnormalised(x: Tensor) -> float:
    """How far tokens are from mean 0 and variance 1 over their channels, at worst."""
    return max(float(x.mean(-1).abs().max()), float((x.var(-1, unbiased=False) - 1).abs().max()))


def _permuted(x: Tensor, class_tokens: int, generator: torch.Generator) -> Tensor:
    import torch

    cells = x[:, class_tokens:] if x.ndim == 3 else x.flatten(1, 2)
    order = torch.randperm(cells.shape[1], generator=generator).to(x.device)
    moved = cells[:, order]
    return torch.cat([x[:, :class_tokens], moved], dim=1) if x.ndim == 3 else moved.view(x.shape)


def _noised(x: Tensor, class_tokens: int, generator: torch.Generator, *, cells: bool) -> Tensor:
    import torch

    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    if x.ndim != 3:
        return noise
    kept = [x[:, :class_tokens], noise[:, class_tokens:]] if cells else [noise[:, :class_tokens], x[:, class_tokens:]]
    return torch.cat(kept, dim=1)


@contextmanager
def _output_edited(module: nn.Module, edit: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Put another output in place of a module's own."""
    hook = module.register_forward_hook(lambda _m, _i, output: edit(output))
    try:
        yield
    finally:
        hook.remove()
