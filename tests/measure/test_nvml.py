"""NVIDIA's library: the GPU that torch means is found, and whatever is missing is None."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from bench.measure.nvml import nvml_device
from tests.measure.fake_gpu import OTHER, UUID, NvmlError, install


@pytest.fixture(autouse=True)
def _no_memory() -> Iterator[None]:
    """What one test's GPU was is not remembered in the next."""
    nvml_device.cache_clear()
    yield
    nvml_device.cache_clear()


def test_the_gpu_is_found_by_its_uuid_where_torch_and_nvml_number_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, {"PowerUsage": 70_000})
    gpu = nvml_device("cuda:0")
    assert gpu is not None
    assert gpu.handle == 1
    assert gpu.read("PowerUsage") == 70_000


@pytest.mark.parametrize("uuid", [None, "", "00000000-0000-0000-0000-000000000000"])
def test_a_uuid_that_is_missing_or_unknown_leaves_the_address_on_the_bus(
    monkeypatch: pytest.MonkeyPatch, uuid: str | None
) -> None:
    install(monkeypatch, {}, uuid=uuid)
    gpu = nvml_device("cuda:0")
    assert gpu is not None
    assert gpu.handle == 1


def test_a_gpu_that_nvml_does_not_list_is_none_rather_than_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, {"PowerUsage": 1}, uuids=(OTHER, UUID), uuid="unknown", pci_bus_id=0x99)
    assert nvml_device("cuda:0") is None


def test_a_cpu_asks_neither_torch_nor_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    library = install(monkeypatch, {})
    monkeypatch.setattr(library, "nvmlInit", lambda: pytest.fail("asked"), raising=False)
    assert nvml_device("cpu") is None


def test_without_the_package_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml_device("cuda:0") is None


def test_without_a_driver_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    library = install(monkeypatch, {})

    def fail() -> None:
        raise NvmlError("NVML Shared Library Not Found")

    monkeypatch.setattr(library, "nvmlInit", fail, raising=False)
    assert nvml_device("cuda:0") is None


def test_what_holds_the_clocks_down_is_named_and_idleness_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = {"CurrentClocksEventReasons": 0x1 | 0x4 | 0x40 | 0x1000}
    install(monkeypatch, readings)
    gpu = nvml_device("cuda:0")
    assert gpu is not None
    assert gpu.throttle_reasons() == ["SwPowerCap", "HwThermalSlowdown", "0x1000"]
    readings["CurrentClocksEventReasons"] = 0x1
    assert gpu.throttle_reasons() == []


def test_an_older_library_tells_the_reasons_by_their_former_name(monkeypatch: pytest.MonkeyPatch) -> None:
    library = install(monkeypatch, {"CurrentClocksThrottleReasons": 0x8})
    monkeypatch.delattr(library, "nvmlDeviceGetCurrentClocksEventReasons")
    gpu = nvml_device("cuda:0")
    assert gpu is not None
    assert gpu.throttle_reasons() == ["HwSlowdown"]
