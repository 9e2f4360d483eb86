"""The runs of one model as one row of a board, before it is judged against the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple, TypeVar

from bench.analysis.roofline import device_of, roof_point
from bench.analysis.settings import Choice, choose_profiles
from bench.profiles import DeviceRecord, ProfileRecord
from bench.records import CellSpec, EvaluationRecord, ModelInfo, RunRecord, TrialResult

Status = Literal["complete", "partial", "failed"]
Attempt = TypeVar("Attempt", RunRecord, EvaluationRecord)


class GroupKey(NamedTuple):
    """What all rows of a board have in common; rows that differ in any of it are never compared."""

    data_fingerprint: str
    protocol_id: str
    hardware: str
    threads: int
    precision: str
    intervention: str = "none"


@dataclass(frozen=True)
class Note:
    """A remark on a row: a few words for the table, a sentence for below it."""

    short: str
    long: str


@dataclass(frozen=True)
class Point:
    """Test accuracy of one row at one train size."""

    size: int
    """Training images."""
    per_seed: Mapping[int, float]
    """Top-1 of each seed, as fractions."""
    value: float
    """Mean over the seeds."""
    low: float | None
    """Lower end of the 95 % interval; None where predictions for several seeds are missing."""
    high: float | None
    """Upper end of the 95 % interval."""
    method: Literal["wilson", "pooled", "bootstrap", "none"]
    """`wilson`: one seed, test-set uncertainty only. `pooled`: one seed, with the spread over seeds of the other rows.
    `bootstrap`: over seeds and test images."""


@dataclass(frozen=True)
class Comparison:
    """A row against the best row of its board at the largest train size, on the seeds both have."""

    best: str
    """Name of the best row."""
    difference: float | None
    """Accuracy minus the best's, on common seeds and images; None where there are none."""
    p: float
    """Two-sided p-value; 1 where nothing can be compared."""
    p_holm: float
    """The same after Holm's adjustment over all pairs of rows at all train sizes of the board."""
    test: Literal["mcnemar", "pooled", "bootstrap", "none"]
    """`mcnemar`: exact, one seed. `pooled`: one seed, with the spread over seeds of the other rows. `bootstrap`:
    paired, over seeds and images."""
    seeds: int
    """Seeds compared on."""


@dataclass(frozen=True)
class Row:
    """One model, with one kind of initial weights, on one board."""

    model: str
    """The name asked for."""
    weights: str
    """`scratch`, `pretrained`, or `sha256:…` of a checkpoint."""
    status: Status
    """`complete`, `partial` where sizes or seeds of the protocol are missing, `failed` where there is no result."""
    runs: tuple[RunRecord, ...]
    """Good runs, by ascending train size and seed."""
    failed: tuple[RunRecord, ...]
    """Latest failed attempt of every run or trial that has no good record."""
    trials: tuple[TrialResult, ...]
    """The learning-rate sweep; empty where the protocol has a single rate."""
    profile: ProfileRecord | None
    """What the model costs here, with the same settings in every row: the good profile if there is one."""
    device: DeviceRecord | None
    """What the device can do at best; None where it was not measured."""
    largest: int
    """The largest train size of the board: the one that ranks."""
    smallest: int
    """The smallest train size of the board."""
    cost_elsewhere: bool = False
    """Whether its cost is known, but only with settings that differ from those of the other rows."""
    missing: tuple[tuple[int, int], ...] = ()
    """(train size, seed) of the protocol without a good run."""
    points: tuple[Point, ...] = ()
    """Accuracy by ascending train size."""
    comparison: Comparison | None = None
    """Against the best row; None for the best itself and for rows without a rank."""
    rank: int | None = None
    """Shared by rows that cannot be told apart; None without accuracy at the largest size."""
    rank_low: int | None = None
    """The best rank it could have at 95 %: 1 + the rows that are surely better."""
    rank_high: int | None = None
    """The worst rank it could have: the number of ranked rows less those that are surely worse."""
    p_best: float | None = None
    """Share of joint bootstrap draws of seeds and test images in which its accuracy is the highest."""
    notes: tuple[Note, ...] = ()
    """What a reader should know about this row."""

    @property
    def name(self) -> str:
        """The model, and what it started from unless that is scratch."""
        if self.weights == "scratch":
            return self.model
        start = self.weights if self.weights == "pretrained" else f"file {self.weights.partition(':')[2][:8]}"
        return f"{self.model} ({start})"

    @property
    def info(self) -> ModelInfo | None:
        """The model as built; None where it never was."""
        built = [run.model for run in self.runs if run.model is not None]
        return built[-1] if built else self.profile.info if self.profile else None

    @property
    def top1(self) -> Point | None:
        """Accuracy at the largest train size."""
        return self.at(self.largest)

    def at(self, size: int) -> Point | None:
        """Accuracy at one train size; None where no run of it is good."""
        return next((point for point in self.points if point.size == size), None)

    def of_size(self, size: int) -> tuple[RunRecord, ...]:
        """Good runs at one train size, by seed."""
        return tuple(run for run in self.runs if run.cell.train_size == size)

    @property
    def train_speeds(self) -> tuple[float, ...]:
        """Training images per second of every good run, ascending."""
        return tuple(sorted(run.train.throughput_img_per_s for run in self.runs if run.train is not None))

    @property
    def train_img_per_s(self) -> float | None:
        """Training images per second, median over the runs."""
        return median(self.train_speeds) if self.train_speeds else None

    @property
    def inference_img_per_s(self) -> float | None:
        """Images per second of batched inference, model only."""
        timing = self.profile.inference if self.profile else None
        return timing.throughput_img_per_s if timing else None

    @property
    def latency_ms(self) -> float | None:
        """Median milliseconds for a single image."""
        timing = self.profile.latency if self.profile else None
        return timing.median_ms if timing else None

    @property
    def mfu(self) -> float | None:
        """Model FLOPs utilisation of inference; None without a sound device record."""
        if self.profile is None or self.device is None or self.device.invalid:
            return None
        point = roof_point(self.profile, "inference", self.device)
        return point.mfu if point else None

    @property
    def macs(self) -> int | None:
        """Canonical multiply-accumulates for one image."""
        return self.profile.macs if self.profile else None

    @property
    def params(self) -> int | None:
        """Parameters with the head for this dataset."""
        return self.info.params if self.info else None

    @property
    def chosen_lr(self) -> float | None:
        """Peak learning rate of the runs at the largest size (of the others where there are none)."""
        trained = [run.train for run in self.runs if run.train is not None]
        return trained[-1].lr if trained else None

    @property
    def lr_at_edge(self) -> bool:
        """Whether the chosen rate is the lowest or the highest of those tried: a better one may lie outside."""
        rates = [trial.lr for trial in self.trials]
        return len(rates) > 1 and self.chosen_lr in (min(rates), max(rates))


