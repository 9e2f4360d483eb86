"""Finding out what is done, and reading the records, of a study of 2,000 runs.

`python -m pytest tests/benchmarks/test_resume.py -n 0 --benchmark-enable`
"""

from __future__ import annotations

from typing import Any

import pytest

from bench.plan import make_plan
from bench.protocol import Protocol
from bench.store import Store, load_records
from bench.study import Study
from tests.benchmarks.finished import CPU, finished_study
from tests.samples import DATA

RUNS = 2000


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished study of 4 models × 5 sizes × 100 seeds."""
    protocol = Protocol(train_sizes=(0.1, 0.2, 0.3, 0.5, 1.0), seeds=tuple(range(100)), lr_trials=1)
    return finished_study(tmp_path_factory.mktemp("study"), protocol)


def test_resume_scan_of_2000_records(study: Study, benchmark: Any) -> None:
    plan = benchmark.pedantic(make_plan, args=(study, DATA, CPU, Store(study.output)), rounds=5, warmup_rounds=1)
    runs = [job for job in plan.jobs if job.kind == "run"]
    assert len(runs) == RUNS
    assert all(job.done for job in runs)


def test_loading_2000_records(study: Study, benchmark: Any) -> None:
    records = benchmark.pedantic(load_records, args=(study.output,), rounds=3, warmup_rounds=1)
    assert len(records.runs) == RUNS
    assert records.problems == []
