"""Cost boards: what models cost on one device with one set of settings, from profiles alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from bench.analysis.cost_notes import cost_notes
from bench.analysis.ratios import Quantity, Ratio, ratios
from bench.analysis.roofline import RoofPoint, device_of, roof_point
from bench.analysis.rows import Note
from bench.analysis.settings import Settings, device_kind, newest, settings_of
from bench.profiles import DeviceRecord, Energy, Memory, ProfileRecord, Timing
from bench.protocol import content_hash
from bench.records import Environment
from bench.store import Records, slug


class CostKey(NamedTuple):
    """What all rows of a cost board have in common; rows that differ in any of it are never compared."""

    hardware: str
    """Name of the device."""
    device: str
    """`cpu` or `cuda`."""
    threads: int
    """Threads that torch computes with; 0 on a GPU."""
    img_size: int
    """Side of the input image in pixels."""
    num_classes: int
    """Outputs of the head."""
    settings: Settings
    """Precision, layout, compilation, switches."""


@dataclass(frozen=True)
class CostRow:
    """What one model costs."""

    profile: ProfileRecord
    """The newest good profile, or the newest failed one where none is good."""
    device: DeviceRecord | None = None
    """What the device can do at best; None where it was not measured."""
    path: str | None = None
    """Folder of the profile, relative to the output folder."""

    @property
    def model(self) -> str:
        """The name asked for."""
        return self.profile.model

    @property
    def failed(self) -> bool:
        """Whether nothing could be measured."""
        return self.profile.status == "failed"

    @property
    def family(self) -> str | None:
        """`CNN`, `ViT`, …; None where the model never was built."""
        return self.profile.info.family if self.profile.info else None

    @property
    def params(self) -> int | None:
        """Parameters with the head."""
        return self.profile.info.params if self.profile.info else None

    @property
    def macs(self) -> int | None:
        """Canonical multiply-accumulates for one image."""
        return self.profile.macs

    @property
    def latency(self) -> Timing | None:
        """Inference of a single image."""
        return self.profile.latency

    @property
    def inference(self) -> Timing | None:
        """Inference at the best batch."""
        return self.profile.inference

    @property
    def training(self) -> Timing | None:
        """A training step at the best batch."""
        return self.profile.training

    @property
    def memory(self) -> Memory | None:
        """Memory, in a process of its own."""
        return self.profile.memory

    @property
    def energy(self) -> Energy | None:
        """Energy of inference; None where the device has no counter."""
        return self.profile.energy

    @property
    def inference_point(self) -> RoofPoint | None:
        """Inference under the roofs of the device."""
        return roof_point(self.profile, "inference", self.device)

    @property
    def training_point(self) -> RoofPoint | None:
        """Training under the roofs of the device."""
        return roof_point(self.profile, "training", self.device)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a reader should know about this row."""
        return tuple(cost_notes(self.profile))


@dataclass(frozen=True)
class CostBoard:
    """The costs of all models measured on one device with one set of settings."""

    key: CostKey
    """What all rows have in common."""
    rows: tuple[CostRow, ...]
    """One per model, the highest inference throughput first, then those without one, failed ones last."""
    ratios: tuple[Ratio, ...]
    """Every pair of models that took turns, for each quantity."""
    device: DeviceRecord | None
    """What the device can do at best; None where it was not measured."""

    @property
    def id(self) -> str:
        """A short name that is stable and differs between boards."""
        return f"{slug(self.key.device)}-{self.key.img_size}px-{content_hash(list(self.key))[:8]}"

    @property
    def updated(self) -> str:
        """UTC time of the newest profile, ISO 8601."""
        return max(row.profile.created for row in self.rows)

    @property
    def good(self) -> tuple[CostRow, ...]:
        """The rows with a result."""
        return tuple(row for row in self.rows if not row.failed)

    @property
    def environments(self) -> tuple[Environment, ...]:
        """The environments of all rows, each once, oldest first."""
        found: dict[str, Environment] = {}
        for row in sorted(self.rows, key=lambda r: r.profile.created):
            environment = row.profile.environment
            name = environment.model_dump_json()
            found.pop(name, None)
            found[name] = environment
        return tuple(found.values())

    def ratio(self, quantity: Quantity, model: str, against: str) -> Ratio | None:
        """The ratio of two models; None where they took no turns together."""
        found = self._ratio_of.get((quantity, model, against))
        if found is None and (other := self._ratio_of.get((quantity, against, model))) is not None:
            found = other.inverse()
        return found

    @cached_property
    def _ratio_of(self) -> dict[tuple[Quantity, str, str], Ratio]:
        return {(found.quantity, found.model, found.against): found for found in self.ratios}

    def fastest(self, quantity: Quantity) -> CostRow | None:
        """The row with the best valid figure; None where none is valid."""
        valid = [(row, t) for row in self.good if (t := getattr(row, quantity)) is not None and not t.invalid]
        best = max(valid, key=lambda pair: pair[1].throughput_img_per_s, default=None)
        return best[0] if best else None


