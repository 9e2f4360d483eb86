"""What Swin's windows do: their size by stage, how far one block reaches, and where the relative bias is added."""

from __future__ import annotations

from copy import deepcopy
from functools import reduce
from math import isqrt
from typing import TYPE_CHECKING, Any

from bench.probes.attention import weights_of
from bench.probes.blocks import as_grid, blocks_of, outputs_of
from bench.probes.reach import NEGLIGIBLE
from bench.probes.subject import Findings, NotProbable, Subject

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

UNITS = 64
"""Cells whose reach is looked at at most: all of a mini's first grid."""


def window_plan(subject: Subject) -> Findings:
    """Side of every block's grid, window and patch, read off a real forward pass.

    Values by block: `grid` cells a side; `window` cells a side, from the keys of its attention; `patch_px`.
    """
    import torch

    model = subject.model
    blocks = blocks_of(model)
    generator = torch.Generator().manual_seed(subject.seed)
    image = torch.randn((1, 3, subject.img_size, subject.img_size), generator=generator).to(subject.device)
    with torch.inference_mode(), outputs_of(blocks) as outputs, weights_of(model) as calls:
        model(image)
    grids = [as_grid(outputs[name], model).shape[1] for name, _ in blocks]
    if len(calls) != len(blocks):
        raise NotProbable("not every block has one attention")
    return Findings(
        {
            "grid": grids,
            "window": [isqrt(weights.shape[-1]) for _, _, weights in calls],
            "patch_px": [subject.img_size / grid for grid in grids],
        }
    )


