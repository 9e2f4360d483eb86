"""Every figure of a row comes with its unit, its interval, and why it must not be relied on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import build_board, load_records
from bench.analysis.quantities import QUANTITIES
from bench.analysis.rows import Row
from tests.analysis.hand_boards import Made, invalid, make_board, make_energy
from tests.cost_samples import make_memory, make_timing
from tests.samples import Fake, make_study

MIB = 2**20


def _row(**made: object) -> Row:
    return make_board([Made("a", 0.9, **made)]).rows[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "low", "high"),
    [
        ("top1", 90.0, 88.5, 91.5),
        ("top1_smallest", 90.0, 88.5, 91.5),
        ("params_m", 12.5, 12.5, 12.5),
        ("gmacs", 0.6, 0.6, 0.6),
        ("latency_ms", 10.0, 9.95, 10.06),
        ("inference_img_per_s", 500.0, 500 / 1.006, 500 / 0.995),
        ("training_step_img_per_s", 500 / 3.2, 500 / 3.2 / 1.006, 500 / 3.2 / 0.995),
        ("memory_mib", 100.0, 95.0, 105.0),
        ("training_memory_mib", 300.0, 285.0, 315.0),
        ("weights_mib", 48.0, 48.0, 48.0),
        ("energy_mj", 40.0, 38.0, 42.0),
    ],
)
def test_a_figure_is_in_its_unit_and_has_its_interval(name: str, value: float, low: float, high: float) -> None:
    memory = make_memory(
        1, weights_bytes=48 * MIB, inference_peak_bytes=100 * MIB, training_peak_bytes=300 * MIB, method="resident"
    )
    row = _row(
        params=12_500_000, macs=600_000_000, speed=500.0, cost=(("memory", memory), ("energy", make_energy(40.0)))
    )
    found = QUANTITIES[name].of(row)
    assert found.sound
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high))


def test_a_timing_without_an_interval_shows_its_quartiles_and_decides_nothing() -> None:
    old = make_timing(1, 100.0, low_ms=None, high_ms=None, q25_ms=9.0, q75_ms=12.0)
    found = QUANTITIES["latency_ms"].of(_row(cost=(("latency", old),)))
    assert (found.value, found.low, found.high, found.why) == (10.0, 9.0, 12.0, "no interval")
    assert not found.sound


def test_an_invalid_figure_keeps_its_value_and_decides_nothing() -> None:
    found = QUANTITIES["inference_img_per_s"].of(_row(cost=invalid(500.0)))
    assert (found.value, found.why, found.sound) == (500.0, "INVALID", False)


def test_an_accuracy_without_an_interval_decides_nothing() -> None:
    row = _row()
    row = replace(row, points=(replace(row.points[0], low=None, high=None, method="none"),))
    assert not QUANTITIES["top1"].of(row).sound


def test_what_was_never_measured_is_missing_under_every_name() -> None:
    row = replace(_row(measured=False), points=())
    assert all(q.of(row).value is None and q.of(row).why for q in QUANTITIES.values())


def test_the_speed_and_time_of_training_are_those_of_the_rows_own_runs(tmp_path: Path) -> None:
    make_study(tmp_path, models=(Fake("whole", 0.9), Fake("part", 0.8, fails=((0, 0),))))
    rows = {row.name: row for row in build_board(load_records(tmp_path))[0].rows}
    speed, time = (QUANTITIES[name].of(rows["whole"]) for name in ("train_img_per_s", "train_s"))
    assert speed.low == min(rows["whole"].train_speeds)
    assert speed.high == max(rows["whole"].train_speeds)
    assert time.value == pytest.approx(sum(run.train.train_s for run in rows["whole"].runs if run.train))
    assert time.exact
    assert QUANTITIES["train_s"].of(rows["part"]).why == "runs missing"
    assert QUANTITIES["train_img_per_s"].of(replace(rows["whole"], runs=rows["whole"].runs[:1])).why == "no interval"


def test_every_name_carries_its_unit_and_is_a_word_of_python() -> None:
    for name, quantity in QUANTITIES.items():
        assert name == quantity.name
        assert name.isidentifier()
        assert quantity.unit
        assert quantity.text
