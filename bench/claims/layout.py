"""What claims ask for, laid out as trainings and probes: everything asked for twice is made once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.claims.claim import MAIN, Arm, Claim, Look
from bench.data.info import DataInfo
from bench.plan import Branch, Plan
from bench.probes.registry import find
from bench.protocol import Protocol
from bench.records import CellSpec, ProbeSpec
from bench.store import cell_id

WITHOUT_DATA_CLASSES = 10
"""Outputs of a model that no dataset is shown to."""

Cells = Mapping[tuple[Arm, int, int], CellSpec]


@dataclass(frozen=True)
class Asked:
    """One record that a look asks for."""

    look: Look
    """The look."""
    task: str
    """The task whose worker makes it."""
    spec: ProbeSpec
    """The request."""
    cells: tuple[CellSpec, ...]
    """The trained cells it looks at."""


def branches(claims: Iterable[Claim]) -> dict[str, list[Branch]]:
    """The trainings of each task, `main` first, each model's together; an arm asked for at all sizes has them all."""
    claims = list(claims)
    looked_at = {look.arm.whole for claim in claims for look in claim.looks if look.arm is not None}
    sizes: dict[Arm, bool] = {}
    for claim in claims:
        arms = [*claim.arms, *(look.arm for look in claim.looks if look.arm is not None)]
        for arm in arms:
            sizes[arm.whole] = sizes.get(arm.whole, True) and arm.sizes == "largest"
    tasks = sorted({arm.task for arm in sizes}, key=lambda task: (task != MAIN, task))
    found: dict[str, list[Branch]] = {task: [] for task in tasks}
    for arm in sorted(sizes, key=lambda a: (a.model, a.intervention != "none", a.intervention)):
        found[arm.task].append(Branch(arm.model, arm.intervention, sizes[arm], arm in looked_at))
    return found


def cells_of(plans: Mapping[str, Plan]) -> dict[tuple[Arm, int, int], CellSpec]:
    """The request of each (arm, train size, seed) of each task's plan."""
    found = {}
    for task, plan in plans.items():
        for job in plan.jobs:
            if job.kind == "run" and job.cell is not None:
                arm = Arm(job.cell.model, job.cell.intervention, task, "all")
                found[arm, job.cell.train_size, job.cell.seed] = job.cell
    return found


def asked_looks(
    claims: Iterable[Claim], protocols: Mapping[str, Protocol], data: Mapping[str, DataInfo], cells: Cells
) -> list[Asked]:
    """Every record that the claims' looks ask for, each once; those of one task together."""
    looks = dict.fromkeys(look for claim in claims for look in claim.looks)
    found = [asked for look in looks for asked in _asked(look, protocols, data, cells)]
    return sorted(found, key=lambda asked: asked.task)


def _asked(look: Look, protocols: Mapping[str, Protocol], data: Mapping[str, DataInfo], cells: Cells) -> list[Asked]:
    task = look.arm.task if look.arm is not None else look.task
    protocol, probe = protocols.get(task, protocols[MAIN]), find(look.probe)
    info = data.get(task)
    shown = info if probe.images else None
    if (look.arm is not None or probe.images) and info is None:
        return []
    classes = look.num_classes or (len(info.classes) if info is not None and look.img_size is None else None)

    def asked(seed: int, of: Sequence[CellSpec]) -> Asked:
        spec = ProbeSpec(
            probe=look.probe,
            version=probe.version,
            model=look.model,
            cells=[cell_id(cell) for cell in of],
            data_fingerprint=shown.fingerprint if shown is not None else None,
            img_size=look.img_size or protocol.img_size,
            num_classes=classes or WITHOUT_DATA_CLASSES,
            seed=seed,
            options=dict(look.options),
        )
        return Asked(look, task, spec, tuple(of))

    by_seed = _cells_by_seed(look, cells)
    seeds = list(by_seed) if look.arm is not None else list(protocol.seeds)
    if look.seeds == "all":
        return [asked(seeds[0], list(by_seed.values()))] if seeds else []
    chosen = seeds[:1] if look.seeds == "first" else seeds
    return [asked(seed, [by_seed[seed]] if seed in by_seed else []) for seed in chosen]


def _cells_by_seed(look: Look, cells: Cells) -> dict[int, CellSpec]:
    """The largest trained cell of each seed of a look's arm, by seed; none for an untrained model."""
    if look.arm is None:
        return {}
    own = [(size, seed, cell) for (arm, size, seed), cell in cells.items() if arm == look.arm.whole]
    largest = max((size for size, _, _ in own), default=0)
    return {seed: cell for size, seed, cell in sorted(own, key=lambda item: item[1]) if size == largest}