def key_of(cell: CellSpec) -> GroupKey:
    """The board that a run or trial belongs to."""
    return GroupKey(
        cell.data_fingerprint, cell.protocol_id, cell.hardware, cell.threads, cell.precision, cell.intervention
    )


def settle(records: Iterable[Attempt]) -> list[Attempt]:
    """One record per request: the good one if there is any, else the latest failed attempt; in the order given."""
    chosen: dict[str, Attempt] = {}
    for record in records:
        known = chosen.get(record.id)
        if known is None or _preference(known) < _preference(record):
            chosen[record.id] = record
    return list(chosen.values())


def _preference(record: RunRecord | EvaluationRecord) -> tuple[bool, str]:
    return record.status == "ok", record.created


def make_rows(
    settled: Sequence[RunRecord],
    profiles: Sequence[ProfileRecord],
    sizes: Sequence[int],
    seeds: Sequence[int],
    devices: Sequence[DeviceRecord] = (),
) -> list[Row]:
    """One row per (model, weights) of one board, by name, without accuracies, ranks and notes yet.

    `settled` are the runs and trials of one board, one per cell; `sizes` and `seeds` are those of the protocol.
    A model of which there is nothing but trials, one of them good, is still on its way and has no row.
    """
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for record in settled:
        groups.setdefault((record.cell.model, record.cell.weights), []).append(record)
    shown = [
        group for _, group in sorted(groups.items()) if any(r.cell.kind == "run" or r.status == "failed" for r in group)
    ]
    choices = choose_profiles([group[0] for group in shown], profiles)
    return [
        _row(group, choice, sizes, seeds, device_of(group[0].environment, devices))
        for group, choice in zip(shown, choices, strict=True)
    ]


def _row(
    records: Sequence[RunRecord],
    cost: Choice,
    sizes: Sequence[int],
    seeds: Sequence[int],
    device: DeviceRecord | None,
) -> Row:
    runs = sorted(
        (r for r in records if r.cell.kind == "run" and r.status == "ok" and r.test is not None),
        key=lambda r: (r.cell.train_size, r.cell.seed),
    )
    failed = [r for r in records if r.status == "failed"]
    there = {(r.cell.train_size, r.cell.seed) for r in runs}
    missing = tuple((size, seed) for size in sizes for seed in seeds if (size, seed) not in there)
    status: Status = "failed" if not runs else "partial" if missing else "complete"
    return Row(
        model=records[0].cell.model,
        weights=records[0].cell.weights,
        status=status,
        runs=tuple(runs),
        failed=tuple(failed),
        trials=tuple(_sweep(records)),
        profile=cost.profile,
        cost_elsewhere=cost.elsewhere,
        device=device,
        largest=max(sizes),
        smallest=min(sizes),
        missing=missing,
    )


def _sweep(records: Sequence[RunRecord]) -> list[TrialResult]:
    """The learning-rate trials: as the newest run recorded them, else from the trials' own records."""
    recorded = [r for r in sorted(records, key=lambda r: r.created) if r.cell.kind == "run" and r.trials]
    if recorded:
        return sorted(recorded[-1].trials, key=lambda t: t.lr)
    return sorted(
        (
            TrialResult(
                lr=r.cell.lr,
                dev_loss=r.train.dev_loss if r.train else None,
                dev_top1=r.train.dev_top1 if r.train else None,
            )
            for r in records
            if r.cell.kind == "trial" and r.cell.lr is not None
        ),
        key=lambda t: t.lr,
    )
