"""Steps of small models, and how long their multiply-accumulates take to count.

`python -m pytest tests/benchmarks/test_models.py -n 0 --benchmark-enable --benchmark-group-by=func`
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.measure.hardware import cpu_threads
from bench.measure.macs import count_macs
from tests.benchmarks.steps import BATCH, MODELS, PX, describe_model, inference_step, macs_of, make_model, training_step

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", MODELS)
def test_inference(name: str, benchmark: Any) -> None:
    describe_model(benchmark, name)
    benchmark(inference_step(make_model(name)))


@pytest.mark.parametrize("name", MODELS)
def test_training_step(name: str, benchmark: Any) -> None:
    model = make_model(name)
    describe_model(benchmark, name)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    benchmark(training_step(model))
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert moved[-1]  # the head; behind norms that start at zero a first step moves nothing
    assert sum(moved) > 0.5 * len(moved)


@pytest.mark.parametrize("name", MODELS)
def test_counting_multiply_accumulates(name: str, benchmark: Any) -> None:
    describe_model(benchmark, name)
    model, image = make_model(name).eval(), torch.zeros(1, 3, PX, PX)
    counted = benchmark.pedantic(count_macs, args=(model, image), rounds=5, warmup_rounds=1)
    assert counted.macs == macs_of(name)


@pytest.mark.slow
def test_the_json_of_the_benchmarks_tells_model_batch_and_macs(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.json"
    quick = ["-n", "0", "--benchmark-enable", "--benchmark-min-rounds=1", "--benchmark-max-time=0.01"]
    quick += ["--benchmark-warmup=off"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    tests = [
        "tests/benchmarks/test_models.py",
        "tests/benchmarks/test_cvt.py",
        "-k",
        "test_vit or 32px-infer-fp32-ours",
    ]
    command = [sys.executable, "-m", "pytest", *tests, *quick, f"--benchmark-json={file}"]
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    found = {entry["name"]: entry["extra_info"] for entry in json.loads(file.read_text())["benchmarks"]}
    small = {"model": "test_vit", "batch": BATCH, "macs": macs_of("test_vit"), "threads": cpu_threads()}
    for function in ("test_inference", "test_training_step", "test_counting_multiply_accumulates"):
        assert found[f"{function}[test_vit]"] == small
    cvt = found["test_time_of_a_step[32px-infer-fp32-ours]"]
    assert (cvt["model"], cvt["batch"]) == ("cvt_13", 32)
    assert 80_000_000 < cvt["macs"] < 120_000_000
