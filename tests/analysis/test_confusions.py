"""Confusion counts: summed, normalised by true class, worst pairs first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from bench import build_board, load_records
from bench.analysis.confusions import Confused, by_true_class, most_confused, pooled_confusion
from bench.protocol import PRESETS
from tests.samples import Fake, make_study

COUNTS = np.array([[8, 2, 0], [3, 7, 0], [0, 0, 0]])


def test_rows_are_parts_of_their_true_class_and_a_class_without_images_has_none() -> None:
    shares = by_true_class(COUNTS)
    assert shares[:2].tolist() == [[0.8, 0.2, 0.0], [0.3, 0.7, 0.0]]
    assert np.isnan(shares[2]).all()


def test_the_most_confused_pair_is_the_one_that_takes_most_of_its_class() -> None:
    assert most_confused(COUNTS, 5) == [Confused(1, 0, 3, 0.3), Confused(0, 1, 2, 0.2)]
    assert most_confused(COUNTS, 1) == [Confused(1, 0, 3, 0.3)]
    assert most_confused(np.diag([3, 4]), 5) == []


def test_counts_are_those_of_the_largest_train_size_summed_over_seeds(tmp_path: Path) -> None:
    make_study(tmp_path, models=(Fake("a"),), protocol=replace(PRESETS["quick"], seeds=(0, 1)))
    (board,) = build_board(load_records(tmp_path))
    expected = sum(
        np.array(r.test.confusion) for r in load_records(tmp_path).runs if r.test and r.cell.train_size == 1293
    )
    counts = pooled_confusion(board.rows[0])
    assert counts is not None
    assert counts.sum() == 720
    assert (counts == expected).all()


def test_a_row_without_a_result_has_no_confusions(tmp_path: Path) -> None:
    make_study(tmp_path, models=(Fake("a", fails=((0, 0), (1, 0), (2, 0))),))
    (board,) = build_board(load_records(tmp_path))
    assert pooled_confusion(board.rows[0]) is None
