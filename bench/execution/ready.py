"""Which cells may run now: a trial at once, a run as soon as the trials that choose its rate are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.plan import Job

Group = tuple[str, str]
"""A model under an intervention: what trials and runs share."""


class Ready:
    """The cells of a study that are left, handed out in their order as far as they do not wait for others."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._queues: dict[Group, list[Job]] = {}
        self._trials: Counter[Group] = Counter()
        for job in jobs:
            group = group_of(job)
            self._queues.setdefault(group, []).append(job)
            self._trials[group] += job.kind == "trial"
        self._running: Counter[Group] = Counter()

    def __len__(self) -> int:
        """Cells that were not handed out, whether they wait for others or not."""
        return sum(map(len, self._queues.values()))

    def take(self, model: str | None = None) -> Job | None:
        """The next cell, of `model` where it has one; else of the models that the fewest are busy with.

        A place that stays with a model keeps its process, and what its trials trained. None where all wait.
        """
        busy: Counter[str] = Counter()
        for (name, _), count in self._running.items():
            busy[name] += count
        groups = [group for group in self._queues if self._first(group) is not None]
        if not groups:
            return None
        group = min(groups, key=lambda group: (group[0] != model, busy[group[0]]))  # the first one on a tie
        job = self._first(group)
        assert job is not None
        self._queues[group].remove(job)
        if not self._queues[group]:
            del self._queues[group]
        self._running[group] += 1
        return job

    def done(self, job: Job) -> None:
        """A cell has left its record, good or failed."""
        self._running[group_of(job)] -= 1
        self._trials[group_of(job)] -= job.kind == "trial"

    def give_back(self, job: Job) -> None:
        """A cell was lost without a record: it is the next of its kind to be handed out."""
        self._running[group_of(job)] -= 1
        self._queues.setdefault(group_of(job), []).insert(0, job)

    def _first(self, group: Group) -> Job | None:
        free = self._trials[group] == 0
        return next((job for job in self._queues[group] if free or job.kind == "trial"), None)


def group_of(job: Job) -> Group:
    """The model and intervention of a cell."""
    return job.model, job.cell.intervention if job.cell is not None else "none"
