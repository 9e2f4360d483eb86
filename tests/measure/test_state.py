"""The machine's state: what the system tells is read, what it does not tell is None, and nothing ever raises."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.measure import state as module
from bench.measure.nvml import nvml_device
from bench.measure.state import machine_state, switches
from tests.measure.fake_gpu import install

CPUINFO = """processor\t: 0
model name\t: Test CPU
cpu MHz\t\t: 1000.000

processor\t: 1
model name\t: Test CPU
cpu MHz\t\t: 3000.000

processor\t: 2
model name\t: Test CPU
cpu MHz\t\t: 9000.000
"""


@pytest.fixture(autouse=True)
def _two_processors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process may use processors 0 and 1 of three; no GPU is remembered."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    nvml_device.cache_clear()
    yield
    nvml_device.cache_clear()


def _write(root: Path, files: dict[str, object]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def _cpu_files(file: str, values: list[object]) -> dict[str, object]:
    return {f"sys/devices/system/cpu/cpu{k}/{file}": value for k, value in enumerate(values)}


def test_a_system_that_tells_nothing_leaves_every_field_empty(tmp_path: Path) -> None:
    state = machine_state("cpu", root=tmp_path)
    assert state.affinity == 2
    told = state.model_dump(exclude={"affinity", "load"})
    assert not any(told.values()), told


def test_governor_and_mean_frequency_are_those_of_the_processors_in_use(tmp_path: Path) -> None:
    governors = _cpu_files("cpufreq/scaling_governor", ["performance", "performance", "powersave"])
    _write(tmp_path, {**governors, **_cpu_files("cpufreq/scaling_cur_freq", [2_000_000, 3_000_000, 9_000_000])})
    state = machine_state("cpu", root=tmp_path)
    assert state.governor == "performance"
    assert state.cpu_mhz == 2500


def test_two_governors_are_both_named(tmp_path: Path) -> None:
    _write(tmp_path, _cpu_files("cpufreq/scaling_governor", ["powersave", "performance"]))
    assert machine_state("cpu", root=tmp_path).governor == "performance, powersave"


def test_without_a_frequency_driver_the_processor_list_tells_the_frequency(tmp_path: Path) -> None:
    _write(tmp_path, {"proc/cpuinfo": CPUINFO})
    assert machine_state("cpu", root=tmp_path).cpu_mhz == 2000


def test_the_highest_of_the_processors_own_sensors_counts(tmp_path: Path) -> None:
    chip, disk = "sys/class/hwmon/hwmon1", "sys/class/hwmon/hwmon0"
    files = {f"{chip}/name": "coretemp", f"{chip}/temp1_input": 51_000, f"{chip}/temp2_input": 63_500}
    _write(tmp_path, {**files, f"{chip}/temp2_crit": 100_000, f"{disk}/name": "nvme", f"{disk}/temp1_input": 80_000})
    assert machine_state("cpu", root=tmp_path).cpu_temperature_c == 63.5


def test_a_thermal_zone_named_after_the_processor_stands_in_for_a_sensor(tmp_path: Path) -> None:
    zones = "sys/class/thermal/thermal_zone"
    files = {f"{zones}0/type": "battery", f"{zones}0/temp": 90_000, f"{zones}1/type": "cpu-thermal"}
    _write(tmp_path, {**files, f"{zones}1/temp": 48_000, f"{zones}2/type": "x86_pkg_temp", f"{zones}2/temp": "n/a"})
    assert machine_state("cpu", root=tmp_path).cpu_temperature_c == 48


def test_throttling_adds_the_cores_up_and_counts_the_package_once(tmp_path: Path) -> None:
    cores = _cpu_files("thermal_throttle/core_throttle_count", [3, 4, 100])
    _write(tmp_path, {**cores, **_cpu_files("thermal_throttle/package_throttle_count", [10, 10, 10])})
    assert machine_state("cpu", root=tmp_path).cpu_throttled == 17


def test_counters_at_zero_are_zero_and_not_unknown(tmp_path: Path) -> None:
    _write(tmp_path, _cpu_files("thermal_throttle/core_throttle_count", [0, 0]))
    assert machine_state("cpu", root=tmp_path).cpu_throttled == 0


def test_of_many_processors_a_few_that_are_spread_out_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    _write(tmp_path, _cpu_files("cpufreq/scaling_cur_freq", [1000 * k for k in range(64)]))
    read: list[str] = []
    plain = module._read
    monkeypatch.setattr(module, "_read", lambda path: read.append(str(path)) or plain(path))
    assert machine_state("cpu", root=tmp_path).cpu_mhz == 30  # of 0, 4, 8, …, 60
    assert sum("scaling_cur_freq" in path for path in read) == module.MOST_PROCESSORS


def test_nothing_that_the_system_refuses_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, _cpu_files("cpufreq/scaling_governor/not_a_file", ["x", "x"]))
    _write(tmp_path, {"sys/class/hwmon": "a file where a folder should be"})
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(os, "getloadavg")
    state = machine_state("cpu", root=tmp_path)
    assert not any(state.model_dump().values())


def test_a_gpu_tells_its_clocks_temperature_power_and_what_holds_it_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = {1: 1980, 2: 2619}
    readings = {"ClockInfo": clocks.__getitem__, "Temperature": {0: 41}.__getitem__, "PowerUsage": 71_500}
    install(monkeypatch, {**readings, "CurrentClocksEventReasons": 0x20})
    state = machine_state("cuda:0", root=tmp_path)
    assert (state.gpu_mhz, state.gpu_memory_mhz) == (1980, 2619)
    assert (state.gpu_temperature_c, state.gpu_watt) == (41, 71.5)
    assert state.gpu_throttle_reasons == ["SwThermalSlowdown"]
    assert state.affinity == 2


def test_a_gpu_whose_sensors_are_closed_leaves_its_fields_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, {"PowerUsage": 71_500})
    state = machine_state("cuda:0", root=tmp_path)
    assert state.gpu_watt == 71.5
    assert (state.gpu_mhz, state.gpu_memory_mhz, state.gpu_temperature_c) == (None, None, None)
    assert state.gpu_throttle_reasons == []


@pytest.fixture
def matmul_precision() -> Iterator[None]:
    """torch's settings are as before afterwards, and its older and newer switches agree again."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    older = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    newer = matmul.fp32_precision, cudnn.conv.fp32_precision
    yield
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = older
    matmul.fp32_precision, cudnn.conv.fp32_precision = newer
    assert (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark) == older


@pytest.mark.usefixtures("matmul_precision")
@pytest.mark.parametrize("on", [True, False])
def test_tf32_is_told_whether_it_was_set_by_the_older_or_the_newer_switch(on: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on
    assert (switches().tf32_matmul, switches().tf32_cudnn) == (on, on)
    torch.backends.cuda.matmul.fp32_precision = "ieee" if on else "tf32"
    torch.backends.cudnn.conv.fp32_precision = "ieee" if on else "tf32"
    assert (switches().tf32_matmul, switches().tf32_cudnn) == (not on, not on)


@pytest.mark.usefixtures("matmul_precision")
def test_the_other_switches_are_told_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    from timm.layers import config

    for fused in (False, True):
        monkeypatch.setattr(config, "_USE_FUSED_ATTN", int(fused))
        torch.backends.cudnn.benchmark = fused
        assert switches().fused_attention is fused
        assert switches().cudnn_benchmark is fused
