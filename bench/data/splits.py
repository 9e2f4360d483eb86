"""Which images train, which judge: stratified, nested and the same on every machine and version.

Random choices sort by raw 64-bit words of PCG64: NumPy guarantees the words of a bit generator for good, but not
what its `permutation` or `shuffle` make of them.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UsageError

Indices = NDArray[np.int64]

_DEV, _HOLDOUT, _ORDER, _TIES = 1, 2, 3, 4


def random_words(n: int, *entropy: int) -> NDArray[np.uint64]:
    """`n` uniform uint64 words that depend on nothing but `entropy` (non-negative integers)."""
    return np.random.PCG64(np.random.SeedSequence(entropy)).random_raw(n)  # type: ignore[return-value]


def resolve_train_sizes(sizes: Sequence[float], n_train: int) -> list[int]:
    """Train sizes as counts: values up to 1 are fractions of the `n_train` images, values above 1 are counts.

    `n_train` is what is left for training after dev was carved out. The order of `sizes` is kept. Raises
    UsageError for a size that is larger than the data and for two sizes that come to the same count.
    """
    counts: dict[int, float] = {}
    for size in sizes:
        count = max(1, round(size * n_train if size <= 1 else size))
        if size <= 0:
            raise UsageError(f"train size {size:g} is not above 0: give a fraction up to 1 or a count.")
        if count > n_train:
            raise UsageError(
                f"train size {size:g} is larger than the data: {n_train} images are there for training "
                "after the dev part is held out."
            )
        if count in counts:
            raise UsageError(
                f"train sizes {counts[count]:g} and {size:g} both come to {count} of {n_train} images: drop one."
            )
        counts[count] = size
    return list(counts)


def dev_counts(train_counts: Sequence[int], fraction: float) -> list[int]:
    """How many images of each class `dev_split` holds out, from the class counts alone.

    Largest remainders, so that the total is `fraction` of all, rounded, and at least 1; every class that
    has images keeps one for training. Raises UsageError where no class can spare an image.
    """
    counts = np.asarray(train_counts, dtype=np.int64)
    if not (counts > 1).any():
        raise UsageError("no class has two training images, so none can be held out to choose the learning rate.")
    return _holdout_counts(counts, fraction).tolist()  # type: ignore[no-any-return]


def dev_split(labels: NDArray[Any], fraction: float) -> tuple[Indices, Indices]:
    """(train, dev) indices into `labels`, sorted: a stratified part held out, the same for every seed.

    Class sizes of dev are `dev_counts`. Raises UsageError where no class can spare an image.
    """
    labels = np.asarray(labels)
    dev_counts(np.bincount(labels).tolist() if len(labels) else [], fraction)
    return _carve(labels, fraction, _DEV)


def stratified_holdout(labels: NDArray[Any], fraction: float, seed: int) -> tuple[Indices, Indices]:
    """(rest, held out) indices into `labels`, sorted: a stratified part held out, drawn by `seed`."""
    return _carve(np.asarray(labels), fraction, _HOLDOUT, seed)


def nested_order(labels: NDArray[Any], train_idx: Indices, seed: int) -> Indices:
    """`train_idx` in an order of which every prefix is in proportion to the class frequencies.

    `labels` are those of the whole split, indexed by `train_idx`. A prefix holds less than one image more or
    less of each class than its exact share where classes are of equal size, less than two in any case.
    Subsets are prefixes, hence nested; each seed draws a new order. Takes O(n log classes) array work.
    """
    train_idx = np.sort(np.asarray(train_idx, dtype=np.int64))
    if len(train_idx) == 0:
        return train_idx
    members = train_idx[np.argsort(random_words(len(train_idx), _ORDER, seed), kind="stable")]
    by_class = members[np.argsort(np.asarray(labels)[members], kind="stable")]
    classes, counts = np.unique(np.asarray(labels)[train_idx], return_counts=True)
    sequence = _interleave(counts, random_words(2 * len(classes), _TIES, seed))
    order = np.empty_like(train_idx)
    order[np.argsort(sequence, kind="stable")] = by_class
    return order


def subset(labels: NDArray[Any], train_idx: Indices, n: int, seed: int) -> Indices:
    """The first `n` indices of `nested_order`. Raises UsageError where there are fewer than `n`."""
    if n > len(train_idx):
        raise UsageError(f"train size {n} is larger than the data: {len(train_idx)} images are there for training.")
    return nested_order(labels, train_idx, seed)[:n]


def index_sha256(idx: NDArray[Any]) -> str:
    """SHA-256 of the indices as a set: sorted, little-endian int64."""
    return hashlib.sha256(np.sort(np.asarray(idx)).astype("<i8").tobytes()).hexdigest()


def _carve(labels: NDArray[Any], fraction: float, *entropy: int) -> tuple[Indices, Indices]:
    """Hold out `_holdout_counts` images of each class, drawn by `entropy`."""
    counts = np.bincount(labels)
    shuffled = np.argsort(random_words(len(labels), *entropy), kind="stable")
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    out = rank < np.repeat(_holdout_counts(counts, fraction), counts)
    return np.sort(by_class[~out]).astype(np.int64), np.sort(by_class[out]).astype(np.int64)


def _holdout_counts(counts: Indices, fraction: float) -> Indices:
    """Per class, how many to hold out: largest remainders, ties drawn; one of each class always stays."""
    spare = np.maximum(counts - 1, 0)
    exact = counts * fraction
    held: Indices = np.minimum(np.floor(exact).astype(np.int64), spare)
    total = min(max(1, round(int(counts.sum()) * fraction)), int(spare.sum()))
    ties = random_words(len(counts), _TIES)
    while held.sum() < total:
        open_classes = np.flatnonzero(held < spare)
        urgency = np.lexsort((ties[open_classes], held[open_classes] - exact[open_classes]))
        held[open_classes[urgency[: total - int(held.sum())]]] += 1
    return held


def _interleave(counts: Indices, ties: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Positions 0..len(counts)-1, each as often as its count says, spread evenly over the whole sequence.

    Pairs of sequences are merged, smallest first as in Huffman's code, each pair by Webster's rule (the j-th of
    m stands at (j + 1/2) / m). Merging two is off by at most half an item, and as Huffman's inner nodes hold at
    most two thirds of their parent, the halves add up to less than two however many classes there are. One
    common Webster sequence would let all of many small classes in at once, at the expense of a large one.
    """
    heap = [(int(c), int(ties[k]), np.full(c, k, dtype=np.int64)) for k, c in enumerate(counts)]
    heapq.heapify(heap)
    for step in range(len(counts) - 1):
        small, large = heapq.heappop(heap), heapq.heappop(heap)
        if small[1] > large[1]:
            small, large = large, small
        keys = np.concatenate([(np.arange(n) + 0.5) / n for n, _, _ in (small, large)])
        merged = np.concatenate([small[2], large[2]])[np.argsort(keys, kind="stable")]
        heapq.heappush(heap, (len(merged), int(ties[len(counts) + step]), merged))
    return heap[0][2]
