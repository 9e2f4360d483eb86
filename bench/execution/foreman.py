"""Hands the jobs of a study to the nodes of a cluster, writes what comes back, and gives lost jobs to others."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.execution.costs import TOGETHER, profile_of
from bench.execution.local import Tally, cost_requests, site_of
from bench.execution.meter import CostRequest
from bench.execution.nodes import Member, alive, last_line, only_on
from bench.execution.parcel import Parcel, wrap
from bench.execution.progress import Reporter
from bench.execution.ready import Ready
from bench.execution.remote import Seat, lacks, measure, receive
from bench.execution.site import Made, Site, failed_run, write
from bench.execution.sweeps import NO_RATE, Sweeps
from bench.measure.environment import environment
from bench.plan import Job, Plan
from bench.profiles import DeviceRecord, ProfileRecord
from bench.records import Failure, RunRecord
from bench.store import Store
from bench.study import initial_weights

log = logging.getLogger("bench")

RETRIES = 3
"""Times that a job is tried again after the machine, not the model, has failed it."""
POLL_S, PATIENCE_S = 0.2, 30.0
"""Seconds between looks at whether Ctrl-C was pressed, and until a node that has no room for us is named."""


@dataclass(eq=False)
class Post:
    """A node at work, and how far it has come."""

    member: Member
    at_once: int
    """Cells at a time on a device."""
    ranks: int = 1
    """GPUs that train a model together."""
    equipped: bool = False
    """Whether it has the dataset."""
    crashes: int = 0
    """Seats in a row that died before they were there."""

    @property
    def on_gpu(self) -> bool:
        """Whether its cells run on GPUs."""
        return self.member.hardware.device != "cpu"

    @property
    def seats(self) -> int:
        """Cells at a time on all of its devices."""
        return self.at_once * (int(self.member.node.gpus) // self.ranks if self.on_gpu else 1)

    def demand(self, cells: int) -> dict[str, float]:
        """What one of so many cells on a device takes of it, so that all of it is spoken for."""
        node = self.member.node
        if self.on_gpu:
            return {"num_gpus": self.ranks / cells, "num_cpus": 1 if node.cpus >= node.gpus * cells else 0}
        share = node.cpus / cells
        return {"num_cpus": float(int(share)) if share >= 1 else share}


@dataclass(eq=False)
class Place:
    """A seat on a node, and the model that it served last."""

    post: Post
    actor: Any
    model: str | None = None


@dataclass(frozen=True)
class Errand:
    """Something that was asked of a node and has not come back."""

    post: Post
    back: Callable[[Any], None]
    """Takes what came back."""
    lost: Callable[[Exception], None]
    """Takes why nothing will."""
    waits_for_room: bool = False
    """Whether it cannot begin while others use the node."""


class Foreman:
    """One call of the launcher: the only writer of its records."""

    def __init__(
        self, plan: Plan, members: Sequence[Member], cache_dir: Path, command: str, reporter: Reporter
    ) -> None:
        study = plan.study
        jobs = plan.left()[: study.limit]
        self.plan, self.cache_dir, self.command, self.reporter = plan, cache_dir, command, reporter
        self.store = Store(study.output)
        self.at_once = study.fixed_cells
        self.posts = [Post(member, self.at_once, study.gpus_per_cell) for member in members]
        self.ready = Ready([job for job in jobs if job.cell is not None])
        self.profiles = [job for job in jobs if job.cell is None]
        self.meter: Post | None = None
        self.sweeps = {model: Sweeps(plan, model, self.store) for model in study.models} if plan.data else {}
        weights = initial_weights(study)
        self.checkpoints = {
            model: (f"checkpoints/{weights[model].removeprefix('sha256:')[:32]}", file)
            for model, file in study.checkpoints().items()
        }
        self.idle: list[Place] = []
        self.places: list[Place] = []
        self.errands: dict[Any, Errand] = {}
        self.attempts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.out = 0
        self._parcels: dict[str, Parcel] = {}
        self._sites: dict[tuple[str, str], Site] = {}

    def run(self, ask: Callable[[], None]) -> Tally:
        """Do all that is left; `ask` raises where Ctrl-C was pressed. Raises UsageError where no node is left."""
        import ray

        before, waited = time.monotonic(), False
        try:
            for post in self.posts:
                self._equip(post)
            while self.profiles or len(self.ready) or self.out:
                ask()
                self._hand_out()
                if not self.errands and (self.profiles or len(self.ready)):
                    raise UsageError("no node is left; finished cells are kept, and the same command goes on.")
                done, _ = ray.wait(list(self.errands), timeout=POLL_S) if self.errands else ([], [])
                for ref in done:
                    self._come_back(ref)
                if not waited and time.monotonic() - before > PATIENCE_S:
                    waited = True
                    self._name_the_busy()
        finally:
            self._leave()
        finished, failed = self.outcomes["ok"], self.outcomes["failed"]
        return Tally(finished, failed, len(self.plan.left()) - finished - failed)

    def _send(self, ref: Any, post: Post, back: Callable[[Any], None], lost: Callable[[Exception], None],
              *, waits_for_room: bool = False) -> None:  # fmt: skip
        self.errands[ref] = Errand(post, back, lost, waits_for_room)

    def _come_back(self, ref: Any) -> None:
        import ray

        errand = self.errands.pop(ref)
        try:
            found = ray.get(ref)
        except ray.exceptions.RayError as error:
            errand.lost(error)
        else:
            errand.back(found)

    # A node on its way: it gets what it lacks, one node measures what models cost, then its seats open.

    def _equip(self, post: Post) -> None:
        """Ask a node what it lacks, and send it that."""
        cache = post.member.cache_dir
        ref = self._task(lacks, post, num_cpus=0).remote(list(self._needs()), cache)
        self._send(ref, post, partial(self._supply, post), partial(self._drop, post))

    def _supply(self, post: Post, lacking: list[str]) -> None:
        for name in lacking:
            log.info("%s gets %s", post.member.node.name, name)
        parcels = [self._parcel(name) for name in lacking]
        ref = self._task(receive, post, num_cpus=0).remote(parcels, self.plan.data, post.member.cache_dir)
        self._send(ref, post, partial(self._supplied, post), partial(self._drop, post))

    def _supplied(self, post: Post, trouble: str) -> None:
        post.equipped = not trouble
        if trouble:
            self._drop(post, UsageError(trouble))
        elif self.profiles and self.meter is None:
            self.meter = post
            self._measure(post)
        else:
            self._open(post, post.seats)

    def _needs(self) -> dict[str, list[Path]]:
        """Every folder that a node must have in its cache, by name, and its files here."""
        from bench.data.cache import content_folder

        needs: dict[str, list[Path]] = {}
        if self.plan.data is not None:
            folder = content_folder(self.plan.data, self.cache_dir)
            needs[folder.name] = [file for file in folder.iterdir() if file.is_file()]
        return needs | {folder: [file] for folder, file in self.checkpoints.values()}

    def _parcel(self, name: str) -> Parcel:
        import ray

        if name not in self._parcels:
            self._parcels[name] = wrap(name, self._needs()[name], ray.put)
        return self._parcels[name]

    # What models cost: in turns, on one node that does nothing else meanwhile.

    def _measure(self, post: Post) -> None:
        self.reporter.started(self.profiles[0])
        ref = self._task(measure, post, **post.demand(1)).remote(self._requests(post), self._known_device(post))
        self._send(ref, post, partial(self._measured, post), partial(self._not_measured, post), waits_for_room=True)

    def _requests(self, post: Post) -> list[CostRequest]:
        """What is asked of a node about the next models whose cost is not known."""
        study, jobs = self.plan.study, self.profiles[:TOGETHER]
        requests = cost_requests(study, jobs, self.plan.num_classes, post.member.hardware, self.command)
        return [replace(request, checkpoint=self._checkpoint_on(post, request.model)) for request in requests]

    def _measured(self, post: Post, found: tuple[list[ProfileRecord], DeviceRecord | None]) -> None:
        records, device = found
        if device is not None and device != self._known_device(post):
            self.store.write_device(device)
        for record in records:
            self.store.write_profile(record)
            self._count(self.profiles.pop(0), record)
        if self.profiles:
            self._measure(post)
        else:
            self._open(post, post.seats)

    def _not_measured(self, post: Post, error: Exception) -> None:
        """Measure again, elsewhere where the node has died; what fails too often becomes failed records."""
        first = self.profiles[0].id
        self.attempts[first] += 1
        if self.attempts[first] > RETRIES:
            why = Failure(kind=type(error).__name__, message=last_line(error)[:500])
            for request in self._requests(post):
                record = profile_of(request, {"failure": why})
                self.store.write_profile(record)
                self._count(self.profiles.pop(0), record)
        if self._has_died(post):
            self._drop(post, error)
        elif self.profiles:
            self._measure(post)
        else:
            self._open(post, post.seats)

    def _measures(self, post: Post) -> bool:
        """Whether a node measures what models cost, or is about to."""
        return post is self.meter and bool(self.profiles)

    def _known_device(self, post: Post) -> DeviceRecord | None:
        from bench.measure.roofline import device_id

        here = environment(post.member.hardware, self.command)
        identity = device_id(post.member.hardware, here.versions)
        with contextlib.suppress(OSError, ValueError):
            return self.store.read_device(self.store.device_folder(here.hardware, identity))
        return None

    # Cells: each on a seat, all that are ready on all seats there are.

    def _open(self, post: Post, seats: int) -> None:
        """Take so many seats on a node; each serves cells as soon as it is there."""
        import ray

        wanted = post in self.posts and not self._measures(post) and (len(self.ready) or self.out)
        options = only_on(post.member.node, **post.demand(self.at_once))
        for _ in range(seats if wanted else 0):
            place = Place(post, ray.remote(Seat).options(**options).remote())
            self.places.append(place)
            self._send(place.actor.ready.remote(), post, partial(self._opened, place), partial(self._not_opened, place),
                       waits_for_room=True)  # fmt: skip

    def _opened(self, place: Place, _: None) -> None:
        place.post.crashes = 0
        self._free(place)

    def _free(self, place: Place) -> None:
        """A seat has nothing to do; where its node is to measure, it makes room."""
        if self._measures(place.post):
            self._close(place)
        else:
            self.idle.append(place)

    def _not_opened(self, place: Place, error: Exception) -> None:
        place.post.crashes += 1
        self._close(place)
        if self._has_died(place.post) or place.post.crashes > RETRIES:
            self._drop(place.post, error)
        else:
            self._open(place.post, 1)

    def _hand_out(self) -> None:
        """Give every idle seat a cell that is ready."""
        for place in list(self.idle):
            while place in self.idle and (job := self.ready.take(place.model)) is not None:
                self._start(place, job)

    def _start(self, place: Place, job: Job) -> None:
        assert job.cell is not None
        sweep = self.sweeps[job.model]
        lr = sweep.rate(job.cell)
        self.reporter.started(job)
        if lr is None:
            self._fail(place, job, Failure(kind="NoLearningRate", message=NO_RATE))
            return
        self.idle.remove(place)
        self.out += 1
        place.model = job.model
        ref = place.actor.make.remote(
            self._site(place.post, job.model), job.cell, lr, sweep.of(job.cell), job.keep_weights
        )
        self._send(ref, place.post, partial(self._made, place, job), partial(self._lost, place, job))

    def _made(self, place: Place, job: Job, found: Made | Failure) -> None:
        """A cell is done: its seat gets the next one, which runs while this one is written."""
        made = found if isinstance(found, Made) else self._failed(place, job, found)
        self.out -= 1
        self._note(job, made)
        self._free(place)
        self._hand_out()
        self._write(job, made)

    def _lost(self, place: Place, job: Job, error: Exception) -> None:
        """A cell has not come back: give it to another seat, or give it up after too many."""
        self.out -= 1
        self.attempts[job.id] += 1
        if self.attempts[job.id] > RETRIES:
            self._fail(place, job, Failure(kind=type(error).__name__, message=last_line(error)[:500]))
        else:
            self.ready.give_back(job)
            log.debug("%s: %s is tried again (%s)", place.post.member.node.name, job.title, last_line(error))
        self._close(place)
        if self._has_died(place.post):
            self._drop(place.post, error)
        else:
            self._open(place.post, 1)

    def _fail(self, place: Place, job: Job, why: Failure) -> None:
        made = self._failed(place, job, why)
        self._note(job, made)
        self._write(job, made)

    def _failed(self, place: Place, job: Job, why: Failure) -> Made:
        assert job.cell is not None
        site, trials = self._site(place.post, job.model), self.sweeps[job.model].of(job.cell)
        return Made(failed_run(site, job.cell, why, trials))

    def _note(self, job: Job, made: Made) -> None:
        """Let others run that waited for this one."""
        self.sweeps[job.model].add(made.record)
        self.ready.done(job)

    def _write(self, job: Job, made: Made) -> None:
        write(made, self.store)
        self._count(job, made.record)

    def _count(self, job: Job, record: RunRecord | ProfileRecord) -> None:
        self.outcomes[record.status] += 1
        self.reporter.finished(job, record)

    def _site(self, post: Post, model: str) -> Site:
        """What the worker of a model needs on a node besides its cells."""
        key = (post.member.node.id, model)
        if key not in self._sites:
            plan = replace(self.plan, hardware=post.member.hardware)
            site = site_of(plan, model, post.member.cache_dir, self.command, self.at_once)
            self._sites[key] = replace(site, checkpoint=self._checkpoint_on(post, model))
        return self._sites[key]

    def _checkpoint_on(self, post: Post, model: str) -> Path | None:
        """Where a node has the checkpoint of a model."""
        if model not in self.checkpoints:
            return None
        folder, file = self.checkpoints[model]
        return post.member.cache_dir / folder / file.name

    # Nodes that go.

    def _task(self, function: Callable[..., Any], post: Post, **demand: float) -> Any:
        import ray

        return ray.remote(function).options(**only_on(post.member.node, max_retries=RETRIES, **demand))

    def _has_died(self, post: Post) -> bool:
        return all(node.id != post.member.node.id for node in alive())

    def _drop(self, post: Post, error: Exception) -> None:
        """Do without a node from now on."""
        if post not in self.posts:
            return
        self.posts.remove(post)
        self.idle = [place for place in self.idle if place.post is not post]
        why = "has died; what ran on it goes to others" if self._has_died(post) else last_line(error)
        log.warning("left out: %s: %s", post.member.node.name, why)
        if self._measures(post):
            self.meter = next((other for other in self.posts if other.equipped), None)
            if self.meter is not None:
                for place in [place for place in self.idle if place.post is self.meter]:
                    self._close(place)
                self._measure(self.meter)

    def _close(self, place: Place) -> None:
        import ray

        self.places.remove(place)
        if place in self.idle:
            self.idle.remove(place)
        ray.kill(place.actor)

    def _name_the_busy(self) -> None:
        """One line for the nodes that others keep us waiting for."""
        names = sorted({e.post.member.node.name for e in self.errands.values() if e.waits_for_room})
        if names:
            log.info("waiting for room, if others use them: %s", ", ".join(names))

    def _leave(self) -> None:
        """End whatever still runs."""
        import ray

        for place in self.places:
            with contextlib.suppress(Exception):
                ray.kill(place.actor)
        for ref in self.errands:
            with contextlib.suppress(Exception):  # those of seats, which have been ended
                ray.cancel(ref, force=True)
