"""What all sources share: class names, label codes, names to show, and which labels survive a mirror."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.examples import (
    Example,
    Source,
    Split,
    class_codes,
    encode_labels,
    flip_keeps_labels,
    shown_name,
    with_held_out_test,
)
from bench.errors import UsageError


def split(labels):
    return Split(np.array(labels), lambda: (Example(str(k), bytes) for k in range(len(labels))))


def test_a_part_of_a_split_keeps_order_labels_and_names_together():
    part = split([5, 6, 7, 8]).only(np.array([3, 1]))
    assert part.labels.tolist() == [6, 8]
    assert [e.name for e in part.walk()] == ["1", "3"] == [e.name for e in part.walk()]


def test_named_classes_are_positions_even_where_a_class_does_not_occur():
    classes, code = class_codes(["cat", "dog", "fox"], [2, 0])
    assert classes == ["cat", "dog", "fox"]
    assert encode_labels([2, 0], code, "train").tolist() == [2, 0]


@pytest.mark.parametrize(
    ("raw", "classes"), [([10, 9, 10], ["9", "10"]), (["b", "a"], ["a", "b"]), ([1, "a", None], ["1", "a"])]
)
def test_classes_without_names_are_the_sorted_values(raw, classes):
    assert class_codes(None, raw)[0] == classes


def test_a_value_that_train_did_not_have_is_named_with_its_place():
    _, code = class_codes(None, ["a", "b"])
    with pytest.raises(UsageError, match="pets test: label 'c' is not among the 2 classes of train"):
        encode_labels(["a", "c"], code, "pets test")


@pytest.mark.parametrize("name", ["digits", "torch/mnist", "MNIST", "hfds/ylecun/mnist", "torch/svhn", "torch/kmnist"])
def test_sets_of_characters_are_not_mirrored(name):
    assert not flip_keeps_labels(name, ["zero", "one"])


@pytest.mark.parametrize("name", ["torch/cifar10", "torch/cifar100", "torch/fashion_mnist", "pets"])
def test_sets_of_things_are_mirrored(name):
    assert flip_keeps_labels(name, ["one thing", "another"])


def test_classes_that_are_characters_are_not_mirrored_but_missing_names_say_nothing():
    assert not flip_keeps_labels("plates", ["A", "B", "7"])
    assert flip_keeps_labels("plates", [])


@pytest.mark.parametrize(
    ("name", "formats", "shown"),
    [
        ("cifar10", {"JPEG"}, "cifar10-jpeg"),
        ("Fashion-MNIST", {"JPEG", "PNG"}, "Fashion-MNIST-jpeg"),
        ("cifar10", {"PNG", None}, "cifar10"),
        ("flowers", {"JPEG"}, "flowers"),
        ("cifar10-jpeg", {"JPEG"}, "cifar10-jpeg"),
    ],
)
def test_only_a_jpeg_copy_of_a_lossless_set_gets_another_name(name, formats, shown):
    assert shown_name(name, formats) == shown


def test_a_held_out_test_split_takes_nothing_twice():
    source = with_held_out_test(Source("pets", ["a1", "b1"], split([0] * 10 + [1] * 5), split([]), flip=True))
    names = [[e.name for e in part.walk()] for part in (source.train, source.test)]
    assert sorted(names[0] + names[1], key=int) == [str(k) for k in range(15)]
    assert np.bincount(source.test.labels).tolist() == [2, 1]
