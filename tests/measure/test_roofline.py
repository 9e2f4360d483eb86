"""The roofs of a device: the arithmetic is right, the operations are what they claim, the size suits the machine."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.measure import roofline as module
from bench.measure.hardware import Hardware
from bench.measure.roofline import _Series, device_id, last_level_cache_bytes, measure_device
from tests.samples import ENVIRONMENT

CPU = Hardware("cpu", "Test CPU", 1, "fp32", 1 << 33)


class Clock:
    """A made-up clock that only work moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def work(self, seconds: float) -> None:
        """Take a while."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that take no time."""
    monkeypatch.setattr(module, "LEAST_SIDE", 64)
    monkeypatch.setattr(module, "MOST_SIDE", 256)
    monkeypatch.setattr(module, "SLOW_S", 1e9)
    monkeypatch.setattr(module, "_copy_mib", lambda hardware: 4)


@pytest.mark.usefixtures("small")
def test_both_roofs_of_this_machine_are_measured_with_their_intervals() -> None:
    environment = ENVIRONMENT.model_copy(update={"versions": {"torch": torch.__version__}})
    record = measure_device(CPU, environment, seconds=0.3)
    assert set(record.flops_per_s) == {"fp32", "bf16"}
    for rate in (record.copy_bytes_per_s, *record.flops_per_s.values()):
        assert 0 < rate.low_per_s <= rate.median_per_s <= rate.high_per_s
    assert 64 <= record.matrix_size <= 256
    assert record.copy_mib == 4
    assert record.id == device_id(CPU, environment.versions)
    assert record.environment == environment


def test_a_rate_is_the_work_over_the_median_time(clock: Clock) -> None:
    rate = module._samples(lambda: clock.work(0.05), lambda: None, 2.0).rate(100.0)
    assert (rate.low_per_s, rate.median_per_s, rate.high_per_s) == pytest.approx((2000, 2000, 2000))


def test_a_slow_start_is_in_no_sample(clock: Clock) -> None:
    calls: list[float] = []

    def step() -> None:
        calls.append(0.2 / len(calls) ** 3 + 0.02 if calls else 1.0)
        clock.work(calls[-1])

    samples = module._samples(step, lambda: None, 6.0).seconds
    assert max(samples) < 0.0206
    assert len(samples) > 50


def test_short_steps_share_a_sample_so_that_synchronisation_does_not_count(clock: Clock) -> None:
    waits: list[float] = []

    def wait() -> None:
        waits.append(clock.now)
        clock.work(1e-5)

    samples = module._samples(lambda: clock.work(1e-4), wait, 1.0).seconds
    assert samples == pytest.approx([1e-4] * len(samples), rel=0.01)
    assert clock.now / len(waits) > 0.005


def test_what_never_settles_still_ends_in_time_and_leaves_samples(clock: Clock) -> None:
    durations = iter([0.1, 0.3] * 500)
    samples = module._samples(lambda: clock.work(next(durations)), lambda: None, 4.0).seconds
    assert clock.now < 5.0
    assert len(samples) >= module.LEAST_SAMPLES


@pytest.mark.usefixtures("small")
def test_products_count_two_operations_for_each_multiply_accumulate_and_copies_each_byte_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_samples", lambda step, wait, seconds: _Series([0.25] * 9, cpu_share=1.0))
    record = measure_device(CPU, ENVIRONMENT)
    assert record.flops_per_s["fp32"].median_per_s == 2 * record.matrix_size**3 / 0.25
    assert record.copy_bytes_per_s.median_per_s == 2 * 4 * 1024 * 1024 / 0.25
    assert record.invalid == []


@pytest.mark.usefixtures("small")
def test_a_roof_measured_beside_other_work_or_in_a_noise_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_samples", lambda step, wait, seconds: _Series([0.25] * 9, cpu_share=1.0))
    doubts = measure_device(replace(CPU, threads=2), ENVIRONMENT).invalid
    assert [why.partition(":")[0] for why in doubts] == ["copy", "fp32", "bf16"]
    assert all("had the processors for 50 %" in why for why in doubts)
    monkeypatch.setattr(module, "_samples", lambda step, wait, seconds: _Series([0.2, 0.4] * 9, cpu_share=1.0))
    assert any(why.startswith("copy: ") and "variation" in why for why in measure_device(CPU, ENVIRONMENT).invalid)


