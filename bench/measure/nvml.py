"""The door to NVIDIA's management library: a `cuda:i` as torch numbers it → its NVML handle, or None.

Needs the optional package `nvidia-ml-py` (the `[gpu]` extra). Whatever is missing (package, driver, GPU, function)
makes a reading None and never an error: a measurement goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

REASONS = {
    0x002: "ApplicationsClocksSetting",
    0x004: "SwPowerCap",
    0x008: "HwSlowdown",
    0x010: "SyncBoost",
    0x020: "SwThermalSlowdown",
    0x040: "HwThermalSlowdown",
    0x080: "HwPowerBrakeSlowdown",
    0x100: "DisplayClockSetting",
    0x200: "BoardLimit",
    0x400: "Reliability",
}
"""What holds the clocks of a GPU down, by bit. Bit 0x001 (idle) is left out: nothing holds an idle GPU down."""
IDLE = 0x001


@dataclass(frozen=True)
class NvmlDevice:
    """One GPU as NVML sees it."""

    library: Any
    """The module `pynvml`, initialised."""
    handle: Any
    """NVML's handle of the GPU."""

    def read(self, function: str, *arguments: Any) -> Any:
        """The answer of `pynvml.nvmlDeviceGet<function>(handle, …)`; None where it cannot answer."""
        return _try(lambda: getattr(self.library, f"nvmlDeviceGet{function}")(self.handle, *arguments))

    def constant(self, name: str) -> Any:
        """A constant of the library; None where this version does not have it."""
        return getattr(self.library, name, None)

    def throttle_reasons(self) -> list[str]:
        """What holds the clocks down right now; bits without a name are given in hexadecimal."""
        bits = self.read("CurrentClocksEventReasons")
        if bits is None:  # the name before driver 535
            bits = self.read("CurrentClocksThrottleReasons")
        bits = int(bits or 0) & ~IDLE
        unknown = bits & ~sum(REASONS)
        return [name for bit, name in REASONS.items() if bits & bit] + ([f"0x{unknown:x}"] if unknown else [])

    def is_partitioned(self) -> bool:
        """Whether the GPU is cut into instances (MIG), so that its sensors also see what others do on it."""
        mode = self.read("MigMode")
        return bool(mode and mode[0] == 1)


@cache
def nvml_device(device: str) -> NvmlDevice | None:
    """The GPU behind `cuda:i`; None for a CPU, and without NVIDIA's driver or the package.

    torch and NVML count differently (`CUDA_VISIBLE_DEVICES`, `CUDA_DEVICE_ORDER`), so the GPU is looked up by its
    UUID, else by its address on the PCI bus, never by its number. Asking starts CUDA in this process.
    """
    if not device.startswith("cuda"):
        return None
    library = _library()
    properties = _try(lambda: _properties(device))
    if library is None or properties is None:
        return None
    for lookup in _lookups(library, properties):
        handle = _try(lookup)
        if handle is not None:
            return NvmlDevice(library, handle)
    return None


def _library() -> Any:
    """The module `pynvml`, initialised; None where it is not installed or finds no driver."""
    try:
        import pynvml
    except ImportError:
        return None

    def start() -> Any:
        pynvml.nvmlInit()
        return pynvml

    return _try(start)


def _properties(device: str) -> Any:
    import torch

    return torch.cuda.get_device_properties(torch.device(device))


def _lookups(library: Any, properties: Any) -> list[Callable[[], Any]]:
    """Ways to find the handle, the surest first."""
    uuid = str(getattr(properties, "uuid", ""))
    names = [uuid] if uuid.startswith(("GPU-", "MIG-")) else [f"GPU-{uuid}", f"MIG-{uuid}"] if uuid else []
    found: list[Callable[[], Any]] = [partial(library.nvmlDeviceGetHandleByUUID, name) for name in names]
    if hasattr(properties, "pci_bus_id"):
        domain = getattr(properties, "pci_domain_id", 0)
        address = f"{domain:08x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"
        found.append(partial(library.nvmlDeviceGetHandleByPciBusId, address))
    return found


def _try(ask: Callable[[], Any]) -> Any:
    """What `ask` returns; None where it raises. NVML has an error of its own for each thing that can be missing."""
    try:
        return ask()
    except Exception:
        return None
