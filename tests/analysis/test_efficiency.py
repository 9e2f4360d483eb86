"""Areas are mean accuracies over log n with honest intervals, and a board's curves are told as a whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import build_board, load_records
from bench.analysis.efficiency import area, areas, efficiency_of
from bench.protocol import PRESETS
from tests.curve_samples import Law, exact_curve, sampled_curves
from tests.samples import CANONICAL_FAKES, make_study

SIZES = (40, 100, 200, 400, 1000)
LAWS = {"low": Law(0.2, 2.0), "high": Law(0.05, 2.0), "middle": Law(0.1, 2.0)}


def test_the_area_of_a_line_in_log_n_is_its_middle() -> None:
    found = area(exact_curve("m", (10, 20, 80, 160), (0.5, 0.6, 0.8, 0.9)))
    assert found is not None
    assert found.value == pytest.approx(0.7)
    assert (found.smallest, found.largest, found.low, found.high) == (10, 160, None, None)


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_an_area_lies_between_the_lowest_and_the_highest_accuracy(values: list[float]) -> None:
    found = area(exact_curve("m", SIZES, values))
    assert found is not None
    assert min(values) - 1e-12 <= found.value <= max(values) + 1e-12


def test_a_single_size_has_no_area() -> None:
    assert area(exact_curve("m", (40,), (0.5,))) is None


def test_areas_together_are_what_they_are_alone() -> None:
    rng = np.random.default_rng(0)
    curves = [
        *sampled_curves(rng, LAWS, SIZES, images=200, draws=100),
        *sampled_curves(rng, {"short": Law(0.1, 2.0)}, SIZES[:3], images=200, draws=100, seeds=1),
        exact_curve("bare", SIZES, (0.5, 0.6, 0.7, 0.8, 0.9)),
    ]
    for curve, found in zip(curves, areas(curves), strict=True):
        alone = area(curve)
        assert found is not None
        assert alone is not None
        assert found.value == pytest.approx(alone.value)
        assert (found.low is None) == (curve.replicates is None)
        if found.low is not None:
            assert (found.low, found.high) == pytest.approx((alone.low, alone.high), rel=1e-4)


@pytest.mark.parametrize(("seeds", "seed_sd"), [(3, 0.04), (3, 0.15), (1, 0.0)])
def test_the_interval_of_an_area_holds_the_truth_about_95_times_of_100(seeds: int, seed_sd: float) -> None:
    law, rng = LAWS["middle"], np.random.default_rng(5)
    truth = area(exact_curve("m", SIZES, [law.accuracy(n) for n in SIZES]))
    assert truth is not None
    held = []
    for _ in range(150):
        found = areas(sampled_curves(rng, {"m": law}, SIZES, images=500, seeds=seeds, seed_sd=seed_sd))[0]
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= truth.value <= found.high)
    assert 0.90 <= np.mean(held) <= 0.99


def test_a_board_is_told_against_its_best_row() -> None:
    curves = sampled_curves(np.random.default_rng(0), LAWS, SIZES)
    found = efficiency_of(curves)
    assert found.best == "high"
    assert found.compared == ("high", "middle", "low")
    assert set(found.areas) == set(found.fits) == set(LAWS)
    assert set(found.ratios) == {"low", "middle"}
    assert [ratio.size for ratio in found.ratios["low"]] == list(SIZES)
    assert {(c.first, c.second) for c in found.crossovers} == {("high", "middle"), ("high", "low"), ("middle", "low")}


def test_a_row_without_the_largest_size_is_never_the_best() -> None:
    full, short = exact_curve("full", SIZES, (0.1, 0.2, 0.3, 0.4, 0.5)), exact_curve("short", SIZES[:2], (0.9, 0.95))
    assert efficiency_of([short, full]).best == "full"


def test_crossovers_are_looked_for_among_the_best_rows_only() -> None:
    curves = [exact_curve(f"m{k}", SIZES, (np.linspace(0.1, 0.5, 5) + 0.01 * k).tolist()) for k in range(20)]
    found = efficiency_of(curves)
    assert found.compared == tuple(f"m{k}" for k in range(19, 7, -1))
    assert len(found.crossovers) == 66
    assert len(found.ratios) == 19


def test_no_curve_gives_nothing() -> None:
    found = efficiency_of([])
    assert (found.best, found.areas, found.crossovers) == ("", {}, ())


def test_a_board_built_from_records_has_curves_that_can_be_told(tmp_path: Path) -> None:
    make_study(tmp_path, CANONICAL_FAKES, replace(PRESETS["quick"], seeds=(0, 1, 2)))
    (board,) = build_board(load_records(tmp_path))
    found = efficiency_of(board.curves)
    assert set(found.areas) == {row.name for row in board.rows}
    assert all(a.low is not None and a.high is not None and a.low < a.value < a.high for a in found.areas.values())
    assert all(ratio.known for ratios in found.ratios.values() for ratio in ratios)
