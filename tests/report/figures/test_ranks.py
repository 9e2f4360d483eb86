"""The picture of the ranking: every row with its possible ranks, ties seen at once, large boards cut and said so."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bench.analysis.board import Board, build_board
from bench.protocol import PRESETS
from bench.report.figures.ranks import MOST, ranks
from bench.report.figures.style import styled
from bench.store import load_records
from tests.samples import CANONICAL_FAKES, Fake, make_study


def _texts(figure: Figure) -> list[str]:
    axes = figure.axes[0]
    return [
        *(t.get_text() for t in axes.texts),
        *(t.get_text() for t in axes.get_yticklabels()),
        axes.get_title("left"),
    ]


def _board(root: Path, models: tuple[Fake, ...]) -> Board:
    make_study(root, models, PRESETS["standard"])
    return build_board(load_records(root))[0]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return _board(tmp_path_factory.mktemp("four"), (*CANONICAL_FAKES, Fake("dead", fails=tuple(_EVERY))))


_EVERY = [(position, seed) for position in range(5) for seed in range(3)]


def test_every_ranked_row_stands_there_once_with_its_interval(board: Board) -> None:
    with styled():
        figure = ranks(board)
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names == [row.name for row in board.rows if row.rank is not None]
    assert "dead" not in names
    bars = [line.get_xdata() for line in figure.axes[0].lines if line.get_linewidth() == 3]
    assert [tuple(bar) for bar in bars] == [(r.rank_low, r.rank_high) for r in board.rows if r.rank is not None]


def test_rows_that_share_a_rank_share_a_band(board: Board) -> None:
    with styled():
        bands = ranks(board).axes[0].patches
    tiers = list(dict.fromkeys(row.rank for row in board.rows if row.rank is not None))
    assert len(bands) == (len(tiers) + 1) // 2
    first = sum(row.rank == 1 for row in board.rows)
    assert bands[0].get_height() == pytest.approx(first)


def test_a_large_board_shows_its_best_rows_and_says_so(tmp_path: Path) -> None:
    models = tuple(Fake(f"model_{k:02d}", 0.5 + 0.01 * k) for k in range(MOST + 3))
    with styled():
        texts = _texts(ranks(_board(tmp_path, models)))
    assert any(f"the best {MOST} of {MOST + 3}" in text for text in texts)
    assert "model_00" not in texts
