"""Confusions in numbers and words: CSV gives the counts back, Markdown the worst pairs with how sure they are."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from markdown_it import MarkdownIt

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.report.confusion import confusion_csv, confusion_markdown, confusion_texts
from tests.samples import Fake, make_study

COUNTS = np.array([[8, 2, 0], [3, 7, 0], [0, 0, 0]])


def _board(root: Path, name: str = "class {}") -> Board:
    make_study(root, models=(Fake("resnet18", 0.8),), classes=[name.format(k) for k in range(3)])
    return build_board(load_records(root))[0]


def test_the_csv_is_normalised_by_row_and_gives_the_counts_back() -> None:
    lines = list(csv.reader(io.StringIO(confusion_csv(["a", "b,c", "d"], COUNTS))))
    assert lines[0] == ["true \\ predicted", "a", "b,c", "d", "images"]
    assert lines[1] == ["a", "0.8", "0.2", "0", "10"]
    assert lines[3] == ["d", "", "", "", "0"]
    back = [[round(float(share or 0) * int(line[-1])) for share in line[1:-1]] for line in lines[1:]]
    assert back == COUNTS.tolist()


def test_the_markdown_has_the_worst_pairs_first_and_every_class_lowest_recall_first(tmp_path: Path) -> None:
    board = _board(tmp_path, "c{} <b>")
    text = confusion_markdown(board, board.rows[0], COUNTS[None])
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "<b>" not in html
    pairs, recalls = text.split("## ")[1:]
    assert pairs.index("30.0") < pairs.index("20.0")
    assert recalls.index("70.0") < recalls.index("80.0") < recalls.index("0 of 0")
    perfect = confusion_markdown(board, board.rows[0], np.diag([5, 5, 5])[None])
    assert "No image was confused." in perfect


def test_a_pair_has_its_interval_its_reverse_and_its_direction(tmp_path: Path) -> None:
    board = _board(tmp_path)
    counts = np.array([[60, 40, 0], [1, 99, 0], [0, 0, 100]])
    text = confusion_markdown(board, board.rows[0], counts[None])
    worst = next(line for line in text.splitlines() if "40.0" in line)
    assert [cell.strip() for cell in worst.strip("|").split("|")][:6] == [
        "class 0", "class 1", "40.0", "30.9–49.8", "1.0", "one way",
    ]  # fmt: skip


def test_one_seed_says_that_it_cannot_show_what_repeats_and_several_say_in_how_many(tmp_path: Path) -> None:
    board = _board(tmp_path)
    alone = confusion_markdown(board, board.rows[0], COUNTS[None])
    assert "One seed cannot show what repeats." in alone
    assert "worst in" not in alone
    several = confusion_markdown(board, board.rows[0], np.stack([COUNTS, np.diag([10, 10, 0])]))
    assert "1 of 2" in several
    assert "One seed" not in several


def test_every_row_has_its_texts_however_many_there_are(tmp_path: Path) -> None:
    make_study(tmp_path, models=[Fake(f"m{k}", 0.9 - 0.01 * k) for k in range(23)])
    (board,) = build_board(load_records(tmp_path))
    found = dict(confusion_texts(board))
    assert len(found) == 23
    assert all(set(files) == {".csv", ".md"} for files in found.values())
