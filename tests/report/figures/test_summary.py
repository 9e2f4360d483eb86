"""The page for a talk: it says who is ahead and under what conditions, and shows no more than fits."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bench.analysis.board import Board, build_board
from bench.protocol import PRESETS
from bench.report.figures.style import PNG_DPI, styled
from bench.report.figures.summary import MOST, summary
from bench.report.markdown.stamp import takeaway, title
from bench.store import load_records
from tests.samples import CANONICAL_FAKES, Fake, make_study


def _board(root: Path, models: tuple[Fake, ...], preset: str = "standard") -> Board:
    make_study(root, models, PRESETS[preset])
    return build_board(load_records(root))[0]


def _drawn(board: Board) -> tuple[Figure, str]:
    """The page and all that stands on it, on one line."""
    with styled():
        figure = summary(board)
    texts = [*figure.texts, *(t for axes in figure.axes for t in (*axes.texts, *axes.get_yticklabels()))]
    return figure, re.sub(r"\s+", " ", " ".join(text.get_text() for text in texts))


def test_it_says_who_is_ahead_on_which_data_and_how_sure_that_is(tmp_path: Path) -> None:
    board = _board(tmp_path, CANONICAL_FAKES)
    _, told = _drawn(board)
    assert takeaway(board) in told
    assert title(board) in told
    assert "3 seeds" in told
    for row in board.rows:
        assert row.name in told
    assert "Exploratory" not in told


def test_a_single_seed_is_called_exploratory(tmp_path: Path) -> None:
    assert "Exploratory" in _drawn(_board(tmp_path, CANONICAL_FAKES, "quick"))[1]


def test_nothing_that_is_written_leaves_the_page_or_covers_another_panel(tmp_path: Path) -> None:
    models = tuple(Fake(f"a_rather_long_model_name_{k:02d}", 0.5 + 0.03 * k, macs=10**9 * (k + 1)) for k in range(14))
    figure, told = _drawn(_board(tmp_path, models))
    assert f"The best {MOST} of 14 models." in told
    figure.set_dpi(PNG_DPI)
    page = figure.bbox
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x0 >= page.x0
        assert box.x1 <= page.x1
    for left, right in pairwise(boxes):
        assert left.x1 <= right.x0 + 2, "panels stand side by side"


@pytest.mark.parametrize("what", ["macs"])
def test_a_board_without_costs_still_has_a_page(tmp_path: Path, what: str) -> None:
    models = tuple(Fake(fake.name, fake.top1, cost=((what, None),)) for fake in CANONICAL_FAKES)
    assert "no model has both measured" in _drawn(_board(tmp_path, models))[1]
