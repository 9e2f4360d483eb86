"""Learning curves with a known truth for tests: planted power laws, seeds, test images, and a joint bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.analysis.curves import Curve
from bench.analysis.intervals import image_counts, resample_images, seed_deviations
from bench.analysis.rows import Point
from bench.protocol import PRESETS, Protocol
from tests.samples import Fake, make_study

_LUCK_SD = 0.5


@dataclass(frozen=True)
class Law:
    """A true learning curve: error(n) = alpha + eta·n^(−gamma)."""

    alpha: float
    eta: float
    gamma: float = 0.5

    def accuracy(self, n: float) -> float:
        """True accuracy with n training images."""
        return float(1 - self.alpha - self.eta * n**-self.gamma)

    def needed(self, accuracy: float) -> float:
        """Training images for an accuracy."""
        return float(((1 - self.alpha - accuracy) / self.eta) ** (-1 / self.gamma))


def exact_curve(name: str, sizes: Sequence[int], values: Sequence[float], seeds: int = 1) -> Curve:
    """A curve without replicates."""
    return Curve(name, np.array(sizes, dtype=np.int64), np.array(values, dtype=float), None, seeds)


def sampled_curves(
    rng: np.random.Generator,
    laws: Mapping[str, Law],
    sizes: Sequence[int],
    *,
    images: int = 1000,
    seeds: int = 3,
    seed_sd: float = 0.04,
    draws: int = 400,
) -> list[Curve]:
    """What a study of models with these true curves would find, each drawn anew from `rng`.

    An image is right if the model's level, the seed's skill (standard deviation `seed_sd`, about a quarter of it in
    accuracy), the image's easiness (standard normal, the same for all) and luck add up to more than 0.
    """
    easiness = rng.normal(0, 1, images)
    scale = np.sqrt(1 + seed_sd**2 + _LUCK_SD**2)
    curves = []
    for name, law in laws.items():
        values, replicates = [], []
        for size in sizes:
            level = NormalDist().inv_cdf(law.accuracy(size)) * scale
            noise = rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, _LUCK_SD, (seeds, images))
            right = level + easiness + noise > 0
            per_seed = right.mean(axis=1)
            drawn = resample_images(right.mean(axis=0)[None], _counts(images, draws))
            values.append(per_seed.mean())
            replicates.append((drawn + seed_deviations(per_seed[None], draws))[0])
        found = np.stack(replicates).clip(0, 1).astype(np.float32)
        curves.append(Curve(name, np.array(sizes, dtype=np.int64), np.array(values), found, seeds))
    return curves


def planted_board(
    root: Path,
    laws: Mapping[str, Law],
    *,
    protocol: Protocol = PRESETS["quick"],
    sizes: tuple[int, ...] = (39, 129, 388, 776, 1293),
    images: int = 8000,
    seeds: int = 3,
    seed_sd: float = 0.02,
) -> Board:
    """A board with one row for each law, best first, whose points and curves are `sampled_curves` of the laws.

    All else is that of a small study in `root`.
    """
    make_study(root, [Fake("any")], replace(protocol, train_sizes=(1.0,)))
    (board,) = build_board(load_records(root))
    curves = sampled_curves(np.random.default_rng(0), laws, sizes, images=images, seeds=seeds, seed_sd=seed_sd)
    curves.sort(key=lambda curve: -float(curve.values[-1]))
    rows = tuple(
        replace(board.rows[0], model=curve.name, points=_points(curve), largest=sizes[-1], smallest=sizes[0])
        for curve in curves
    )
    return replace(board, rows=rows, curves=tuple(curves), train_sizes=sizes, seeds=tuple(range(seeds)))


def _points(curve: Curve) -> tuple[Point, ...]:
    assert curve.replicates is not None
    lows, highs = np.quantile(curve.replicates, [0.025, 0.975], axis=1)
    method = "bootstrap" if curve.seeds > 1 else "wilson"
    return tuple(
        Point(size, {}, value, low, high, method)
        for size, value, low, high in zip(
            curve.sizes.tolist(), curve.values.tolist(), lows.tolist(), highs.tolist(), strict=True
        )
    )


@lru_cache(maxsize=4)
def _counts(images: int, draws: int) -> NDArray[np.uint8]:
    return image_counts(images, draws)
