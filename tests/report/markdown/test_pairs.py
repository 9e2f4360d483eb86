"""All comparisons: complete in `pairs.csv`, and on the page as many as a reader can use."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.protocol import PRESETS
from bench.report.markdown import pairs as pairs_module
from bench.report.markdown.pairs import BEST, PAIR_COLUMNS, pairs_csv, pairs_section
from tests.samples import CANONICAL_FAKES, Fake, make_study

ONE_SIZE = replace(PRESETS["quick"], train_sizes=(1.0,))
TWENTY_FIVE = tuple(Fake(f"m{k:02d}", 0.95 - 0.02 * k) for k in range(25))


def _board(root: Path, **study: Any) -> Board:
    make_study(root, **study)
    return build_board(load_records(root))[0]


def _lines(text: str) -> list[list[str]]:
    return [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")][2:]


def test_the_csv_holds_every_pair_at_every_size_as_the_board_has_it(tmp_path: Path) -> None:
    board = _board(tmp_path)
    lines = list(csv.DictReader(io.StringIO(pairs_csv([board]))))
    assert list(lines[0]) == list(PAIR_COLUMNS)
    assert len(lines) == 3 * 6
    for line in lines:
        pair = board.pairs.between(line["first"], line["second"], int(line["size"]))
        assert pair is not None
        assert float(line["difference"]) == pytest.approx(pair.difference, rel=1e-4)
        assert float(line["low"]) <= float(line["difference"]) <= float(line["high"])
        assert (line["board"], line["test"], line["apart"]) == (board.id, "mcnemar", str(pair.apart))


def test_of_a_very_large_board_the_csv_holds_the_best_rows_at_the_largest_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs_module, "MOST_ROWS", 3)
    board = _board(tmp_path)
    lines = list(csv.DictReader(io.StringIO(pairs_csv([board]))))
    assert {line["size"] for line in lines} == {str(board.train_sizes[-1])}
    assert {line[name] for line in lines for name in ("first", "second")} == {row.name for row in board.rows[:3]}


def test_with_few_rows_the_page_shows_every_pair_at_every_size(tmp_path: Path) -> None:
    board = _board(tmp_path)
    lines = _lines(pairs_section(board))
    assert len(lines) == 3 * 6
    assert [line[2] for line in lines] == ["1,293"] * 6 + ["388"] * 6 + ["129"] * 6
    told = {line[-1] for line in lines}
    assert told == {"yes", "no"}


def test_with_many_rows_the_page_shows_the_best_and_the_neighbours_and_says_so(tmp_path: Path) -> None:
    board = _board(tmp_path, models=TWENTY_FIVE, protocol=ONE_SIZE)
    text = pairs_section(board)
    names = [row.name for row in board.rows]
    shown = [(line[0], line[1]) for line in _lines(text)]
    assert len(shown) == BEST * (BEST - 1) // 2 + 25 - BEST
    assert {name for pair in shown[:66] for name in pair} == set(names[:BEST])
    assert shown[66:] == list(zip(names[BEST - 1 :], names[BEST:], strict=False))
    assert f"Pairs of the best {BEST} rows" in text
    assert "[pairs.csv](pairs.csv)" in text


def test_the_test_that_was_used_is_named(tmp_path: Path) -> None:
    one = pairs_section(_board(tmp_path / "1"))
    three = pairs_section(_board(tmp_path / "3", protocol=replace(PRESETS["quick"], seeds=(0, 1, 2))))
    assert "McNemar" in one
    assert "McNemar" not in three
    assert "paired bootstrap over seeds and test images" in three


def test_a_single_row_has_no_pairs(tmp_path: Path) -> None:
    board = _board(tmp_path, models=CANONICAL_FAKES[:1])
    assert pairs_section(board) == ""
    assert pairs_csv([board]).count("\n") == 1


def test_a_name_full_of_markup_shows_as_text(tmp_path: Path) -> None:
    text = pairs_section(_board(tmp_path, models=(Fake("<script>|x"), Fake("b", 0.5))))
    assert "<script" not in MarkdownIt("commonmark").enable("table").render(text)
    assert {len(line) for line in _lines(text.replace("\\|", "/"))} == {10}
