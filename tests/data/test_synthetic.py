"""The synthetic tasks: what decides the label is where it should be, and nowhere else."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.data.cache import lookup, prepare
from bench.data.sources import SYNTHETIC, parse
from bench.data.synthetic import N_TEST, N_TRAIN, TASKS, open_synthetic
from bench.errors import UsageError

RELATIONS = ("distant-pair", "same-different", "path")


@cache
def _drawn(name: str) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Train images, labels, test images, labels; images float [n, 32, 32]."""
    source = open_synthetic(name)
    splits = []
    for split in (source.train, source.test):
        images = np.stack([np.asarray(example.read(), dtype=float) for example in split.walk()])
        splits += [images, split.labels]
    return tuple(splits)  # type: ignore[return-value]


def _score(name: str, features: str, model: object) -> float:
    """Test accuracy of a classifier that is shown nothing but some features."""
    train, label, test, truth = _drawn(name)
    see = FEATURES[features]
    model.fit(see(train), label)  # type: ignore[attr-defined]
    return float((model.predict(see(test)) == truth).mean())  # type: ignore[attr-defined]


def _histogram(images: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.histogram(image, bins=16, range=(0, 256))[0] for image in images])


def _patch(row: int, column: int, images: NDArray[np.float64], px: int = 8) -> NDArray[np.float64]:
    return images[:, row : row + px, column : column + px].reshape(len(images), -1)


def _patches(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 64 patches of 4×4 pixels of every image, float [n, 64, 16]."""
    return images.reshape(len(images), 8, 4, 8, 4).swapaxes(2, 3).reshape(len(images), 64, 16)


FEATURES = {
    "mean": lambda images: images.mean((1, 2))[:, None],
    "histogram": _histogram,
    "patch at the left": lambda images: _patch(12, 0, images),
    "patch in the middle": lambda images: _patch(12, 12, images),
    "patch at the right": lambda images: _patch(8, 24, images),
    "all pixels": lambda images: images.reshape(len(images), -1),
}


def _linear() -> object:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize(
    "features", ["mean", "histogram", "patch at the left", "patch in the middle", "patch at the right"]
)
def test_no_trivial_statistic_solves_a_relation(name: str, features: str) -> None:
    """Trees find any dependence, not only a linear one; the bound is 3.5 standard errors above chance."""
    found = _score(name, features, HistGradientBoostingClassifier(max_iter=40, random_state=0))
    assert found < 0.5 + 3.5 * (0.25 / N_TEST) ** 0.5


@pytest.mark.parametrize("name", RELATIONS)
def test_patches_without_their_places_do_not_solve_a_relation(name: str) -> None:
    """The counts of 32 kinds of 4×4 patches."""
    train, label, test, truth = _drawn(name)
    kinds = MiniBatchKMeans(32, random_state=0, n_init=1).fit(_patches(train[:1000]).reshape(-1, 16))

    def counts(images: NDArray[np.float64]) -> NDArray[np.int64]:
        kind = kinds.predict(_patches(images).reshape(-1, 16)).reshape(len(images), -1)
        return np.stack([np.bincount(one, minlength=32) for one in kind])

    model = HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(counts(train), label)
    assert (model.predict(counts(test)) == truth).mean() < 0.5 + 3.5 * (0.25 / N_TEST) ** 0.5


@pytest.mark.parametrize("name", RELATIONS)
def test_no_weighted_sum_of_pixels_solves_a_relation(name: str) -> None:
    assert _score(name, "all pixels", _linear()) < 0.5 + 3.5 * (0.25 / N_TEST) ** 0.5


@pytest.mark.parametrize("features", ["mean", "histogram"])
def test_a_texture_is_in_no_statistic_of_its_values(features: str) -> None:
    found = _score("texture", features, HistGradientBoostingClassifier(max_iter=40, random_state=0))
    assert found < 0.25 + 3.5 * (0.1875 / N_TEST) ** 0.5


@pytest.mark.parametrize("features", ["patch at the left", "patch in the middle", "patch at the right"])
def test_any_single_patch_decides_a_texture(features: str) -> None:
    assert _score("texture", features, HistGradientBoostingClassifier(max_iter=60, random_state=0)) > 0.9


def _low(half: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the bright bar of 14×6 pixels in a half of the image is in its lower half."""
    summed = np.lib.stride_tricks.sliding_window_view(half, (14, 6), axis=(1, 2)).sum((3, 4))
    return summed.max(axis=2).argmax(axis=1) > 9


def test_the_halves_that_the_two_bars_are_in_decide_a_distant_pair() -> None:
    _, _, test, truth = _drawn("distant-pair")
    same = _low(test[:, :, :16]) == _low(test[:, :, 16:])
    assert (same == truth).mean() > 0.99


def _figure(half: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the figure in half an image has its bright square above."""
    squares = np.lib.stride_tricks.sliding_window_view(half, (4, 4), axis=(1, 2)).mean((3, 4))
    step = squares[:, :-8] - squares[:, 8:]
    return step.max((1, 2)) > -step.min((1, 2))


def test_which_figures_are_shown_decides_same_or_different() -> None:
    _, _, test, truth = _drawn("same-different")
    same = _figure(test[:, :, :16]) == _figure(test[:, :, 16:])
    assert (same == truth).mean() > 0.99


def test_the_two_answers_about_a_path_differ_in_where_the_second_dot_is_and_in_nothing_else() -> None:
    _, draw = TASKS["path"]
    apart, joined = (draw(label, np.random.default_rng(3)) for label in (0, 1))
    changed = np.nonzero(apart != joined)
    assert len(changed[0])
    assert changed[1].min() >= 27


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_task_is_balanced_the_same_every_time_and_no_test_image_is_a_training_image(name: str) -> None:
    train, label, test, truth = _drawn(name)
    assert (len(label), len(truth)) == (N_TRAIN, N_TEST)
    assert np.ptp(np.bincount(label)) <= 1
    assert np.ptp(np.bincount(truth)) <= 1
    again = np.asarray(next(iter(open_synthetic(name).train.walk())).read(), dtype=float)
    assert (again == train[0]).all()
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}


def test_a_task_is_a_dataset_like_any_other(tmp_path: Path) -> None:
    name = "synthetic/texture"
    found = prepare(name, data_dir=None, img_size=32, download=False, cache_dir=tmp_path)
    assert (found.dataset, found.n_train, found.n_test, found.flip) == (name, N_TRAIN, N_TEST, False)
    assert found.duplicates_train_test == 0
    assert lookup(name, data_dir=None, img_size=32, cache_dir=tmp_path) == found


def test_an_unknown_task_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean distant-pair"):
        parse("synthetic/distant-pairs", None, tmp_path)
