"""A made-up GPU for tests: a module that takes the place of `pynvml`, and what torch would tell of the GPU."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from bench.measure.nvml import nvml_device

UUID = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"


class NvmlError(Exception):
    """What every function of the library raises."""


def install(
    monkeypatch: pytest.MonkeyPatch,
    readings: dict[str, Any],
    *,
    uuids: tuple[str, ...] = (OTHER, UUID),
    **torch_tells: Any,
) -> ModuleType:
    """Put a `pynvml` in place whose device with `UUID` answers `readings`; torch calls it `cuda:0`, NVML number 1.

    A reading is named after its function (`PowerUsage`); a callable is called with the arguments; a function that is
    not named raises, as on a GPU that lacks it. `torch_tells` replaces what torch knows of the GPU.
    """
    library: Any = ModuleType("pynvml")
    library.NVML_CLOCK_SM, library.NVML_CLOCK_MEM, library.NVML_TEMPERATURE_GPU = 1, 2, 0
    library.nvmlInit = lambda: None

    def by_uuid(name: str) -> int:
        if name.removeprefix("GPU-") not in uuids or not name.startswith("GPU-"):
            raise NvmlError("not found")
        return uuids.index(name.removeprefix("GPU-"))

    def by_bus(address: str) -> int:
        if address != "00000000:41:00.0":
            raise NvmlError("not found")
        return uuids.index(UUID)

    def answer(name: str) -> Callable[..., Any]:
        def ask(handle: int, *arguments: Any) -> Any:
            if uuids[handle] != UUID or name not in readings:
                raise NvmlError("not supported")
            value = readings[name]
            return value(*arguments) if callable(value) else value

        return ask

    library.nvmlDeviceGetHandleByUUID, library.nvmlDeviceGetHandleByPciBusId = by_uuid, by_bus
    for name in (
        "PowerUsage", "ClockInfo", "Temperature", "CurrentClocksEventReasons", "CurrentClocksThrottleReasons",
        "TotalEnergyConsumption", "MigMode",
    ):  # fmt: skip
        setattr(library, f"nvmlDeviceGet{name}", answer(name))
    monkeypatch.setitem(sys.modules, "pynvml", library)
    tells = {"uuid": UUID, "pci_bus_id": 0x41, "pci_device_id": 0, "pci_domain_id": 0, **torch_tells}
    properties = SimpleNamespace(**{key: value for key, value in tells.items() if value is not None})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    nvml_device.cache_clear()
    return library  # type: ignore[no-any-return]
