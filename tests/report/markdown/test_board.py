"""The page and the printed table: the stamp, honest words, and no cell that breaks out of its place."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.analysis.mistakes import mistakes_of
from bench.protocol import PRESETS
from bench.report.figures.confusions import confusion_picture_names
from bench.report.markdown.board import WIDTH, leaderboard, terminal_table
from bench.report.markdown.stamp import caveat, stamp, takeaway
from bench.store import Store
from tests.cost_samples import make_timing
from tests.samples import CANONICAL_FAKES, ENVIRONMENT, Fake, make_study

THREE_SEEDS = replace(PRESETS["quick"], seeds=(0, 1, 2))
EVERYTHING = ((0, 0), (1, 0), (2, 0))
MARKDOWN = MarkdownIt("commonmark").enable("table")


def _board(root: Path, **study: Any) -> Board:
    make_study(root, **study)
    return build_board(load_records(root))[0]


def _page(board: Board, command: str = "") -> str:
    return leaderboard([board], [""], command)


def _lines(page: str) -> list[list[str]]:
    """The main table's body, cell by cell, as a browser shows it, gaps between tiers included."""
    table = MARKDOWN.render(page).partition("<table>")[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], re.DOTALL)
    return [[re.sub("<[^>]+>", "", c) for c in re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)] for row in rows]


def _cells(page: str) -> list[list[str]]:
    """The same without the gaps."""
    return [line for line in _lines(page) if any(line)]


def _folded(page: str, summary: str) -> str:
    """What opens below a line that starts with `summary`."""
    found = re.search(rf"<summary>{re.escape(summary)}[^<]*</summary>\n\n(.*?)\n\n</details>", page, re.DOTALL)
    assert found is not None, summary
    return found.group(1)


def test_the_stamp_names_everything_that_a_number_depends_on(tmp_path: Path) -> None:
    environment = ENVIRONMENT.model_copy(
        update={
            "versions": {"torch": "2.9.1", "timm": "1.0.22"},
            "git_commit": "abcdef0123456789",
            "git_dirty": True,
            "command": "python run_bench.py --models resnet50",
        }
    )
    board = _board(
        tmp_path, environment=environment, duplicates_train_test=12, near_duplicates_train_test=34, n_corrupt=2,
        notes=["the test split is a fifth of the only split"],
    )  # fmt: skip
    stamp = _page(board).partition("| rank")[0]
    for part in (
        "quick", board.key.protocol_id[:8], "1,280 images seen", "batch 32", "AdamW", "weight decay 0.05",
        "warm-up 10 %", "cosine", "label smoothing 0.1", "2 learning rates around 0.0005", "augmentation light",
        "32 px", "train sizes 129, 388, 1,293", "seed 0", "BatchNorm statistics from 128 images", "digits",
        board.key.data_fingerprint[:12], "10 classes", "1,437 training images", "360 test images",
        "12 test images also in train", "34 near duplicates", "2 corrupt images", "the test split is a fifth",
        "Test CPU", "2 threads", "fp32", "torch 2.9.1", "timm 1.0.22", "abcdef012345", "uncommitted changes",
        "python run_bench.py --models resnet50",
    ):  # fmt: skip
        assert part in stamp, part


def test_before_the_table_stands_only_what_is_short(tmp_path: Path) -> None:
    page = _page(_board(tmp_path, protocol=THREE_SEEDS, n_corrupt=2, duplicates_train_test=12))
    before = re.sub("<details>.*?</details>", "", page.partition("| rank")[0], flags=re.DOTALL)
    assert len(before) < 1000
    for part in ("1,280 images seen", "3 train sizes (129 to 1,293 images)", "3 seeds (0, 1, 2)", "10 classes",
                 "360 test images", "12 test images also in train", "2 corrupt images", "Test CPU, 2 threads, fp32",
                 "Minimum detectable difference: "):  # fmt: skip
        assert part in before, part


