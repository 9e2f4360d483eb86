"""Studies with a known truth: models whose accuracy over all seeds and all images is what was asked for.

The probability that a run gets an image right is logit-normal: a level for the model, an effect of the seed (drawn
anew for each model), an easiness of the image that all models share, and a liking of one model for one image that all
its seeds share. What is left, whether an image of that probability comes out right, is luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from bench.analysis.hits import Hits

EASINESS, LIKING = 3.0, 1.0
"""Standard deviations over images, in logits: of the images, two seeds of a 90 % model then disagree on 10 %, two such
models on 11 %."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(301)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class Planted:
    """One simulated study at one train size."""

    hits: Hits
    """Which images each run gets right."""
    of_runs: NDArray[np.float64]
    """True accuracy of each run over all images, float64 [models, seeds]."""


def accuracy(level: Any, seed_sd: float = 0.0) -> NDArray[np.float64]:
    """Accuracy over all images, and over seeds that differ by `seed_sd` logits, at a model's level; elementwise."""
    spread = np.sqrt(EASINESS**2 + LIKING**2 + seed_sd**2)
    return np.asarray(expit(np.asarray(level)[..., None] + spread * _NODES) @ _WEIGHTS)


@lru_cache
def level_of(top1: float, seed_sd: float) -> float:
    """The level, in logits, at which a model is right with probability `top1`."""
    return float(brentq(lambda level: float(accuracy(level, seed_sd)) - top1, -40, 40))


@lru_cache
def seed_sd_of(top1: float, points: float) -> float:
    """Standard deviation of the seeds' effect, in logits, that makes runs' true accuracy differ by `points` of 100."""
    level = level_of(top1, 0.0)
    slope = float(accuracy(level + 0.01) - accuracy(level - 0.01)) / 0.02
    return points / 100 / slope


def planted(rng: np.random.Generator, top1: Sequence[float], *, seeds: int, images: int, seed_points: float) -> Planted:
    """A study of models with accuracies `top1`, whose runs' true accuracies spread by `seed_points` over seeds."""
    models = len(top1)
    sds = [seed_sd_of(value, seed_points) for value in top1]
    levels = np.array([level_of(value, sd) for value, sd in zip(top1, sds, strict=True)])
    runs = levels[:, None] + rng.normal(size=(models, seeds)) * np.array(sds)[:, None]
    by_image = rng.normal(0, EASINESS, images) + rng.normal(0, LIKING, (models, images))
    right = rng.random((models, seeds, images)) < expit(runs[:, :, None] + by_image[:, None, :])
    return Planted(as_hits(right), accuracy(runs))


def as_hits(right: NDArray[np.bool_], present: NDArray[np.bool_] | None = None) -> Hits:
    """Hits of rows `m0`, `m1`, … from bool [rows, seeds, images], and bool [rows, seeds] where runs are missing."""
    rows, seeds, images = right.shape
    there = np.ones((rows, seeds), dtype=bool) if present is None else present
    packed = np.packbits(right & there[:, :, None], axis=-1)
    return Hits(tuple(f"m{k}" for k in range(rows)), tuple(range(seeds)), images, packed, there)
