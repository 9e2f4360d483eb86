"""Made-up answers and probabilities of made-up models, on disk as a study leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.agreement import wanted_images
from bench.analysis.answers import read_answers
from bench.analysis.board import Board, build_board
from bench.protocol import PRESETS
from bench.records import RunRecord
from bench.store import Store, load_records
from bench.training.metrics import evaluate_logits
from tests.samples import Fake, make_study


def answered_study(
    root: Path,
    models: Sequence[Fake],
    *,
    seeds: tuple[int, ...] = (0, 1),
    logits: bool = True,
    classes: int = 10,
    n_test: int = 360,
    name: str = "{}",
) -> tuple[Board, Store]:
    """A study of one train size, with logits that fit its predictions unless told otherwise."""
    protocol = replace(PRESETS["quick"], seeds=seeds, train_sizes=(1.0,))
    names = [name.format(k) for k in range(classes)]
    make_study(root, models, protocol, classes=names, n_train=max(1437, 20 * classes), n_test=n_test)
    store = Store(root)
    for record in load_records(root).runs if logits else ():
        if record.test is not None:
            add_logits(store, record)
    return build_board(load_records(root))[0], store


def add_logits(store: Store, record: RunRecord) -> None:
    """Give a run logits whose largest is its prediction, more so where that is right, and the metrics they have."""
    arrays = store.predictions(record.cell)
    label, prediction = np.asarray(arrays["label"]), np.asarray(arrays["prediction"])
    rng = np.random.default_rng((record.cell.seed, len(record.cell.model)))
    logits = rng.normal(0, 1, (len(label), len(record.data.classes))).astype(np.float32)
    lead = rng.exponential(2.5, len(label)) * np.where(prediction == label, 1.6, 0.4)
    logits[np.arange(len(label)), prediction] = logits.max(axis=1) + lead + 1e-3
    store.write_run(record.model_copy(update={"test": evaluate_logits(logits, label)}), {**arrays, "logits": logits})


def rewrite(store: Store, record: RunRecord, prediction: NDArray[np.int64], **changes: Any) -> None:
    """Replace a run's predictions, its record's metrics with them; `changes` are arrays that stay false to it."""
    label = np.asarray(store.predictions(record.cell)["label"])
    logits = np.eye(len(record.data.classes), dtype=np.float32)[prediction]
    arrays = {"index": np.arange(len(label)), "label": label, "prediction": prediction, **changes}
    store.write_run(record.model_copy(update={"test": evaluate_logits(logits, label)}), arrays)


def keep_images(board: Board, store: Store, *, but: int = 0, channels: int = 3) -> list[int]:
    """Keep made-up thumbnails of all that a board wants to show but the first few; returns what is wanted."""
    wanted = wanted_images(read_answers(board, store), len(board.data.classes))
    rng = np.random.default_rng(0)
    pixels = {k: rng.integers(0, 256, (8, 8, channels), dtype=np.uint8) for k in wanted[but:]}
    store.write_thumbnails(board.key.data_fingerprint, pixels)
    return wanted