def test_the_table_has_at_most_ten_columns_and_links_each_model_to_its_runs(tmp_path: Path) -> None:
    board = _board(tmp_path)
    page = _page(board)
    rows = _cells(page)
    assert {len(row) for row in rows} == {10}
    assert [row[1].removesuffix("\u00a0★") for row in rows] == [row.name for row in board.rows]
    folders = re.findall(r"\]\((runs/[^)]+)\)", page.partition("### Figures")[0])
    assert len(folders) == 4
    assert all((tmp_path / folder).is_dir() for folder in folders)


def test_a_single_train_size_is_not_shown_twice(tmp_path: Path) -> None:
    board = _board(tmp_path, protocol=replace(PRESETS["quick"], train_sizes=(1.0,)))
    assert {len(row) for row in _cells(_page(board))} == {9}
    assert "at n=" not in _page(board)


def test_a_shared_rank_is_seen_at_once_and_a_gap_tells_its_tier_from_others(tmp_path: Path) -> None:
    fakes = (Fake("a", 0.95), Fake("b", 0.95), Fake("c", 0.7), Fake("d", 0.5))
    page = _page(_board(tmp_path, models=fakes, n_test=2000))
    assert [line[0] for line in _lines(page)] == ["1=", "1=", "", "3", "4"]
    assert "`=` behind a rank" in page
    clear = _page(_board(tmp_path / "clear", models=fakes[1:], n_test=2000))
    assert [line[0] for line in _lines(clear)] == ["1", "2", "3"]
    assert "`=` behind a rank" not in clear


def test_a_star_marks_those_that_nobody_beats_at_the_same_or_less_compute(tmp_path: Path) -> None:
    fakes = (Fake("good", 0.95, macs=10**9), Fake("poor", 0.6, macs=2 * 10**9), Fake("cheap", 0.5, macs=10**7))
    board = _board(tmp_path, models=fakes, n_test=2000)
    page = _page(board)
    assert [line[1] for line in _cells(page)] == ["good\u00a0★", "poor", "cheap\u00a0★"]
    assert "★: no other model" in page
    assert re.findall(r"(\w+) ★", terminal_table(board)) == ["good", "cheap"]


def test_of_a_very_long_board_the_page_and_the_terminal_show_the_best_and_say_where_the_rest_is(tmp_path: Path) -> None:
    board = _board(tmp_path, models=(Fake("a"), Fake("b", 0.6)))
    long = replace(board, rows=board.rows * 130)
    for text in (_page(long), terminal_table(long)):
        assert "… and 60 more rows in leaderboard.csv" in text
    assert len(_cells(_page(long))) == 200
    assert len(_page(long)) < 400_000


def test_many_notes_are_folded_and_few_are_not(tmp_path: Path) -> None:
    fakes = [Fake(f"m{k:02d}", 0.9 - k / 50, degenerate=(f"reason {k}",)) for k in range(13)]
    few, many = _page(_board(tmp_path / "few", models=fakes[:12])), _page(_board(tmp_path / "many", models=fakes))
    assert "reason 11" in _folded(many, "13 notes")
    assert "12 notes" not in few
    assert "reason 11" in few.partition("### Figures")[0]


def test_what_is_folded_is_read_as_markdown_and_every_block_is_closed(tmp_path: Path) -> None:
    page = _page(_board(tmp_path, protocol=THREE_SEEDS))
    assert page.count("<details>") == page.count("</details>") == page.count("<summary>") >= 8
    assert not re.search(r"</summary>\n(?!\n)|[^\n]\n</details>", page)
    html = MARKDOWN.render(page)
    assert "|" not in re.sub(r"<code.*?</code>", "", html, flags=re.DOTALL)


def test_every_part_of_the_page_has_its_place(tmp_path: Path) -> None:
    board = _board(tmp_path, protocol=THREE_SEEDS, models=(*CANONICAL_FAKES, Fake("x", 0.5, fails=((0, 0),))))
    page = leaderboard([board], [""], mistakes={board.id: mistakes_of(board, Store(tmp_path))})
    told = re.findall(r"<summary>([\w -]+)|^(### Figures|\| rank)", page, re.MULTILINE)
    assert [one or other for one, other in told] == [
        "Protocol", "| rank", "### Figures", "How ranks are decided", "All pairs", "Every train size and seed",
        "Data efficiency", "Trade-offs", "Learning rates", "Cost", "Confusions", "Agreement and calibration",
        "Where each model starts from", "Failed", "Published numbers",
    ]  # fmt: skip
    assert "<summary>Agreement" not in _page(board)


