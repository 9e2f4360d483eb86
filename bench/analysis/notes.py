"""What a reader should know about a row, as short words for the table and whole sentences for below it."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.cost_notes import cost_notes
from bench.analysis.rows import Note, Row
from bench.records import RunRecord

NO_RATE = "NoLearningRate"
"""A run's failure that only says that its trials failed; theirs is the reason."""


def notes_of(row: Row, *, compared: str | None) -> tuple[Note, ...]:
    """The notes of one row in the order of their weight; `compared` says why it could not be compared, if so."""
    found = [
        _failures(row),
        _missing(row),
        Note("not compared", compared) if compared else None,
        _start(row),
        _guessing(row),
        _under_trained(row),
        _geometry(row),
        _recipe(row),
        *_cost(row),
    ]
    return tuple(note for note in found if note is not None)


def reasons(failed: Sequence[RunRecord]) -> list[str]:
    """Why cells failed, each reason once: `OutOfMemoryError: tried to allocate…`."""
    causes = [r.failure for r in failed if r.failure is not None]
    roots = [f for f in causes if f.kind != NO_RATE] or causes
    return list(dict.fromkeys(f.line for f in roots))


def guessing_level(row: Row) -> float | None:
    """Accuracy of always naming the test split's most frequent class; None without a result."""
    tests = [run.test for run in row.runs if run.test is not None]
    if not tests:
        return None
    images = tests[-1].counts().sum(axis=1)
    return float(images.max() / max(1, images.sum()))


def _failures(row: Row) -> Note | None:
    if not row.failed:
        return None
    if row.status == "failed":
        return Note("failed", f"failed: {'; '.join(reasons(row.failed))}")
    cells = ", ".join(_cell_name(r) for r in row.failed)
    return Note(f"{len(row.failed)} failed", f"failed at {cells}: {'; '.join(reasons(row.failed))}")


def _cell_name(record: RunRecord) -> str:
    cell = record.cell
    rate = f", learning rate {cell.lr:g}" if cell.lr is not None else ""
    return f"n={cell.train_size:,} seed {cell.seed}{rate}"


def _missing(row: Row) -> Note | None:
    if not row.missing or not row.runs:
        return None
    asked = len(row.missing) + sum((r.cell.train_size, r.cell.seed) not in row.missing for r in row.runs)
    cells = ", ".join(f"n={size:,} seed {seed}" for size, seed in row.missing)
    return Note(
        f"partial {asked - len(row.missing)}/{asked}",
        f"{len(row.missing)} of {asked} runs are missing ({cells}); compared only on the seeds that both rows have.",
    )


def _start(row: Row) -> Note | None:
    if row.info is None or row.weights == "scratch":
        return None
    return Note("pretrained" if row.weights == "pretrained" else "own weights", f"starts from {row.info.provenance}.")


def _guessing(row: Row) -> Note | None:
    level = guessing_level(row)
    point = row.top1
    if point is None or level is None or point.low is None or point.low > level:
        return None
    return Note(
        "at guessing level",
        f"not told apart from always naming the most frequent class, which is right for {100 * level:.1f} %.",
    )


def _under_trained(row: Row) -> Note | None:
    sizes = sorted({r.cell.train_size for r in row.runs if r.train is not None and r.train.under_trained})
    if not sizes:
        return None
    where = ", ".join(f"{size:,}" for size in sizes)
    return Note("under-trained", f"dev loss still fell by more than 2 % in the last tenth of training at n = {where}.")


def _geometry(row: Row) -> Note | None:
    geometry = row.info.geometry if row.info else None
    if geometry is None or not geometry.degenerate:
        return None
    return Note("geometry", f"at {geometry.img_size} px: {'; '.join(geometry.degenerate)}.")


def _recipe(row: Row) -> Note | None:
    if row.info is None or not row.info.recipe_diff:
        return None
    return Note("recipe", f"differs from the common recipe: {'; '.join(row.info.recipe_diff)}.")


def _cost(row: Row) -> list[Note]:
    if row.status == "failed":
        return []
    if row.profile is not None:
        return cost_notes(row.profile)
    if row.cost_elsewhere:
        return [Note("cost unknown", "its cost has not been measured with the settings of the other rows.")]
    return [Note("cost unknown", "its cost has not been measured on this machine.")]
