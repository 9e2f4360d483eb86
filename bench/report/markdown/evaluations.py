"""Evaluations of given weights for people and programs: `evaluations.md`, `evaluations.csv`, the table on stdout."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.analysis.evaluations import EvaluationBoard, EvaluationRow
from bench.report.files import write_file
from bench.report.markdown.stamp import software
from bench.report.words import (
    NOTHING,
    code_block,
    filled_table,
    percent,
    plain,
    plural,
    points,
    significant,
    text_table,
)

HEADERS = (
    "rank",
    "model",
    "top-1 % [95 % interval]",
    "against the best, points",
    "p (Holm)",
    "top-5 %",
    "ReaL %",
    "NLL",
    "ECE %",
    "params M",
    "px",
    "crop",
    "resampling",
    "img/s",
    "weights",
)
NAMED = 3
"""How many files that do not decode are named."""


def write_evaluations(boards: Sequence[EvaluationBoard], output: Path) -> None:
    """Write the page and the table of all evaluations. Raises StoreError where the folder cannot be written."""
    write_file(output / "evaluations.md", evaluation_page(boards).encode())
    write_file(output / "evaluations.csv", evaluation_csv(boards).encode())


def evaluation_page(boards: Sequence[EvaluationBoard]) -> str:
    """The whole of `evaluations.md`."""
    parts = ["# Given weights, evaluated as they were published"]
    if not boards:
        parts.append("Nothing has been evaluated yet.")
    return "\n\n".join([*parts, *(_section(board) for board in boards)]) + "\n"


def evaluation_table(board: EvaluationBoard) -> str:
    """The table that the command prints."""
    kept = (0, 1, 2, 3, 5, 6, 10, 13)
    rows = [[cells[k] for k in kept] for cells in (_cells(row, board) for row in board.rows)]
    return text_table([HEADERS[k] for k in kept], rows, right=(2, 3, 4, 5, 6, 7))


def evaluation_csv(boards: Sequence[EvaluationBoard]) -> str:
    """One line per row of every board."""
    lines = [_fields(board, row) for board in boards for row in board.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]) if lines else ["dataset"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _section(board: EvaluationBoard) -> str:
    """One folder: what was evaluated, the table, what a reader must know, where it comes from."""
    newest = max((row.record for row in board.rows), key=lambda record: record.created)
    environments = [row.record.environment for row in board.rows]
    machine = f"{newest.environment.hardware} ({newest.environment.device})"
    table = filled_table(
        HEADERS, [[plain(cell) for cell in _cells(row, board)] for row in board.rows], left=(0, 1, 12, 14)
    )
    told = [
        "Each model sees the images as its weights were published: its own size, crop, resampling and normalisation, "
        "through timm's pipeline, in float32. Recipes and training data differ, so this ranks weights, not "
        "architectures. Intervals and p-values are about which images the folder holds (Wilson; exact McNemar on the "
        "same images).",
    ]
    parts = [
        f"## {plain(board.dataset)} · {plain(machine)}",
        " ".join(told),
        table,
        "\n".join(f"- {line}" for line in _notes(board)),
        f"{software(environments)}. Made by:",
        code_block(list(dict.fromkeys(e.command for e in environments if e.command))),
    ]
    return "\n\n".join(part for part in parts if part)


def _notes(board: EvaluationBoard) -> list[str]:
    """What is particular about the folder or a row."""
    lines: dict[str, None] = {}
    for row in board.rows:
        m, failure = row.record.metrics, row.record.failure
        if failure is not None:
            lines[f"{plain(row.name)}: failed: {plain(failure.line)}"] = None
        if m is None:
            continue
        lines[
            f"{plural(m.n, 'image')} of {plural(m.classes, 'class')[:-1] + 'es' if m.classes != 1 else '1 class'}"
        ] = None
        if m.restricted:
            lines[f"only the folder's {m.classes} classes compete, of {m.outputs} outputs (by {m.named_by})"] = None
        if m.corrupt:
            named = ", ".join(plain(file) for file in m.corrupt[:NAMED])
            lines[f"{plural(len(m.corrupt), 'file')} did not decode and were left out: {named}"] = None
        lines |= dict.fromkeys(map(plain, m.notes))
    return list(lines)


def _cells(row: EvaluationRow, board: EvaluationBoard) -> list[str]:
    m, info = row.record.metrics, row.record.model
    if m is None:
        return [NOTHING, row.name, "failed", *[NOTHING] * (len(HEADERS) - 3)]
    gap = NOTHING
    if row.difference is not None and row.difference_low is not None and row.difference_high is not None:
        gap = f"{points(row.difference)} [{points(row.difference_low)}, {points(row.difference_high)}]"
    real = percent(m.real_right / m.real_n) if m.real_n and m.real_right is not None else NOTHING
    return [
        f"{row.rank}{'=' if sum(other.rank == row.rank for other in board.rows) > 1 else ''}",
        row.name,
        f"{percent(m.top1)} [{percent(row.low)}, {percent(row.high)}]",
        gap,
        NOTHING if row.p_holm is None else f"{row.p_holm:.3g}",
        percent(m.top5),
        real,
        f"{m.nll:.3f}",
        percent(m.ece),
        significant(info.params / 1e6) if info else NOTHING,
        str(m.img_size),
        f"{m.crop_pct:g} {m.crop_mode}",
        m.interpolation,
        significant(m.throughput_img_per_s),
        info.provenance if info else NOTHING,
    ]


def _fields(board: EvaluationBoard, row: EvaluationRow) -> dict[str, Any]:
    m, record = row.record.metrics, row.record
    return {
        "dataset": board.dataset,
        "hardware": record.spec.hardware,
        "rank": row.rank,
        "model": row.name,
        "top1": m.top1 if m else None,
        "top1_low": row.low,
        "top1_high": row.high,
        "difference_to_best": row.difference,
        "p_holm": row.p_holm,
        "top5": m.top5 if m else None,
        "real_top1": m.real_right / m.real_n if m and m.real_n and m.real_right is not None else None,
        "nll": m.nll if m else None,
        "ece": m.ece if m else None,
        "images": m.n if m else None,
        "corrupt": len(m.corrupt) if m else None,
        "img_size": m.img_size if m else None,
        "crop_pct": m.crop_pct if m else None,
        "interpolation": m.interpolation if m else None,
        "throughput_img_per_s": m.throughput_img_per_s if m else None,
        "provenance": record.model.provenance if record.model else None,
        "failure": record.failure.line if record.failure else None,
    }
