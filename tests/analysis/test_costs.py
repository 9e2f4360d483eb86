"""Cost boards: what stands on one board may be compared, and every model shows its newest good profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.analysis.cost_notes import completeness, cost_notes
from bench.analysis.cost_table import COST_COLUMNS, KINDS, cost_rows, kind_shares
from bench.analysis.costs import CostBoard, build_costs
from bench.profiles import ProfileRecord
from bench.records import Failure
from bench.store import Records
from tests.cost_samples import make_device, make_memory, make_profile, make_timing
from tests.samples import ENVIRONMENT, Fake, model_info

LATER, LATEST = "2026-02-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"
FAILURE = Failure(kind="RuntimeError", message="it broke")
UNKNOWN: dict[str, Any] = {"latency": None, "inference": None, "training": None, "switches": None, "session": ""}


def profile(name: str = "a", *, environment: dict[str, Any] | None = None, **changes: Any) -> ProfileRecord:
    where = ENVIRONMENT.model_copy(update=environment or {})
    values: dict[str, Any] = {"speed": 100.0} | changes
    fake = Fake(name)
    size, classes = values.pop("img_size", 224), values.pop("num_classes", 1000)
    return make_profile(name, model_info(fake, size), where, size, classes, **values)


def boards(*profiles: ProfileRecord, **records: Any) -> list[CostBoard]:
    return build_costs(Records(root=Path(), runs=[], profiles=list(profiles), problems=[], **records))


def _timed(**settings: Any) -> dict[str, Any]:
    return {name: make_timing(8, 50.0, **settings) for name in ("latency", "inference", "training")}


def test_rows_of_different_settings_or_machines_are_never_on_one_board() -> None:
    switches = profile().switches
    assert switches is not None
    others = [
        profile(environment={"hardware": "Other CPU"}),
        profile(environment={"threads": 1}),
        profile(environment={"device": "cuda:0"}),
        profile(img_size=32),
        profile(num_classes=10),
        profile(**_timed(precision="bf16")),
        profile(training=make_timing(8, 50.0, precision="bf16")),
        profile(**_timed(memory_format="contiguous")),
        profile(**_timed(compiled=True)),
        profile(switches=switches.model_copy(update={"fused_attention": False})),
    ]
    found = boards(profile(), *others)
    assert len({board.id for board in found}) == len({board.key for board in found}) == 1 + len(others)
    assert all(len(board.rows) == 1 for board in found)


def test_the_switches_of_a_gpu_do_not_part_the_rows_of_a_cpu() -> None:
    switches = profile().switches
    assert switches is not None
    fast = switches.model_copy(update={"tf32_matmul": True, "cudnn_benchmark": True})
    assert len(boards(profile("a"), profile("b", switches=fast))) == 1
    gpu = {"environment": {"device": "cuda:0"}}
    assert len(boards(profile("a", **gpu), profile("b", switches=fast, **gpu))) == 2


def test_on_a_gpu_neither_its_number_nor_the_threads_part_rows() -> None:
    (board,) = boards(
        profile("a", environment={"device": "cuda:0", "threads": 2}),
        profile("b", environment={"device": "cuda:1", "threads": 8}),
    )
    assert (board.key.device, board.key.threads, len(board.rows)) == ("cuda", 0, 2)


def test_the_board_with_the_newest_profile_is_first_and_its_rows_the_fastest_first() -> None:
    old, new = (
        profile("old"),
        [profile(n, img_size=32, speed=s, created=LATER) for n, s in (("slow", 5.0), ("fast", 9.0))],
    )
    first, second = boards(old, *new)
    assert [row.model for row in first.rows] == ["fast", "slow"]
    assert [row.model for row in second.rows] == ["old"]


def test_a_model_shows_its_newest_good_profile() -> None:
    (board,) = boards(
        profile(id="1", speed=1.0),
        profile(id="2", speed=2.0, created=LATER),
        profile(id="3", status="failed", failure=FAILURE, created=LATEST, **UNKNOWN),
    )
    (row,) = board.rows
    assert row.profile.id == "2"


def test_a_model_that_only_failed_is_the_last_row_of_the_board_of_its_place_with_the_reason() -> None:
    (board,) = boards(profile("b"), profile("a", status="failed", failure=FAILURE, **UNKNOWN))
    assert [row.model for row in board.rows] == ["b", "a"]
    line = cost_rows(board.rows)[1]
    assert (line["status"], line["inference_img_per_s"]) == ("failed", None)
    assert "RuntimeError: it broke" in line["reason"]


def test_a_profile_whose_training_is_missing_stands_beside_those_it_took_turns_with() -> None:
    partial = profile("c", training=None, session="session-2")
    fp32, bf16 = (
        profile("a", session="session-2", training=make_timing(8, 50.0, precision="fp32")),
        profile("b", session="session-1", training=make_timing(8, 50.0, precision="bf16"), created=LATER),
    )
    found = {frozenset(row.model for row in board.rows) for board in boards(partial, fp32, bf16)}
    assert found == {frozenset({"a", "c"}), frozenset({"b"})}
    alone = profile("c", training=None, session="")
    found = {frozenset(row.model for row in board.rows) for board in boards(alone, fp32, bf16)}
    assert found == {frozenset({"a"}), frozenset({"b", "c"})}


def test_two_settings_that_are_both_unknown_to_a_third_do_not_share_a_board_through_it() -> None:
    third = profile("c", training=None, switches=None)
    found = boards(third, profile("a", **_timed(compiled=True)), profile("b", **_timed(compiled=False)))
    assert len(found) == 2
    without = {"latency": None, "inference": None}
    bf16, fp32 = (make_timing(8, 50.0, precision=precision) for precision in ("bf16", "fp32"))
    found = boards(
        profile("c", training=None), profile("a", training=bf16, **without), profile("b", training=fp32, **without)
    )
    assert not any({"a", "b"} <= {row.model for row in board.rows} for board in found)


def test_a_record_of_an_earlier_layout_is_shown_and_not_judged() -> None:
    bare = make_timing(32, 100.0, low_ms=None, high_ms=None, samples_ms=[], turns=[])
    missing = ("training", "memory", "activations_read", "switches", "before", "after", "norm_ops", "elementwise_ops")
    empty: dict[str, Any] = {"macs_by_kind": {}, "session": ""}
    empty |= {name: [] for name in ("macs_by_size", "layers", "inference_curve", "training_curve")}
    old = profile("old", latency=bare, inference=bare, **dict.fromkeys(missing), **empty)
    (board,) = boards(old, devices=[make_device(ENVIRONMENT)])
    (line,) = cost_rows(board.rows)
    assert line["inference_state"] == line["latency_state"] == "not judged"
    assert (line["inference_low_img_per_s"], line["inference_high_img_per_s"], line["macs_mlp"]) == (None, None, None)
    assert line["inference_mfu"] is not None
    assert board.ratios == ()


def test_a_line_holds_the_records_numbers_and_all_columns() -> None:
    (board,) = boards(profile("a", inference=make_timing(32, 100.0, low_ms=300.0, high_ms=400.0)))
    (line,) = cost_rows(board.rows)
    record = board.rows[0].profile
    assert list(line) == list(COST_COLUMNS)
    assert (line["macs"], line["params"], line["inference_batch"]) == (record.macs, 11_000_000, 32)
    assert line["inference_low_img_per_s"] == pytest.approx(80.0)
    assert line["inference_high_img_per_s"] == pytest.approx(1000 * 32 / 300.0)
    assert sum(line[f"macs_{kind}"] for kind in KINDS) == record.macs


def test_the_fastest_is_a_valid_one() -> None:
    doubtful = profile("b", inference=make_timing(32, 900.0, invalid=["drifted"]))
    (board,) = boards(profile("a"), doubtful, profile("c", speed=50.0))
    best = board.fastest("inference")
    assert best is not None
    assert best.model == "a"
    assert [row.model for row in board.rows] == ["b", "a", "c"]


def test_a_ratio_can_be_asked_for_both_ways_round() -> None:
    (board,) = boards(profile("a"), profile("b", speed=50.0))
    there, back = board.ratio("inference", "a", "b"), board.ratio("inference", "b", "a")
    assert there is not None
    assert back is not None
    assert there.ratio == pytest.approx(2.0, rel=0.01)
    assert back == there.inverse()
    assert board.ratio("inference", "a", "nobody") is None


def test_every_kind_of_doubt_is_a_note_of_its_own() -> None:
    doubtful = profile(
        inference=make_timing(16, 100.0, invalid=["drifted by +9.0 %"], requested_batch_size=64),
        uncounted=["cdist"],
        problems=["training: RuntimeError: no backward", "something odd"],
        memory=make_memory(1000, requested_batch_size=16),
    )
    found = {note.short: note.long for note in cost_notes(doubtful)}
    assert set(found) == {"INVALID", "MACs incomplete", "training unknown", "part unknown", "smaller batch"}
    assert "inference: drifted by +9.0 %" in found["INVALID"]
    assert "cdist" in found["MACs incomplete"]
    assert "no backward" in found["training unknown"]
    assert "16 images a step instead of 64" in found["smaller batch"]
    assert "memory with 8 instead of 16" in found["smaller batch"]
    assert cost_notes(profile()) == []


def test_macs_that_could_not_be_traced_differ_from_those_that_could_not_be_checked() -> None:
    problem = ["macs: TraceError: data-dependent shape"]
    (untraced,) = cost_notes(profile(problems=problem).model_copy(update={"macs": None, "flop_counter_macs": None}))
    (unchecked,) = cost_notes(profile(problems=problem))
    assert (untraced.short, unchecked.short) == ("MACs unknown", "MACs unchecked")
    assert "data-dependent shape" in untraced.long


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "complete"),
        ({"uncounted": ["cdist"]}, "incomplete"),
        ({"flop_counter_macs": 599_000_000}, "in doubt"),
        ({"flop_counter_macs": 599_900_000}, "complete"),
        ({"flop_counter_macs": None}, "complete"),
    ],
)
def test_a_count_is_complete_where_nothing_is_missing_and_two_roads_agree(changes: dict[str, Any], said: str) -> None:
    assert completeness(profile(**changes)) == said


def test_shares_by_kind_sum_to_one_and_unknown_kinds_are_kept() -> None:
    shares = kind_shares({"mlp": 30, "attention": 60, "wavelet": 10, "head": 0})
    assert shares == {"attention": 0.6, "mlp": 0.3, "wavelet": 0.1}
    assert kind_shares({}) == {}
