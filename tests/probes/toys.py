"""Models whose reach is known by construction, and images to show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.probes.subject import Subject


class Shown:
    """A test split of given images, float32 [n, 3, px, px], as a dataset shows it."""

    def __init__(self, images: Tensor, labels: Sequence[int] | NDArray[np.int64] | None = None) -> None:
        self._images = images
        self._labels = np.zeros(len(images), dtype=np.int64) if labels is None else np.array(labels, dtype=np.int64)

    def labels(self, split: str) -> NDArray[np.int64]:
        assert split == "test"
        return self._labels

    def eval_batches(self, split: str, indices: NDArray[np.int64], batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        assert split == "test"
        for start in range(0, len(indices), batch_size):
            part = indices[start : start + batch_size]
            yield self._images[part], torch.from_numpy(self._labels[part])


def subject(model: nn.Module, px: int = 32, images: Shown | None = None, seed: int = 0) -> Subject:
    """A model made by hand, as a probe is given it."""

    def build(name: str, *, seed: int = 0, **geometry: int) -> nn.Module:
        raise AssertionError(f"a probe of one given model has no need of {name}")

    data = images
    return Subject("made by hand", (model.eval(),), px, 10, torch.device("cpu"), seed, build, data)  # type: ignore[arg-type]


class Blocks(nn.Module):
    """Blocks one after the other, then the mean over all cells as logits."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x).mean((2, 3))  # type: ignore[no-any-return]


def convolutions(*layers: tuple[int, int], width: int = 4) -> Blocks:
    """A linear stack of padded convolutions, each (kernel, stride)."""
    widths = [3] + [width] * len(layers)
    return Blocks(
        *(nn.Conv2d(widths[k], widths[k + 1], kernel, stride, kernel // 2) for k, (kernel, stride) in enumerate(layers))
    )


def box_blurs(count: int) -> Blocks:
    """Convolutions of 3×3 equal weights: the gradient of a unit is the convolution of `count` boxes."""
    model = convolutions(*[(3, 1)] * count, width=1)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 1 / 9 if parameter.ndim == 4 else 0.0)
    return model


class Mixing(nn.Module):
    """Tokens [b, n, c] → the same, mixed with fixed weights [n, n] in place of attention."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.weights @ x  # type: ignore[no-any-return, operator]


class Tokens(nn.Module):
    """Patches of 4×4 pixels as tokens, a class token before them if wanted, and one block that mixes them."""

    def __init__(self, weights: Tensor, class_token: bool = False) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.class_token = nn.Parameter(torch.ones(1, 1, 8)) if class_token else None
        self.blocks = nn.ModuleList([Mixing(weights)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        if self.class_token is not None:
            x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        return self.blocks[0](x).mean(1)  # type: ignore[no-any-return]
