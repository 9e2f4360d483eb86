"""Predictions count only if they are those of their record, and images are the same only in the same order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.analysis.predictions import PER_IMAGE, images_digest, right_answers
from bench.records import RunRecord
from tests.samples import DATA, make_metrics, make_run


def _run() -> tuple[RunRecord, dict[str, NDArray[Any]]]:
    label = np.arange(20) % 10
    prediction = np.where(np.arange(20) < 5, (label + 1) % 10, label)
    arrays = {"index": np.arange(20), "label": label, "prediction": prediction}
    return make_run(test=make_metrics(label, prediction, DATA)), arrays


def test_predictions_of_the_record_say_which_images_are_right() -> None:
    run, arrays = _run()
    hits = right_answers(arrays, run)
    assert hits is not None
    assert hits.tolist() == [k >= 5 for k in range(20)]


@pytest.mark.parametrize("name", PER_IMAGE)
def test_a_part_that_is_missing_or_of_another_length_makes_all_of_it_not_there(name: str) -> None:
    run, arrays = _run()
    assert right_answers({k: v for k, v in arrays.items() if k != name}, run) is None
    assert right_answers({**arrays, name: arrays[name][:-1]}, run) is None


def test_predictions_of_another_accuracy_or_of_a_run_without_a_result_are_refused() -> None:
    run, arrays = _run()
    assert right_answers({**arrays, "prediction": arrays["label"]}, run) is None
    assert right_answers(arrays, run.model_copy(update={"test": None})) is None


def test_the_digest_follows_images_labels_and_order_but_not_the_type_of_the_numbers() -> None:
    _, arrays = _run()
    index, label = arrays["index"], arrays["label"]
    same = images_digest(index.astype(np.int32), label.astype(np.uint8))
    assert images_digest(index, label) == same
    assert images_digest(index[::-1], label[::-1]) != same
    assert images_digest(index, (label + 1) % 10) != same
