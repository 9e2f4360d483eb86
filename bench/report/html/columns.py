"""The columns of the interactive table: what each holds, how it sorts, and in which presets it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from bench.analysis.board import Board
from bench.analysis.rows import Row
from bench.report.costs.words import doubt, mebibytes, milliseconds
from bench.report.markdown.main_table import rank_text
from bench.report.words import NOTHING, percent, significant, with_interval

PRESETS = {"overview": "Overview", "accuracy": "Accuracy", "efficiency": "Efficiency", "all": "All columns"}
"""Sets of columns that a reader can switch between, with their labels; `all` holds every column."""
OVERVIEW, ACCURACY, EFFICIENCY = "overview", "accuracy", "efficiency"


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    key: str
    """Its name in the address and in the data."""
    label: str
    """Its header."""
    help: str
    """What it holds, as a sentence."""
    presets: frozenset[str]
    """Presets that show it, besides `all`."""
    value: Callable[[Row], float | str | None]
    """What the column sorts by; None goes last."""
    text: Callable[[Row], str]
    """What stands in the cell."""
    more_is_better: bool = False
    """Whether the first click sorts from the highest down."""
    numeric: bool = True
    """Whether values are numbers, aligned to the right."""
    core: bool = field(default=False)
    """Whether it is kept although no row has a value."""


def columns_of(board: Board) -> list[Column]:
    """The columns of one board in their order; those in which no row has a value are left out."""
    found = [*_identity(board), *_accuracy(board), *_cost(), *_training(), *_words()]
    return [column for column in found if column.core or any(column.value(row) is not None for row in board.rows)]


def _on(*presets: str) -> frozenset[str]:
    return frozenset(presets)


def _identity(board: Board) -> list[Column]:
    every = _on(OVERVIEW, ACCURACY, EFFICIENCY)
    shared = Counter(row.rank for row in board.rows)
    return [
        Column(
            "rank", "Rank", "Shared (=) by models that cannot be told apart from the best of them.", every,
            lambda row: row.rank, lambda row: rank_text(row, shared), core=True,
        ),
        Column("model", "Model", "Name, and what it starts from unless that is scratch.", every,
               lambda row: row.name, lambda row: row.name, numeric=False, core=True),
    ]  # fmt: skip


def _accuracy(board: Board) -> list[Column]:
    largest, smallest = f"{board.train_sizes[-1]:,}", f"{board.train_sizes[0]:,}"
    found = [
        Column(
            "top1", "Top-1 %", f"Test accuracy at {largest} training images, with its 95 % interval.",
            _on(OVERVIEW, ACCURACY, EFFICIENCY), lambda row: row.top1.value if row.top1 else None,
            lambda row: with_interval(row.top1), more_is_better=True, core=True,
        ),
        Column("smallest", f"At n={smallest}", f"Test accuracy in percent at {smallest} training images.",
               _on(OVERVIEW, ACCURACY), _at_smallest, lambda row: percent(_at_smallest(row)), more_is_better=True),
        Column("p_best", "P(best) %", "Share of joint bootstrap draws in which the model has the highest accuracy.",
               _on(ACCURACY), lambda row: row.p_best, lambda row: percent(row.p_best), more_is_better=True),
        Column("ranks", "Rank interval", "95 % interval of the rank.", _on(ACCURACY),
               lambda row: row.rank_low, _rank_interval),
    ]  # fmt: skip
    for key, label, told, more in (
        ("top5", "Top-5 %", "Test images whose label is among the five best.", True),
        ("balanced_accuracy", "Balanced %", "Mean of the recalls of all classes.", True),
        ("nll", "NLL", "Mean negative log-likelihood in nats.", False),
        ("ece", "ECE %", "Expected calibration error, 15 bins.", False),
    ):
        found.append(_metric(key, label, told, more))
    return found


def _metric(key: str, label: str, told: str, more: bool) -> Column:
    """A test metric at the largest train size, mean over seeds."""
    as_percent = label.endswith("%")

    def value(row: Row) -> float | None:
        values = [getattr(run.test, key) for run in row.of_size(row.largest)]
        return fmean(values) if values and None not in values else None

    def text(row: Row) -> str:
        found = value(row)
        return percent(found) if as_percent else NOTHING if found is None else f"{found:.3f}"

    return Column(key, label, told, _on(ACCURACY), value, text, more_is_better=more)


def _cost() -> list[Column]:
    both = _on(OVERVIEW, EFFICIENCY)
    only = _on(EFFICIENCY)
    return [
        Column("params", "Params M", "Millions of parameters, the head for this dataset included.", both,
               lambda row: _scaled(row.params, 1e6), lambda row: significant(_scaled(row.params, 1e6))),
        Column("gmacs", "GMACs", "Thousand millions of multiply-accumulates for one image, attention included.", both,
               lambda row: _scaled(row.macs, 1e9), lambda row: significant(_scaled(row.macs, 1e9))),
        Column("latency", "Latency ms", "Median milliseconds for a single image.", both, lambda row: row.latency_ms,
               lambda row: milliseconds(row.profile.latency if row.profile else None)),
        Column("inference", "Infer img/s", "Images per second of batched inference, model only.", both,
               lambda row: row.inference_img_per_s, _inference, more_is_better=True),
        Column("memory", "Infer MiB", "Peak memory during inference in a process of its own.", only,
               lambda row: _scaled(_peak(row), 2**20), lambda row: mebibytes(_peak(row))),
        Column("energy", "mJ/img", "Millijoules above idle for one image of inference.", only, _energy,
               lambda row: significant(_energy(row))),
        Column("mfu", "MFU %", "Rate of inference as a part of the device's measured matrix rate.", only,
               lambda row: row.mfu, lambda row: percent(row.mfu), more_is_better=True),
    ]  # fmt: skip


def _training() -> list[Column]:
    return [
        Column("training", "Train img/s", "Training images per second, median over the runs, data included.",
               _on(EFFICIENCY), lambda row: row.train_img_per_s, lambda row: significant(row.train_img_per_s),
               more_is_better=True),
        Column("train_s", "Train s", "Wall time of all training steps of the model's runs, in seconds.",
               _on(EFFICIENCY), _train_s, lambda row: significant(_train_s(row))),
        Column("seeds", "Seeds", "Seeds with a result at the largest train size.", _on(ACCURACY), _seeds,
               lambda row: str(_seeds(row) or NOTHING), more_is_better=True),
    ]  # fmt: skip


def _words() -> list[Column]:
    return [
        Column("family", "Family", "Kind of architecture.", _on(OVERVIEW, ACCURACY), _family,
               lambda row: _family(row) or NOTHING, numeric=False),
        Column("notes", "Notes", "What a reader should know; unfold the row for whole sentences.",
               _on(OVERVIEW, ACCURACY), _short_notes, lambda row: _short_notes(row) or "", numeric=False),
    ]  # fmt: skip


def cells(columns: Sequence[Column], row: Row) -> tuple[list[Any], list[str]]:
    """Values to sort by and texts to show of one row, in the order of `columns`."""
    return [column.value(row) for column in columns], [column.text(row) for column in columns]


def _family(row: Row) -> str | None:
    return row.info.family if row.info else None


def _at_smallest(row: Row) -> float | None:
    point = row.at(row.smallest)
    return point.value if point else None


def _rank_interval(row: Row) -> str:
    if row.rank_low is None or row.rank_high is None:
        return NOTHING
    return f"{row.rank_low}–{row.rank_high}" if row.rank_low != row.rank_high else str(row.rank_low)


def _scaled(count: float | None, unit: float) -> float | None:
    return None if count is None else count / unit


def _inference(row: Row) -> str:
    return significant(row.inference_img_per_s) + doubt(row.profile.inference if row.profile else None)


def _peak(row: Row) -> int | None:
    return row.profile.memory.inference_peak_bytes if row.profile and row.profile.memory else None


def _energy(row: Row) -> float | None:
    return row.profile.energy.millijoule_per_image if row.profile and row.profile.energy else None


def _train_s(row: Row) -> float | None:
    return sum(run.train.train_s for run in row.runs if run.train is not None) if row.runs else None


def _seeds(row: Row) -> int | None:
    return len(row.top1.per_seed) if row.top1 else None


def _short_notes(row: Row) -> str | None:
    return ", ".join(note.short for note in row.notes) or None
