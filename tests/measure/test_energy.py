"""Energy, on a made-up clock and a made-up device whose watts are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bench.measure.energy import STUCK_S, EnergyError, energy_counter, measure_energy
from bench.measure.nvml import nvml_device
from bench.profiles import Energy
from tests.measure.fake_gpu import install

IMAGES = 32


@dataclass
class Device:
    """A device with a queue: it draws `busy` watts while there is work, else `idle`.

    Its counter moves every `grain` seconds, or always.
    """

    idle: float = 60.0
    busy: float = 310.0
    step_s: float = 0.02
    grain: float = 0.0
    name: str = "made-up counter"
    now: float = 0.0
    busy_until: float = 0.0
    deepest_s: float = 0.0
    used_mj: float = 0.0
    shown_mj: float = 0.0
    moves: int = 0

    def pass_time(self, seconds: float) -> None:
        """Let time go by: what is left of the work first, then rest."""
        working = min(seconds, max(0.0, self.busy_until - self.now))
        self._draw(working, self.busy)
        self._draw(seconds - working, self.idle)

    def _draw(self, seconds: float, watt: float) -> None:
        end = self.now + seconds
        while self.grain and (self.moves + 1) * self.grain <= end:
            self.moves += 1
            self.shown_mj = self.used_mj + 1000 * watt * (self.moves * self.grain - self.now)
        self.used_mj += 1000 * watt * seconds
        self.now = end

    def clock(self) -> float:
        """The time; looking at it takes a microsecond."""
        self.pass_time(1e-6)
        return self.now

    def step(self) -> None:
        """Queue one step of work."""
        self.busy_until = max(self.busy_until, self.now) + self.step_s
        self.deepest_s = max(self.deepest_s, self.busy_until - self.now)

    def wait(self) -> None:
        """Until the queue is empty."""
        self.pass_time(max(0.0, self.busy_until - self.now))

    def millijoules(self) -> int:
        """What the counter shows."""
        return int(self.shown_mj if self.grain else self.used_mj)


def _measure(device: Device, window_s: float = 5.0) -> Energy:
    return measure_energy(
        device.step,
        device.wait,
        images_per_step=IMAGES,
        counter=device,
        window_s=window_s,
        clock=device.clock,
        sleep=device.pass_time,
    )


def test_known_watts_give_the_exact_energy_of_an_image() -> None:
    energy = _measure(Device(idle=60, busy=310, step_s=0.02))
    assert energy.millijoule_per_image == pytest.approx(250 * 20 / IMAGES, rel=1e-4)
    assert energy.gross_millijoule_per_image == pytest.approx(310 * 20 / IMAGES, rel=1e-4)
    assert energy.idle_watt == pytest.approx(60, rel=1e-4)
    assert energy.busy_watt == pytest.approx(310, rel=1e-4)
    assert energy.counter == "made-up counter"


@pytest.mark.parametrize("grain", [0.02, 0.1, 0.37])
@pytest.mark.parametrize("step_s", [0.003, 0.05, 0.41])
def test_a_counter_that_moves_seldom_does_not_blur_the_figure(grain: float, step_s: float) -> None:
    """Reading it at the ends of the window instead would be wrong by up to grain / window: 7 %."""
    energy = _measure(Device(grain=grain, step_s=step_s))
    assert energy.millijoule_per_image == pytest.approx(250 * 1000 * step_s / IMAGES, rel=2e-3)
    assert energy.idle_watt == pytest.approx(60, rel=2e-3)


@pytest.mark.parametrize("step_s", [0.003, 0.9, 7.0])
def test_the_window_holds_whole_steps_and_is_as_long_as_asked(step_s: float) -> None:
    device = Device(step_s=step_s)
    energy = _measure(device, window_s=5.0)
    assert energy.images % IMAGES == 0
    assert energy.window_s >= 5.0
    assert energy.window_s == pytest.approx(energy.images / IMAGES * step_s, rel=1e-3)
    assert energy.window_s < 5.0 + max(0.3, step_s) + 1e-3


def test_no_more_than_a_fraction_of_a_second_of_work_is_queued_and_enough_to_keep_the_device_busy() -> None:
    device = Device(step_s=0.003)
    _measure(device)
    assert 0.1 < device.deepest_s < 0.5


def test_work_before_the_idle_window_is_not_part_of_it() -> None:
    device = Device()
    for _ in range(200):
        device.step()
    assert _measure(device).idle_watt == pytest.approx(60, rel=1e-4)


def test_a_counter_that_stands_still_is_an_error_that_comes_soon() -> None:
    device = Device(grain=1e9)
    with pytest.raises(EnergyError, match="stood still"):
        _measure(device)
    assert device.now < 2 * STUCK_S


def test_a_counter_that_runs_backwards_is_an_error() -> None:
    with pytest.raises(EnergyError, match="backwards"):
        _measure(Device(idle=-5))


def test_a_device_that_draws_no_more_at_work_than_at_rest_is_an_error_not_a_negative_energy() -> None:
    with pytest.raises(EnergyError, match=r"50\.0 W at work and 60\.0 W at rest"):
        _measure(Device(idle=60, busy=50))


@pytest.fixture(autouse=True)
def _no_memory() -> Iterator[None]:
    """What one test's GPU was is not remembered in the next."""
    nvml_device.cache_clear()
    yield
    nvml_device.cache_clear()


def test_a_cpu_has_no_counter() -> None:
    assert energy_counter("cpu") is None


def test_a_gpu_has_the_counter_that_nvml_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, {"TotalEnergyConsumption": 123_456_789, "MigMode": [0, 0]})
    counter = energy_counter("cuda:0")
    assert counter is not None
    assert counter.millijoules() == 123_456_789
    assert counter.name == "NVML total energy consumption"


def test_a_gpu_without_a_counter_has_none_even_where_it_tells_its_power(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, {"PowerUsage": 70_000})
    assert energy_counter("cuda:0") is None


def test_a_part_of_a_gpu_has_no_counter_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, {"TotalEnergyConsumption": 1, "MigMode": [1, 1]})
    assert energy_counter("cuda:0") is None


def test_a_counter_that_vanishes_while_it_is_used_is_an_energy_error(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = {"TotalEnergyConsumption": 1}
    install(monkeypatch, readings)
    counter = energy_counter("cuda:0")
    assert counter is not None
    readings.clear()
    with pytest.raises(EnergyError, match="no longer be read"):
        counter.millijoules()
