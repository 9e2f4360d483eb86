"""Model cards: one README per row, with metadata that the Hugging Face Hub reads as results (`model-index`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

from bench.analysis.board import Board
from bench.analysis.rows import Point, Row
from bench.report.costs.words import mebibytes, milliseconds, rate
from bench.report.markdown.stamp import caveat, stamp, title
from bench.report.names import picture_names
from bench.report.words import (
    NOTHING,
    code_block,
    filled_table,
    percent,
    pipe_table,
    plain,
    plural,
    setting,
    significant,
    with_interval,
)

MOST_CARDS = 50
"""Rows of a board that get a card: the best ones."""
_METRICS = (
    ("top5", "top_5_accuracy", "Top-5 accuracy"),
    ("balanced_accuracy", "balanced_accuracy", "Balanced accuracy"),
    ("ece", "ece", "Expected calibration error, 15 bins"),
    ("nll", "nll", "Negative log-likelihood, nats"),
)
"""(field of the test metrics, type on the Hub, its name) beside top-1 accuracy."""


def card_names(board: Board) -> list[str]:
    """Name of each card below `cards/`: that of the row's pictures, and `/README`."""
    names = picture_names(board)
    return [f"{names[row.name]}/README" for row in _carded(board)]


def model_cards(board: Board, up: str = "../../") -> Iterator[tuple[str, dict[str, bytes]]]:
    """(name, bytes by ending) of the card of every row with a result, the best `MOST_CARDS` of them.

    `up` leads from a card's folder to the output folder.
    """
    facts = stamp(board)
    for name, row in zip(card_names(board), _carded(board), strict=True):
        yield name, {".md": model_card(board, row, facts, up).encode()}


def model_card(board: Board, row: Row, facts: Sequence[tuple[str, str]], up: str = "../../") -> str:
    """One card: front matter in YAML, then what was trained, how, with which result, and what not to conclude.

    `facts` is the board's stamp, which is the same for all its cards.
    """
    import yaml

    metadata = yaml.safe_dump(_metadata(board, row, up), sort_keys=False, allow_unicode=True, width=10_000)
    parts = [
        f"---\n{metadata}---",
        f"# {plain(row.name)} on {plain(board.dataset)}",
        "> Results of a comparison, not a release of weights: the network was trained to be measured, and there is no "
        "checkpoint with this card.",
        f"## The model\n\n{_bullets(_model(row))}",
        f"## How it was trained\n\n{_bullets([*facts, _rate(row)])}",
        f"## Results\n\n{_standing(board, row)}\n\n{_results(row)}",
        _cost(row),
        f"## What to keep in mind\n\n{_warnings(board, row)}",
        _commands(row),
        f"[The whole board]({up}leaderboard.md)"
        + (f" · [the runs]({up}{path}/)" if (path := _runs(board, row)) else ""),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _carded(board: Board) -> list[Row]:
    return [row for row in board.rows if row.points][:MOST_CARDS]


def _metadata(board: Board, row: Row, up: str) -> dict[str, Any]:
    """Front matter; its `model-index` has one result per train size, the largest first."""
    return {
        "license": "unknown",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "backbone-bench"],
        "metrics": ["accuracy"],
        "model-index": [
            {"name": row.name, "results": [_result(board, row, point, up) for point in reversed(row.points)]}
        ],
    }


def _result(board: Board, row: Row, point: Point, up: str) -> dict[str, Any]:
    data = board.data
    return {
        "task": {"type": "image-classification", "name": "Image Classification"},
        "dataset": {
            "type": data.dataset,
            "name": board.dataset,
            "config": f"{point.size} training images",
            "split": "test",
            "args": {"fingerprint": data.fingerprint, "train_images": point.size, "test_images": data.n_test},
        },
        "metrics": _metrics(row, point),
        "source": {"name": f"Backbone Bench, board {board.id}", "url": f"{up}leaderboard.md"},
    }


def _metrics(row: Row, point: Point) -> list[dict[str, Any]]:
    """Metrics of one train size in the Hub's layout: fractions, means over seeds."""
    interval: dict[str, Any] = {"seeds": sorted(point.per_seed), "interval": point.method}
    if point.low is not None and point.high is not None:
        interval |= {"low": round(point.low, 6), "high": round(point.high, 6), "coverage": 0.95}
    found = [_metric("accuracy", "Top-1 accuracy", point.value) | {"args": interval}]
    for field, kind, name in _METRICS:
        value = _mean(row, point.size, field)
        if value is not None:
            found.append(_metric(kind, name, value))
    return found


def _metric(kind: str, name: str, value: float) -> dict[str, Any]:
    return {"type": kind, "name": name, "value": round(value, 6), "verified": False}


def _mean(row: Row, size: int, field: str) -> float | None:
    """Mean over the seeds of a test metric at one train size; None where a run lacks it."""
    values = [getattr(run.test, field) for run in row.of_size(size)]
    return fmean(values) if values and None not in values else None


