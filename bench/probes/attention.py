"""How far attention reaches: the mean distance between a query and what it attends to, per head and layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.probes.subject import Findings, NotProbable, Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

LEAST_SIDE = 8
"""Grids with fewer cells than this on a side hold too few distances to speak of near and far."""
_MASKED = 1e-30


@dataclass
class _Layer:
    """What one attention layer has added up so far."""

    name: str
    grid: int
    """Cells on a side of the map that the layer works on."""
    queries: int
    keys: int
    distance: Any = 0.0
    """Sum over images (or windows) of the mean distance in cells, float64 [heads]."""
    uniform: float = 0.0
    """The same for attention that is uniform over the keys that are not masked."""
    count: int = 0


def attention_distance(subject: Subject, *, images: int = 128) -> Findings:
    """Mean attention distance of every head of every layer in pixels (Raghu et al. 2021; Dosovitskiy et al. 2021).

    Σ over keys of weight times Euclidean distance between the centres of query and key, averaged over queries and test
    images. Class tokens are left out, as queries and as keys, and the weights of the others sum to 1 again. Values:
    `layers`, each with `name`, `distance_px` and `ratio` by head, `uniform_px`, `queries`, `keys`, `grid`; `ratio` is
    the distance divided by that of uniform attention over the same keys; `images`. Layers with a single key, which
    leaves no choice, are not told. Raises NotProbable without attention, and where the first layer's map has fewer than
    8×8 cells.
    """
    import torch

    total = len(subject.images.labels("test"))
    index = np.linspace(0, total - 1, min(images, total)).astype(np.int64)  # neighbours may be of one class
    layers: dict[int, _Layer] = {}
    for shown, _ in subject.images.eval_batches("test", index, 32):
        with torch.inference_mode(), weights_of(subject.model) as calls:
            subject.model(shown)
        for number, (name, grid, weights) in enumerate(calls):
            _add(layers.setdefault(number, _Layer(name, *_sizes(grid, weights))), weights)
    if not layers:
        raise NotProbable("it has no attention")
    if layers[0].grid < LEAST_SIDE:
        raise NotProbable(f"its first layer sees {layers[0].grid}×{layers[0].grid} cells; near and far need 8×8")
    told = [_told(layer, subject.img_size) for layer in layers.values() if layer.keys > 1]
    return Findings({"layers": told, "images": len(index)})


@contextmanager
def weights_of(model: nn.Module) -> Iterator[list[tuple[str, int | None, Tensor]]]:
    """(layer's name, side of its map if it says so, attention weights [b, heads, queries, keys]) of each attention.

    In the order of the forward passes made in the context, whether fused or an explicit softmax of scores.
    """
    from torch.overrides import TorchFunctionMode

    found: list[tuple[str, int | None, Tensor]] = []
    inside: list[tuple[str, int | None]] = []

    class Watch(TorchFunctionMode):
        """Notes what attention does, and computes again what the fused kernel keeps to itself."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            result = func(*args, **kwargs)
            called = getattr(func, "__name__", "")
            if inside and called == "scaled_dot_product_attention":
                found.append((*inside[-1], _again(func, *args, **kwargs)))
            elif inside and called == "softmax" and result.ndim == 4:
                found.append((*inside[-1], result))
            return result

    def entering(name: str, grid: int | None) -> Any:
        return lambda _module, _inputs: inside.append((name, grid))

    hooks = []
    for name, module, grid in _attentions(model):
        hooks.append(module.register_forward_pre_hook(entering(name, grid)))
        hooks.append(module.register_forward_hook(lambda *_: (inside.pop(), None)[1]))
    try:
        with Watch():
            yield found
    finally:
        for hook in hooks:
            hook.remove()


def _attentions(model: nn.Module) -> list[tuple[str, nn.Module, int | None]]:
    """(name, module, side of its map where its block says so) of the attention layers."""
    found = []
    for name, module in model.named_modules():
        attention = getattr(module, "attn", None)
        if attention is not None and "Attention" in type(attention).__name__:
            resolution = getattr(module, "input_resolution", None)
            found.append((f"{name}.attn", attention, int(resolution[0]) if resolution is not None else None))
    return found


def _again(attend: Any, query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any) -> Tensor:
    """The weights of a fused attention, whatever its mask and scale: its result for values 1 at one key each."""
    import torch

    keys = key.shape[-2]
    one_each = torch.eye(keys, dtype=value.dtype, device=value.device).expand(*value.shape[:-2], keys, keys)
    weights: Tensor = attend(query, key, one_each, *args, **options)
    return weights


def _sizes(grid: int | None, weights: Tensor) -> tuple[int, int, int]:
    """Side of the map, queries and keys without class tokens. Raises NotProbable where they form no square."""
    queries, keys = (isqrt(n) ** 2 for n in weights.shape[2:])
    if max(weights.shape[2] - queries, weights.shape[3] - keys) > 1 or not queries or not keys:
        raise NotProbable("its tokens form no square")
    return grid or isqrt(queries), queries, keys


def _add(layer: _Layer, weights: Tensor) -> None:
    """Add the weights [b, heads, queries, keys] of one forward pass."""
    import torch

    distances = torch.from_numpy(_distances(isqrt(layer.queries), isqrt(layer.keys))).to(weights.device)
    own = weights[:, :, weights.shape[2] - layer.queries :, weights.shape[3] - layer.keys :].double()
    own = own / own.sum(-1, keepdim=True)
    layer.distance = layer.distance + (own * distances).sum(-1).mean(2).sum(0).cpu().numpy()
    allowed = (own > _MASKED).double()
    layer.uniform += float(((allowed * distances).sum(-1) / allowed.sum(-1)).mean((1, 2)).sum())
    layer.count += len(weights)


def _distances(queries: int, keys: int) -> NDArray[np.float64]:
    """Distance between the centres of each query and key of two square grids over the same square, in query cells.

    Fewer keys come from a convolution with padding 1, whose kernels are centred on every second query: key i is at
    query 2·i, not between two.
    """
    step = max(1, round(queries / keys))
    at, to = _centres(queries), step * _centres(keys)
    return np.asarray(np.sqrt(((at[:, None] - to[None]) ** 2).sum(-1)))


def _centres(side: int) -> NDArray[np.float64]:
    """(row, column) of every cell of a square grid, float64 [side², 2]."""
    rows, columns = np.divmod(np.arange(side * side, dtype=float), side)
    return np.stack([rows, columns], axis=1)


def _told(layer: _Layer, img_size: int) -> dict[str, Any]:
    cell_px = img_size / layer.grid
    distance, uniform = layer.distance / layer.count * cell_px, layer.uniform / layer.count * cell_px
    return {
        "name": layer.name,
        "distance_px": distance.tolist(),
        "ratio": (distance / uniform).tolist(),
        "uniform_px": uniform,
        "queries": layer.queries,
        "keys": layer.keys,
        "grid": layer.grid,
    }
