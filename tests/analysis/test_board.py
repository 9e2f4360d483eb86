"""From records to boards: what shares a board, what a row holds, who ranks where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.analysis.rows import Row
from bench.protocol import PRESETS
from bench.records import Failure
from bench.report.markdown.board import leaderboard
from bench.store import Store
from tests.samples import CANONICAL_FAKES, ENVIRONMENT, Fake, make_cell, make_run, make_study

THREE_SEEDS = replace(PRESETS["quick"], seeds=(0, 1, 2))


def _boards(root: Path, *studies: dict[str, Any]) -> list[Board]:
    for study in studies:
        make_study(root, **study)
    return build_board(load_records(root))


def _row(board: Board, model: str) -> Row:
    return next(row for row in board.rows if row.model == model)


def test_a_row_holds_the_records_numbers(tmp_path: Path) -> None:
    (board,) = _boards(tmp_path, {})
    line = board.to_frame().set_index("model").loc["resnet50"]
    runs = [r for r in load_records(tmp_path).runs if r.cell.model == "resnet50" and r.cell.kind == "run"]
    largest = max(runs, key=lambda r: r.cell.train_size)
    smallest = min(runs, key=lambda r: r.cell.train_size)
    assert largest.test is not None
    assert smallest.test is not None
    assert line["top1"] == largest.test.top1
    assert line["top1_low"] < line["top1"] < line["top1_high"]
    assert line["top1_smallest"] == smallest.test.top1
    assert (line["params"], line["macs"]) == (23_528_522, 85_400_000)
    assert line["inference_img_per_s"] == 410.0
    assert line["latency_ms"] == pytest.approx(1000 * 5 / 410)
    assert line["train_img_per_s"] == sorted(r.train.throughput_img_per_s for r in runs if r.train)[1]
    assert (line["seeds"], line["status"], line["interval"]) == (1, "complete", "wilson")


def test_rows_are_ranked_best_first_and_clear_differences_get_other_ranks(tmp_path: Path) -> None:
    models = (Fake("worst", 0.5), Fake("best", 0.95), Fake("middle", 0.75))
    (board,) = _boards(tmp_path, {"models": models})
    assert [(row.rank, row.model) for row in board.rows] == [(1, "best"), (2, "middle"), (3, "worst")]


@pytest.mark.parametrize("protocol", [PRESETS["quick"], THREE_SEEDS])
def test_models_that_cannot_be_told_apart_share_a_rank(tmp_path: Path, protocol: Any) -> None:
    models = (Fake("a", 0.90), Fake("b", 0.90), Fake("far", 0.6))
    (board,) = _boards(tmp_path, {"models": models, "protocol": protocol})
    assert {row.model: row.rank for row in board.rows} == {"a": 1, "b": 1, "far": 3}


def test_several_seeds_are_judged_by_bootstrap_and_one_seed_by_mcnemar(tmp_path: Path) -> None:
    (one,) = _boards(tmp_path / "one", {})
    (three,) = _boards(tmp_path / "three", {"protocol": THREE_SEEDS})
    for board, method, test in ((one, "wilson", "mcnemar"), (three, "bootstrap", "bootstrap")):
        assert {point.method for row in board.rows for point in row.points} == {method}
        assert {row.comparison.test for row in board.rows if row.comparison} == {test}
        assert board.rows[0].comparison is None
        assert all(row.comparison is not None and row.comparison.p_holm >= row.comparison.p for row in board.rows[1:])


def test_equal_records_give_equal_boards(tmp_path: Path) -> None:
    make_study(tmp_path, protocol=THREE_SEEDS)
    assert build_board(load_records(tmp_path)) == build_board(load_records(tmp_path))


def test_equal_records_give_equal_pairs_and_curves(tmp_path: Path) -> None:
    make_study(tmp_path, protocol=THREE_SEEDS)
    (one,), (other,) = build_board(load_records(tmp_path)), build_board(load_records(tmp_path))
    assert list(one.pairs.listed(1293)) == list(other.pairs.listed(1293))
    for a, b in zip(one.curves, other.curves, strict=True):
        assert a.replicates is not None
        assert b.replicates is not None
        assert (a.replicates == b.replicates).all()


@pytest.mark.parametrize("protocol", [PRESETS["quick"], THREE_SEEDS])
def test_all_pairs_are_compared_at_all_sizes_in_the_order_of_the_rows(tmp_path: Path, protocol: Any) -> None:
    (board,) = _boards(tmp_path, {"protocol": protocol})
    assert [found.size for found in board.pairs.at] == list(board.train_sizes)
    for found in board.pairs.at:
        assert list(found.names) == [row.name for row in board.rows]
        assert len(list(found.listed())) == 6
    for row in board.rows[1:]:
        pair = board.pairs.between(row.name, board.rows[0].name, board.train_sizes[-1])
        assert pair is not None
        assert row.comparison is not None
        assert (pair.difference, pair.p, pair.p_holm) == (
            row.comparison.difference,
            row.comparison.p,
            row.comparison.p_holm,
        )


def test_a_rank_follows_from_the_intervals_of_the_paired_differences_from_its_anchor(tmp_path: Path) -> None:
    models = tuple(Fake(f"m{k}", 0.95 - 0.03 * k) for k in range(8))
    (board,) = _boards(tmp_path, {"models": models, "protocol": THREE_SEEDS})
    for rank in {row.rank for row in board.rows}:
        anchor = next(row for row in board.rows if row.rank == rank)
        for row in board.rows:
            pair = board.pairs.between(anchor.name, row.name, 1293)
            if pair is None or (row.rank or 0) < (rank or 0):
                continue
            apart = (pair.low > 0 or pair.high < 0) and abs(pair.difference) >= 0.005
            assert (row.rank != rank) == apart == pair.apart
    assert len({row.rank for row in board.rows}) > 2


def test_every_ranked_row_has_a_rank_interval_that_holds_its_rank_and_a_chance_of_being_best(tmp_path: Path) -> None:
    (board,) = _boards(tmp_path, {"protocol": THREE_SEEDS})
    for row in board.rows:
        assert 1 <= (row.rank_low or 0) <= (row.rank or 0) <= (row.rank_high or 0) <= 4
    assert sum(row.p_best or 0 for row in board.rows) == pytest.approx(1)
    frame = board.to_frame().set_index("model")
    assert frame.loc["vit_b16", "rank_low"] == frame.loc["vit_b16", "rank_high"] == 4
    assert frame.loc["vit_b16", "p_best"] == 0


def test_curves_hold_every_size_and_the_same_draws_for_all_rows(tmp_path: Path) -> None:
    (board,) = _boards(tmp_path, {"protocol": THREE_SEEDS})
    assert [curve.name for curve in board.curves] == [row.name for row in board.rows]
    for row, curve in zip(board.rows, board.curves, strict=True):
        assert curve.sizes.tolist() == list(board.train_sizes)
        assert curve.values.tolist() == [point.value for point in row.points]
        assert curve.seeds == 3
        assert curve.replicates is not None
        assert curve.replicates.shape == (3, 1000)
        assert curve.replicates.mean(axis=1) == pytest.approx(curve.values, abs=0.01)
        spread = np.array([(p.high or 0) - (p.low or 0) for p in row.points])
        assert (4 * curve.replicates.std(axis=1) < 1.5 * spread).all()


def test_a_row_that_lacks_the_largest_size_is_compared_at_the_others(tmp_path: Path) -> None:
    (board,) = _boards(tmp_path, {"models": (Fake("resnet18", 0.99, fails=((2, 0),)), *CANONICAL_FAKES)})
    small, _, large = board.pairs.at
    assert small.names == tuple(row.name for row in board.rows)
    assert small.names[-1] == "resnet18"
    assert "resnet18" not in large.names
    assert [curve.sizes.tolist() for curve in board.curves if curve.name == "resnet18"] == [[129, 388]]


def test_the_detectable_difference_is_the_median_over_the_pairs_at_the_largest_size(tmp_path: Path) -> None:
    (board,) = _boards(tmp_path, {})
    assert board.detectable == pytest.approx(np.median([pair.detectable for pair in board.pairs.listed(1293)]))
    (alone,) = _boards(tmp_path / "alone", {"models": (Fake("resnet18"),)})
    assert alone.detectable is None
    assert (alone.rows[0].rank_low, alone.rows[0].rank_high, alone.rows[0].p_best) == (1, 1, 1.0)


def test_data_protocol_hardware_threads_and_precision_are_never_mixed(tmp_path: Path) -> None:
    others = [
        {"protocol": replace(PRESETS["quick"], lr=1e-3)},
        {"n_test": 400},
        {"environment": ENVIRONMENT.model_copy(update={"hardware": "Other CPU"})},
        {"environment": ENVIRONMENT.model_copy(update={"threads": 1})},
        {"environment": ENVIRONMENT.model_copy(update={"precision": "bf16"})},
    ]
    boards = _boards(tmp_path, {}, *others)
    assert len({board.id for board in boards}) == len({board.key for board in boards}) == 6
    for board in boards:
        assert len(board.rows) == 4
        assert sum(other.holds(board.rows[0].runs[0].cell) for other in boards) == 1
        assert board.holds(board.rows[0].runs[0].cell)


def test_the_board_with_the_newest_run_is_first(tmp_path: Path) -> None:
    studies = [
        {"protocol": PRESETS["smoke"], "created": "2026-01-01T00:00:00+00:00"},
        {"protocol": PRESETS["quick"], "created": "2026-03-01T00:00:00+00:00"},
        {"protocol": THREE_SEEDS, "created": "2026-02-01T00:00:00+00:00"},
    ]
    boards = _boards(tmp_path, *studies)
    assert [board.preset for board in boards] == ["quick", "custom", "smoke"]


def test_another_model_adds_a_row_to_its_board(tmp_path: Path) -> None:
    (before,) = _boards(tmp_path, {})
    (after,) = _boards(tmp_path, {"models": (Fake("resnet18", 0.7),)})
    assert {row.model for row in after.rows} - {row.model for row in before.rows} == {"resnet18"}
    assert after.id == before.id


def test_one_model_from_scratch_and_pretrained_is_two_rows_and_the_second_says_so(tmp_path: Path) -> None:
    (board,) = _boards(tmp_path, {"models": (Fake("resnet50", 0.8), Fake("resnet50", 0.95, weights="pretrained"))})
    assert [row.name for row in board.rows] == ["resnet50 (pretrained)", "resnet50"]
    assert "timm weights a1_in1k" in next(n.long for n in board.rows[0].notes if n.short == "pretrained")


def test_a_model_without_any_result_is_last_with_its_reason(tmp_path: Path) -> None:
    everything = tuple((position, 0) for position in range(3))
    (board,) = _boards(tmp_path, {"models": (Fake("a_broken", fails=everything), *CANONICAL_FAKES)})
    last = board.to_frame().iloc[-1]
    assert (last["model"], last["status"]) == ("a_broken", "failed")
    assert last["rank"] is not last["rank"] or last.isna()["rank"]
    assert "OutOfMemoryError: tried to allocate 2.5 GiB" in last["reason"]


def test_a_failed_attempt_is_forgotten_once_the_cell_has_a_result(tmp_path: Path) -> None:
    store = make_study(tmp_path, models=(Fake("resnet18"),))
    good = next(r for r in load_records(tmp_path).runs if r.cell.kind == "run")
    why = Failure(kind="WorkerDied", message="gone")
    for created in ("2025-01-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"):
        store.write_run(good.model_copy(update={"status": "failed", "failure": why, "test": None, "created": created}))
    (board,) = build_board(load_records(tmp_path))
    assert board.rows[0].status == "complete"
    assert board.rows[0].failed == ()


def test_a_model_with_a_failed_size_keeps_its_row_and_is_marked_partial(tmp_path: Path) -> None:
    (board,) = _boards(tmp_path, {"models": (Fake("resnet18", fails=((0, 0),)), *CANONICAL_FAKES)})
    row = _row(board, "resnet18")
    assert row.status == "partial"
    assert row.rank is not None
    assert [note.short for note in row.notes][:2] == ["1 failed", "partial 2/3"]
    assert "n=129 seed 0" in row.notes[0].long


def test_a_model_without_the_largest_size_has_no_rank(tmp_path: Path) -> None:
    (board,) = _boards(tmp_path, {"models": (Fake("resnet18", 0.99, fails=((2, 0),)), *CANONICAL_FAKES)})
    assert board.rows[-1].model == "resnet18"
    assert board.rows[-1].rank is None
    assert len(board.rows[-1].points) == 2


def test_a_partial_row_is_compared_only_on_the_seeds_both_have(tmp_path: Path) -> None:
    models = (Fake("whole", 0.95), Fake("other", 0.94), Fake("part", 0.6, fails=((2, 1), (2, 2))))
    (board,) = _boards(tmp_path, {"models": models, "protocol": THREE_SEEDS})
    part, other = _row(board, "part").comparison, _row(board, board.rows[1].model).comparison
    assert part is not None
    assert other is not None
    assert (part.seeds, part.test) == (1, "pooled")
    point = _row(board, "part").top1
    assert point is not None
    assert point.method == "pooled"
    assert (other.seeds, other.test) == (3, "bootstrap")


def test_every_model_that_was_never_tried_at_a_rate_that_works_names_the_trials_failure(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trial = make_cell(kind="trial", lr=0.1)
    store.write_run(make_run(cell=trial, status="failed", failure=Failure(kind="NonFiniteLoss", message="step 3")))
    no_rate = Failure(kind="NoLearningRate", message="every trial failed")
    store.write_run(make_run(status="failed", failure=no_rate))
    (board,) = build_board(load_records(tmp_path))
    assert board.rows[0].notes[0].long == "failed: NonFiniteLoss: step 3"


def _rewrite_predictions(root: Path, model: str, change: Any) -> None:
    for file in root.glob(f"runs/*/{model}/n1293-*/predictions.npz"):
        with np.load(file) as arrays:
            kept = {name: arrays[name] for name in arrays.files}
        change(kept)
        np.savez_compressed(file, **kept)


def test_a_row_whose_predictions_are_for_other_images_is_not_compared_and_says_so(tmp_path: Path) -> None:
    make_study(tmp_path)
    _rewrite_predictions(tmp_path, "swin_t", lambda kept: kept.update(index=kept["index"][::-1].copy()))
    (board,) = build_board(load_records(tmp_path))
    row = board.rows[-1]
    assert (row.model, row.rank, row.comparison, row.status) == ("swin_t", None, None, "complete")
    assert "other test images" in next(n.long for n in row.notes if n.short == "not compared")
    assert row.top1 is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.update(prediction=np.roll(kept["prediction"], 1)),
        lambda kept: kept.update(prediction=kept["prediction"][:-1]),
        lambda kept: kept.pop("label"),
    ],
)
def test_predictions_that_are_not_those_of_the_record_are_not_used(tmp_path: Path, change: Any) -> None:
    make_study(tmp_path)
    _rewrite_predictions(tmp_path, "swin_t", change)
    (board,) = build_board(load_records(tmp_path))
    assert board.rows[-1].model == "swin_t"
    assert board.rows[-1].rank is None
    assert any("fit its record" in note.long for note in board.rows[-1].notes)


def test_a_row_without_predictions_is_not_compared_and_has_no_interval_over_seeds(tmp_path: Path) -> None:
    make_study(tmp_path, protocol=THREE_SEEDS)
    for file in tmp_path.glob("runs/*/swin_t/*/predictions.npz"):
        file.unlink()
    (board,) = build_board(load_records(tmp_path))
    row = _row(board, "swin_t")
    assert row.rank is None
    assert row.top1 is not None
    assert (row.top1.method, row.top1.low) == ("none", None)
    assert row.name not in {curve.name for curve in board.curves}
    assert all(row.name not in found.names for found in board.pairs.at)
    assert (row.rank_low, row.p_best) == (None, None)
    assert any("no per-image predictions" in note.long for note in row.notes)


def test_notes_name_geometry_training_and_chance(tmp_path: Path) -> None:
    fake = Fake("odd", 0.1, degenerate=("windows cover the whole map",), under_trained=True)
    (board,) = _boards(tmp_path, {"models": (fake,)})
    notes = {note.short: note.long for note in board.rows[0].notes}
    assert notes["geometry"] == "at 32 px: windows cover the whole map."
    assert "n = 129, 388, 1,293" in notes["under-trained"]
    assert "right for 10.0 %" in notes["at guessing level"]


def test_a_profile_of_another_size_task_or_machine_is_not_taken(tmp_path: Path) -> None:
    make_study(tmp_path, models=(Fake("resnet18"),))
    for path in tmp_path.glob("profiles/*/record.json"):
        text = path.read_text()
        for change in (('"threads": 2', '"threads": 9'), ('"num_classes": 10', '"num_classes": 9')):
            path.write_text(text.replace(*change))
            (board,) = build_board(load_records(tmp_path))
            assert board.rows[0].macs is None
            assert "cost unknown" in [note.short for note in board.rows[0].notes]


def test_a_gpus_board_takes_the_profile_of_its_gpu(tmp_path: Path) -> None:
    gpu = ENVIRONMENT.model_copy(update={"hardware": "Test GPU", "device": "cuda:0"})
    (board,) = _boards(tmp_path, {"environment": gpu})
    assert board.key.threads == 0
    assert all(row.macs for row in board.rows)


def test_the_chosen_rate_at_the_edge_of_the_grid_is_flagged(tmp_path: Path) -> None:
    (two,) = _boards(tmp_path / "two", {})
    (three,) = _boards(tmp_path / "three", {"protocol": replace(PRESETS["quick"], lr_trials=3)})
    assert all(row.lr_at_edge for row in two.rows)
    assert not any(row.lr_at_edge for row in three.rows)
    (single,) = _boards(tmp_path / "one", {"protocol": PRESETS["smoke"]})
    assert not any(row.lr_at_edge or row.trials for row in single.rows)


def test_a_protocol_with_fields_of_another_version_still_makes_a_board_of_what_is_there(tmp_path: Path) -> None:
    make_study(tmp_path)
    for path in tmp_path.glob("runs/*/*/*/record.json"):
        path.write_text(path.read_text().replace('"lr_trials": 2', '"lr_attempts": 2'))
    (board,) = build_board(load_records(tmp_path))
    assert (board.train_sizes, board.seeds, board.preset) == ((129, 388, 1293), (0,), "custom")
    assert "Learning rates" in leaderboard([board], [""])


def test_no_records_make_no_board(tmp_path: Path) -> None:
    assert build_board(load_records(tmp_path)) == []