def test_on_a_gpu_the_processor_may_rest() -> None:
    assert _Series([0.25] * 9, cpu_share=0.1).doubts(threads=0) == []


def test_a_thread_that_waits_for_its_processor_is_seen_to_wait() -> None:
    series = module._samples(lambda: time.sleep(0.01), lambda: None, 0.2)
    assert series.cpu_share < 0.5
    assert series.doubts(threads=1) != []


@pytest.mark.usefixtures("small")
def test_a_precision_that_the_processor_only_imitates_is_left_out_before_it_takes_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_samples", lambda step, wait, seconds: _Series([0.25] * 9, cpu_share=1.0))
    for seconds, found in ((0.001, {"fp32", "bf16"}), (3.0, {"fp32"})):
        monkeypatch.setattr(module, "SLOW_S", 2.0)
        monkeypatch.setattr(module, "_time", lambda step, wait, steps, seconds=seconds: seconds)
        assert set(measure_device(CPU, ENVIRONMENT).flops_per_s) == found


def test_the_side_of_the_matrices_follows_the_speed_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = []
    for rate in (1e9, 5e10, 5e11, 1e16):
        monkeypatch.setattr(module, "_time", lambda *_, rate=rate: 2 * (2 * module.LEAST_SIDE) ** 3 / rate)
        sides.append(module._matrix_side(torch.device("cpu")))
    assert sides == [512, 1280, 3072 - 256, 8192]


def test_a_gpu_is_waited_for_gets_the_largest_matrices_and_does_not_look_at_the_processors_caches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[object] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(module, "last_level_cache_bytes", lambda: pytest.fail("looked"))
    device = torch.device("cuda:1")
    module._wait(device)()
    assert waited == [device]
    assert module._matrix_side(device) == module.MOST_SIDE
    assert module._copy_mib(replace(CPU, device="cuda:1", memory_bytes=80 << 30)) == 1024


def test_the_threads_of_the_hardware_compute_and_the_former_number_returns() -> None:
    before = torch.get_num_threads()
    with module._threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def _caches(root: Path, caches: dict[str, tuple[int, str, str]]) -> Path:
    for name, (level, size, shared) in caches.items():
        folder = root / "sys/devices/system/cpu" / name
        folder.mkdir(parents=True)
        for file, text in (("level", level), ("size", size), ("shared_cpu_list", shared)):
            (folder / file).write_text(f"{text}\n")
    return root


def test_several_last_level_caches_add_up_and_each_counts_once(tmp_path: Path) -> None:
    caches = {f"cpu{k}/cache/index3": (3, "32768K", "0-1" if k < 2 else "2-3") for k in range(4)}
    _caches(tmp_path, {**caches, "cpu0/cache/index2": (2, "1024K", "0")})
    assert last_level_cache_bytes(tmp_path) == 64 << 20


def test_where_the_system_tells_no_caches_their_size_is_zero(tmp_path: Path) -> None:
    assert last_level_cache_bytes(tmp_path) == 0


@pytest.mark.parametrize(
    ("cache_mib", "memory_mib", "copy_mib"),
    [(0, 64_000, 256), (32, 64_000, 256), (256, 64_000, 1024), (4096, 640_000, 2048), (32, 1600, 100)],
)
def test_the_copied_array_is_far_larger_than_the_caches_and_small_against_the_memory(
    monkeypatch: pytest.MonkeyPatch, cache_mib: int, memory_mib: int, copy_mib: int
) -> None:
    monkeypatch.setattr(module, "last_level_cache_bytes", lambda: cache_mib << 20)
    assert module._copy_mib(replace(CPU, memory_bytes=memory_mib << 20)) == copy_mib


def test_a_devices_name_changes_with_what_the_roofs_depend_on_and_with_nothing_else() -> None:
    versions = {"torch": "2.9", "timm": "1.0.20"}
    same = [device_id(replace(CPU, precision="bf16", memory_bytes=None), {**versions, "timm": "2"})]
    other = [device_id(replace(CPU, **change), versions) for change in ({"name": "x"}, {"threads": 2})]
    other.append(device_id(replace(CPU, device="cuda:0"), versions))
    other.append(device_id(CPU, {"torch": "2.10"}))
    assert set(same) == {device_id(CPU, versions)}
    assert len({device_id(CPU, versions), *other}) == 5
    assert device_id(replace(CPU, device="cuda:0"), versions) == device_id(replace(CPU, device="cuda:1"), versions)
