"""Power laws are found again where they are planted, and agree with a general solver everywhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from bench.analysis.curves import Curve
from bench.analysis.power_law import EXPONENTS, Fit, drawn_accuracies, fit_curve, fit_curves
from tests.curve_samples import Law, exact_curve, sampled_curves

FIVE = (50, 100, 300, 1000, 3000)
EIGHT = (50, 100, 200, 400, 800, 1600, 3200, 6400)
accuracies = st.floats(0.0, 1.0)


def fitted(law: Law, sizes: tuple[int, ...]) -> Fit:
    found = fit_curve(exact_curve("m", sizes, [law.accuracy(n) for n in sizes]))
    assert found is not None
    return found


@given(st.floats(0, 0.5), st.floats(0.01, 3))
def test_a_planted_law_is_found_with_gamma_held_at_a_half_up_to_five_sizes(alpha: float, eta: float) -> None:
    found = fitted(Law(alpha, eta), FIVE)
    assert (found.alpha, found.eta, found.gamma) == pytest.approx((alpha, eta, 0.5), abs=1e-9)
    assert not found.free
    assert found.residuals == pytest.approx([0] * 5, abs=1e-9)


@given(st.floats(0.02, 0.4), st.floats(0.3, 3), st.floats(0.2, 1.5))
def test_above_five_sizes_gamma_is_found_too(alpha: float, eta: float, gamma: float) -> None:
    found = fitted(Law(alpha, eta, gamma), EIGHT)
    assert found.free
    assert (found.alpha, found.eta, found.gamma) == pytest.approx((alpha, eta, gamma), rel=1e-4)


@given(st.lists(accuracies, min_size=5, max_size=5))
def test_no_non_negative_alpha_and_eta_fit_better(values: list[float]) -> None:
    found = fit_curve(exact_curve("m", FIVE, values))
    assert found is not None
    design = np.stack([np.ones(5), np.array(FIVE, dtype=float) ** -0.5], axis=1)
    solution, left = nnls(design, 1 - np.array(values))
    assert np.linalg.norm(found.residuals) == pytest.approx(left, abs=1e-7)
    assert (found.alpha, found.eta) == pytest.approx(solution, abs=1e-5)


@given(st.lists(accuracies, min_size=8, max_size=8))
def test_no_gamma_between_its_bounds_fits_better(values: list[float]) -> None:
    found = fit_curve(exact_curve("m", EIGHT, values))
    assert found is not None
    sizes = np.array(EIGHT, dtype=float)
    others = [
        nnls(np.stack([np.ones(8), (sizes / 500) ** -gamma], axis=1), 1 - np.array(values))[1]
        for gamma in np.linspace(*EXPONENTS, 60)
    ]
    assert np.linalg.norm(found.residuals) <= min(others) + 1e-3


def test_below_three_sizes_nothing_is_fitted() -> None:
    assert fit_curve(exact_curve("m", (50, 100), (0.5, 0.6))) is None


def test_a_curve_that_only_falls_has_no_part_that_data_removes() -> None:
    found = fit_curve(exact_curve("m", (50, 100, 300), (0.6, 0.5, 0.4)))
    assert found is not None
    assert found.eta == 0
    assert found.alpha == pytest.approx(0.5)


def test_a_gamma_at_its_bound_says_so() -> None:
    found = fit_curve(exact_curve("m", EIGHT, [0.5, *[0.9] * 7]))
    assert found is not None
    assert found.at_bound
    assert not fitted(Law(0.1, 1.0, 0.7), EIGHT).at_bound


def _noisy(values: list[float], errors: list[float], draws: int = 2000) -> Curve:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (len(values), draws)) * np.array(errors)[:, None]
    drawn = (np.array(values)[:, None] + noise).astype(np.float32)
    return Curve("m", np.array(FIVE), np.array(values), drawn, 1)


def test_a_noisy_point_counts_for_less() -> None:
    law = Law(0.1, 2.0)
    values = [law.accuracy(n) for n in FIVE]
    values[0] -= 0.1
    trusting, wary = fit_curve(_noisy(values, [0.01] * 5)), fit_curve(_noisy(values, [0.1, *[0.01] * 4]))
    assert trusting is not None
    assert wary is not None
    assert abs(wary.eta - 2) < 0.2 * abs(trusting.eta - 2)
    assert wary.sizes[wary.largest] == 50


def test_a_size_at_which_every_image_is_right_does_not_pin_the_curve() -> None:
    values = [0.80, 0.85, 0.90, 0.93, 1.0]
    curve = _noisy(values, [0.01, 0.01, 0.01, 0.01, 0.0])
    found = fit_curve(curve)
    assert found is not None
    assert np.isfinite([found.alpha, found.eta, found.chi2]).all()
    assert found.residuals[-1] > 0.005


def test_chi_square_tells_another_shape_from_noise() -> None:
    law = Law(0.1, 2.0)
    values = [law.accuracy(n) for n in FIVE]
    near = [v + e for v, e in zip(values, (0.004, -0.005, 0.003, 0.004, -0.003), strict=True)]
    bent = [v + e for v, e in zip(values, (0.03, -0.03, -0.03, 0.0, 0.03), strict=True)]
    noise, shape = (fit_curve(_noisy(v, [0.005] * 5)) for v in (near, bent))
    assert noise is not None
    assert shape is not None
    assert noise.chi2 is not None
    assert shape.chi2 is not None
    assert noise.chi2 < 1.5 < 10 < shape.chi2
    assert (noise.clashes, shape.clashes) == (False, True)
    assert fitted(law, FIVE).clashes is None


def test_curves_fitted_together_are_what_they_are_alone_whatever_their_sizes() -> None:
    rng = np.random.default_rng(3)
    curves = [
        *sampled_curves(rng, {"a": Law(0.1, 2.0), "b": Law(0.05, 3.0)}, FIVE, images=200, draws=100),
        *sampled_curves(rng, {"c": Law(0.1, 2.0)}, EIGHT, images=200, draws=100),
        exact_curve("d", (50, 100), (0.5, 0.6)),
        exact_curve("e", FIVE, (0.5, 0.6, 0.7, 0.75, 0.8)),
    ]
    together = fit_curves(curves)
    for curve, fit in zip(curves, together, strict=True):
        alone = fit_curve(curve)
        assert (fit is None) == (alone is None)
        if fit and alone:
            assert (fit.alpha, fit.eta, fit.gamma) == pytest.approx((alone.alpha, alone.eta, alone.gamma), rel=1e-6)


def test_laws_of_the_draws_scatter_around_the_law_of_the_points() -> None:
    (curve,) = sampled_curves(np.random.default_rng(0), {"a": Law(0.1, 2.0)}, FIVE)
    found = fit_curve(curve)
    assert found is not None
    drawn = drawn_accuracies(curve, found, np.array([3000.0, 6000.0]))
    assert drawn.shape == (2, 400)
    assert drawn.mean(axis=1) == pytest.approx(found.accuracy([3000, 6000]), abs=0.003)
    with pytest.raises(ValueError, match="no replicates"):
        drawn_accuracies(exact_curve("a", FIVE, curve.values.tolist()), found, np.array([3000.0]))
