"""Gate 3's statistics: drift cancels, bursts do not alarm, and 15 % does."""

from __future__ import annotations

import numpy as np
import pytest

from bench.gates.ratios import (
    FEWEST_QUADS,
    LOW_LIMIT,
    MEDIAN_LIMIT,
    MOST_QUADS,
    Ratio,
    is_clear,
    quad_ratio,
    summarise,
)


def _gate(rng: np.random.Generator, slower: float, noise: float = 0.03) -> bool:
    """One attempt on a machine whose quads scatter by `noise`, with a burst in every tenth."""
    ratios: list[float] = []
    while not is_clear(ratios):
        burst = rng.uniform(0.5, 2) if rng.random() < 0.1 else 1.0
        ratios.append((1 + slower) * burst * float(np.exp(rng.normal(0, noise))))
    return summarise(ratios).slower


def test_a_machine_that_slows_down_steadily_slows_both_sides_alike() -> None:
    a, b, c, d = ([1.0 * 1.2**k] * 5 for k in range(4))
    assert quad_ratio([a, d], [b, c]) == pytest.approx(1.0)


def test_a_burst_in_fewer_than_half_of_the_steps_moves_nothing() -> None:
    quiet, burst = [1.0] * 10, [1.0] * 6 + [30.0] * 4
    assert quad_ratio([quiet, quiet], [burst, quiet]) == pytest.approx(1.0)


def test_a_regression_must_matter_and_must_not_be_noise() -> None:
    assert Ratio(1.12, 1.05, 1.2, 8).slower
    assert not Ratio(1.12, LOW_LIMIT, 1.3, 8).slower
    assert not Ratio(MEDIAN_LIMIT, 1.09, 1.12, 8).slower


def test_no_change_alarms_in_fewer_than_one_of_a_hundred() -> None:
    rng = np.random.default_rng(0)
    assert sum(_gate(rng, 0.0) for _ in range(100)) == 0


def test_fifteen_percent_is_caught_twice_in_a_row_nine_times_of_ten() -> None:
    rng = np.random.default_rng(0)
    assert sum(_gate(rng, 0.15) and _gate(rng, 0.15) for _ in range(100)) >= 90


def test_measuring_ends_early_where_it_is_clear_and_at_the_latest_after_the_most_quads() -> None:
    assert not is_clear([1.0] * (FEWEST_QUADS - 1))
    assert is_clear([1.0] * FEWEST_QUADS)
    assert is_clear([1.3] * FEWEST_QUADS)
    wavering = [1.0, 1.2] * MOST_QUADS
    assert not any(is_clear(wavering[:n]) for n in range(MOST_QUADS))
    assert is_clear(wavering[:MOST_QUADS])