@dataclass
class _Group:
    """Profiles of one place whose settings fit each other."""

    settings: Settings
    profiles: list[ProfileRecord] = field(default_factory=list)

    def add(self, profile: ProfileRecord) -> None:
        self.settings = self.settings.completed(settings_of(profile))
        self.profiles.append(profile)


def build_costs(records: Records) -> list[CostBoard]:
    """Every cost board that the records hold, the one with the newest profile first. Writes nothing."""
    places: dict[tuple[str, str, int, int, int], list[ProfileRecord]] = {}
    for profile in records.profiles:
        places.setdefault(_place(profile), []).append(profile)
    boards = [
        _board(CostKey(*place, settings=group.settings), group.profiles, records)
        for place, profiles in places.items()
        for group in _groups(profiles)
    ]
    return sorted(boards, key=lambda board: (board.updated, board.id), reverse=True)


def devices_of(records: Records) -> list[DeviceRecord]:
    """The device records of an output folder."""
    return list(records.devices)


def _place(profile: ProfileRecord) -> tuple[str, str, int, int, int]:
    here = profile.environment
    kind = device_kind(here.device)
    return here.hardware, kind, here.threads if kind == "cpu" else 0, profile.img_size, profile.num_classes


def _groups(profiles: Sequence[ProfileRecord]) -> list[_Group]:
    """Profiles that may be compared. Where a profile does not tell a setting, because that part or all of it failed
    or it is of an earlier version, it joins the fitting group of its own session, else the newest fitting one."""
    groups: list[_Group] = []
    by_knowledge = sorted(profiles, key=lambda p: p.created, reverse=True)
    by_knowledge.sort(key=lambda p: settings_of(p).known, reverse=True)
    for profile in by_knowledge:
        settings = settings_of(profile)
        fitting = [group for group in groups if group.settings.fits(settings)]
        if not fitting:
            groups.append(_Group(settings))
            fitting = groups[-1:]
        max(fitting, key=lambda group: _closeness(group, profile)).add(profile)
    return groups


def _closeness(group: _Group, profile: ProfileRecord) -> tuple[bool, str]:
    together = bool(profile.session) and any(p.session == profile.session for p in group.profiles)
    return together, max((p.created for p in group.profiles), default="")


def _board(key: CostKey, profiles: Iterable[ProfileRecord], records: Records) -> CostBoard:
    by_model: dict[str, list[ProfileRecord]] = {}
    for profile in profiles:
        by_model.setdefault(profile.model, []).append(profile)
    shown = [p for group in by_model.values() if (p := newest(group)) is not None]
    device = device_of(shown[0].environment, devices_of(records))
    rows = [CostRow(profile, device, records.run_path(profile.id)) for profile in shown]
    return CostBoard(
        key=key,
        rows=tuple(sorted(rows, key=_order)),
        ratios=tuple(ratios(row.profile for row in sorted(rows, key=_order) if not row.failed)),
        device=device,
    )


def _order(row: CostRow) -> tuple[bool, float, str]:
    speed = row.inference.throughput_img_per_s if row.inference else 0.0
    return row.failed, -speed, row.model
