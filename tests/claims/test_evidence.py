"""Evidence is what good runs and good probes left; whatever is missing, failed or does not fit is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.claims.claim import Arm, Look, Missing
from bench.claims.evidence import Evidence
from bench.records import Failure, RunRecord
from tests.claims.planted_evidence import evidence_of, planted, without

ARM, OTHER = Arm("vit_mini"), Arm("vit_mini", "pixel-permute")
LOOK = Look("readout", "vit_mini")


def with_run(evidence: Evidence, seed: int, **changes: object) -> Evidence:
    """The same with the record of one seed's run changed."""
    runs = [run.model_copy(update=changes) if run.cell.seed == seed else run for run in evidence.records.runs]
    return replace(evidence, records=replace(evidence.records, runs=runs))


def test_an_arm_is_seen_with_its_seeds_in_order_and_its_hits_as_they_were() -> None:
    hits = {(ARM, 1000, seed): np.arange(30) % (seed + 2) == 0 for seed in (2, 0)}
    seen = evidence_of(hits).seen(ARM)
    assert seen.seeds == (0, 2)
    assert (seen.right == np.stack([hits[ARM, 1000, 0], hits[ARM, 1000, 2]])).all()
    assert ((seen.prediction == seen.label) == seen.right).all()
    assert seen.accuracy == pytest.approx((15 + 8) / 60)
    assert seen.on((2,)).seeds == (2,)
    assert (seen.on((2,)).right == hits[ARM, 1000, 2]).all()


def test_the_largest_train_size_is_meant_unless_another_is_given() -> None:
    evidence = planted({ARM: (0.1, 0.9)}, sizes=(100, 1000))
    assert evidence.sizes(ARM) == (100, 1000)
    assert evidence.seen(ARM).size == evidence.largest(ARM) == 1000
    assert evidence.seen(ARM).accuracy > 0.8
    assert evidence.seen(ARM, 100).accuracy < 0.2


def test_an_arm_is_the_same_whatever_train_sizes_a_claim_wants_of_it() -> None:
    evidence = planted({replace(ARM, sizes="all"): (0.1, 0.9)}, sizes=(100, 1000), images=50)
    assert evidence.sizes(ARM) == (100, 1000)


def test_what_was_not_asked_for_not_made_or_failed_is_missing_with_its_reason() -> None:
    evidence = planted({ARM: 0.5}, images=50)
    with pytest.raises(Missing, match="vit_mini under pixel-permute was not asked for"):
        evidence.seen(OTHER)
    with pytest.raises(Missing, match="not asked for at n = 77"):
        evidence.seen(ARM, 77)
    with pytest.raises(Missing, match="has no run at n = 1,000 with seed 0"):
        without(evidence, ARM).seen(ARM)
    failure = Failure(kind="OutOfMemoryError", message="2.5 GiB")
    with pytest.raises(Missing, match=r"failed at n = 1,000 with seed 1: OutOfMemoryError: 2\.5 GiB"):
        with_run(evidence, 1, status="failed", failure=failure).seen(ARM)


def test_a_later_good_run_counts_before_an_earlier_failure() -> None:
    evidence = planted({ARM: 0.5}, images=50)
    failed = [run.model_copy(update={"status": "failed"}) for run in evidence.records.runs]
    for runs in (failed + evidence.records.runs, evidence.records.runs + failed):
        assert replace(evidence, records=replace(evidence.records, runs=runs)).seen(ARM).seeds == (0, 1, 2)


def test_predictions_that_are_gone_or_are_another_runs_are_missing() -> None:
    evidence = planted({ARM: 0.5}, images=50)
    first: RunRecord = next(run for run in evidence.records.runs if run.cell.seed == 0)
    assert first.test is not None
    lying = first.test.model_copy(update={"top1": first.test.top1 + 0.1})
    with pytest.raises(Missing, match="do not fit its record"):
        with_run(evidence, 0, test=lying).seen(ARM)
    evidence.records.kept.pop(first.id)  # type: ignore[attr-defined]
    with pytest.raises(Missing, match="has lost its predictions"):
        evidence.seen(ARM)


def test_a_look_has_its_values_or_the_reason_why_not() -> None:
    evidence = planted({}, probes={LOOK: {"class_tokens": [1]}})
    assert evidence.values(LOOK) == {"class_tokens": [1]}
    (record,) = evidence.found(LOOK)
    with pytest.raises(Missing, match="arrays of readout of vit_mini are gone"):
        evidence.arrays(record)
    refusal = Failure(kind="NotProbable", message="it has four tokens")
    refused = record.model_copy(update={"status": "refused", "failure": refusal})
    with pytest.raises(Missing, match="readout of vit_mini: it has four tokens"):
        replace(evidence, probes={LOOK: (refused,)}).values(LOOK)
    assert replace(evidence, probes={LOOK: (refused, record)}).found(LOOK) == (record,)
    with pytest.raises(Missing, match="it was not made"):
        replace(evidence, probes={}).values(LOOK)
