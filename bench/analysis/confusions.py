"""Which classes a model takes for which: counts over seeds, the worst pairs and how sure they are, recall per class.

Every seed sees the same test images, so counts of several seeds are no independent draws: intervals and tests take
images as their unit, n = test images of the class with the mean share over seeds. They cover which images the test set
holds, not the luck of training; for that there is in how many seeds a pair repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.comparisons import ALPHA, holm
from bench.analysis.intervals import LEVEL
from bench.analysis.rows import Row

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]
Direction = Literal["one way", "both ways", "undecided"]

NATURAL_UP_TO = 20
"""Classes up to which they stay in their own order."""
_OPTIMAL_UP_TO = 400
"""Classes up to which the leaves of the cluster tree are put in their best order, which takes long for many."""


@dataclass(frozen=True)
class Confused:
    """One ordered pair of classes."""

    true: int
    """Position of the true class."""
    predicted: int
    """Position of the class named instead."""
    count: int
    """Test images, summed over seeds."""
    share: float
    """Part of the true class's images."""


@dataclass(frozen=True)
class JudgedPair:
    """One ordered pair of classes with how sure it is, in which direction it goes and whether it repeats."""

    pair: Confused
    """The pair."""
    images: int
    """Test images of the true class."""
    low: float
    """Lower end of the share's 95 % interval (Wilson, n = `images`, mean share over seeds)."""
    high: float
    """Upper end."""
    reverse: float
    """Share of the other class's images that are taken for this one; NaN where it has no images."""
    direction: Direction
    """`one way`: this share and the reverse one are told apart. `both ways`: they are not, and each is above what
    mistakes spread evenly would give. `undecided`: neither can be said."""
    p: float
    """Two-sided p-value of equal shares in both directions, Holm-adjusted over the pairs judged together."""
    seeds: int
    """Seeds with a result."""
    worst_in: int
    """Seeds in which the pair is among the worst, as many as were judged together."""
    above_in: int
    """Seeds in which its share's interval lies above that of mistakes spread evenly over the other classes."""


@dataclass(frozen=True)
class Recalls:
    """Recall of every class with its 95 % interval, float64 [classes]; NaN for a class without images."""

    images: Counts
    """Test images of each class, int64 [classes]."""
    recall: Shares
    low: Shares
    high: Shares


def seed_confusions(row: Row) -> Counts | None:
    """Counts int64 [seeds, true, predicted] at the row's largest train size; None without a result."""
    if not row.points:
        return None
    tests = [run.test for run in row.of_size(row.points[-1].size) if run.test is not None]
    return np.stack([test.counts() for test in tests])


def pooled_confusion(row: Row) -> Counts | None:
    """Counts int64 [true, predicted] at the row's largest train size, summed over seeds; None without a result."""
    by_seed = seed_confusions(row)
    return None if by_seed is None else by_seed.sum(axis=0)


def by_true_class(counts: Counts) -> Shares:
    """Counts as fractions of their row, float64; NaN in the rows of classes without images."""
    totals = counts.sum(axis=-1, keepdims=True).astype(np.float64)
    totals[totals == 0] = np.nan
    return np.asarray(counts / totals)


def most_confused(counts: Counts, most: int) -> list[Confused]:
    """The `most` pairs that take the largest part of their true class, largest first; ties by count, then order."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    true, predicted = np.nonzero(wrong)
    count = wrong[true, predicted]
    share = count / counts.sum(axis=1)[true]
    order = np.lexsort((predicted, true, -count, -share))[:most]
    return [Confused(int(true[k]), int(predicted[k]), int(count[k]), float(share[k])) for k in order]


def judged_pairs(by_seed: Counts, most: int) -> list[JudgedPair]:
    """The `most` worst pairs of counts int64 [seeds, true, predicted], summed over seeds, each judged."""
    seeds, counts = len(by_seed), by_seed.sum(axis=0)
    pairs = most_confused(counts, most)
    if not pairs:
        return []
    true, predicted = (np.array([getattr(pair, side) for pair in pairs]) for side in ("true", "predicted"))
    images = counts.sum(axis=1) / seeds
    shares, background = by_true_class(counts), _spread_evenly(counts)
    low, high = wilson_shares(shares[true, predicted], images[true])
    reverse_low, _ = wilson_shares(shares[predicted, true], images[predicted])
    above = (low > background[true]) & (reverse_low > background[predicted])
    p = [_p_equal(counts / seeds, images, a, b) for a, b in zip(true, predicted, strict=True)]
    adjusted = holm(np.array(p)).tolist()
    worst = [{(p.true, p.predicted) for p in most_confused(one, most)} for one in by_seed]
    in_seed = _above_in(by_seed, true, predicted)
    return [
        JudgedPair(
            pair=pair,
            images=round(images[pair.true]),
            low=float(low[k]),
            high=float(high[k]),
            reverse=float(shares[pair.predicted, pair.true]),
            direction="one way" if adjusted[k] < ALPHA else "both ways" if above[k] else "undecided",
            p=adjusted[k],
            seeds=seeds,
            worst_in=sum((pair.true, pair.predicted) in found for found in worst),
            above_in=int(in_seed[k]),
        )
        for k, pair in enumerate(pairs)
    ]


def wilson_shares(share: Shares, n: NDArray[np.floating] | Counts) -> tuple[Shares, Shares]:
    """Wilson's interval at `LEVEL` of many proportions of `n` images, which need be no whole counts.

    A share that is a mean over seeds of the same images is taken for that of one seed. NaN where n is 0.
    Source: Wilson 1927, JASA 22:209.
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    n = np.where(np.asarray(n) > 0, n, np.nan).astype(np.float64)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def equal_rates(first: int, second: int, part: float) -> float:
    """Exact two-sided p-value that `first` of `first + second` events is binomial with probability `part`.

    For two counts it tests whether their rates are equal, `part` being the first one's part of the exposure
    (Przyborowski & Wilenski 1940, Biometrika 31:313); two-sided by the sum of all outcomes that are no more likely, as
    `scipy.stats.binomtest` does. 1 where there is no event.
    """
    from scipy.special import gammaln, xlog1py, xlogy

    total = first + second
    if total == 0:
        return 1.0
    k = np.arange(total + 1)
    log_choose = gammaln(total + 1) - gammaln(k + 1) - gammaln(total - k + 1)
    mass = np.exp(log_choose + xlogy(k, part) + xlog1py(total - k, -part))
    return float(min(1.0, mass[mass <= mass[first] * (1 + 1e-7)].sum()))


