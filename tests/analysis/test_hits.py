"""Packed hits count and resample as the plain ones do, in blocks and for rows whose seeds differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from bench.analysis import hits as module
from bench.analysis.intervals import image_counts, resample_images, seed_deviations
from tests.analysis.planted import as_hits

RIGHT = arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 40)))


@given(RIGHT)
def test_images_that_runs_get_right_alone_and_together_are_counted(right: NDArray[np.bool_]) -> None:
    hits = as_hits(right)
    assert (hits.right == right.sum(axis=2)).all()
    last = right.shape[1] - 1
    expected = right[:, 0].astype(int) @ right[:, last].astype(int).T
    assert (hits.together(0, last) == expected).all()


def test_counting_in_chunks_of_images_gives_what_it_gives_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    right = np.random.default_rng(1).random((5, 2, 101)) < 0.7
    whole = as_hits(right).together(0, 1)
    monkeypatch.setattr(module, "_CHUNK_IMAGES", 16)
    assert (as_hits(right).together(0, 1) == whole).all()


def test_replicates_are_means_over_each_rows_own_seeds_with_images_and_seeds_drawn_jointly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BLOCK_ROWS", 2)
    rng = np.random.default_rng(2)
    right = rng.random((5, 3, 200)) < 0.8
    present = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]], dtype=bool)
    counts = image_counts(200, 50)
    found = as_hits(right, present).replicates(counts)
    for k, there in enumerate(present):
        own = right[k, there]
        expected = resample_images(own.mean(axis=0)[None], counts) + seed_deviations(own.mean(axis=1)[None], 50)
        assert found[k] == pytest.approx(expected[0].clip(0, 1), abs=1e-5)


def test_rows_with_equal_predictions_have_equal_replicates_and_none_leaves_0_to_1() -> None:
    right = np.ones((3, 2, 60), dtype=bool)
    right[2, 0, ::3] = False
    found = as_hits(right).replicates(image_counts(60, 200))
    assert (found[0] == found[1]).all()
    assert found.min() >= 0
    assert found.max() <= 1