def test_matrices_are_linked_only_where_they_are_drawn(tmp_path: Path) -> None:
    board = _board(tmp_path, models=[Fake(f"m{k:02d}", 0.9 - k / 50) for k in range(25)])
    assert set(re.findall(r"confusion/(\w+)\.svg", _page(board))) == set(confusion_picture_names(board))
    assert len(set(re.findall(r"confusion/(\w+)\.csv", _page(board)))) == 25


def test_the_rule_of_the_ranks_and_how_sure_each_is_stand_on_the_page(tmp_path: Path) -> None:
    board = _board(tmp_path, protocol=THREE_SEEDS)
    text = _folded(_page(board), "How ranks are decided")
    assert "opens a tier" in text
    for row in board.rows:
        assert re.search(rf"\| {row.name} +\| +{row.rank} \| +{row.rank_low}–{row.rank_high} \|", text), row.name


def test_one_seed_is_called_exploratory_and_its_intervals_test_set_uncertainty_only(tmp_path: Path) -> None:
    one, three = _board(tmp_path / "1"), _board(tmp_path / "3", protocol=THREE_SEEDS)
    assert "Exploratory: one seed" in _page(one)
    assert "test-set uncertainty only" in _page(one)
    assert "Exploratory" not in _page(three)
    assert "bootstrap over seeds and test images" in _page(three)
    two = _board(tmp_path / "2", protocol=replace(THREE_SEEDS, seeds=(0, 1)))
    assert "two seeds," in str(caveat(two))


def test_seeds_that_are_still_to_come_do_not_make_a_board_less_exploratory(tmp_path: Path) -> None:
    later = Fake("a", fails=((2, 1), (2, 2)))
    begun = _board(tmp_path / "1", protocol=THREE_SEEDS, models=(later, replace(later, name="b")))
    assert str(caveat(begun)).startswith("Exploratory: one seed so far, of 3.")
    ahead = _board(tmp_path / "2", protocol=THREE_SEEDS, models=(later, Fake("b")))
    assert caveat(ahead) is None
    page = _page(ahead)
    assert "a single seed's interval has the spread over seeds of the models that have several" in page
    assert "with one common seed with the spread over seeds of the models that have several" in page


def test_the_takeaway_names_the_winner_or_the_tie(tmp_path: Path) -> None:
    clear = _board(tmp_path / "a", models=(Fake("a", 0.95), Fake("b", 0.7)))
    assert re.search(
        r"a \(9\d\.\d %\) is first; next is b, \d\d\.\d points behind a \(95 % interval \d\d\.\d to \d\d\.\d\)",
        takeaway(clear),
    )
    tied = _board(tmp_path / "b", models=(Fake("a", 0.9), Fake("b", 0.9), Fake("c", 0.5)))
    assert re.search(
        r"[ab] \(.*\) and [ab] \(.*\) share first place and cannot be told apart; next is c", takeaway(tied)
    )
    equal = _board(tmp_path / "c", models=(Fake("a", 0.9), Fake("b", 0.9)))
    assert "none of the 2 models can be told apart" in takeaway(equal)
    alone = _board(tmp_path / "d", models=(Fake("a", 0.9),))
    assert "the only model with a result" in takeaway(alone)
    guesses = _board(tmp_path / "e", models=(Fake("a", 0.06), Fake("b", 0.06)))
    assert "no model can be told apart from always naming the most frequent class" in takeaway(guesses)
    none = _board(tmp_path / "f", models=(Fake("a", fails=EVERYTHING),))
    assert takeaway(none) == "No model has a result at the largest train size yet."


