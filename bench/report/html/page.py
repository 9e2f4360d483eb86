"""`leaderboard.html`: one file that opens from disk, needs no network and can be read without scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.analysis.answers import Answers
from bench.analysis.board import Board
from bench.report.files import write_file
from bench.report.html import libraries
from bench.report.html.charts import AXIS_LABELS, AXIS_TITLES, FAMILIES, SHAPES, charts
from bench.report.html.columns import PRESETS
from bench.report.html.payload import board_json, span
from bench.report.html.pictures import figures_of
from bench.report.markdown.main_table import STAR
from bench.report.markdown.stamp import caveat, commands, stamp, takeaway, title

PAGE = "leaderboard.html"
"""The file's name."""
FIRST_ROWS = 100
"""Rows of a board that stand in the page as a plain table; scripts replace it, and without scripts the rest follows."""


@dataclass(frozen=True)
class Material:
    """What the page shows of a board besides the board itself."""

    answers: Answers | None = None
    """Answers of the best rows to each test image; without them there is no drill-down to single images."""
    images: Mapping[int, bytes] = field(default_factory=dict)
    """Thumbnails of test images as PNG, by position in the test split, the most wanted first."""
    figures: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    """Pictures by their title, each as bytes by ending (`.svg`, `.png`): what a reader without scripts sees."""


def write_html(
    boards: Sequence[Board], output: Path, material: Sequence[Material] = (), problems: Sequence[str] = ()
) -> None:
    """Write `leaderboard.html` below `output`, atomically. Arguments as of `html_page`."""
    write_file(output / PAGE, html_page(boards, material, problems).encode())


def html_page(boards: Sequence[Board], material: Sequence[Material] = (), problems: Sequence[str] = ()) -> str:
    """The whole page. `material` goes with `boards`, one each, or is empty; `problems` are records left out.

    All text that comes from records is escaped by Jinja2 or stands in JSON in which no markup can begin.
    """
    from markupsafe import Markup

    given = list(material) or [Material() for _ in boards]
    known = [board_json(board, extra.answers, extra.images) for board, extra in zip(boards, given, strict=True)]
    scripts = (libraries.data_tables_script(), libraries.vega_script(), libraries.our_script())
    style = libraries.our_style()
    return (
        libraries.templates_of("bench.report.html")
        .get_template("page.html.j2")
        .render(
            policy=libraries.content_policy(scripts, (style,)),
            style=Markup(style),
            scripts=[Markup(script) for script in scripts],
            data=Markup(safe_json(_document(known))),
            boards=[
                _section(board, values, extra, first=k == 0)
                for k, (board, values, extra) in enumerate(zip(boards, known, given, strict=True))
            ],
            presets=PRESETS,
            star=STAR,
            problems=problems,
            labels=AXIS_LABELS,
        )
    )


def safe_json(value: Any) -> str:
    """JSON that may stand in a script element: no `<`, `>` or `&` in it, so that no markup can begin or end there."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def bar(point: Sequence[float | None] | None, ends: tuple[float, float]) -> dict[str, float] | None:
    """An interval on a scale of 0 to 100: where its line begins and how long it is, and where the value stands."""
    if point is None or point[0] is None:
        return None
    low, high = ends
    scale = 100 / (high - low) if high > low else 0.0
    value = point[0]
    start, end = (value if end is None else end for end in point[1:])
    return {
        "x": round((start - low) * scale, 1),
        "width": round(max((end - start) * scale, 0.5), 1),
        "value": round((value - low) * scale, 1),
    }


def _document(boards: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "boards": boards,
        "charts": charts() if boards else {},
        "axisTitles": AXIS_TITLES,
        "axisLabels": AXIS_LABELS,
        "families": FAMILIES,
        "shapes": SHAPES,
        "star": STAR,
    }


def _section(board: Board, values: dict[str, Any], material: Material, *, first: bool) -> dict[str, Any]:
    """What the template shows of one board."""
    ends = span(board)
    rows = [
        {**row, "bar": bar(row["top1"], ends), "band": None if row["tier"] is None else row["tier"] % 2}
        for row in values["rows"]
    ]
    return {
        "id": board.id,
        "title": title(board),
        "takeaway": takeaway(board),
        "caveat": caveat(board),
        "stamp": stamp(board),
        "commands": commands(board)[-5:],
        "columns": values["columns"],
        "first": rows[:FIRST_ROWS],
        "rest": rows[FIRST_ROWS:],
        "axes": [axis for axis in values["axes"] if axis["measured"]],
        "families": list(dict.fromkeys(row["family"] for row in values["rows"] if row["family"])),
        "has_latency": any(column["key"] == "latency" for column in values["columns"]),
        "has_results": any(row.points for row in board.rows),
        "sizes": [f"{size:,}" for size in board.train_sizes],
        "figures": figures_of(material.figures),
        "shown": first,
    }
