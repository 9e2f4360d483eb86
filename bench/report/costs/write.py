"""Writes the costs of an output folder: `costs.md`, `.csv` and `.json` first, pictures after them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench.analysis.costs import CostBoard, build_costs
from bench.report.costs.page import cost_page
from bench.report.costs.page import cost_table as cost_table
from bench.report.costs.tables import costs_csv
from bench.report.costs.tables import costs_json as costs_json
from bench.report.figures.costs import COST_FIGURES, cost_figure_names, draw_cost_figures
from bench.report.files import drawing_of, is_drawn, note_drawn, remove_outdated, write_all, write_file
from bench.store import Records

FOLDER = "figures/costs"
"""Where the pictures are, below the output folder."""


def write_costs(records: Records, output: Path, command: str) -> list[CostBoard]:
    """Build every cost board of `records` and write all files of them below `output`, each atomically.

    `command` is the call that writes; it may be empty. Pictures that an earlier call wrote and that have no place
    any more are removed. Returns the boards, the one with the newest profile first. Raises StoreError where the
    folder cannot be written.
    """
    boards = build_costs(records)
    write_cost_texts(boards, output, command, records.problems)
    write_cost_pictures(boards, output)
    return boards


def write_cost_texts(
    boards: Sequence[CostBoard], output: Path, command: str = "", problems: Sequence[str] = ()
) -> None:
    """Write the costs as page, CSV and JSON; needs no picture library."""
    planned = cost_files(boards)
    remove_outdated(output, "costs.json", planned, FOLDER)
    pictures = [
        [(COST_FIGURES[name].text, f"{folder}/{name}.svg") for name in cost_figure_names(board)]
        for board, folder in zip(boards, _folders(boards), strict=True)
    ]
    document = {**costs_json(boards), "files": planned}
    write_file(output / "costs.md", cost_page(boards, pictures, command, problems).encode())
    write_file(output / "costs.csv", costs_csv(boards).encode())
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    write_file(output / "costs.json", f"{text}\n".encode())


def write_cost_pictures(boards: Sequence[CostBoard], output: Path) -> None:
    """Write every picture as SVG and PNG, unless all are there and nothing that they are drawn from has changed."""
    drawing = drawing_of(output, ("costs.md", "costs.json"))
    if is_drawn(output, "costs", drawing, cost_files(boards)):
        return
    for board, folder in zip(boards, _folders(boards), strict=True):
        write_all(output / folder, draw_cost_figures(board))
    note_drawn(output, "costs", drawing)


def cost_files(boards: Sequence[CostBoard]) -> list[str]:
    """Every picture that belongs to these boards, relative to the output folder."""
    return [
        f"{folder}/{name}{ending}"
        for board, folder in zip(boards, _folders(boards), strict=True)
        for name in cost_figure_names(board)
        for ending in (".svg", ".png")
    ]


def _folders(boards: Sequence[CostBoard]) -> list[str]:
    """The first board's pictures have the plain names, those of the others stand in a folder of their own."""
    return [FOLDER if k == 0 else f"{FOLDER}/{board.id}" for k, board in enumerate(boards)]
