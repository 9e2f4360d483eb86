"""How many models train side by side: as asked for, or what raises the total; never part of what a cell is on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.execution import packing
from bench.execution.packing import GAIN, Packing, choose, hardware_of, pack
from bench.execution.process import WorkerDied
from bench.measure.hardware import Hardware
from bench.plan import Plan, make_plan
from bench.protocol import Protocol
from bench.store import Store
from bench.study import Study
from tests.samples import DATA

GPU = Hardware("cuda:0", "a GPU", 8, "bf16", 1 << 33)
CPU = Hardware("cpu", "a processor", 8, "fp32", 1 << 33)
LONG = {"a": 1_000_000, "b": 1_000_000, "c": 1_000_000, "d": 1_000_000}


def scaled(factors: dict[int, float], alone: float = 100.0) -> Callable[[Sequence[str]], list[float]]:
    """Models of equal speed that keep a part of it when so many train at a time."""
    return lambda models: [alone * factors[len(models)]] * len(models)


@pytest.mark.parametrize(
    ("factors", "cells"),
    [
        ({1: 1.0, 2: 1.0, 4: 1.0}, 4),  # nothing is shared
        ({1: 1.0, 2: 0.5, 4: 0.25}, 1),  # everything is
        ({1: 1.0, 2: 0.9, 4: 0.4}, 2),
        ({1: 1.0, 2: 0.5 * GAIN - 0.01, 4: 1.0}, 1),  # no gain by two ends the search
    ],
)
def test_the_number_with_the_highest_total_is_taken(factors: dict[int, float], cells: int) -> None:
    found = choose(list(LONG), LONG, scaled(factors))
    assert found.cells == cells
    assert found.measured[0] == (1, 100.0)
    assert dict(found.measured)[cells] == pytest.approx(100 * cells * factors[cells])


def test_the_total_is_that_of_models_in_turn_for_as_many_images_each() -> None:
    """100 and 300 img/s one after the other are 150 img/s, not 200."""
    found = choose(["a", "b"], LONG, lambda models: [{"a": 100.0, "b": 300.0}[m] / len(models) for m in models])
    assert found.measured[0] == (1, pytest.approx(150.0))


def test_measuring_more_than_pays_is_not_done() -> None:
    asked: list[int] = []

    def rates(models: Sequence[str]) -> list[float]:
        asked.append(len(models))
        return [1000.0] * len(models)

    assert choose(["a", "b"], {"a": 1000, "b": 1000}, rates) == Packing(1)
    assert set(asked) == {1}


def test_a_pack_that_does_not_run_is_not_taken() -> None:
    def rates(models: Sequence[str]) -> list[float]:
        if len(models) > 2:
            raise WorkerDied("out of memory")
        return [100.0] * len(models)

    assert choose(list(LONG), LONG, rates).cells == 2


def _plan(tmp_path: Path, hardware: Hardware, **changes: object) -> Plan:
    study = Study(protocol=Protocol(lr_trials=1), output=tmp_path, **changes)  # type: ignore[arg-type]
    return make_plan(study, DATA, hardware, Store(tmp_path))


def test_a_number_is_taken_as_it_is_up_to_the_models_that_are_left(tmp_path: Path) -> None:
    assert pack(_plan(tmp_path, GPU, cells_per_device="3"), tmp_path, "").cells == 3
    assert pack(_plan(tmp_path, GPU, cells_per_device="9"), tmp_path, "").cells == 4


def test_auto_measures_on_a_gpu_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "side_by_side", lambda plan, models, *_: [0.5] * len(models))
    assert pack(_plan(tmp_path, GPU), tmp_path, "").cells == 4
    assert pack(_plan(tmp_path, CPU), tmp_path, "") == Packing(1)
    assert pack(_plan(tmp_path, GPU, models=("resnet18",)), tmp_path, "") == Packing(1)


def test_models_side_by_side_share_the_threads_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "detect", lambda device, precision, threads: replace(CPU, threads=threads or 8))
    assert hardware_of(Study()).threads == 8
    assert hardware_of(Study(cells_per_device="3")).threads == 2
    assert hardware_of(Study(cells_per_device="20")).threads == 1
    assert hardware_of(Study(cells_per_device="3", threads=5)).threads == 5


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", ""])
def test_any_other_number_of_models_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--cells-per-device must be auto or a number of models"):
        Study(cells_per_device=text)


def test_a_gpu_cell_does_not_depend_on_how_many_trained_beside_it(tmp_path: Path) -> None:
    ids = [[job.id for job in _plan(tmp_path, GPU, cells_per_device=n).jobs] for n in ("1", "4")]
    assert ids[0] == ids[1]
