"""How much of the image one unit sees: the exact support of its gradient, and where most of the gradient lies."""

from __future__ import annotations

from contextlib import AbstractContextManager
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from bench.probes.blocks import as_grid, blocks_of, outputs_of
from bench.probes.subject import Findings, NotProbable, Subject

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

NEGLIGIBLE = 1e-20
"""Gradients below this part of the largest one are no path: Swin masks a pair of tokens by −100 before the softmax,
which leaves it 4·10⁻⁴⁴ of its weight."""
ERF_LEVEL = 0.0455
"""Part of the largest gradient from which a pixel belongs to the effective receptive field (Luo et al. 2016)."""


def gradient_support(subject: Subject, *, draws: int = 2) -> Findings:
    """Which pixels a centre unit depends on after every block, exactly, for random weights and inputs.

    In float64, with a little noise on every weight. A pixel counts that has a gradient for any of `draws` random
    inputs, so that a unit that happens to be off, such as behind a ReLU, hides nothing. Values, by block: `blocks`,
    their names; `share`, of the image's pixels; `side_px`, the longer side of the smallest rectangle around them;
    `cell_px`, the side of one cell of the grid there. Raises NotProbable where blocks put out no square grids.
    """
    import torch

    generator = torch.Generator().manual_seed(subject.seed)
    model = _awake(subject.model, generator)
    images = subject.noise(draws, generator).requires_grad_()
    blocks = _blocks(model)
    with outputs_of(blocks) as outputs, _differentiable():
        model(images)
    share, sides, cells = [], [], []
    for name, _ in blocks:
        grid = as_grid(outputs[name], model)
        seen = _support(_centre(grid, generator), images)
        rows, columns = np.nonzero(seen)
        share.append(float(seen.mean()))
        sides.append(int(max(np.ptp(rows), np.ptp(columns)) + 1) if len(rows) else 0)
        cells.append(subject.img_size / grid.shape[1])
    return Findings(
        {"blocks": [name for name, _ in blocks], "share": share, "side_px": sides, "cell_px": cells, "draws": draws}
    )


def effective_receptive_field(subject: Subject, *, images: int = 64) -> Findings:
    """Where the gradient of the centre unit of the last map lies on average over test images (Luo et al. 2016).

    Values: `side_px`, the square root of the number of pixels whose mean absolute gradient is at least 4.55 % of the
    largest; `map`, that gradient, the largest being 1 [px, px]; `images`. Raises NotProbable where the last block puts
    out no square grid, or its centre unit has no gradient.
    """
    import torch

    total = torch.zeros(subject.img_size, subject.img_size, dtype=torch.float64)
    index = np.arange(min(images, len(subject.images.labels("test"))))
    last = _blocks(subject.model)[-1:]
    for shown, _ in subject.images.eval_batches("test", index, 32):
        shown = shown.requires_grad_()
        with outputs_of(last) as outputs, _differentiable():
            subject.model(shown)
        grid = as_grid(outputs[last[0][0]], subject.model)
        middle = grid[:, grid.shape[1] // 2, grid.shape[2] // 2].sum()
        (gradient,) = torch.autograd.grad(middle, shown)
        total += gradient.abs().sum((0, 1)).double().cpu()
    if not total.max() > 0:
        raise NotProbable("the centre unit of its last block has no gradient")
    field = (total / total.max()).numpy()
    return Findings(
        {
            "side_px": float((field >= ERF_LEVEL).sum() ** 0.5),
            "map": np.round(field, 5).tolist(),
            "images": len(index),
        }
    )


def input_gradient_coverage(subject: Subject, *, draws: int = 4) -> Findings:
    """Which pixels the logits depend on, for random inputs, exactly (float64, a little noise on every weight).

    Values: `coverage`, the part of all positions with a gradient; `weakest`, the smallest mean absolute gradient of a
    position as a part of the mean over all positions.
    """
    import torch

    generator = torch.Generator().manual_seed(subject.seed)
    model = _awake(subject.model, generator)
    images = subject.noise(draws, generator).requires_grad_()
    with _differentiable():
        logits = model(images)
    weights = torch.randn(logits.shape[1], generator=generator, dtype=torch.float64).to(logits.device)
    (gradient,) = torch.autograd.grad((logits @ weights).sum(), images)
    size = gradient.abs().sum((0, 1)).cpu().numpy()
    coverage = float((size > NEGLIGIBLE * size.max()).mean())
    return Findings({"coverage": coverage, "weakest": float(size.min() / size.mean())})


def _differentiable() -> AbstractContextManager[None]:
    """Forward passes within have gradients in eval mode, too: cuDNN's LSTM has none there, torch's own has."""
    import torch

    return torch.backends.cudnn.flags(enabled=False)


def _blocks(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The model's blocks in forward order. Raises NotProbable without any."""
    blocks = blocks_of(model)
    if not blocks:
        raise NotProbable("the model names no blocks")
    return blocks


def _awake(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """A copy in float64 with noise added to every parameter, so that no path is shut by its initial value.

    timm starts the last norm of every residual block at 0: until training, only its shortcuts carry a gradient.
    """
    import torch

    model = deepcopy(model).double()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.add_(0.02 * noise.to(parameter.device))
    return model


def _centre(grid: Tensor, generator: torch.Generator) -> Tensor:
    """A random projection of the centre cell of [b, h, w, c], summed over the batch."""
    import torch

    middle = grid[:, grid.shape[1] // 2, grid.shape[2] // 2]
    weights = torch.randn(middle.shape[1], generator=generator, dtype=middle.dtype)
    return (middle @ weights.to(middle.device)).sum()  # type: ignore[no-any-return]


def _support(unit: Tensor, images: Tensor) -> np.ndarray:
    """bool [h, w]: whether a unit depends on a pixel, for any of the images."""
    import torch

    (gradient,) = torch.autograd.grad(unit, images, retain_graph=True)
    size = gradient.abs().amax((0, 1))
    return (size > NEGLIGIBLE * size.max()).cpu().numpy()  # type: ignore[no-any-return]
