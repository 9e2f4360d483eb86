"""Confusions: counted, normalised by true class, worst pairs first, each with how sure it is; classes in one order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from bench import build_board, load_records
from bench.analysis.confusions import (
    Confused,
    by_true_class,
    class_order,
    equal_rates,
    judged_pairs,
    most_confused,
    pooled_confusion,
    recalls,
    seed_confusions,
    telling_classes,
    wilson_shares,
    worst_classes,
)
from bench.analysis.intervals import wilson
from bench.protocol import PRESETS
from tests.samples import Fake, make_study

COUNTS = np.array([[8, 2, 0], [3, 7, 0], [0, 0, 0]])


def _counts(classes: int, images: int, **confused: int) -> np.ndarray:
    """[1, classes, classes] with `images` of each class, all right but for `a_b=count` taken from a to b."""
    counts = np.diag([images] * classes)
    for pair, count in confused.items():
        a, b = (int(k) for k in pair.removeprefix("c").split("_"))
        counts[a, b] += count
        counts[a, a] -= count
    return counts[None]


def test_rows_are_parts_of_their_true_class_and_a_class_without_images_has_none() -> None:
    shares = by_true_class(COUNTS)
    assert shares[:2].tolist() == [[0.8, 0.2, 0.0], [0.3, 0.7, 0.0]]
    assert np.isnan(shares[2]).all()


def test_the_most_confused_pair_is_the_one_that_takes_most_of_its_class() -> None:
    assert most_confused(COUNTS, 5) == [Confused(1, 0, 3, 0.3), Confused(0, 1, 2, 0.2)]
    assert most_confused(COUNTS, 1) == [Confused(1, 0, 3, 0.3)]
    assert most_confused(np.diag([3, 4]), 5) == []


def test_counts_are_those_of_the_largest_train_size_by_seed_and_summed(tmp_path: Path) -> None:
    make_study(tmp_path, models=(Fake("a"),), protocol=replace(PRESETS["quick"], seeds=(0, 1)))
    (board,) = build_board(load_records(tmp_path))
    expected = [np.array(r.test.confusion) for r in load_records(tmp_path).runs if r.test and r.cell.train_size == 1293]
    by_seed, counts = seed_confusions(board.rows[0]), pooled_confusion(board.rows[0])
    assert by_seed is not None
    assert counts is not None
    assert by_seed.shape == (2, 10, 10)
    assert counts.sum() == 720
    assert (counts == sum(expected)).all()
    assert (by_seed.sum(axis=0) == counts).all()


def test_a_row_without_a_result_has_no_confusions(tmp_path: Path) -> None:
    make_study(tmp_path, models=(Fake("a", fails=((0, 0), (1, 0), (2, 0))),))
    (board,) = build_board(load_records(tmp_path))
    assert pooled_confusion(board.rows[0]) is None
    assert seed_confusions(board.rows[0]) is None


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_whole_count_is_wilsons(case: tuple[int, int]) -> None:
    successes, n = case
    low, high = wilson_shares(np.array([successes / n]), np.array([n]))
    assert (low[0], high[0]) == pytest.approx(wilson(successes, n), abs=1e-9)


def test_three_seeds_on_the_same_images_do_not_make_an_interval_narrower_than_one() -> None:
    one = _counts(3, 50, c0_1=10)
    (alone, *_), (thrice, *_) = judged_pairs(one, 5), judged_pairs(np.concatenate([one] * 3), 5)
    assert (alone.low, alone.high) == pytest.approx((thrice.low, thrice.high))
    assert alone.images == thrice.images == 50
    assert thrice.pair.count == 3 * alone.pair.count


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.05, 0.95))
def test_the_direction_test_is_the_exact_binomial_one(first: int, second: int, part: float) -> None:
    expected = binomtest(first, first + second, part).pvalue if first + second else 1.0
    assert equal_rates(first, second, part) == pytest.approx(expected, abs=1e-9)


def test_a_pair_confused_in_one_direction_is_told_from_one_confused_in_both() -> None:
    found = {(p.pair.true, p.pair.predicted): p for p in judged_pairs(_counts(6, 100, c0_1=30, c2_3=25, c3_2=22), 10)}
    assert found[0, 1].direction == "one way"
    assert found[0, 1].reverse == 0
    assert found[2, 3].direction == found[3, 2].direction == "both ways"
    assert found[2, 3].reverse == 0.22


def test_a_direction_is_relative_to_the_images_of_each_class() -> None:
    """Ten of 100 against one of ten: the same share, so no direction, although the counts differ tenfold."""
    counts = np.array([[[90, 10], [1, 9]]])
    assert judged_pairs(counts, 2)[0].p == 1.0


def test_a_single_mistake_is_undecided_and_not_above_chance() -> None:
    (found,) = judged_pairs(_counts(3, 20, c0_1=1), 5)
    assert (found.direction, found.above_in, found.p) == ("undecided", 0, 1.0)


def test_a_pair_that_repeats_is_told_from_one_that_is_a_seeds_own() -> None:
    first, second = _counts(6, 100, c0_1=30, c4_5=20), _counts(6, 100, c0_1=28, c2_3=20)
    found = {(p.pair.true, p.pair.predicted): p for p in judged_pairs(np.concatenate([first, second]), 3)}
    assert (found[0, 1].worst_in, found[0, 1].above_in, found[0, 1].seeds) == (2, 2, 2)
    assert (found[4, 5].worst_in, found[4, 5].above_in) == (1, 1)


def test_with_two_classes_no_pair_can_be_above_mistakes_spread_evenly() -> None:
    assert judged_pairs(_counts(2, 50, c0_1=25), 2)[0].above_in == 0


def test_no_mistake_gives_no_pair() -> None:
    assert judged_pairs(_counts(4, 10), 5) == []


def test_recall_is_the_mean_over_seeds_and_empty_for_a_class_without_images() -> None:
    found = recalls(np.stack([COUNTS, np.array([[10, 0, 0], [3, 7, 0], [0, 0, 0]])]))
    assert found.recall[:2].tolist() == [0.9, 0.7]
    assert found.images.tolist() == [10, 10, 0]
    assert np.isnan([found.recall[2], found.low[2], found.high[2]]).all()
    assert (found.low[1], found.high[1]) == pytest.approx(wilson(7, 10))


def _blocks(seed: int, classes: int = 30, size: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Counts in which classes are confused only within hidden groups of `size`, and the group of each class."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(classes // size), size))
    same = group[:, None] == group[None]
    return np.where(np.eye(classes, dtype=bool), 80, 10 * same), group


def test_classes_that_are_taken_for_each_other_stand_together() -> None:
    counts, group = _blocks(0)
    order = class_order([counts])
    assert sorted(order.tolist()) == list(range(30))
    assert int((np.diff(group[order]) != 0).sum()) == 9


def test_the_order_is_that_of_all_models_together_whatever_their_sequence() -> None:
    (first, _), (second, _) = _blocks(1), _blocks(2)
    assert class_order([first, second]).tolist() == class_order([second, first]).tolist()
    assert class_order([first, second]).tolist() != class_order([first]).tolist()


def test_few_classes_and_classes_without_confusions_keep_their_own_order() -> None:
    counts, _ = _blocks(0, classes=18)
    assert class_order([counts]).tolist() == list(range(18))
    assert class_order([np.diag([5] * 40)]).tolist() == list(range(40))
    with pytest.raises(ValueError, match="no counts"):
        class_order([])


def test_a_class_without_images_still_has_a_place_in_the_order() -> None:
    counts, _ = _blocks(0)
    counts[7] = 0
    assert sorted(class_order([counts]).tolist()) == list(range(30))


def test_the_worst_classes_are_those_of_the_worst_pairs_and_at_most_so_many() -> None:
    counts = _counts(40, 100, c5_9=50, c9_5=1, c20_21=30, c30_31=2)[0]
    assert worst_classes(counts, 4) == [5, 9, 20, 21]
    assert worst_classes(counts, 3) == [5, 9]
    assert worst_classes(np.diag([4, 4]), 20) == []


def test_the_classes_shown_are_the_hardest_and_those_that_tell_models_apart() -> None:
    recall = np.full((2, 100), 0.9)
    recall[:, 3] = 0.1
    recall[0, 50], recall[1, 50] = 0.5, 1.0
    recall[:, 70] = np.nan
    shown = telling_classes(recall, 6).tolist()
    assert len(shown) == 6
    assert {3, 50} <= set(shown)
    assert 70 not in shown
    assert telling_classes(recall, 100).tolist() == list(range(100))
