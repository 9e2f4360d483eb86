"""The proof of the gates counts alarms from what is written down, and goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.gates.baseline import pack
from tests.benchmarks.gate_trials import DEFECTS, Ledger, accuracy_table, speed_table


def test_what_is_done_is_not_done_again_and_the_limit_holds(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    done: list[int] = []
    for limit in (2, 10):
        ledger = Ledger(file, limit)
        for trial in range(3):
            ledger.do({"gate": "speed", "planted": 0, "trial": trial}, lambda k=trial: {"alarm": bool(done.append(k))})
    assert done == [0, 1, 2]
    assert len(Ledger(file, 0).of(gate="speed")) == 3


def test_alarms_of_each_planted_slow_down_are_counted_with_their_interval(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl", 100)
    for trial in range(20):
        ledger.do({"gate": "speed", "planted": 15, "trial": trial}, lambda k=trial: {"alarm": k < 19})
    table = speed_table(ledger)
    assert "15 % slower" in table
    assert "19 of 20" in table
    assert r"0.95 [0.76, 0.99]" in table


def test_alarms_of_each_defect_are_counted_over_trials_drawn_from_the_trainings(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "trials.jsonl", 1000)
    labels = np.arange(200) % 10
    rng = np.random.default_rng(0)
    for name, wrong, seeds in (("none", 0.1, 30), (DEFECTS[2].name, 0.4, 15)):
        for seed in range(seeds):
            predictions = np.where(rng.random(200) < wrong, (labels + 1) % 10, labels)
            ledger.do(
                {"gate": "accuracy", "planted": name, "seed": seed}, lambda p=predictions: {"predictions": pack(p)}
            )
    ledger.do({"gate": "labels"}, lambda: {"predictions": pack(labels)})
    rows = {line.split("|")[1].strip(): line for line in accuracy_table(ledger, 20).splitlines()[2:]}
    assert set(rows) == {DEFECTS[0].name, DEFECTS[2].name}
    assert "20 of 20" in rows[DEFECTS[2].name]
    assert any(f"| {k} of 20" in " ".join(rows[DEFECTS[0].name].split()) for k in (0, 1, 2))
