"""The words on data efficiency say what was found, what it rests on and what cannot be told."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.crossover import Crossover
from bench.analysis.efficiency import efficiency_of
from bench.protocol import PRESETS
from bench.report.markdown.efficiency import MOST_ROWS, about, efficiency_section, section_of
from tests.curve_samples import Law, planted_board

LAWS = {"transformer": Law(0.05, 3.0), "hybrid": Law(0.08, 2.0), "mixer": Law(0.03, 4.2), "convnet": Law(0.13, 1.9)}


def cells(text: str, name: str) -> list[list[str]]:
    """The cells of every table row of a model."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if row[0] == name]


def test_every_row_has_its_area_fit_and_ratios(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS)
    found, text = efficiency_of(board.curves), efficiency_section(board)
    for row in board.rows:
        area, fit = found.areas[row.name], found.fits[row.name]
        first = cells(text, row.name)[0]
        assert first[1].startswith(f"{100 * area.value:.1f} [")
        assert first[2] == f"{100 * fit.alpha:.1f}"
        assert first[4] == "0.5 (fixed)"
        assert f"at n={fit.sizes[fit.largest]:,}" in first[5]
        assert len(cells(text, row.name)) == (1 if row.name == found.best else 2)
    ratios = cells(text, "mixer")[1][1:]
    assert len(ratios) == len(board.train_sizes)
    assert ratios[1].startswith(f"{found.ratios['mixer'][1].value:.2f} [")
    assert ratios[-1].startswith("> 1.00")


def test_crossings_and_their_absence_are_told_and_the_rest_is_left_open(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS)
    text = efficiency_section(board)
    for found in efficiency_of(board.curves).crossovers:
        if found.state == "crossing":
            assert f"{found.ahead} overtakes {found.behind} at n ≈ {about(found.n or 0)} [" in text
        elif found.state == "none in range":
            assert f"None in range: {found.ahead} is ahead of" in text
        else:
            assert f"Unresolved, {found.reason}: " in text


def test_an_extrapolated_crossing_is_called_that(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS)
    beyond = Crossover("mixer", "hybrid", "crossing", board.train_sizes, "mixer", 1936, 1500, 2300, 0.9, True)
    text = section_of(board, replace(efficiency_of(board.curves), crossovers=(beyond,)))
    assert "- Crossing, extrapolated: by their fitted curves mixer overtakes hybrid at n ≈ 1,940 [1,500, 2,300]" in text
    assert "the largest train size is 1,293" in text


@pytest.mark.parametrize(("seeds", "said"), [(1, True), (3, False)])
def test_one_seed_is_said_to_show_test_set_uncertainty_only(tmp_path: Path, seeds: int, said: bool) -> None:
    board = planted_board(tmp_path, LAWS, seeds=seeds, images=500)
    assert ("There is one seed: intervals show test-set uncertainty only" in efficiency_section(board)) == said


def test_the_budget_of_the_protocol_is_said_to_be_the_same_at_every_size_or_not(tmp_path: Path) -> None:
    same = planted_board(tmp_path / "a", LAWS, images=500)
    passes = planted_board(tmp_path / "b", LAWS, images=500, protocol=replace(PRESETS["quick"], epochs=30.0))
    assert "the same budget of 1,280 images, repeats counted, whatever the number of" in efficiency_section(same)
    assert "30 passes over its training images" in efficiency_section(passes)


def test_what_few_sizes_and_missing_predictions_leave_unknown_is_said(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS, sizes=(388, 1293), images=500)
    bare = replace(board, curves=(*board.curves[:-1], replace(board.curves[-1], replicates=None)))
    text = efficiency_section(bare)
    assert "No curve is fitted: that takes at least 3 train sizes." in text
    assert f"{board.curves[-1].name}: without predictions for every run nothing is known" in text
    assert "[unknown]" in text


def test_a_curve_of_another_shape_is_named(tmp_path: Path) -> None:
    board = planted_board(tmp_path, {**LAWS, "slow": Law(0.0, 0.9, 0.12)}, images=20_000, seed_sd=0.002)
    assert "For slow the residuals are larger than noise (chi-square test at 5 %): its curve has" in (
        efficiency_section(board)
    )


def test_areas_over_different_ranges_carry_their_range(tmp_path: Path) -> None:
    board = planted_board(tmp_path, LAWS, images=500)
    first, *others = board.curves
    assert first.replicates is not None
    short = replace(first, sizes=first.sizes[:3], values=first.values[:3], replicates=first.replicates[:3])
    text = efficiency_section(replace(board, curves=(*others, short)))
    assert "Areas over different ranges of n must not be compared." in text
    assert "(n 39–388)" in text
    assert "(n 39–1,293)" in text


def test_of_many_rows_the_best_are_shown_and_counted(tmp_path: Path) -> None:
    laws = {f"m{k:02}": Law(0.02 + 0.01 * k, 2.0) for k in range(MOST_ROWS + 3)}
    text = efficiency_section(planted_board(tmp_path, laws, images=300))
    assert f"The best {MOST_ROWS} of {MOST_ROWS + 3} models." in text
    assert len(re.findall(r"^\| m\d\d", text, re.MULTILINE)) == 2 * MOST_ROWS
    assert "over all pairs of the best 12 models" in text


def test_nothing_is_said_of_a_single_size(tmp_path: Path) -> None:
    assert efficiency_section(planted_board(tmp_path, LAWS, sizes=(1293,), images=300)) == ""


def test_a_name_stays_text(tmp_path: Path) -> None:
    text = efficiency_section(planted_board(tmp_path, {"<b>x|y</b>": Law(0.05, 2.0), "z": Law(0.1, 2.0)}, images=300))
    assert "<b>" not in text
    assert "x\\|y" in text


@pytest.mark.parametrize(("n", "text"), [(1936.4, "1,940"), (86.26, "86"), (7, "7"), (123_456, "123,000")])
def test_a_number_of_images_has_three_digits(n: float, text: str) -> None:
    assert about(n) == text
