"""The processes that time: they answer whatever models print, and their end is one line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.gates import workers
from bench.gates.timing_worker import run_queue_clock
from bench.gates.workers import TimingWorker, WorkerFailed


def _script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    file = tmp_path / "script.py"
    file.write_text(text)
    monkeypatch.setattr(workers, "SCRIPT", file)


def test_a_block_gives_one_time_for_each_step_and_needs_no_torch() -> None:
    with TimingWorker("base") as worker:
        assert len(worker.ask("block", steps=7)["ms"]) == 7


def test_a_request_that_cannot_be_met_is_one_line_and_the_worker_goes_on() -> None:
    with TimingWorker("base") as worker:
        with pytest.raises(WorkerFailed, match="KeyError") as caught:
            worker.ask("dance")
        assert "\n" not in str(caught.value)
        assert worker.ask("block", steps=1)["ms"]


def test_a_plugin_is_loaded_from_the_folder_given_whatever_it_prints(tmp_path: Path) -> None:
    (tmp_path / "chatty_plugin.py").write_text("print('hello from the plugin')\n")
    with TimingWorker("base") as worker:
        files = worker.start([str(tmp_path)], ["chatty_plugin"], "cpu", 1)
    assert files["chatty_plugin"] == str(tmp_path / "chatty_plugin.py")


def test_a_worker_that_dies_says_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(tmp_path, monkeypatch, "import sys; sys.stdin.readline(); sys.exit('out of luck')")
    with TimingWorker("head") as worker, pytest.raises(WorkerFailed, match="ended with code 1: out of luck"):
        worker.ask("block", steps=1)


def test_a_worker_that_does_not_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(tmp_path, monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(workers, "PATIENCE_S", 0.2)
    with TimingWorker("head") as worker, pytest.raises(WorkerFailed, match="no answer"):
        worker.ask("block", steps=1)


def test_the_parent_waits_without_spinning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(
        tmp_path,
        monkeypatch,
        "import sys, time\nsys.stdin.readline()\ntime.sleep(0.5)\nprint('{\"ms\": [1.0]}', flush=True)",
    )
    with TimingWorker("head") as worker:
        begin, used = time.perf_counter(), time.process_time()
        worker.ask("block", steps=1)
        waited, burned = time.perf_counter() - begin, time.process_time() - used
    assert waited > 0.4
    assert burned < 0.3 * waited


def test_the_run_queue_clock_never_runs_backwards_nor_ahead_of_time() -> None:
    clock = run_queue_clock()
    begin, first = time.perf_counter(), clock()
    second = clock()
    assert 0 <= second - first <= time.perf_counter() - begin + 1e-3
