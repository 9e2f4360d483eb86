"""Boards made by hand, without runs: rows of chosen accuracy and cost, and comparisons that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analysis.board import Board
from bench.analysis.pairs import Pairs, PairsAtSize
from bench.analysis.ranking import shared_ranks
from bench.analysis.rows import GroupKey, Point, Row
from bench.models.info import ModelInfo
from bench.profiles import Energy
from bench.protocol import PRESETS
from tests.cost_samples import make_profile, make_timing
from tests.samples import DATA, ENVIRONMENT

SIZE = 1000
"""The train size of every board made by hand."""
DOUBT = 0.03
"""Accuracies that differ by less are not told apart; half the width of every interval."""


@dataclass(frozen=True)
class Made:
    """A row to be made."""

    name: str
    """Its name."""
    top1: float
    """Its accuracy."""
    params: int = 10_000_000
    """Parameters."""
    macs: int = 500_000_000
    """Multiply-accumulates."""
    speed: float = 800.0
    """Inference images per second; a single image takes five times as long."""
    family: str = "CNN"
    """Its family."""
    cost: tuple[tuple[str, Any], ...] = ()
    """(name, value) of fields in which its profile differs from `make_profile`."""
    measured: bool = True
    """Whether it has a profile."""
    ranked: bool = True
    """Whether it can be compared."""


def make_energy(millijoule: float) -> Energy:
    """A reading of the energy counter."""
    return Energy(
        millijoule_per_image=millijoule,
        gross_millijoule_per_image=1.3 * millijoule,
        idle_watt=60.0,
        busy_watt=250.0,
        window_s=5.0,
        images=1000,
        counter="NVML total energy consumption",
    )


def invalid(speed: float) -> tuple[tuple[str, Any], ...]:
    """`cost` of a row whose timings must not be relied on."""
    return (
        ("inference", make_timing(32, speed, invalid=["drifted"])),
        ("latency", make_timing(1, speed / 5, invalid=["drifted"])),
    )


def make_board(made: Sequence[Made]) -> Board:
    """The board of some rows: best first, those without a rank last; two are told apart by `DOUBT`."""
    able = sorted((m for m in made if m.ranked), key=lambda m: (-m.top1, m.name))
    difference = np.array([[a.top1 - b.top1 for b in able] for a in able], dtype=np.float64).reshape((len(able),) * 2)
    apart = np.abs(difference) >= DOUBT
    ranks = shared_ranks(apart)
    found = PairsAtSize(
        size=SIZE,
        names=tuple(m.name for m in able),
        difference=difference,
        low=difference - DOUBT,
        high=difference + DOUBT,
        p=np.where(apart, 0.001, 0.5),
        p_holm=np.where(apart, 0.01, 1.0),
        detectable=np.full_like(difference, DOUBT),
        seeds=np.ones_like(apart, dtype=np.int64),
        apart=apart,
    )
    ranked = sorted(((rank, _row(m, rank)) for rank, m in zip(ranks, able, strict=True)), key=lambda item: item[0])
    return Board(
        key=GroupKey(DATA.fingerprint, PRESETS["quick"].id, ENVIRONMENT.hardware, 2, "fp32"),
        protocol=PRESETS["quick"].to_dict(),
        data=DATA,
        train_sizes=(SIZE,),
        seeds=(0,),
        rows=tuple([row for _, row in ranked] + [_row(m, None) for m in made if not m.ranked]),
        run_dirs={},
        pairs=Pairs((found,) if able else ()),
    )


def _row(made: Made, rank: int | None) -> Row:
    info = ModelInfo(name=made.name, builder=made.name, family=made.family, params=made.params)
    profile = make_profile(made.name, info, ENVIRONMENT, 32, 10, macs=made.macs, speed=made.speed)
    point = Point(SIZE, {0: made.top1}, made.top1, made.top1 - DOUBT / 2, made.top1 + DOUBT / 2, "wilson")
    return Row(
        model=made.name,
        weights="scratch",
        status="complete",
        runs=(),
        failed=(),
        trials=(),
        profile=profile.model_copy(update=dict(made.cost)) if made.measured else None,
        device=None,
        largest=SIZE,
        smallest=SIZE,
        points=(point,),
        rank=rank,
    )
