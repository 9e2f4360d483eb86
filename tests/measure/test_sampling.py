"""When a timing is believed: intervals that cover, warm-up that ends, drift and spread that are called out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.sampling import (
    FOR_P90,
    FOR_P99,
    MOST_DRIFT,
    WIDEST,
    WINDOW,
    has_settled,
    is_precise,
    median_interval,
    summarise,
)


def _noise(n: int, seed: int, spread: float = 0.02, memory: float = 0.0) -> np.ndarray:
    """Samples around 100 ms; `memory` makes neighbours resemble each other (an AR(1) process)."""
    rng = np.random.default_rng(seed)
    values = np.empty(n)
    state = 0.0
    for k in range(n):
        state = memory * state + np.sqrt(1 - memory**2) * rng.normal()
        values[k] = 100 * (1 + spread * state)
    return values


@pytest.mark.parametrize(("n", "memory", "least"), [(20, 0.0, 0.88), (64, 0.0, 0.92), (200, 0.3, 0.88)])
def test_the_interval_of_a_median_covers_it_also_where_neighbours_resemble_each_other(
    n: int, memory: float, least: float
) -> None:
    covered = 0
    for seed in range(300):
        low, high = median_interval(_noise(n, seed, memory=memory))
        covered += low <= 100 <= high
    assert least <= covered / 300 <= 0.99


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=80))
def test_an_interval_lies_around_the_median_and_within_the_samples(samples: list[float]) -> None:
    said = summarise(samples)
    slack = 1e-9 * max(samples)
    assert min(samples) - slack <= said.low_ms <= said.median_ms + slack
    assert said.median_ms - slack <= said.high_ms <= max(samples) + slack
    assert said.q25_ms <= said.median_ms <= said.q75_ms


def test_equal_samples_give_equal_figures() -> None:
    samples = _noise(50, 1).tolist()
    assert summarise(samples) == summarise(list(samples))


def test_a_steady_series_is_valid_and_precise() -> None:
    samples = _noise(100, 2, spread=0.01).tolist()
    assert summarise(samples).invalid == []
    assert is_precise(samples)


def test_a_drift_makes_a_figure_invalid_and_is_named() -> None:
    samples = (_noise(90, 3, spread=0.001) * np.linspace(1, 1 + 2 * MOST_DRIFT, 90)).tolist()
    (why, *_) = [line for line in summarise(samples).invalid if "drifted" in line]
    assert why.startswith("drifted by +")


def test_an_interval_that_is_too_wide_makes_a_figure_invalid_and_is_named() -> None:
    said = summarise(_noise(12, 4, spread=0.3).tolist())
    assert said.half_width > WIDEST
    assert any("95 % interval" in line for line in said.invalid)


def test_rare_stalls_make_a_figure_invalid_by_its_spread_alone() -> None:
    samples = _noise(200, 5, spread=0.002)
    samples[10::20] *= 3
    said = summarise(samples.tolist())
    assert [line for line in said.invalid if "coefficient of variation" in line] == said.invalid != []


def test_too_few_samples_are_invalid_and_the_reader_is_told_what_to_do() -> None:
    said = summarise([100.0] * (WINDOW - 1))
    assert any("--time-budget" in line for line in said.invalid)
    assert summarise([100.0] * WINDOW).invalid == []


@pytest.mark.parametrize(
    ("n", "p90", "p99"),
    [(FOR_P90 - 1, False, False), (FOR_P90, True, False), (FOR_P99 - 1, True, False), (FOR_P99, True, True)],
)
def test_high_percentiles_are_told_only_from_enough_samples(n: int, p90: bool, p99: bool) -> None:
    said = summarise(_noise(n, 6).tolist())
    assert (said.p90_ms is not None, said.p99_ms is not None) == (p90, p99)


def test_the_numbers_of_samples_leave_a_sample_beyond_the_upper_bound_of_the_percentile() -> None:
    """With n samples the chance that none lies beyond the q-quantile is q^n: 1.2e-3 for 64 and 662 samples alike."""
    assert pytest.approx(0.99**FOR_P99, rel=0.1) == 0.9**FOR_P90


def test_a_falling_series_has_not_settled_and_a_flat_one_has() -> None:
    assert not has_settled([100.0 / (k + 1) for k in range(2 * WINDOW)])
    assert has_settled([500.0, 300.0, *[100.0] * (2 * WINDOW)])
    assert not has_settled([100.0] * (2 * WINDOW - 1))


def test_no_samples_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        median_interval([])