def test_the_sweep_of_every_model_is_printed_with_its_choice_and_a_flag_at_the_edge(tmp_path: Path) -> None:
    page = _page(_board(tmp_path))
    sweep = _folded(page, "Learning rates")
    assert sweep.count("**0.500**") == 4
    assert "Of two rates each is at the edge of the grid" in sweep
    three = replace(PRESETS["quick"], lr_trials=3)
    inner = _page(_board(tmp_path / "3", protocol=three))
    assert "edge of the grid" not in inner
    at_the_edge = _page(_board(tmp_path / "4", models=(Fake("a", best_trial=2), Fake("b")), protocol=three))
    assert at_the_edge.count("| edge of the grid") == 1
    assert "a better one may lie outside" in at_the_edge


def test_every_seed_of_every_size_is_printed(tmp_path: Path) -> None:
    board = _board(tmp_path, protocol=THREE_SEEDS)
    section = _folded(_page(board), "Every train size and seed")
    for row in board.rows:
        for point in row.points:
            values = [f"{100 * point.per_seed[seed]:.1f}" for seed in (0, 1, 2)]
            pattern = rf"{row.name} +\| +{point.size:,} .*" + r" +\| +".join(map(re.escape, values))
            assert re.search(pattern, section)


def test_a_failed_model_is_the_last_row_with_its_reason(tmp_path: Path) -> None:
    board = _board(tmp_path, models=(Fake("aaa", fails=EVERYTHING), *CANONICAL_FAKES))
    page = _page(board)
    assert _cells(page)[-1][:2] == ["–", "aaa"]
    assert "aaa: failed: OutOfMemoryError: tried to allocate 2.5 GiB" in page
    assert "aaa: failed: OutOfMemoryError" in terminal_table(board)


def test_geometry_recipe_and_provenance_stand_on_the_page(tmp_path: Path) -> None:
    board = _board(
        tmp_path, models=(Fake("a", 0.9, degenerate=("only 4 tokens (2×2)",)), Fake("b", weights="pretrained"))
    )
    page = _page(board)
    assert "geometry¹" in page
    assert "¹ a: at 32 px: only 4 tokens (2×2)." in page
    assert "timm weights a1\\_in1k" in page or "timm weights a1_in1k" in page


def test_an_invalid_throughput_says_so_in_its_cell_with_the_reason_below_and_in_the_terminal(tmp_path: Path) -> None:
    doubtful = make_timing(32, 500.0, invalid=["drifted by +9.0 %"])
    board = _board(tmp_path, models=(Fake("a", 0.9, cost=(("inference", doubtful),)), Fake("b", 0.6)))
    page = _page(board)
    first, second = _cells(page)
    assert first[7] == "500 INVALID"
    assert second[7] == "800"
    assert "a: INVALID, not to be relied on: inference: drifted by +9.0 %." in page
    assert "500 INVALID" in terminal_table(board)


def test_the_cost_section_has_speeds_with_intervals_memory_and_the_way_to_more(tmp_path: Path) -> None:
    page = _page(_board(tmp_path, models=(Fake("a"),)))
    section = _folded(page, "Cost")
    assert "Inference in fp32, training step in fp32, channels last." in section
    assert "800 [795–804]" in section
    assert "[costs.md](costs.md)" in section
    assert "weights MiB" in section
    assert "mJ/image" not in section
    assert "MFU" not in section


def test_a_board_without_any_cost_has_no_cost_section(tmp_path: Path) -> None:
    make_study(tmp_path, models=(Fake("a"),))
    next(tmp_path.glob("profiles/*/record.json")).unlink()
    assert "<summary>Cost" not in _page(build_board(load_records(tmp_path))[0])


def test_boards_of_different_groups_are_sections_of_their_own_and_never_mixed(tmp_path: Path) -> None:
    make_study(tmp_path)
    make_study(tmp_path, models=(Fake("alone"),), protocol=THREE_SEEDS, created="2026-05-01T00:00:00+00:00")
    boards = build_board(load_records(tmp_path))
    page = leaderboard(boards, ["", "x/"])
    first, second = page.split("\n## ")[1:]
    assert "alone" in first
    assert "alone" not in second
    assert "must not be compared" in page
    assert "](figures/x/data_efficiency.svg)" in second


