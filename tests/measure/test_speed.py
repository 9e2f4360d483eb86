"""One metric in turns: warm-up apart, samples until the figure is good, and said so where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.measure import speed
from bench.measure.operation import Subject
from bench.measure.settings import CostSettings, Metric
from bench.measure.speed import CROWDED, LEAST_SAMPLES, MOST_WAITED, Series, queue_wait_s, start
from bench.measure.sweep import Sweep


class Clock:
    """Time that passes only when a pretended step runs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited = 0.0

    def perf_counter(self) -> float:
        return self.now


class Step:
    """A pretended operation: each sample takes what `ms` says of its number."""

    def __init__(self, clock: Clock, ms: Callable[[int], float], batch_size: int = 4) -> None:
        self.clock, self.ms, self.batch_size = clock, ms, batch_size
        self.queued, self.steps, self.precision = 1, 0, "fp32"

    def sample(self) -> float:
        taken = self.ms(self.steps)
        self.steps += 1
        self.clock.now += taken / 1e3
        return taken

    def queue_for(self, step_ms: float) -> None:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(speed, "time", found)
    monkeypatch.setattr(speed, "queue_wait_s", lambda: found.waited)
    return found


def _subject(**settings: object) -> Subject:
    return Subject(
        torch.nn.Flatten(),
        img_size=4,
        settings=replace(CostSettings(), **settings),  # type: ignore[arg-type]
        device=torch.device("cpu"),
        make_optimizer=lambda m: None,  # type: ignore[arg-type, return-value]
    )


def _series(clock: Clock, ms: Callable[[int], float], metric: Metric = "inference", **settings: object) -> Series:
    step = Step(clock, ms)
    return Series(_subject(**settings), metric, Sweep(4, 4), step, 99.0, 3, True, 0.0)  # type: ignore[arg-type]


def _run(series: Series, seconds: float = 0.1, most: int = 10_000) -> Series:
    for _ in range(most):
        if series.turn(seconds) or speed.used_up([series]):
            return series
    raise AssertionError("it never ends")


def test_a_steady_metric_ends_with_a_valid_figure_once_it_has_samples_and_seconds_enough(clock: Clock) -> None:
    series = _run(_series(clock, lambda k: 50.0 + 0.1 * (k % 3)))
    timing = series.timing()
    assert timing.invalid == []
    assert timing.repeats >= LEAST_SAMPLES["inference"]
    assert series.spent_s >= speed.LEAST_S
    assert series.spent_s < 2 * speed.LEAST_S
    assert timing.throughput_img_per_s == pytest.approx(4 / 0.0501, rel=0.01)
    assert sum(timing.turns) == timing.repeats == len(timing.samples_ms)
    assert timing.first_ms == 99.0


def test_a_restless_metric_is_measured_until_the_budget_is_used_up(clock: Clock) -> None:
    luck = np.random.default_rng(0).uniform(50.0, 150.0, 1000)
    series = _run(_series(clock, lambda k: float(luck[k]), budget_s=20.0))
    assert series.spent_s == pytest.approx(speed.SAMPLING_SHARE * 20.0, abs=0.3)
    assert series.timing().invalid


def test_a_metric_that_is_good_early_leaves_its_time_to_the_others_of_its_model(clock: Clock) -> None:
    luck = np.random.default_rng(0).uniform(50.0, 150.0, 1000)
    steady = _run(_series(clock, lambda k: 50.0 + 0.1 * (k % 3), budget_s=20.0))
    restless = _series(clock, lambda k: float(luck[k]), budget_s=20.0)
    while not speed.used_up([steady, restless]):
        restless.turn(0.1)
    assert restless.spent_s == pytest.approx(speed.SAMPLING_SHARE * 20.0 - steady.spent_s, abs=0.3)


def test_a_drift_is_on_the_record(clock: Clock) -> None:
    timing = _run(_series(clock, lambda k: 50.0 * 1.01**k, budget_s=10.0)).timing()
    assert timing.drift is not None
    assert timing.drift > 0.1
    assert any("drifted" in why for why in timing.invalid)


def test_a_slow_step_gets_at_least_one_sample_a_turn(clock: Clock) -> None:
    series = _series(clock, lambda k: 3000.0)
    series.turn(0.1)
    series.turn(0.1)
    assert series.turns == [1, 1]


def test_short_steps_are_warmed_up_again_after_the_turns_of_others_and_long_ones_are_not(clock: Clock) -> None:
    short = _series(clock, lambda k: 500.0 if k in (0, 11) else 10.0)
    short.samples_ms = [10.0]
    short.turn(0.09)
    assert 500.0 not in short.samples_ms, "the first sample of a turn meets cold caches and is left out"
    long = _series(clock, lambda k: 400.0)
    long.samples_ms = [400.0]
    long.turn(0.1)
    assert long.operation.steps == 1


def test_waiting_for_a_processor_makes_a_steady_figure_invalid(clock: Clock) -> None:
    step = 50.0

    def crowded(k: int) -> float:
        clock.waited += 1.5 * MOST_WAITED * step / 1e3
        return step

    timing = _run(_series(clock, crowded)).timing()
    assert timing.waited == pytest.approx(1.5 * MOST_WAITED, rel=0.2)
    assert timing.invalid == [CROWDED.format(100 * (timing.waited or 0))]


def test_where_nobody_counts_waiting_nothing_is_claimed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "queue_wait_s", lambda: None)
    timing = _run(_series(clock, lambda k: 50.0)).timing()
    assert timing.waited is None
    assert timing.invalid == []


def test_percentiles_are_told_of_latency_only(clock: Clock) -> None:
    latency = _run(_series(clock, lambda k: 10.0 + (k % 5) / 100, metric="latency")).timing()
    assert latency.p90_ms is not None
    assert _run(_series(clock, lambda k: 10.0 + (k % 5) / 100)).timing().p90_ms is None


def test_warm_up_ends_when_it_has_settled_or_its_time_is_up(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def pretend(ms: Callable[[int], float]) -> Series:
        monkeypatch.setattr(speed, "Operation", lambda subject, metric, batch: Step(clock, ms, batch))
        return start(_subject(budget_s=40.0), "latency")

    falling = pretend(lambda k: 10.0 + 400.0 * 0.5**k)
    assert falling.settled
    assert falling.warm_up_steps > 10
    assert falling.first_ms == 410.0
    restless = pretend(lambda k: 400.0 * (1 + k % 7))
    assert not restless.settled
    assert restless.warm_up_steps <= 8
    assert falling.operation.batch_size == 1


def test_the_time_that_this_process_waits_is_counted_on_linux() -> None:
    before = queue_wait_s()
    assert before is None or before >= 0
