"""Ratios of models that took turns: drift that hits all models alike cancels, and the intervals cover what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.analysis.ratios import LEAST_TURNS, Ratio, paired_interval, ratio, ratios, turn_medians
from bench.measure.sampling import median_interval
from bench.profiles import ProfileRecord
from tests.cost_samples import make_profile, make_timing
from tests.samples import ENVIRONMENT, Fake, model_info

TURNS, PER_TURN, TRIALS = 16, 5, 400


def _profile(name: str, speed: float = 100.0, **changes: Any) -> ProfileRecord:
    return make_profile(name, model_info(Fake(name), 32), ENVIRONMENT, 32, 10, speed=speed, **changes)


def _drift(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """What a noisy machine does over a series: a random walk that ends about 10 % away from where it began."""
    return np.exp(np.cumsum(rng.normal(0, 0.1 / np.sqrt(n), n)))


def _taken_in_turns(rng: np.random.Generator, true: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Milliseconds [turns, samples] of two models in turns on one drifting machine; the first takes `true` times."""
    drift = _drift(rng, 2 * TURNS).reshape(TURNS, 2)
    noise = np.exp(rng.normal(0, 0.02, (2, TURNS, PER_TURN)))
    return true * drift[:, :1] * noise[0], drift[:, 1:] * noise[1]


def _covers(interval: tuple[float, float] | None, true: float) -> bool:
    assert interval is not None
    return interval[0] <= np.log(true) <= interval[1]


def test_the_interval_covers_the_true_ratio_in_95_percent_under_drift_and_unpaired_medians_do_not() -> None:
    rng = np.random.default_rng(11)
    paired = unpaired = 0
    paired_widths, unpaired_widths = [], []
    for _ in range(TRIALS):
        a, b = _taken_in_turns(rng, 1.25)
        found = paired_interval(np.log(np.median(a, axis=1) / np.median(b, axis=1)))
        paired += _covers(found, 1.25)
        assert found is not None
        paired_widths.append(found[1] - found[0])
        series = _drift(rng, 2 * TURNS * PER_TURN) * np.exp(rng.normal(0, 0.02, 2 * TURNS * PER_TURN))
        first, second = median_interval(1.25 * series[: TURNS * PER_TURN]), median_interval(series[TURNS * PER_TURN :])
        ends = np.log(first[0] / second[1]), np.log(first[1] / second[0])
        unpaired += _covers((float(ends[0]), float(ends[1])), 1.25)
        unpaired_widths.append(ends[1] - ends[0])
    assert 0.925 <= paired / TRIALS <= 0.985
    assert unpaired / TRIALS < 0.75
    assert np.median(paired_widths) < np.median(unpaired_widths)


@pytest.mark.parametrize("turns", [5, 8, 13, 30, 2000])
def test_the_interval_keeps_its_coverage_with_few_turns_too(turns: int) -> None:
    rng = np.random.default_rng(turns)
    trials = 1500 if turns < 100 else 300
    covered = sum(_covers(paired_interval(np.log(1.1) + rng.standard_t(3, turns) * 0.01), 1.1) for _ in range(trials))
    assert 0.92 <= covered / trials <= 0.98


def test_one_disturbed_turn_does_not_move_the_ratio() -> None:
    calm = [2.0, 2.01, 1.99, 2.0, 2.02, 1.98, 2.0, 2.01, 1.99]
    a = make_timing(1, 10, samples_ms=[20 * x for x in (*calm[:-1], 9 * calm[-1])], turns=[1] * 9)
    b = make_timing(1, 10, samples_ms=[20.0] * 9, turns=[1] * 9)
    found = ratio("latency", _profile("a", latency=a), _profile("b", latency=b))
    assert found is not None
    assert found.ratio == pytest.approx(2.0, abs=0.011)


def test_throughput_is_compared_in_images_and_latency_in_time() -> None:
    a = _profile("a", inference=make_timing(64, 300.0, name="x"), latency=make_timing(1, 50.0, name="x"))
    b = _profile("b", inference=make_timing(16, 100.0, name="x"), latency=make_timing(1, 25.0, name="x"))
    throughput, latency = ratio("inference", a, b), ratio("latency", a, b)
    assert throughput is not None
    assert latency is not None
    assert throughput.ratio == pytest.approx(3.0, rel=1e-4)
    assert latency.ratio == pytest.approx(0.5, rel=1e-4)


def test_only_models_of_one_session_are_compared() -> None:
    profiles = [
        _profile("a"),
        _profile("b"),
        _profile("c", session="session-2"),
        _profile("d", session=""),
        _profile("e", session=""),
    ]
    assert {(r.model, r.against) for r in ratios(profiles)} == {("a", "b")}
    assert {r.quantity for r in ratios(profiles)} == {"inference", "training", "latency"}


def test_a_quantity_that_one_of_them_lacks_is_left_out() -> None:
    found = ratios([_profile("a"), _profile("b", training=None)])
    assert {r.quantity for r in found} == {"inference", "latency"}


def test_turns_that_one_model_no_longer_took_or_sat_out_are_not_paired() -> None:
    a = make_timing(1, 10, samples_ms=[10.0] * 8, turns=[1, 1, 0, 1, 1, 1, 1, 1, 1])
    b = make_timing(1, 10, samples_ms=[20.0] * 6, turns=[1] * 6)
    found = ratio("latency", _profile("a", latency=a), _profile("b", latency=b))
    assert found == Ratio("latency", "a", "b", pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5), 5)


def test_turns_are_cut_where_they_ended() -> None:
    timing = make_timing(1, 10, samples_ms=[1.0, 3.0, 2.0, 8.0, 9.0], turns=[3, 0, 2])
    assert turn_medians(timing) == [2.0, None, 8.5]


def test_a_record_without_turns_gives_no_ratio() -> None:
    old = make_timing(1, 10, samples_ms=[], turns=[])
    broken = make_timing(1, 10, turns=[1, 2])
    for timing in (old, broken):
        assert ratio("latency", _profile("a", latency=timing), _profile("b")) is None


def test_too_few_turns_give_a_ratio_without_an_interval_that_tells_nothing_apart() -> None:
    few = make_timing(1, 10, samples_ms=[5.0] * (LEAST_TURNS - 1), turns=[1] * (LEAST_TURNS - 1))
    found = ratio("latency", _profile("a", latency=few), _profile("b"))
    assert found is not None
    assert (found.low, found.high, found.apart) == (None, None, False)


@pytest.mark.parametrize(
    ("low", "high", "apart"), [(1.01, 1.2, True), (0.8, 0.99, True), (0.99, 1.01, False), (1.0, 1.1, False)]
)
def test_two_models_are_told_apart_where_the_interval_leaves_1_out(low: float, high: float, apart: bool) -> None:
    found = Ratio("inference", "a", "b", (low + high) / 2, low, high, 9)
    assert found.apart is apart
    turned = found.inverse()
    assert (turned.model, turned.against, turned.apart) == ("b", "a", apart)
    assert turned.low == pytest.approx(1 / high)
    assert turned.high == pytest.approx(1 / low)
