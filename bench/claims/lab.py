"""Runs the lab: the trainings and probes that claims ask for, each once, then the rules that judge."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.claims.claim import MAIN, Claim, Judgement
from bench.claims.evidence import Evidence
from bench.claims.layout import Asked, asked_looks, branches, cells_of
from bench.claims.results import FOLDER, Lab, Result
from bench.data.info import DataInfo
from bench.errors import UsageError
from bench.execution.local import execute, prepare_data
from bench.execution.looks import LookRequest, LookSite, run_looks
from bench.execution.packing import hardware_of, try_to_pack
from bench.execution.progress import Reporter
from bench.measure.environment import environment
from bench.measure.hardware import Hardware, cpu_threads
from bench.plan import Plan, make_plan
from bench.probes.registry import find
from bench.protocol import Protocol
from bench.records import Environment, ProbeRecord
from bench.store import LAB, Records, Store, cell_id, load_records, probe_id
from bench.study import Study
from bench.values import Frozen, now

MOST_AT_ONCE = 8
"""Models that are trained side by side at most: each keeps a process and the dataset."""
log = logging.getLogger("bench")


class TaskNote(Frozen):
    """One task of a lab."""

    protocol: dict[str, Any]
    """All fields of the protocol."""
    data: DataInfo
    """The dataset as used."""


class LabNote(Frozen):
    """What a lab was asked for, so that its page can be redrawn from records alone."""

    schema_version: int = 1
    """Version of this layout."""
    claims: list[str]
    """Ids of the claims asked for."""
    tasks: dict[str, TaskNote] = Field(default_factory=dict)
    """The tasks by name: `main` is the dataset asked for, others are named by their dataset."""
    protocol: dict[str, Any]
    """The protocol asked for."""
    hardware: dict[str, Any]
    """The device as resolved."""
    command: str
    """The exact command line."""
    created: str
    """UTC time, ISO 8601."""
    seconds: float
    """Wall time of the call that made the latest record, in seconds."""


@dataclass(frozen=True)
class Layout:
    """What is left of a lab's work, and where its evidence will be."""

    root: Path
    """Folder of the records."""
    claims: tuple[Claim, ...]
    """The claims asked for."""
    plans: Mapping[str, Plan]
    """Trainings by task."""
    looks: tuple[Asked, ...]
    """Probes, those of one task together."""
    protocol: Protocol
    """The protocol of the main task."""

    def looks_left(self, *, fresh: bool = False) -> list[Asked]:
        """Probes without a good record."""
        store = Store(self.root)
        return [asked for asked in self.looks if fresh or not store.is_done(store.probe_folder(asked.spec))]


def task_protocol(protocol: Protocol, task: str) -> Protocol:
    """The protocol of one task: the main one's, with the task's dataset."""
    return protocol if task == MAIN else replace(protocol, dataset=task)


def study_of(study: Study, task: str, models: Sequence[str]) -> Study:
    """The study that trains one task's models into the lab's folder."""
    return replace(
        study,
        models=tuple(models) or study.models[:1],
        protocol=task_protocol(study.protocol, task),
        output=study.output / FOLDER,
        checkpoint=(),
    )


def lay_out(
    study: Study,
    claims: Sequence[Claim],
    hardware: Hardware,
    prepare: Callable[[Study], DataInfo | None],
) -> Layout:
    """Plan every training and probe that the claims ask for.

    `prepare` gives the dataset of a task's study; a task for which it gives None is left out.
    """
    root, store = study.output / FOLDER, Store(study.output / FOLDER)
    plans: dict[str, Plan] = {}
    wanted = branches(claims)
    shown = {look.task for claim in claims for look in claim.looks if look.arm is None and find(look.probe).images}
    for task in [*wanted, *sorted(shown - wanted.keys())]:
        asked = wanted.get(task, [])
        own = study_of(study, task, list(dict.fromkeys(branch.model for branch in asked)))
        info = prepare(own)
        if info is not None:
            plans[task] = make_plan(own, info, hardware, store, asked)
    protocols = {task: plan.study.protocol for task, plan in plans.items()} | {MAIN: study.protocol}
    data = {task: plan.dataset for task, plan in plans.items()}
    looks = asked_looks(claims, protocols, data, cells_of(plans))
    return Layout(root, tuple(claims), plans, tuple(looks), study.protocol)


def device_of(study: Study) -> Hardware:
    """The device as resolved. The lab's models are small: on a CPU each trains with one thread unless told otherwise,
    and as many side by side as there are cores."""
    hardware = hardware_of(study)
    alone = hardware.device == "cpu" and study.threads is None and study.cells_per_device == "auto"
    return replace(hardware, threads=1) if alone else hardware


