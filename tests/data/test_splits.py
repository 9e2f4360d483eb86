"""Subsets are stratified, nested, disjoint from dev and the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.splits import (
    dev_counts,
    dev_split,
    index_sha256,
    nested_order,
    resolve_train_sizes,
    stratified_holdout,
    subset,
)
from bench.errors import UsageError

FROZEN = {
    "dev": [2, 9, 31, 36, 39],
    "subset": [22, 38, 30, 0, 34, 11],
    "holdout": [3, 7, 11, 19, 28, 29, 30, 47, 48, 49],
}

counts_lists = st.lists(st.integers(1, 60), min_size=2, max_size=12)
seeds = st.integers(0, 2**31)


def labels_of(counts, shuffle_seed=None):
    labels = np.repeat(np.arange(len(counts)), counts)
    if shuffle_seed is not None:
        labels = np.random.default_rng(shuffle_seed).permutation(labels)
    return labels


def worst_deviation(labels, order):
    """Largest distance, over all prefixes and classes, between a class count and its exact share."""
    one_hot = np.eye(labels.max() + 1)[labels[order]]
    share = one_hot.mean(0)
    prefix = np.arange(1, len(order) + 1)[:, None]
    return np.abs(one_hot.cumsum(0) - prefix * share).max()


def test_fractions_and_counts_become_counts_in_the_order_given():
    assert resolve_train_sizes((1, 0.1, 250), 1294) == [1294, 129, 250]


def test_a_tiny_fraction_is_at_least_one_image():
    assert resolve_train_sizes((0.001,), 100) == [1]


@pytest.mark.parametrize("size", [101, 5000])
def test_a_size_larger_than_the_data_is_named(size):
    with pytest.raises(UsageError, match=f"train size {size} is larger than the data: 100 images"):
        resolve_train_sizes((0.5, size), 100)


def test_sizes_that_round_to_the_same_count_are_refused():
    with pytest.raises(UsageError, match=r"0\.1 and 10 both come to 10"):
        resolve_train_sizes((0.1, 10), 100)


def test_a_size_of_zero_is_refused():
    with pytest.raises(UsageError, match="not above 0"):
        resolve_train_sizes((0,), 100)


@given(counts_lists.filter(lambda c: max(c) > 1), st.floats(0.01, 0.49), seeds)
def test_dev_and_train_are_disjoint_complete_and_sorted(counts, fraction, shuffle_seed):
    labels = labels_of(counts, shuffle_seed)
    train, dev = dev_split(labels, fraction)
    assert np.array_equal(np.sort(np.concatenate([train, dev])), np.arange(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(dev) > 0).all()


@given(counts_lists.filter(lambda c: max(c) > 1), st.floats(0.01, 0.49))
def test_dev_follows_the_counts_that_the_plan_works_with(counts, fraction):
    labels = labels_of(counts, 0)
    train, dev = dev_split(labels, fraction)
    expected = dev_counts(counts, fraction)
    assert np.bincount(labels[dev], minlength=len(counts)).tolist() == expected
    assert (np.bincount(labels[train], minlength=len(counts)) >= 1).all()
    assert sum(expected) >= 1


@given(st.lists(st.integers(20, 60), min_size=2, max_size=12))
def test_dev_is_a_tenth_of_every_class_up_to_rounding(counts):
    assert all(abs(d - c / 10) < 1 for d, c in zip(dev_counts(counts, 0.1), counts, strict=True))
    assert sum(dev_counts(counts, 0.1)) == max(1, round(sum(counts) * 0.1))


def test_dev_of_many_tiny_classes_is_still_a_tenth():
    assert sum(dev_counts([4] * 100, 0.1)) == 40


def test_no_class_with_an_image_to_spare_is_an_error():
    with pytest.raises(UsageError, match="no class has two training images"):
        dev_split(np.arange(5), 0.1)


@given(counts_lists, seeds, st.data())
def test_subsets_are_nested_without_duplicates_and_within_train(counts, seed, data):
    labels = labels_of(counts, 1)
    train = np.arange(len(labels))[:: data.draw(st.integers(1, 2))]
    small = data.draw(st.integers(1, len(train)))
    large = data.draw(st.integers(small, len(train)))
    few, many = subset(labels, train, small, seed), subset(labels, train, large, seed)
    assert set(few) <= set(many) <= set(train)
    assert len(set(few)) == small
    assert len(set(many)) == large


@settings(max_examples=300)
@given(st.lists(st.integers(1, 400), min_size=2, max_size=12), seeds)
def test_every_prefix_is_in_proportion_to_the_classes(counts, seed):
    labels = labels_of(counts)
    assert worst_deviation(labels, nested_order(labels, np.arange(len(labels)), seed)) < 2


def test_many_small_classes_do_not_enter_at_the_expense_of_a_large_one():
    labels = labels_of([900] + [1] * 99)
    assert worst_deviation(labels, nested_order(labels, np.arange(len(labels)), 0)) < 2


@given(st.integers(2, 30), st.integers(1, 20), seeds)
def test_prefixes_of_equal_classes_differ_by_less_than_an_image(classes, each, seed):
    labels = labels_of([each] * classes)
    order = nested_order(labels, np.arange(len(labels)), seed)
    assert worst_deviation(labels, order) < 1 + 1e-9
    assert len(set(labels[order[:classes]])) == classes


def test_rows_sorted_by_class_still_give_balanced_subsets():
    labels = labels_of([5000] * 10)
    train, _ = dev_split(labels, 0.1)
    assert np.bincount(labels[subset(labels, train, 100, 0)]).tolist() == [10] * 10


@given(counts_lists, seeds)
def test_equal_seeds_give_equal_subsets_whatever_the_order_of_train(counts, seed):
    labels = labels_of(counts, 2)
    train = np.arange(len(labels))
    assert np.array_equal(nested_order(labels, train, seed), nested_order(labels, train[::-1], seed))


def test_each_seed_draws_its_own_subset_but_the_same_dev():
    labels = labels_of([50] * 10)
    train, dev = dev_split(labels, 0.1)
    hashes = {index_sha256(subset(labels, train, 100, seed)) for seed in range(5)}
    assert len(hashes) == 5
    assert not set(dev) & set(subset(labels, train, len(train), 3))


def test_splits_never_change_between_versions():
    labels = labels_of([7, 30, 13])
    train, dev = dev_split(labels, 0.1)
    assert dev.tolist() == FROZEN["dev"]
    assert subset(labels, train, 6, 0).tolist() == FROZEN["subset"]
    assert stratified_holdout(labels, 0.2, 0)[1].tolist() == FROZEN["holdout"]


def test_the_index_hash_is_of_the_set_not_of_the_order():
    assert index_sha256(np.array([3, 1, 2])) == index_sha256(np.array([1, 2, 3], dtype=np.int32))
    assert index_sha256(np.array([1, 2])) != index_sha256(np.array([1, 3]))


def test_a_subset_larger_than_train_is_refused():
    with pytest.raises(UsageError, match="larger than the data"):
        subset(np.zeros(4, dtype=int), np.arange(4), 5, 0)


@given(counts_lists, st.floats(0.05, 0.5), seeds)
def test_a_holdout_leaves_every_class_an_image(counts, fraction, seed):
    labels = labels_of(counts, 3)
    rest, held = stratified_holdout(labels, fraction, seed)
    assert len(rest) + len(held) == len(labels)
    assert not set(rest) & set(held)
    assert set(labels[rest]) == set(range(len(counts)))