def window_reach(subject: Subject) -> Findings:
    """Which cells of its input a cell depends on, through the first block, the second, and both, exactly (float64).

    Cells are grouped by the first block's windows. Values: the largest part of a cell's support that lies outside its
    own group for `first`, `second` and `both` blocks, and for all blocks on that grid as `stage`; `first_groups` and
    so on, how many groups a cell sees at most; `second_outside_moved`, that part for the second block with groups moved
    by half a window, as a shift does; `window` and `grid`, cells a side; `stage_blocks`. Raises NotProbable where the
    grid is no larger than a window.
    """
    import torch

    model = subject.model.double()
    blocks = [block for _, block in blocks_of(model)]
    window = _window(blocks[0])
    inputs: list[Tensor] = []
    hooks = [block.register_forward_pre_hook(lambda _, given: inputs.append(given[0])) for block in blocks]
    generator = torch.Generator().manual_seed(subject.seed)
    with torch.inference_mode():
        model(subject.noise(1, generator))
    for hook in hooks:
        hook.remove()
    grid = inputs[0].shape[1]
    stage = [block for block, given in zip(blocks, inputs, strict=True) if given.shape == inputs[0].shape]
    if inputs[0].ndim != 4 or grid <= window:
        raise NotProbable("its first grid is no larger than a window")
    start = inputs[0].clone().requires_grad_()
    first = blocks[0](start)
    outputs = {"first": first, "second": blocks[1](start), "both": blocks[1](first)}
    outputs["stage"] = reduce(lambda x, block: block(x), stage, start)
    groups, moved = _partition(grid, window, 0), _partition(grid, window, window - window // 2)
    units = torch.randperm(grid * grid, generator=generator)[:UNITS].tolist()
    values: dict[str, Any] = {"window": window, "grid": grid, "stage_blocks": len(stage)}
    for name, output in outputs.items():
        found = [_groups_seen(output, start, divmod(unit, grid), groups, generator) for unit in units]
        values[name] = max(outside for outside, _ in found)
        values[f"{name}_groups"] = max(seen for _, seen in found)
    values["second_outside_moved"] = max(
        _groups_seen(outputs["second"], start, divmod(unit, grid), moved, generator)[0] for unit in units
    )
    return Findings(values)


def score_bias(subject: Subject) -> Findings:
    """Where the first window attention adds its relative position bias, exactly (float64).

    Values: `scores`, the largest difference between the weights it used and softmax(QKᵀ/√d + B) with B looked up from
    its table by offset; `without`, the same without B; `values`, the largest change of its output when the table is
    drawn anew while all values are made alike, as a part of the output's size: 0 where the table acts on the weights
    alone, since those sum to 1; `weights_moved`, the largest change of a weight then. Raises NotProbable without such
    a table.
    """
    import torch

    model = subject.model.double()
    attention: Any = next((b.attn for _, b in blocks_of(model) if hasattr(b, "attn")), None)
    if attention is None or not hasattr(attention, "relative_position_bias_table"):
        raise NotProbable("it has no relative position bias")
    generator = torch.Generator().manual_seed(subject.seed)
    tokens, dim = attention.window_area, attention.dim
    given = torch.randn((3, tokens, dim), generator=generator, dtype=torch.float64).to(subject.device)
    table: Tensor = attention.relative_position_bias_table
    with torch.inference_mode():
        drawn = torch.randn(table.shape, generator=generator, dtype=torch.float64).to(table.device)
        attention = _with_table(attention, drawn)
        used, _ = _run(attention, given)
        q, k, _v = attention.qkv(given).view(3, tokens, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        bias = drawn[attention.relative_position_index.view(-1)].view(tokens, tokens, -1).permute(2, 0, 1)
        alike = _with_table(attention, drawn)
        alike.qkv.weight[2 * dim :], alike.qkv.bias[2 * dim :] = 0.0, 1.0
        again = torch.randn(table.shape, generator=generator, dtype=torch.float64).to(table.device)
        other = _with_table(alike, again)
        (weights, output), (moved, after) = _run(alike, given), _run(other, given)
    return Findings(
        {
            "scores": float((used - (scores + bias).softmax(-1)).abs().max()),
            "without": float((used - scores.softmax(-1)).abs().max()),
            "values": float((after - output).abs().max() / output.abs().max()),
            "weights_moved": float((moved - weights).abs().max()),
        }
    )


def _window(block: nn.Module) -> int:
    attention = getattr(block, "attn", None)
    size = getattr(attention, "window_size", None)
    if size is None:
        raise NotProbable("its first block has no windows")
    return int(size[0] if isinstance(size, (tuple, list)) else size)


def _partition(grid: int, window: int, moved: int) -> Tensor:
    """Number of the window that each cell [grid, grid] lies in, the first border moved by `moved` cells, unwrapped."""
    import torch

    group = (torch.arange(grid) + moved) // window
    return group[:, None] * (grid // window + 2) + group


def _groups_seen(
    output: Tensor, start: Tensor, unit: tuple[int, int], groups: Tensor, generator: torch.Generator
) -> tuple[float, int]:
    """Part of one cell's support outside its own group, and how many groups it sees."""
    import torch

    cell = output[0, unit[0], unit[1]]
    weights = torch.randn(len(cell), generator=generator, dtype=cell.dtype).to(cell.device)
    (gradient,) = torch.autograd.grad(cell @ weights, start, retain_graph=True)
    size = gradient[0].abs().amax(-1).cpu()
    seen = size > NEGLIGIBLE * size.max()
    own = groups == groups[unit]
    return float((seen & ~own).sum() / seen.sum()), len(set(groups[seen].tolist()))


def _with_table(attention: Any, table: Tensor) -> Any:
    """A copy of a window attention with another bias table."""
    import torch

    other = deepcopy(attention)
    if "relative_position_bias_table" in other._parameters:
        other.relative_position_bias_table = torch.nn.Parameter(table, requires_grad=False)
    else:
        other.relative_position_bias_table = table
    other.requires_grad_(False)
    return other


def _run(attention: nn.Module, given: Tensor) -> tuple[Tensor, Tensor]:
    """The weights that an attention used, and what it put out."""
    from torch import nn

    class Holder(nn.Module):
        """Gives the attention the name under which `weights_of` looks for it."""

        def __init__(self) -> None:
            super().__init__()
            self.attn = attention

        def forward(self, x: Tensor) -> Tensor:
            """The attention alone."""
            return self.attn(x)  # type: ignore[no-any-return]

    holder = Holder()
    with weights_of(holder) as calls:
        output = holder(given)
    return calls[0][2], output
