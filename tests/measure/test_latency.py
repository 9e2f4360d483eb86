"""Timings: warmed up, repeated, told by median and quartiles."""

from __future__ import annotations

import itertools
import time

import pytest
import torch
from torch import nn

from bench.measure import latency
from bench.measure.latency import forward_timing, time_calls


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "WARM_UP_S", 0.0)
    monkeypatch.setattr(latency, "REPEATS_S", 0.05)


def test_a_slow_start_is_warm_up_and_not_in_the_figure() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        time.sleep(0.2 if len(calls) <= latency.WARM_UP_CALLS else 0.002)

    timing = time_calls(call, batch_size=4)
    assert timing.repeats == len(calls) - latency.WARM_UP_CALLS
    assert timing.repeats >= latency.MIN_REPEATS
    assert 2 <= timing.q25_ms <= timing.median_ms <= timing.q75_ms < 100
    assert timing.throughput_img_per_s == pytest.approx(1e3 * 4 / timing.median_ms)


def test_a_fast_call_is_repeated_more_often_than_a_slow_one() -> None:
    fast = time_calls(lambda: None, batch_size=1)
    slow = time_calls(lambda: time.sleep(0.02), batch_size=1)
    assert fast.repeats == latency.MAX_REPEATS
    assert slow.repeats == latency.MIN_REPEATS


def test_each_repeat_ends_when_the_device_has_finished() -> None:
    order: list[str] = []
    timing = time_calls(lambda: order.append("call"), 1, wait=lambda: order.append("wait"))
    assert order.count("call") == timing.repeats + latency.WARM_UP_CALLS
    assert all(after == "wait" for now, after in itertools.pairwise(order) if now == "call")


def test_inference_is_timed_in_eval_mode_only() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    model(torch.zeros(1, 3, 8, 8))
    assert forward_timing(model.eval(), img_size=8, batch_size=2, device=torch.device("cpu")).batch_size == 2
    with pytest.raises(ValueError, match="eval mode"):
        forward_timing(model.train(), img_size=8, batch_size=2, device=torch.device("cpu"))
