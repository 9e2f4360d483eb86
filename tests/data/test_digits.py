"""The digits that scikit-learn ships."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from bench.data.digits import digits_identity, open_digits
from tests.data.makers import prepared


def test_digits_are_all_there_with_a_stratified_fifth_for_test():
    source = open_digits()
    assert source.classes == [str(k) for k in range(10)]
    assert (len(source.train), len(source.test)) == (1438, 359)
    whole = np.bincount(load_digits().target)
    assert (np.abs(np.bincount(source.test.labels) - whole / 5) < 1).all()
    assert source.flip is False


def test_no_image_is_in_both_splits_and_each_has_its_own_label():
    source, bunch = open_digits(), load_digits()
    seen = []
    for split in (source.train, source.test):
        for label, example in zip(split.labels, split.walk(), strict=True):
            index = int(example.name.removeprefix("digits[").removesuffix("]"))
            seen.append(index)
            assert label == bunch.target[index]
    assert sorted(seen) == list(range(1797))


def test_grey_values_are_stretched_to_a_byte():
    source, bunch = open_digits(), load_digits()
    example = next(source.train.walk())
    index = int(example.name[7:-1])
    assert np.array_equal(np.asarray(example.read()), np.rint(bunch.images[index] * 255 / 16))


def test_the_test_split_is_the_same_at_every_call():
    first, second = (sorted(e.name for e in open_digits().test.walk()) for _ in range(2))
    assert first == second


def test_digits_are_stored_grey_at_their_own_size(tmp_path):
    info = prepared("digits", tmp_path, img_size=32)
    assert (info.channels, info.native_px, info.cached_px) == (1, 8, 8)
    assert (info.n_train, info.n_test, sum(info.train_counts)) == (1438, 359, 1438)


def test_the_packaged_file_is_the_identity():
    assert len(digits_identity()) == 64
