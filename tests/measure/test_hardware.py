"""Which device a study runs on, told without importing torch where there is no GPU."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.errors import UsageError
from bench.measure import hardware
from bench.measure.hardware import cpu_name, cpu_threads, detect

X86 = "model name\t: Some  CPU @ 3 GHz\nflags\t\t: fpu sse2 {}\n"
ARM = "Features\t: fp asimd {}\n"


def _pretend(monkeypatch: pytest.MonkeyPatch, cpuinfo: str) -> None:
    monkeypatch.setattr(hardware, "_cpuinfo", lambda: cpuinfo)


@pytest.mark.parametrize(
    ("cpuinfo", "precision"),
    [
        (X86.format("avx512_bf16"), "bf16"),
        (X86.format("amx_bf16"), "bf16"),
        (X86.format("avx2"), "fp32"),
        (ARM.format("bf16"), "bf16"),
        ("", "fp32"),
    ],
)
def test_auto_is_bfloat16_only_where_the_processor_multiplies_it(
    cpuinfo: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, cpuinfo)
    assert detect("cpu", "auto").precision == precision
    assert detect("cpu", "fp32").precision == "fp32"
    assert detect("cpu", "bf16").precision == "bf16"


def test_a_processor_has_a_name_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_name.cache_clear()
    _pretend(monkeypatch, X86.format(""))
    assert cpu_name() == "Some CPU @ 3 GHz"
    cpu_name.cache_clear()
    _pretend(monkeypatch, "")
    assert cpu_name()
    cpu_name.cache_clear()


def test_threads_can_be_asked_for_by_the_usual_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cpu_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "lots")
    assert cpu_threads() >= 1


@pytest.mark.parametrize(
    ("device", "message"),
    [("gpu", "must be auto, cpu, cuda or cuda:i"), ("cuda:x", "must be auto"), ("cudaa", "Did you mean cuda")],
)
def test_an_unknown_device_is_one_line(device: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        detect(device, "auto")


def test_a_gpu_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_gpus", lambda: 0)
    with pytest.raises(UsageError, match="no GPU that torch can use"):
        detect("cuda", "auto")
    monkeypatch.setattr(hardware, "_gpus", lambda: 1)
    with pytest.raises(UsageError, match="only 1 GPU; "):
        detect("cuda:1", "auto")


def test_a_cpu_and_its_environment_are_told_without_importing_torch() -> None:
    script = (
        "import sys\n"
        "from bench.measure.hardware import detect\n"
        "from bench.measure.environment import environment\n"
        "found = environment(detect('cpu', 'auto'), 'a command')\n"
        "assert found.versions['torch'] and found.hardware and found.threads and found.command == 'a command'\n"
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
