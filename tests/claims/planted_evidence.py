"""Evidence with a known truth: every arm has the accuracy that was asked for, over all seeds and all images.

Which images come out right follows `tests.analysis.planted`: images that are hard for one arm tend to be hard for all.
Nothing is trained, and nothing written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.claims.claim import MAIN, Arm, Look
from bench.claims.evidence import Evidence
from bench.probes.registry import find
from bench.protocol import PRESETS, content_hash
from bench.records import CellSpec, ProbeRecord, ProbeSpec, RunRecord
from bench.store import Records, cell_id, probe_id
from tests.analysis.planted import planted as planted_study
from tests.samples import DATA, ENVIRONMENT, make_cell, make_metrics, make_run

CLASSES = len(DATA.classes)
"""Classes of every planted task."""
Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class KeptRecords(Records):
    """Records whose arrays are in memory."""

    kept: dict[str, Arrays] = field(default_factory=dict)
    """The arrays of each run and probe, by id."""

    def predictions(self, run_id: str, names: Iterable[str] | None = None) -> dict[str, NDArray[np.generic]]:
        return dict(self.kept[run_id])

    def probe_arrays(self, record_id: str) -> dict[str, NDArray[np.generic]]:
        return dict(self.kept[record_id])


def planted(
    truth: Mapping[Arm, float | Sequence[float]],
    *,
    sizes: Sequence[int] = (1000,),
    seeds: Sequence[int] = (0, 1, 2),
    images: int = 2000,
    seed_points: float = 0.25,
    entropy: int = 0,
    probes: Mapping[Look, Mapping[str, Any]] | None = None,
    boards: Sequence[Any] = (),
) -> Evidence:
    """Evidence in which each arm is right with the probability given, a number or one for each of its train sizes.

    An arm with fewer accuracies than there are `sizes` has the largest ones. Runs' true accuracies spread over seeds by
    `seed_points`; another `entropy` is another draw of the same truth. `probes` are the values of looks.
    """
    arms = [(arm, list(np.atleast_1d(values))) for arm, values in truth.items()]
    points = [(arm, n, top1) for arm, values in arms for n, top1 in zip(sizes[-len(values) :], values, strict=True)]
    study = planted_study(
        np.random.default_rng(entropy),
        [float(top1) for _, _, top1 in points],
        seeds=len(seeds),
        images=images,
        seed_points=seed_points,
    )
    right = np.unpackbits(study.hits.packed, axis=-1, count=images).astype(bool)
    return evidence_of(
        {(arm, n, seed): right[k, s] for k, (arm, n, _) in enumerate(points) for s, seed in enumerate(seeds)},
        probes=probes,
        boards=boards,
    )


def evidence_of(
    right: Mapping[tuple[Arm, int, int], NDArray[np.bool_]],
    *,
    probes: Mapping[Look, Mapping[str, Any]] | None = None,
    boards: Sequence[Any] = (),
) -> Evidence:
    """Evidence in which the run of each (arm, train size, seed) gets exactly these test images right, bool [images]."""
    cells: dict[tuple[Arm, int, int], CellSpec] = {}
    runs: list[RunRecord] = []
    kept: dict[str, Arrays] = {}
    for (arm, size, seed), hits in right.items():
        run, arrays = _run(arm, size, seed, hits)
        cells[arm.whole, size, seed] = run.cell
        runs.append(run)
        kept[run.id] = arrays
    tasks = {MAIN, *(arm.task for arm, _, _ in right)}
    records = {look: (_probe(look, values),) for look, values in (probes or {}).items()}
    return Evidence(
        protocols=dict.fromkeys(tasks, PRESETS["quick"]),
        data={task: DATA.model_copy(update={"fingerprint": content_hash(task)}) for task in tasks},
        cells=cells,
        probes=records,
        records=KeptRecords(Path(), runs, [], [], probes=[r for found in records.values() for r in found], kept=kept),
        boards=boards,
    )


def without(evidence: Evidence, arm: Arm, size: int | None = None) -> Evidence:
    """The same with an arm's trainings not made, at one train size or all, though they were asked for."""
    gone = {cell_id(cell) for (asked, n, _), cell in evidence.cells.items() if asked == arm.whole and size in (None, n)}
    runs = [run for run in evidence.records.runs if run.id not in gone]
    return replace(evidence, records=replace(evidence.records, runs=runs))


def _run(arm: Arm, size: int, seed: int, hits: NDArray[np.bool_]) -> tuple[RunRecord, Arrays]:
    """A run that gets `hits` right, and its arrays; a mistake names the next class."""
    label = np.arange(len(hits)) % CLASSES
    prediction = np.where(hits, label, (label + 1) % CLASSES)
    data = DATA.model_copy(update={"fingerprint": content_hash(arm.task), "n_test": len(hits)})
    cell = make_cell(
        model=arm.model,
        intervention=arm.intervention,
        train_size=size,
        seed=seed,
        data_fingerprint=data.fingerprint,
    )
    run = make_run(cell=cell, data=data, test=make_metrics(label, prediction, data))
    return run, {"index": np.arange(len(hits)), "label": label, "prediction": prediction}


def _probe(look: Look, values: Mapping[str, Any]) -> ProbeRecord:
    """A good record of a look."""
    spec = ProbeSpec(
        probe=look.probe,
        version=find(look.probe).version,
        model=look.model,
        cells=[],
        data_fingerprint=None,
        img_size=look.img_size or 32,
        num_classes=look.num_classes or CLASSES,
        seed=0,
        options=dict(look.options),
    )
    return ProbeRecord(
        id=probe_id(spec),
        spec=spec,
        status="ok",
        created="2026-01-01T00:00:00+00:00",
        environment=ENVIRONMENT,
        values=dict(values),
        seconds=0.1,
    )
