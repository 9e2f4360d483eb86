"""Where the pictures of a board are: the first board has the plain names, others a folder of their own."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.board import Board
from bench.protocol import content_hash
from bench.store import slug


def picture_folders(boards: Sequence[Board]) -> list[str]:
    """For each board, what stands between `figures/` (or `confusion/`) and a file name: nothing, or `<board id>/`."""
    return ["" if k == 0 else f"{board.id}/" for k, board in enumerate(boards)]


def picture_names(board: Board) -> dict[str, str]:
    """A file name, without ending, for each row of a board, by row name; different rows never share one."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for row in sorted(board.rows, key=lambda row: (row.weights != "scratch", row.name)):
        name = slug(row.name.replace(" (", "-").replace(")", ""))
        if name.lower() in taken:
            name = f"{name}-{content_hash(row.name)[:8]}"
        taken.add(name.lower())
        names[row.name] = name
    return names
