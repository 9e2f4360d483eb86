"""What the machine is doing and how torch is set, read in milliseconds; what cannot be read is None."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.measure.nvml import NvmlDevice, nvml_device
from bench.profiles import MachineState, Switches

MOST_PROCESSORS = 16
"""Processors whose governor and frequency are read, evenly spread: some kernels sleep 10 ms for each frequency."""
CPU_SENSORS = re.compile(r"coretemp|k10temp|zenpower|(?:cpu|soc|pkg|x86)[-_a-z0-9]*", re.IGNORECASE)
"""Names of temperature sensors that sit in a processor."""


def machine_state(device: str, *, root: Path = Path("/")) -> MachineState:
    """The processors that this process may use, and for `cuda:i` that GPU too. Never raises.

    `root` is where `proc` and `sys` are found.
    """
    processors = _processors()
    gpu = nvml_device(device)
    return MachineState(
        affinity=len(processors) or None,
        load=_load(),
        governor=_governor(root, _spread(processors)),
        cpu_mhz=_cpu_mhz(root, processors),
        cpu_temperature_c=_cpu_temperature(root),
        cpu_throttled=_cpu_throttled(root, processors),
        **(_gpu_state(gpu) if gpu is not None else {}),
    )


def switches() -> Switches:
    """The settings of torch and timm that change speed, as they stand now.

    torch tells TensorFloat-32 in two ways, and the older one (`allow_tf32`) raises once the newer one was used to set
    it; the newer one answers whichever was used.
    """
    import torch
    from timm.layers.config import use_fused_attn

    return Switches(
        tf32_matmul=torch.backends.cuda.matmul.fp32_precision == "tf32",
        tf32_cudnn=torch.backends.cudnn.conv.fp32_precision == "tf32",  # type: ignore[attr-defined]
        cudnn_benchmark=bool(torch.backends.cudnn.benchmark),
        cudnn_deterministic=bool(torch.backends.cudnn.deterministic),
        fused_attention=bool(use_fused_attn()),
    )


def _processors() -> list[int]:
    """Logical processors that this process may use; empty where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _spread(processors: Sequence[int]) -> list[int]:
    """At most `MOST_PROCESSORS` of them, evenly spread."""
    step = max(1, -(-len(processors) // MOST_PROCESSORS))
    return list(processors[::step])


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def _governor(root: Path, processors: Sequence[int]) -> str | None:
    """The frequency governor; several, joined by commas, where processors differ."""
    found = {_read(_cpu(root, k) / "cpufreq" / "scaling_governor") for k in processors} - {None, ""}
    return ", ".join(sorted(str(name) for name in found)) or None


def _cpu_mhz(root: Path, processors: Sequence[int]) -> float | None:
    """Mean current frequency from the frequency driver, else as `/proc/cpuinfo` gives it."""
    khz = _numbers(_cpu(root, k) / "cpufreq" / "scaling_cur_freq" for k in _spread(processors))
    if khz:
        return fmean(khz) / 1000
    text = _read(root / "proc" / "cpuinfo") or ""
    blocks = re.findall(r"^processor\s*:\s*(\d+)$(.*?)(?=^processor|\Z)", text, re.MULTILINE | re.DOTALL)
    lines = [re.search(r"^cpu MHz\s*:\s*([\d.]+)", rest, re.MULTILINE) for k, rest in blocks if int(k) in processors]
    mhz = [float(line.group(1)) for line in lines if line]
    return fmean(mhz) if mhz else None


def _cpu_temperature(root: Path) -> float | None:
    """Highest reading in °C of the processor's sensors, else of the thermal zones named after it."""
    devices = _children(root / "sys" / "class" / "hwmon")
    chips = [chip for chip in devices if CPU_SENSORS.fullmatch(_read(chip / "name") or "")]
    readings = _numbers(path for chip in chips for path in _children(chip) if _is_temperature(path))
    if not readings:
        zones = _children(root / "sys" / "class" / "thermal")
        readings = _numbers(zone / "temp" for zone in zones if CPU_SENSORS.fullmatch(_read(zone / "type") or ""))
    return max(readings) / 1000 if readings else None


def _is_temperature(path: Path) -> bool:
    return re.fullmatch(r"temp\d+_input", path.name) is not None


def _cpu_throttled(root: Path, processors: Sequence[int]) -> int | None:
    """Throttling events of the cores, summed, and of the package, which every processor repeats."""
    folders = [_cpu(root, k) / "thermal_throttle" for k in processors]
    cores = _numbers(folder / "core_throttle_count" for folder in folders)
    packages = _numbers(folder / "package_throttle_count" for folder in folders)
    if not cores and not packages:
        return None
    return int(sum(cores) + max(packages, default=0))


def _gpu_state(gpu: NvmlDevice) -> dict[str, Any]:
    """The fields of MachineState that NVML fills."""
    milliwatt = gpu.read("PowerUsage")
    return {
        "gpu_mhz": gpu.read("ClockInfo", gpu.constant("NVML_CLOCK_SM")),
        "gpu_memory_mhz": gpu.read("ClockInfo", gpu.constant("NVML_CLOCK_MEM")),
        "gpu_temperature_c": gpu.read("Temperature", gpu.constant("NVML_TEMPERATURE_GPU")),
        "gpu_watt": None if milliwatt is None else milliwatt / 1000,
        "gpu_throttle_reasons": gpu.throttle_reasons(),
    }


def _cpu(root: Path, processor: int) -> Path:
    return root / "sys" / "devices" / "system" / "cpu" / f"cpu{processor}"


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str | None:
    """The text of a small file without surrounding blanks; None where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _numbers(paths: Iterable[Path]) -> list[float]:
    """The numbers in these files; those that cannot be read or hold something else are left out."""
    texts = (_read(path) for path in paths)
    return [float(text) for text in texts if text is not None and re.fullmatch(r"-?\d+", text)]
