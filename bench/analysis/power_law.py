"""Learning curves as power laws: error(n) = α + η·n^(−γ), fitted to many curves at once.

The form is that of Cortes et al. (1993, "Learning curves: asymptotic values and rate of convergence", NeurIPS 6); how
well it holds for deep networks: Hestness et al. (2017, arXiv:1712.00409); where it does not: Viering & Loog (2022,
"The shape of learning curves: a review", IEEE TPAMI). Few sizes cannot tell the exponent from the asymptote, so γ is
free only above five.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.curves import Curve
from bench.analysis.replicates import stretched

LEAST_SIZES = 3
"""Train sizes below which nothing is fitted: two parameters would go through any two points."""
FREE_ABOVE = 5
"""Up to this many train sizes γ is held at `EXPONENT`."""
EXPONENT = 0.5
"""γ where it is held: the rate at which the spread of a mean over n images shrinks."""
EXPONENTS = (0.05, 2.0)
"""Bounds of a free γ. Near the lower one the curve is all but a straight line in ln n."""
_GRID, _STEPS = 49, 40
_GOLDEN = (5**0.5 - 1) / 2
_LEAST_SHARE = 0.1
_CLASH = 0.05

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """One curve's power law."""

    alpha: float
    """Error that no amount of data removes, a fraction, at least 0."""
    eta: float
    """Size of the part that data removes, at least 0: error minus α at one image."""
    gamma: float
    """How fast it shrinks; without meaning where `eta` is 0."""
    free: bool
    """Whether γ was fitted; otherwise it is `EXPONENT`."""
    sizes: tuple[int, ...]
    """Train sizes fitted to, ascending."""
    residuals: tuple[float, ...]
    """Accuracy minus fitted accuracy at each, fractions."""
    errors: tuple[float, ...] | None
    """Standard error of the accuracy at each; None without replicates."""
    chi2: float | None
    """Reduced chi-square: squared residuals over variances, summed, per degree of freedom. About 1 where the curve
    misses the points by no more than noise, less since all sizes share their test images. None without replicates."""

    @property
    def freedom(self) -> int:
        """Degrees of freedom left over: sizes less parameters."""
        return len(self.sizes) - (3 if self.free else 2)

    @property
    def at_bound(self) -> bool:
        """Whether a free γ ended at one of its bounds: the sizes do not tell it."""
        return self.free and any(abs(self.gamma / bound - 1) < 1e-3 for bound in EXPONENTS)

    @property
    def largest(self) -> int:
        """Where the residual is largest, as a position in `sizes`."""
        return int(np.argmax(np.abs(self.residuals)))

    @property
    def clashes(self) -> bool | None:
        """Whether the residuals are beyond noise (chi-square test at 5 %); None without replicates."""
        from scipy.special import chdtrc

        if self.chi2 is None:
            return None
        return bool(chdtrc(self.freedom, self.chi2 * self.freedom) < _CLASH)

    def accuracy(self, n: Any) -> Matrix:
        """Fitted accuracy at `n` training images, a number or an array."""
        return np.asarray(1 - self.alpha - self.eta * np.asarray(n, dtype=float) ** -self.gamma)


def fit_curve(curve: Curve) -> Fit | None:
    """The power law of one curve; None below `LEAST_SIZES` sizes."""
    return fit_curves([curve])[0]