def at_once(plan: Plan, cache_dir: Path, command: str) -> int:
    """Models that are trained side by side: as asked for, as many as there are cores, or what a GPU gains from."""
    hardware = plan.hardware
    if hardware.device == "cpu" and plan.study.cells_per_device == "auto":
        return max(1, min(MOST_AT_ONCE, cpu_threads() // hardware.threads))
    return try_to_pack(plan, cache_dir, command)


def plan_lab(
    study: Study, claims: Sequence[Claim], progress: Callable[[int, int], None] | None = None
) -> tuple[Layout, Hardware, dict[str, Path]]:
    """Prepare every dataset and lay out the work: the layout, the device, the cache of each dataset."""
    hardware = device_of(study)
    caches: dict[str, Path] = {}

    def prepare(own: Study) -> DataInfo | None:
        data, caches[own.protocol.dataset] = prepare_data(own, progress)
        return data

    return lay_out(study, claims, hardware, prepare), hardware, caches


def run_lab(
    study: Study,
    claims: Sequence[Claim],
    *,
    command: str,
    reporter: Callable[[Plan], Reporter],
    progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Make every training and probe that is not there yet; whether any failed.

    Raises UsageError for bad input. Interrupted or killed, the same call goes on where it stopped.
    """
    if study.launcher != "local":
        raise UsageError("claims are tested on one machine: leave --launcher ray out.")
    start = time.perf_counter()
    store = Store(study.output / FOLDER).open()
    with store.exclusive(on_wait=lambda: log.warning("waiting: another lab runs in %s", store.root)):
        layout, hardware, caches = plan_lab(study, claims, progress)
        _write_note(store, layout, hardware, command, 0.0)
        failed, left = _train(layout, study.limit, caches, command, reporter)
        if left:
            log.warning("--limit reached: %d trainings are left; the same command goes on from there", left)
        else:
            failed += _look(layout, study, hardware, caches, command)
        _write_note(store, layout, hardware, command, time.perf_counter() - start)
        return failed > 0


def read_note(output: Path) -> LabNote:
    """The note of the lab in an output folder. Raises UsageError where there is none that can be read."""
    path = output / FOLDER / LAB
    try:
        return LabNote.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"no claims were tested in {output}: run --claims without --report-only first.") from error
    except ValueError as error:
        raise UsageError(
            f"{path} is broken or of another version: run --claims without --report-only again."
        ) from error


def evidence_of(note: LabNote, claims: Sequence[Claim], output: Path, boards: Sequence[Any]) -> Evidence:
    """What the records of the lab in `output` say to these claims. Reads records, trains nothing, needs no torch."""
    study = Study(protocol=Protocol.from_dict(note.protocol), output=output)
    hardware = Hardware(**note.hardware)
    known = {Protocol.from_dict(task.protocol).dataset: task.data for task in note.tasks.values()}
    layout = lay_out(study, claims, hardware, lambda own: known.get(own.protocol.dataset))
    records = load_records(layout.root)
    for problem in records.problems:
        log.warning("%s", problem)
    probes = _latest(records)
    found: dict[Any, tuple[ProbeRecord, ...]] = {}
    for asked in layout.looks:
        record = probes.get(probe_id(asked.spec))
        found[asked.look] = (*found.get(asked.look, ()), *([record] if record is not None else []))
    return Evidence(
        protocols={MAIN: layout.protocol} | {task: plan.study.protocol for task, plan in layout.plans.items()},
        data={task: plan.dataset for task, plan in layout.plans.items()},
        cells=cells_of(layout.plans),
        probes=found,
        records=records,
        boards=boards,
    )


def _train(
    layout: Layout,
    limit: int | None,
    caches: Mapping[str, Path],
    command: str,
    reporter: Callable[[Plan], Reporter],
) -> tuple[int, int]:
    """Train what is left, task by task, up to `limit` jobs: how many failed, how many are left."""
    failed = left = 0
    for plan in layout.plans.values():
        if not plan.left():
            continue
        if limit is not None:
            plan = replace(plan, study=replace(plan.study, limit=limit))
        cache_dir = caches[plan.study.protocol.dataset]
        many = at_once(plan, cache_dir, command)
        tally = execute(plan, cache_dir, command=command, reporter=reporter(plan), at_once=many)
        failed += tally.failed
        left += tally.left
        if limit is not None:
            limit -= tally.finished + tally.failed
    return failed, left


def _look(layout: Layout, study: Study, hardware: Hardware, caches: Mapping[str, Path], command: str) -> int:
    """Make the probes that are left, a worker for each task; how many failed."""
    left, store, failed = layout.looks_left(fresh=study.fresh), Store(layout.root), 0
    alone = replace(hardware, threads=study.threads or cpu_threads())
    for task in dict.fromkeys(asked.task for asked in left):
        ready = [a for a in left if a.task == task and all(store.weights_file(c).is_file() for c in a.cells)]
        protocol = task_protocol(study.protocol, task)
        plan = layout.plans.get(task)
        site = LookSite(
            data=plan.dataset if plan is not None else None,
            img_size=protocol.img_size,
            cache_dir=caches.get(protocol.dataset, Path()),
            hardware=alone,
            environment=environment(alone, command),
            root=layout.root,
            plugins=study.plugins,
        )
        done = run_looks([LookRequest(asked.spec, asked.cells) for asked in ready], site, on_done=_say)
        failed += sum(record.status == "failed" for record in done)
    return failed


def _say(record: ProbeRecord) -> None:
    told = "" if record.failure is None else f": {record.failure.message}"
    state = {"ok": "done", "refused": "says nothing", "failed": "FAILED"}[record.status]
    log.info("%s of %s %s in %.1f s%s", record.spec.probe, record.spec.model, state, record.seconds, told)


def _write_note(store: Store, layout: Layout, hardware: Hardware, command: str, seconds: float) -> None:
    """Write what the lab was asked for; what it was asked for before, under the same protocol, stays in it."""
    protocol, device = layout.protocol.to_dict(), asdict(hardware)
    tasks = {
        task: TaskNote(protocol=plan.study.protocol.to_dict(), data=plan.dataset) for task, plan in layout.plans.items()
    }
    ids = {claim.id for claim in layout.claims}
    with contextlib.suppress(UsageError):
        earlier = read_note(store.root.parent)
        if (earlier.protocol, earlier.hardware) == (protocol, device):
            tasks = {**earlier.tasks, **tasks}
            ids |= set(earlier.claims)
    note = LabNote(
        claims=sorted(ids),
        tasks=tasks,
        protocol=protocol,
        hardware=device,
        command=command,
        created=now(),
        seconds=seconds,
    )
    store.write_lab((note.model_dump_json(indent=1) + "\n").encode())


def _latest(records: Records) -> dict[str, ProbeRecord]:
    """The good record of each probe, or its refusal, else its latest failure."""
    found: dict[str, ProbeRecord] = {}
    for record in sorted(records.probes, key=lambda r: (r.status != "failed", r.created)):
        found[record.id] = record
    return found


def lab_of(note: LabNote, claims: Sequence[Claim], evidence: Evidence, judged: Mapping[str, Judgement]) -> Lab:
    """Everything that the pages show of a lab."""
    made = evidence.records
    trained = {cell_id(cell) for cell in evidence.cells.values()}
    asked = {(cell.model, cell.intervention, cell.protocol_id) for cell in evidence.cells.values()}
    trials = [
        run
        for run in made.runs
        if run.cell.kind == "trial" and (run.cell.model, run.cell.intervention, run.cell.protocol_id) in asked
    ]
    looked = {record.id for records in evidence.probes.values() for record in records}
    used = [run for run in made.runs if run.id in trained] + [look for look in made.probes if look.id in looked]
    hardware = Hardware(**note.hardware)
    return Lab(
        results=tuple(Result(claim, judged[claim.id], tuple(_folders(claim, evidence))) for claim in claims),
        protocols=evidence.protocols,
        data=evidence.data,
        sizes={task: sorted({n for arm, n, _ in evidence.cells if arm.task == task}) for task in evidence.protocols},
        hardware=f"{hardware.name} ({hardware.device}), {hardware.threads} threads, {hardware.precision}",
        command=note.command,
        created=note.created,
        seconds=note.seconds,
        trainings=sum(run.id in trained and run.status == "ok" for run in made.runs) + len(trials),
        probes=len(looked),
        environments=_once([record.environment for record in sorted(used, key=lambda r: r.created)]),
    )


def _once(found: Iterable[Environment]) -> tuple[Environment, ...]:
    """Each environment once, in order; thousands of records share a few."""
    kept: list[Environment] = []
    for one in found:
        if one not in kept:
            kept.append(one)
    return tuple(kept)


def _folders(claim: Claim, evidence: Evidence) -> Iterable[str]:
    """Folders of the records that a claim's evidence consists of, below the lab's: runs, then probes."""
    arms = {*claim.arms, *(look.arm for look in claim.looks if look.arm is not None)}
    wanted: dict[str, None] = {}
    for arm in sorted(arms, key=lambda a: (a.task, a.model, a.intervention, a.sizes)):
        sizes = evidence.sizes(arm)
        for (asked, size, _), cell in evidence.cells.items():
            if asked == arm.whole and (arm.sizes == "all" or size == sizes[-1]):
                wanted[cell_id(cell)] = None
    for look in claim.looks:
        wanted.update(dict.fromkeys(record.id for record in evidence.probes.get(look, ())))
    for record in wanted:
        folder = evidence.records.folders.get(record)
        if folder is not None:
            yield folder.as_posix()
