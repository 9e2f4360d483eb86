"""Several models at a time: each model's jobs keep their order, a budget is kept, and trouble ends everything."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bench.execution.crew import Crew, Shared
from bench.execution.progress import Silent
from bench.plan import Job
from bench.records import RunRecord
from tests.samples import make_run

RECORD = make_run()


def _jobs(model: str, count: int) -> list[Job]:
    return [Job("run", model, f"{model}-{k}", Path(), None, done=False, failures=0) for k in range(count)]


class Fake:
    """A hand that notes what it does; `work` is what a job does."""

    alive = 0
    most = 0
    lock = threading.Lock()

    def __init__(self, log: list[str], work: Any) -> None:
        self.log, self.work, self.ended = log, work, threading.Event()

    def __enter__(self) -> Fake:
        with Fake.lock:
            Fake.alive += 1
            Fake.most = max(Fake.most, Fake.alive)
        return self

    def __exit__(self, *_: object) -> None:
        with Fake.lock:
            Fake.alive -= 1

    def run(self, job: Job) -> RunRecord:
        self.log.append(job.id)
        self.work(self, job)
        return RECORD

    def abandon(self) -> None:
        self.ended.set()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Fake.alive = Fake.most = 0


def _groups(log: list[str], work: Any, *models: str, count: int = 3) -> list[Any]:
    return [(lambda: Fake(log, work), _jobs(model, count)) for model in models]


def _nothing() -> None:
    return None


def test_every_job_runs_once_in_its_models_order_and_no_more_models_at_a_time_than_asked() -> None:
    log: list[str] = []
    groups = _groups(log, lambda hand, job: time.sleep(0.01), "a", "b", "c", "d")
    records = Crew(2, 100, _nothing).run(groups)
    assert len(records) == 12
    for model in "abcd":
        assert [name for name in log if name.startswith(model)] == [f"{model}-{k}" for k in range(3)]
    assert Fake.most == 2
    assert Fake.alive == 0


def test_two_models_do_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=5)
    Crew(2, 100, _nothing).run(_groups([], lambda hand, job: both.wait(), "a", "b", count=1))


def test_a_budget_is_for_all_models_together() -> None:
    log: list[str] = []
    records = Crew(2, 4, _nothing).run(_groups(log, lambda hand, job: None, "a", "b", "c"))
    assert len(records) == len(log) == 4


def test_what_one_hand_raises_ends_the_others_in_the_middle_of_their_work() -> None:
    log: list[str] = []

    def work(hand: Fake, job: Job) -> None:
        if job.model == "a":
            raise OSError("the disk is full")
        assert hand.ended.wait(5)

    with pytest.raises(OSError, match="disk is full"):
        Crew(2, 100, _nothing).run(_groups(log, work, "a", "b", "c"))
    assert {"a-0", "b-0"} <= set(log) <= {"a-0", "b-0", "c-0"}
    assert Fake.alive == 0


def test_ctrl_c_ends_every_hand() -> None:
    pressed = threading.Event()

    def ask() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    def work(hand: Fake, job: Job) -> None:
        pressed.set()
        assert hand.ended.wait(5)

    with pytest.raises(KeyboardInterrupt):
        Crew(2, 100, ask).run(_groups([], work, "a", "b"))
    assert Fake.alive == 0


def test_a_shared_reporter_is_told_one_thing_at_a_time() -> None:
    inside, clashes = [0], [0]

    class Careful(Silent):
        def images(self, count: int) -> None:
            inside[0] += 1
            clashes[0] += inside[0] > 1
            time.sleep(0.001)
            inside[0] -= 1

    shared = Shared(Careful())
    threads = [threading.Thread(target=lambda: [shared.images(1) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == [0]
