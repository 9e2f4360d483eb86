"""How alike the features of two layers are: debiased linear centred kernel alignment (CKA), batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.probes.blocks import as_grid, blocks_of, outputs_of
from bench.probes.subject import Findings, NotProbable, Subject

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 256
"""Images of which similarities are compared at a time."""


def layer_similarity(subject: Subject, *, images: int = 2048) -> Findings:
    """Debiased linear CKA between the outputs of all blocks, of each model and between the first two models.

    Features are all cells of a block's output, flattened, as in Raghu et al. 2021; class tokens are left out. Whole
    batches of 256 images of the training split, not augmented, since a test split may be too small. Values: `blocks`,
    `cells`, the side of each block's grid; `own`, a matrix for each model; `across`, rows of the first against columns
    of the second, null for one model; `images`.
    """
    import torch

    index = np.arange(min(images, len(subject.images.labels("train"))) // BATCH * BATCH)
    if not len(index):
        raise NotProbable(f"it needs {BATCH} images, and there are {len(subject.images.labels('train'))}")
    names = [name for name, _ in blocks_of(subject.model)]
    sums = [Alignment(len(names)) for _ in subject.models]
    across = Alignment(len(names))
    cells: list[int] = []
    for shown, _ in subject.images.eval_batches("train", _spread(index, subject), BATCH):
        kernels = []
        for model, own in zip(subject.models, sums, strict=True):
            blocks = blocks_of(model)
            with torch.inference_mode(), outputs_of(blocks) as outputs:
                model(shown)
            grids = [as_grid(outputs[name], model) for name, _ in blocks]
            cells = [grid.shape[1] for grid in grids]
            kernels.append([kernel(grid.flatten(1)) for grid in grids])
            own.add(kernels[-1], kernels[-1])
        if len(kernels) > 1:
            across.add(kernels[0], kernels[1])
    return Findings(
        {
            "blocks": names,
            "cells": cells,
            "own": [own.matrix().tolist() for own in sums],
            "across": across.matrix().tolist() if len(subject.models) > 1 else None,
            "images": len(index),
        }
    )


class Alignment:
    """CKA between two lists of layers, from as many batches as one likes (Nguyen, Raghu & Kornblith 2021, eq. 3).

    The mean over batches of an unbiased estimate of HSIC, normalised at the end, so that the batch size does not bias
    it, and independent features come out at 0 however many there are.
    """

    def __init__(self, layers: int) -> None:
        self._cross = np.zeros((layers, layers))
        self._first, self._second = np.zeros(layers), np.zeros(layers)

    def add(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> None:
        """One batch: kernels [n, n] of the layers of one model and of another, of the same images."""
        self._cross += [[hsic(k, other) for other in second] for k in first]
        self._first += [hsic(k, k) for k in first]
        self._second += [hsic(k, k) for k in second]

    def matrix(self) -> NDArray[np.float64]:
        """CKA of every layer of the first (rows) with every layer of the second (columns)."""
        scale = np.sqrt(np.outer(np.clip(self._first, 0, None), np.clip(self._second, 0, None)))
        return np.divide(self._cross, scale, out=np.zeros_like(self._cross), where=scale > 0)


def kernel(features: Tensor) -> Tensor:
    """Linear kernel of features [n, d] with a diagonal of 0, float64 [n, n].

    Centring is part of `hsic`; taking the mean off first only keeps rounding small.
    """
    wide = features.float()
    wide = wide - wide.mean(0)
    found = (wide @ wide.T).double()
    return found.fill_diagonal_(0.0)


def hsic(k: Tensor, other: Tensor) -> float:
    """Unbiased estimate of HSIC from two kernels [n, n] whose diagonals are 0 (Song et al. 2012, eq. 5).

    [tr(KL) + 1ᵀK1·1ᵀL1 / ((n − 1)(n − 2)) − 2·1ᵀKL1 / (n − 2)] / (n(n − 3)).
    """
    n = len(k)
    rows, columns = k.sum(1), other.sum(1)
    trace = float((k * other).sum())
    sums = float(rows.sum() * columns.sum()) / ((n - 1) * (n - 2))
    return (trace + sums - 2 * float(rows @ columns) / (n - 2)) / (n * (n - 3))


def _spread(index: NDArray[np.int64], subject: Subject) -> NDArray[np.int64]:
    """As many images as `index`, drawn from the whole training split: neighbours may be of one class."""
    total = len(subject.images.labels("train"))
    return np.random.default_rng(subject.seed).permutation(total)[: len(index)]
