"""Keeps the test images that boards want to show, while the dataset is at hand. A board can do without them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.analysis.agreement import wanted_images
from bench.analysis.answers import read_answers
from bench.analysis.board import Board
from bench.data.info import DataInfo
from bench.data.thumbnails import thumbnails
from bench.store import Store


def keep_thumbnails(boards: Sequence[Board], data: DataInfo, cache_dir: Path, store: Store) -> str | None:
    """Fetch what the boards of one dataset want to show and `store` does not have; returns why not, where that fails.

    Nothing is fetched, and nothing written, where all of it is there already. Never raises for images that cannot be
    had: pictures and pages say which are missing.
    """
    ours = [board for board in boards if board.key.data_fingerprint == data.fingerprint]
    wanted = dict.fromkeys(
        index for board in ours for index in wanted_images(read_answers(board, store, scored=0), len(data.classes))
    )
    kept = store.thumbnails(data.fingerprint)
    missing = [index for index in wanted if index not in kept]
    if not missing:
        return None
    try:
        fetched = thumbnails(data, cache_dir, missing)
        if not fetched:
            return f"no thumbnails of {data.dataset}: none of the images can be read any more"
        shapes = {pixels.shape for pixels in fetched.values()}
        store.write_thumbnails(
            data.fingerprint,
            {k: pixels for k, pixels in kept.items() if k in wanted and pixels.shape in shapes} | fetched,
        )
    except (OSError, ValueError) as error:
        return f"no thumbnails of {data.dataset}: {error}"
    return None