def fit_curves(curves: Sequence[Curve]) -> list[Fit | None]:
    """The power law of each curve; None for one with fewer than `LEAST_SIZES` sizes.

    Least squares with α and η not negative, weighted by the inverse variance of the replicates where all sizes have
    one. Curves with the same sizes are fitted together.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for k, curve in enumerate(curves):
        if len(curve.sizes) >= LEAST_SIZES:
            groups.setdefault(tuple(curve.sizes.tolist()), []).append(k)
    found: list[Fit | None] = [None] * len(curves)
    for sizes, members in groups.items():
        variances = [_variances(curves[k]) for k in members]
        errors = 1 - np.stack([curves[k].values for k in members])
        weights = np.stack([np.ones(len(sizes)) if v is None else 1 / v for v in variances])
        free = len(sizes) > FREE_ABOVE
        laws = _fitted(np.array(sizes, dtype=float), errors, weights, free)
        for k, variance, law in zip(members, variances, laws, strict=True):
            found[k] = _fit(curves[k], law, variance, free)
    return found


def drawn_accuracies(curve: Curve, fit: Fit, at: NDArray[np.float64]) -> Matrix:
    """What the law, fitted anew to each replicate, says at the train sizes `at`: float64 [sizes, draws].

    Raises ValueError for a curve without replicates.
    """
    if curve.replicates is None:
        raise ValueError(f"{curve.name} has no replicates")
    variance = _variances(curve)
    weights = np.ones(len(curve.sizes)) if variance is None else 1 / variance
    errors = 1 - stretched(curve.values, curve.replicates, curve.seeds).astype(np.float64).T
    laws = _fitted(curve.sizes.astype(float), errors, np.broadcast_to(weights, errors.shape), fit.free)
    alpha, eta, gamma = laws.T
    return np.asarray(1 - alpha - eta * at[:, None] ** -gamma)


def _fit(curve: Curve, law: Matrix, variance: Matrix | None, free: bool) -> Fit:
    alpha, eta, gamma = law.tolist()
    sizes = tuple(curve.sizes.tolist())
    fit = Fit(alpha, eta, gamma, free, sizes, (), None, None)
    residuals = curve.values - fit.accuracy(curve.sizes)
    fit = replace(fit, residuals=tuple(residuals.tolist()))
    if variance is None:
        return fit
    chi2 = float((residuals**2 / variance).sum()) / fit.freedom
    return replace(fit, errors=tuple(np.sqrt(variance).tolist()), chi2=chi2)


def _variances(curve: Curve) -> Matrix | None:
    """Variance of the accuracy at each size; None without replicates or where none of them varies.

    None is taken to be below a tenth of the curve's mean: where every image is right in every draw the bootstrap sees
    no variance, and one such point must not pin the whole curve.
    """
    if curve.replicates is None:
        return None
    found = np.asarray(curve.replicates.var(axis=1, ddof=1, dtype=np.float64))
    return found.clip(_LEAST_SHARE * found.mean()) if found.any() else None


def _fitted(sizes: Matrix, errors: Matrix, weights: Matrix, free: bool) -> Matrix:
    """(α, η, γ) of each row of `errors` [curves, sizes], float64 [curves, 3].

    At a given γ the law is linear in α and η; a free γ is searched on a grid over its bounds, then by golden section
    (variable projection, Golub & Pereyra 1973).
    """
    middle = np.exp(np.log(sizes).mean())
    scaled = sizes / middle
    if free:
        gamma = _searched(scaled, errors, weights)
    else:
        gamma = np.full(len(errors), EXPONENT)
    alpha, eta, _ = _linear(scaled ** -gamma[:, None], errors, weights)
    return np.stack([alpha, eta * middle**gamma, gamma], axis=1)


def _searched(scaled: Matrix, errors: Matrix, weights: Matrix) -> Matrix:
    """The γ between its bounds that leaves the least, float64 [curves]."""
    grid = np.geomspace(*EXPONENTS, _GRID)
    _, _, left = _linear(scaled ** -grid[:, None], errors[:, None], weights[:, None])
    best = left.argmin(axis=1)
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, _GRID - 1)]

    def loss(gamma: Matrix) -> Matrix:
        return _linear(scaled ** -gamma[:, None], errors, weights)[2]

    for _ in range(_STEPS):
        step = _GOLDEN * (high - low)
        one, two = high - step, low + step
        lower = loss(one) <= loss(two)
        low, high = np.where(lower, low, one), np.where(lower, two, high)
    return np.asarray((low + high) / 2)


def _linear(x: Matrix, y: Matrix, weights: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Weighted least squares of y = α + η·x over the last axis with α, η ≥ 0 and y ≥ 0, and the squares left over.

    With two unknowns the non-negative solution is the free one, or the one with the negative unknown held at 0.
    """
    s0, s1, s2 = weights.sum(axis=-1), (weights * x).sum(axis=-1), (weights * x * x).sum(axis=-1)
    t0, t1 = (weights * y).sum(axis=-1), (weights * x * y).sum(axis=-1)
    determinant = s0 * s2 - s1 * s1
    alpha, eta = (s2 * t0 - s1 * t1) / determinant, (s0 * t1 - s1 * t0) / determinant
    steep, rising = alpha < 0, eta < 0
    eta = np.where(steep, t1 / s2, np.where(rising, 0.0, eta))
    alpha = np.where(steep, 0.0, np.where(rising, t0 / s0, alpha))
    left = (weights * (y - alpha[..., None] - eta[..., None] * x) ** 2).sum(axis=-1)
    return alpha, eta, left