def _model(row: Row) -> list[tuple[str, str]]:
    info = row.info
    facts = [
        ("Architecture", f"{row.model}{f', built as {info.builder}' if info and info.builder != row.model else ''}")
    ]
    if info is None:
        return facts
    paper = info.paper if not info.year or str(info.year) in info.paper else f"{info.paper} {info.year}"
    geometry = info.geometry
    grids = [f"{stage.name} {stage.height}×{stage.width}" for stage in geometry.stages] if geometry else []
    facts += [
        ("Family", info.family),
        ("Paper", paper),
        ("Size", f"{significant(info.params / 1e6)} M parameters with the head for this dataset"),
        ("Multiply-accumulates", f"{significant(row.macs / 1e9)} G for one image" if row.macs is not None else ""),
        ("Initial weights", info.provenance),
        ("Grids", f"at {geometry.img_size} px: {', '.join(grids)}" if geometry and grids else ""),
        ("Differences from the common recipe", "; ".join(info.recipe_diff) or "none"),
        (
            "Licence",
            "unknown: that of the architecture's code and of any initial weights is not recorded here",
        ),
    ]
    return [(label, text) for label, text in facts if text]


def _rate(row: Row) -> tuple[str, str]:
    fitted = row.runs[-1].linear if row.runs else None
    if fitted is not None:
        tried = ", ".join(f"{strength:g}" for strength in fitted.l2_tried)
        return "Regularisation", f"{fitted.l2:g} at the largest size, chosen on dev from {tried}"
    tried = ", ".join(f"{setting(trial.lr)}{'' if trial.dev_loss is not None else ' (failed)'}" for trial in row.trials)
    return "Peak learning rate", setting(row.chosen_lr) + (f", chosen on dev from {tried}" if tried else ", not tuned")


def _standing(board: Board, row: Row) -> str:
    """Where the row stands among the others, in a sentence."""
    ranked = [other for other in board.rows if other.rank is not None]
    if row.rank is None:
        return f"On the board {plain(title(board))} this row has no rank."
    ties = sum(other.rank == row.rank for other in ranked) - 1
    shared = f", shared with {plural(ties, 'other')} that cannot be told apart" if ties else ""
    sure = f" (95 % interval of the rank: {row.rank_low} to {row.rank_high})" if row.rank_low is not None else ""
    return f"Rank {row.rank} of {len(ranked)}{shared}{sure} on the board {plain(title(board))}."


def _results(row: Row) -> str:
    lines = []
    for point in reversed(row.points):
        values = {field: _mean(row, point.size, field) for field, _, _ in _METRICS}
        lines.append(
            [
                f"{point.size:,}",
                with_interval(point),
                percent(values["top5"]),
                percent(values["balanced_accuracy"]),
                NOTHING if values["ece"] is None else f"{values['ece']:.3f}",
                NOTHING if values["nll"] is None else f"{values['nll']:.3f}",
                ", ".join(map(str, sorted(point.per_seed))),
            ]
        )
    headers = ["training images", "top-1 % [95 % interval]", "top-5 %", "balanced %", "ECE", "NLL", "seeds"]
    return filled_table(headers, lines, left=())


def _cost(row: Row) -> str:
    profile = row.profile
    if profile is None or profile.status != "ok":
        return ""
    memory = profile.memory
    lines = [
        ["latency of one image, median ms", milliseconds(profile.latency)],
        ["inference, images per second", rate(profile.inference)],
        ["training step, images per second", rate(profile.training)],
        ["peak memory of inference, MiB", mebibytes(memory.inference_peak_bytes if memory else None)],
        ["peak memory of a training step, MiB", mebibytes(memory.training_peak_bytes if memory else None)],
        ["energy, mJ an image", significant(profile.energy.millijoule_per_image if profile.energy else None)],
    ]
    table = pipe_table(["quantity", "value"], [line for line in lines if line[1] != NOTHING], right=(1,))
    return f"## Cost on this machine\n\n{table}"


def _warnings(board: Board, row: Row) -> str:
    """Caveats of the board and of the row."""
    said = [
        f"Holds for {board.dataset} under this protocol, on this machine; elsewhere the order may differ.",
        *filter(None, [caveat(board)]),
        *(note.long[:1].upper() + note.long[1:] for note in row.notes),
    ]
    return "\n".join(f"- {plain(text)}" for text in said)


def _commands(row: Row) -> str:
    made_by = list(dict.fromkeys(run.environment.command for run in row.runs if run.environment.command))
    return f"## Command\n\n{code_block(made_by[-5:])}" if made_by else ""


def _runs(board: Board, row: Row) -> str:
    from urllib.parse import quote

    return quote(board.run_dirs.get(row.name, ""))


def _bullets(facts: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- **{label}**: {plain(text)}" for label, text in facts)
