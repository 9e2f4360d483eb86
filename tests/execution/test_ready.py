"""What may run when: runs wait for the trials of their own model and intervention, and for nothing else."""

from __future__ import annotations

from pathlib import Path

from bench.execution.ready import Ready
from bench.plan import Job
from tests.samples import make_cell


def _job(model: str, kind: str, seed: int = 0, intervention: str = "none") -> Job:
    lr = 0.1 * (seed + 1) if kind == "trial" else None
    cell = make_cell(model=model, kind=kind, seed=seed, intervention=intervention, lr=lr)
    return Job(kind, model, f"{model}-{kind}-{seed}-{intervention}", Path(), cell, done=False, failures=0)  # type: ignore[arg-type]


def test_runs_wait_for_every_trial_of_their_model_and_intervention() -> None:
    jobs = [_job("a", "trial", 0), _job("a", "trial", 1), _job("a", "run")]
    ready = Ready(jobs)
    first, second = ready.take(), ready.take()
    assert [first, second] == jobs[:2]
    assert ready.take() is None
    assert len(ready) == 1
    assert first is not None
    assert second is not None
    ready.done(first)
    assert ready.take() is None
    ready.done(second)
    assert ready.take() == jobs[2]
    assert len(ready) == 0


def test_another_intervention_does_not_wait() -> None:
    ready = Ready([_job("a", "trial"), _job("a", "run", intervention="shift")])
    assert ready.take() is not None
    found = ready.take()
    assert found is not None
    assert found.kind == "run"


def test_runs_whose_trials_are_done_are_ready_at_once() -> None:
    assert Ready([_job("a", "run")]).take() is not None


def test_a_seat_stays_with_its_model_and_others_go_where_the_fewest_are() -> None:
    ready = Ready([_job(model, "run", seed) for model in "ab" for seed in range(3)])
    taken = [ready.take(model) for model in (None, None, "b", "a")]
    assert [job.model for job in taken if job] == ["a", "b", "b", "a"]


def test_a_lost_cell_is_the_next_of_its_model() -> None:
    jobs = [_job("a", "trial", 0), _job("a", "trial", 1), _job("a", "run")]
    ready = Ready(jobs)
    lost = ready.take()
    assert lost is not None
    ready.give_back(lost)
    assert len(ready) == 3
    assert ready.take("a") == lost