def test_a_model_or_class_named_like_markup_shows_as_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>|`[x](y)*"
    board = _board(tmp_path, models=(Fake(evil), Fake("b", 0.6)), classes=[f"{evil}{k}" for k in range(10)])
    html = MARKDOWN.render(_page(board))
    assert "<script" not in html
    assert {len(row) for row in _cells(_page(board))} == {10}
    assert any("alert(1)" in row[1] for row in _cells(_page(board)))


def test_records_that_were_left_out_are_named(tmp_path: Path) -> None:
    board = _board(tmp_path)
    assert "a/b.json: left out" in leaderboard([board], [""], problems=["a/b.json: left out: torn"])


def test_the_command_that_writes_the_page_is_named_where_it_did_not_make_the_runs(tmp_path: Path) -> None:
    board = _board(tmp_path)
    assert "Page written by" in _page(board, "python run_bench.py --other")
    assert "Page written by" not in _page(board, ENVIRONMENT.command)
    assert "Page written by" not in _page(board, "")


def test_no_board_makes_a_page_that_says_so() -> None:
    assert "no run yet" in leaderboard([], [])


@pytest.mark.parametrize("protocol", [PRESETS["quick"], PRESETS["smoke"], THREE_SEEDS])
def test_the_printed_table_fits_a_terminal_and_holds_no_colours(tmp_path: Path, protocol: Any) -> None:
    fakes = (
        Fake("mobilenetv3_large_100", 0.8, degenerate=("the last map is a single cell (1×1)",), under_trained=True),
        Fake("b", 0.1, weights="pretrained", fails=((0, 0),), under_trained=True),
        *CANONICAL_FAKES,
    )
    board = _board(tmp_path, models=fakes, protocol=protocol)
    text = terminal_table(board)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= WIDTH
    for row in board.rows:
        assert row.name in text


def test_the_stamp_names_the_small_geometry_and_a_shared_device(tmp_path: Path) -> None:
    plain = _page(_board(tmp_path / "plain"))
    assert "32 px" in plain
    assert "small geometry" not in plain
    assert "side by side" not in plain
    shared = ENVIRONMENT.model_copy(update={"cells_per_device": 3})
    small = replace(PRESETS["quick"], geometry="small")
    page = _page(_board(tmp_path / "small", models=(Fake("vit_b4@32"),), protocol=small, environment=shared))
    assert "32 px, small geometry" in page
    assert "up to 3 models trained side by side: train img/s are those of a shared device" in page


def _machine_with(board: Board, *changes: dict[str, object]) -> str:
    """What the stamp says of the machine where the trainings of each row are changed so."""
    rows = []
    for row, change in zip(board.rows, changes, strict=True):
        trained = [r.model_copy(update={"train": r.train.model_copy(update=change)}) for r in row.runs if r.train]
        rows.append(replace(row, runs=tuple(trained)))
    return dict(stamp(replace(board, rows=tuple(rows))))["Machine"]


def test_the_stamp_says_how_batches_were_divided(tmp_path: Path) -> None:
    board = _board(tmp_path)
    first, second, _, _ = (row.name for row in board.rows)
    whole: dict[str, object] = {"parts": 1}
    assert "batches" not in _machine_with(board, whole, whole, whole, whole)
    normed = {"parts": 4, "bn_batch": 8, "bn_synchronised": True}
    told = _machine_with(board, normed, {"parts": 2, "bn_batch": None}, whole, whole)
    assert "BatchNorm synchronised over the devices of a training" in told
    assert f"batches in up to 4 parts, BatchNorm over 8 images ({first})" in told
    assert f"batches in up to 2 parts ({second})" in told


def test_the_stamp_says_how_steps_were_launched(tmp_path: Path) -> None:
    board = _board(tmp_path)

    def launched(*kinds: str) -> str:
        return _machine_with(board, *({"step": kind} for kind in kinds))

    assert "training steps" not in launched("eager", "eager", "eager", "eager")
    assert launched(*["graph"] * 4).endswith("; training steps recorded as CUDA graphs")
    mixed = launched("graph", "compiled", "graph", "eager")
    first, second, third, fourth = (row.name for row in board.rows)
    assert f"recorded as CUDA graphs ({first} and {third})" in mixed
    assert f"compiled and recorded as CUDA graphs ({second})" in mixed
    assert f"launched ({fourth})" in mixed