def recalls(by_seed: Counts) -> Recalls:
    """Recall per class, mean over seeds, from counts int64 [seeds, true, predicted]."""
    images = by_seed.sum(axis=(0, 2)) / len(by_seed)
    recall = np.diagonal(by_true_class(by_seed.sum(axis=0))).copy()
    low, high = wilson_shares(recall, images)
    return Recalls(np.rint(images).astype(np.int64), recall, low, high)


def class_order(counts: Sequence[Counts]) -> NDArray[np.int64]:
    """An order of the classes in which those that are taken for each other stand together, int64 [classes].

    `counts` are one [true, predicted] per model; the order is that of their mean, so that it is the same in the
    pictures of all of them. Average linkage on 1 − confusion (symmetrised, relative to the largest), leaves in their
    best order (Bar-Joseph, Gifford & Jaakkola 2001, Bioinformatics 17:S22) unless there are very many. Up to
    `NATURAL_UP_TO` classes, and without any confusion, the classes stay in their own order. ValueError without counts.
    """
    if not counts:
        raise ValueError("there are no counts to order classes by")
    classes = len(counts[0])
    natural = np.arange(classes, dtype=np.int64)
    if classes <= NATURAL_UP_TO:
        return natural
    alike = np.zeros((classes, classes))
    for one in counts:
        shares = np.nan_to_num(by_true_class(one))
        alike += shares + shares.T
    np.fill_diagonal(alike, 0.0)
    if alike.max() == 0:
        return natural
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering

    upper = np.triu_indices(classes, 1)
    distances = 1 - (alike / alike.max())[upper]
    tree = linkage(distances, "average")
    if classes <= _OPTIMAL_UP_TO:
        tree = optimal_leaf_ordering(tree, distances)
    return np.asarray(leaves_list(tree), dtype=np.int64)


def worst_classes(counts: Counts, most: int) -> list[int]:
    """At most `most` classes that the worst pairs are made of, the worst pair's first; fewer where few are confused."""
    found: dict[int, None] = {}
    for pair in most_confused(counts, most * most):
        added = [k for k in (pair.true, pair.predicted) if k not in found]
        if len(found) + len(added) > most:
            break
        found.update(dict.fromkeys(added))
    return list(found)


def telling_classes(recall: Shares, most: int) -> NDArray[np.int64]:
    """At most `most` classes, ascending, in which models differ most, a third of them those that are hardest.

    `recall` is float64 [models, classes]; classes without images (NaN) are left out unless all are taken.
    """
    classes = recall.shape[1]
    if classes <= most:
        return np.arange(classes, dtype=np.int64)
    there = np.flatnonzero(~np.isnan(recall).any(axis=0))
    mean, spread = recall[:, there].mean(axis=0), recall[:, there].std(axis=0)
    hardest = there[np.lexsort((there, mean))][: most // 3]
    differing = [int(k) for k in there[np.lexsort((there, -spread))] if k not in set(hardest.tolist())]
    return np.sort(np.array([*hardest.tolist(), *differing[: most - len(hardest)]], dtype=np.int64))


def _spread_evenly(counts: Counts) -> Shares:
    """Share that each other class would get if a class's mistakes were spread evenly, float64 [..., classes]."""
    mistakes = 1 - np.diagonal(by_true_class(counts), axis1=-2, axis2=-1)
    return np.asarray(mistakes / max(1, counts.shape[-1] - 1))


def _p_equal(counts: Shares, images: Shares, a: int, b: int) -> float:
    """p-value that a is taken for b as often as b for a, relative to their images; counts are means over seeds."""
    if images[b] == 0:
        return 1.0
    return equal_rates(round(counts[a, b]), round(counts[b, a]), float(images[a] / (images[a] + images[b])))


def _above_in(by_seed: Counts, true: Counts, predicted: Counts) -> Counts:
    """In how many seeds each pair's share is above mistakes spread evenly, int64 [pairs]."""
    shares = by_true_class(by_seed)[:, true, predicted]
    low, _ = wilson_shares(shares, by_seed.sum(axis=2)[:, true])
    return np.asarray((low > _spread_evenly(by_seed)[:, true]).sum(axis=0))
