"""The hits of a board's runs: those of every train size, as the predictions say, only of runs with the same images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.analysis.evidence import Evidence
from bench.analysis.rows import make_rows
from bench.protocol import PRESETS
from bench.store import load_records
from tests.samples import Fake, make_study

TWO_SEEDS = replace(PRESETS["quick"], seeds=(0, 3))
SIZES = (129, 388, 1293)


def test_hits_of_every_size_and_seed_are_what_the_predictions_say(tmp_path: Path) -> None:
    make_study(tmp_path, (Fake("a"), Fake("b", fails=((0, 3),))), TWO_SEEDS)
    records = load_records(tmp_path)
    rows = make_rows(records.runs, records.profiles, SIZES, TWO_SEEDS.seeds)
    evidence = Evidence(records, rows)
    for size in SIZES:
        hits = evidence.at(size, rows)
        assert hits is not None
        assert (hits.names, hits.seeds, hits.images) == (("a", "b"), (0, 3), 360)
        assert hits.present.tolist() == [[True, True], [True, size != 129]]
        for row, right, there in zip(rows, hits.right, hits.present, strict=True):
            accuracies = [run.test.top1 for run in row.of_size(size) if run.test is not None]
            assert (right[there] / 360).tolist() == accuracies
            ids = [run.id for run in row.of_size(size)]
            stored = [records.predictions(k) for k in ids]
            assert (evidence.correct(ids) == np.array([p["label"] == p["prediction"] for p in stored])).all()


def test_a_size_without_any_predictions_has_no_hits(tmp_path: Path) -> None:
    make_study(tmp_path, (Fake("a"),), TWO_SEEDS)
    for file in tmp_path.glob("runs/*/*/n388-*/predictions.npz"):
        file.unlink()
    records = load_records(tmp_path)
    rows = make_rows(records.runs, records.profiles, SIZES, TWO_SEEDS.seeds)
    evidence = Evidence(records, rows)
    assert evidence.at(388, rows) is None
    assert evidence.at(129, rows) is not None
