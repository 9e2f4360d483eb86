"""The page of costs and the printed table: what a figure depends on, honest words, and INVALID where it applies."""

from __future__ import annotations

import re
from typing import Any

import pytest
from markdown_it import MarkdownIt

from bench.analysis.costs import CostBoard
from bench.profiles import Energy, MachineState, ProfileRecord
from bench.records import Failure
from bench.report.costs.page import cost_page, cost_table
from bench.report.costs.stamp import cost_caveats, cost_takeaway, cost_title
from bench.report.markdown.board import WIDTH
from tests.analysis.test_costs import UNKNOWN, boards, profile
from tests.cost_samples import make_curve, make_device, make_memory, make_timing
from tests.samples import ENVIRONMENT

MARKDOWN = MarkdownIt("commonmark").enable("table")


def _page(*profiles: ProfileRecord, **records: Any) -> str:
    found = boards(*profiles, **records)
    return cost_page(found, [()] * len(found))


def _cells(page: str) -> list[list[str]]:
    """The first table's body, cell by cell, as a browser shows it."""
    table = MARKDOWN.render(page).partition("<table>")[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], re.DOTALL)
    return [[re.sub("<[^>]+>", "", c) for c in re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)] for row in rows]


def _section(page: str, heading: str) -> str:
    assert f"### {heading}" in page
    return page.partition(f"### {heading}")[2].partition("\n### ")[0]


def test_the_stamp_names_everything_that_a_speed_depends_on() -> None:
    environment = {
        "versions": {"torch": "2.9.1", "timm": "1.0.22"}, "git_commit": "abcdef0123456789", "git_dirty": True,
        "command": "python run_bench.py --cost-only", "memory_bytes": 2**34,
    }  # fmt: skip
    stamp = _page(profile(environment=environment)).partition("| model")[0]
    for part in (
        "Test CPU (cpu)", "2 threads", "2 usable processors", "16 GiB", "224 px", "1,000 classes", "inference in fp32",
        "training step in fp32", "channels last", "torch.compile off", "fused attention", "governor performance",
        "2,900 before, 2,850 after (MHz)", "51.0 before, 58.0 after (°C)", "torch 2.9.1", "abcdef012345",
        "uncommitted changes", "python run_bench.py --cost-only",
    ):  # fmt: skip
        assert part in stamp, part


def test_the_clocks_of_a_gpu_and_why_they_are_held_down_stand_on_the_page() -> None:
    state = MachineState(gpu_mhz=1980.0, gpu_temperature_c=70.0, gpu_throttle_reasons=["power cap"])
    page = _page(profile(environment={"device": "cuda:0"}, before=state, after=state))
    assert "clocks held down: power cap" in page
    assert "GPU MHz" in _section(page, "The machine")
    assert "governor" not in _section(page, "The machine")


def test_the_table_has_at_most_ten_columns_and_speeds_with_their_intervals() -> None:
    (row,) = _cells(_page(profile("a", inference=make_timing(32, 100.0, low_ms=316.8, high_ms=323.2))))
    assert len(row) == 10
    assert row[0] == "a"
    assert row[4].replace("\u00a0", " ") == "100 [99.0–101]"
    assert row[6] == "32 / 16"


def test_an_invalid_figure_says_so_in_its_cell_and_its_reason_stands_below() -> None:
    drifted = "drifted by +9.0 % while it was measured (limit 5 %)"
    slow = profile("slow", speed=10.0, latency=make_timing(1, 5.0, invalid=[drifted]))
    page = _page(profile("good"), slow)
    good, bad = _cells(page)
    assert "INVALID" in bad[3]
    assert "INVALID" not in " ".join(good) + bad[4]
    assert f"slow: INVALID, not to be relied on: latency: {drifted}." in page
    assert "INVALID" in cost_table(boards(slow)[0])


def test_what_rests_on_an_invalid_timing_or_on_invalid_roofs_is_marked_too() -> None:
    doubtful = profile("a", inference=make_timing(32, 100.0, invalid=["drifted"]))
    (cells,) = _cells(_page(doubtful, devices=[make_device(ENVIRONMENT)]))
    assert re.fullmatch(r"\d+ INVALID / \d+", cells[8])
    busy = make_device(ENVIRONMENT, invalid=["other work on the processors"])
    page = _page(profile("a"), devices=[busy])
    assert re.fullmatch(r"\d+ INVALID / \d+ INVALID", _cells(page)[0][8])
    assert "every utilisation: other work on the processors" in page


def test_a_batch_that_memory_forced_down_shows_both_numbers() -> None:
    page = _page(profile("a", training=make_timing(4, 10.0, requested_batch_size=16)))
    assert _cells(page)[0][6] == "32 / 4 of 16"
    assert "training with 4 images a step instead of 16" in page


def test_a_failed_model_is_a_row_with_its_reason() -> None:
    failure = Failure(kind="UsageError", message="32 px are too few for it")
    page = _page(profile("b"), profile("a", status="failed", failure=failure, **UNKNOWN))
    assert _cells(page)[-1][0] == "a"
    assert "a: measuring its cost failed: UsageError: 32 px are too few for it." in page


def test_the_takeaway_names_the_fastest_and_what_cannot_be_told_apart_from_it() -> None:
    clear = cost_takeaway(boards(profile("a"), profile("b", speed=50.0))[0])
    assert re.fullmatch(
        r"At 224 px a \(100 img/s\) is fastest at inference; next is b, at 0\.\d+ \[.*\] times that speed\.", clear
    )
    twins = boards(profile("a"), profile("b", speed=100.05), profile("c", speed=20.0))[0]
    assert re.search(
        r"b \(100 img/s\) and a \(100 img/s\) are fastest at inference and cannot be told apart; next is c",
        cost_takeaway(twins),
    )
    alone = cost_takeaway(boards(profile("a"))[0])
    assert alone == "At 224 px a (100 img/s) is the only model with a valid inference throughput."
    apart = cost_takeaway(boards(profile("a"), profile("b", speed=50.0, session="session-2"))[0])
    assert "next is b, with 50.0 img/s, measured apart" in apart


def test_an_invalid_model_is_never_the_fastest_and_is_named() -> None:
    doubtful = profile("fast", inference=make_timing(32, 900.0, invalid=["drifted"]))
    assert cost_takeaway(boards(doubtful, profile("a"))[0]).endswith("; INVALID and left out: fast.")
    assert cost_takeaway(boards(doubtful)[0]) == (
        "No model has a valid inference throughput: measure again with --fresh while nothing else runs."
    )
    assert cost_takeaway(boards(profile("a", inference=None))[0]) == "No model has a valid inference throughput."


def test_too_few_turns_are_not_taken_for_equality() -> None:
    few = {"samples_ms": [1.0, 1.0], "turns": [1, 1]}
    pair = [profile(name, inference=make_timing(8, speed, **few)) for name, speed in (("a", 100.0), ("b", 50.0))]
    said = cost_takeaway(boards(*pair)[0])
    assert "cannot be told apart" not in said
    assert "[unknown] times that speed" in said


def test_what_differs_between_rows_is_said() -> None:
    newer = profile("b", environment={"versions": {"torch": "2.10"}}, before=MachineState(affinity=1))
    said = " ".join(cost_caveats(boards(profile("a"), newer)[0]))
    assert "different versions of torch (2.9, 2.10)" in said
    assert "different numbers of usable processors (2, 1)" in said
    assert "took turns" not in said
    for session in ("session-2", ""):
        assert "Not all rows took turns" in " ".join(
            cost_caveats(boards(profile("a"), profile("b", session=session))[0])
        )
    assert "Not all rows took turns" in " ".join(
        cost_caveats(boards(profile("a", session=""), profile("b", session=""))[0])
    )
    assert cost_caveats(boards(profile("a"), profile("b"))[0]) == []


def test_ratios_are_against_the_fastest_and_mark_what_cannot_be_told_apart() -> None:
    section = _section(_page(profile("a"), profile("b", speed=99.98), profile("c", speed=20.0)), "Compared with a")
    b, c = (line for line in section.splitlines() if re.match(r"\| [bc] ", line))
    assert "≈" in b
    assert "≈" not in c
    assert "0.200 [" in c


def test_every_part_of_the_issue_has_its_section() -> None:
    energy = Energy(millijoule_per_image=12.0, gross_millijoule_per_image=20.0, idle_watt=50.0, busy_watt=300.0,
                    window_s=5.2, images=9000, counter="NVML total energy consumption")  # fmt: skip
    page = _page(profile("a", energy=energy), profile("b", speed=50.0), devices=[make_device(ENVIRONMENT)])
    assert "NVML total energy consumption" in _section(page, "Energy")
    assert "peak resident size" in _section(page, "Memory")
    assert "convolution %" in _section(page, "MACs by kind")
    assert "complete" in _section(page, "Are the MACs complete?")
    assert "1024 px" in _section(page, "MACs against image size")
    assert "**100**" in _section(page, "Batch sizes")
    assert "400 [396–404] GFLOP/s" in _section(page, "What the device could do")
    assert "drift %" in _section(page, "Can the figures be relied on?")
    assert "waited %" not in _section(page, "Can the figures be relied on?")
    assert "2,900 → 2,850" in _section(page, "The machine")
    assert "synchronised" in _section(page, "How it is measured")
    assert "p99" in _section(page, "Latency")


def test_time_waited_for_a_processor_is_told_where_it_is_known() -> None:
    page = _page(profile("a", inference=make_timing(32, 100.0, waited=0.123)))
    section = _section(page, "Can the figures be relied on?")
    assert "waited %" in section
    assert " 12.3 |" in section


def test_a_sweep_that_ran_out_of_memory_says_at_which_batch() -> None:
    page = _page(profile("a", training_curve=make_curve(16, 30.0, runs_out=True)))
    assert "out of memory" in _section(page, "Batch sizes")


def test_macs_that_are_incomplete_or_in_doubt_are_named_with_the_operator() -> None:
    page = _page(profile("a", uncounted=["cdist"]), profile("b", flop_counter_macs=500_000_000, speed=50.0))
    section = _section(page, "Are the MACs complete?")
    assert re.search(r"\| a .*cdist.*\| incomplete", section)
    assert re.search(r"\| b .*−16\.667.*\| in doubt", section)
    assert "16.67 % fewer" in page


def _bare() -> ProfileRecord:
    bare = make_timing(32, 100.0, low_ms=None, high_ms=None, samples_ms=[], turns=[])
    lists = ("macs_by_size", "layers", "inference_curve", "training_curve")
    nothing = ("training", "memory", "activations_read", "switches", "before", "after", "flop_counter_macs")
    return profile("old", latency=bare, inference=bare, session="", macs_by_kind={},
                   **dict.fromkeys(nothing), **{name: [] for name in lists})  # fmt: skip


@pytest.mark.parametrize(
    "record",
    [_bare(), profile("x", status="failed", failure=Failure(kind="E", message="m"), **UNKNOWN).model_copy(
        update={"info": None, "macs": None, "before": None, "after": None, "memory": None})],
)  # fmt: skip
def test_a_record_of_an_earlier_layout_or_a_failure_alone_makes_a_page_too(record: ProfileRecord) -> None:
    page = _page(record)
    assert _cells(page)
    assert "How it is measured" not in page
    assert cost_table(boards(record)[0])


def test_groups_that_must_not_be_compared_are_sections_of_their_own() -> None:
    page = _page(profile("a"), profile("b", img_size=32, created="2026-05-01T00:00:00+00:00"))
    first, second = page.split("\n## ")[1:]
    assert "must not be compared" in page
    assert first.startswith("32 px")
    assert second.startswith("224 px")


def test_no_profile_makes_a_page_that_says_so_and_broken_records_are_named() -> None:
    page = cost_page([], [], "", ["profiles/x: left out: torn"])
    assert "No cost has been measured yet" in page
    assert "profiles/x: left out: torn" in page


def test_a_name_like_markup_shows_as_text() -> None:
    evil = "<script>alert(1)</script>|`[x](y)*"
    page = _page(profile(evil, latency=make_timing(1, 5.0, invalid=[evil])), profile("b", speed=10.0))
    assert "<script" not in MARKDOWN.render(page)
    assert {len(row) for row in _cells(page)} == {10}


@pytest.mark.parametrize("extra", [{}, {"devices": [make_device(ENVIRONMENT)]}])
def test_the_printed_table_fits_a_terminal_and_holds_no_colours(extra: dict[str, Any]) -> None:
    invalid = make_timing(256, 12_345.0, invalid=["drifted"], requested_batch_size=1024)
    crowd = [profile(f"mobilenetv3_large_{k}00_and_more", inference=invalid, training=invalid) for k in range(3)]
    board: CostBoard = boards(*crowd, profile("b", problems=["training: E: no"]), **extra)[0]
    text = cost_table(board)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.count("INVALID") >= 6


def test_the_title_tells_the_arithmetic_of_both_uses_where_it_differs_and_what_is_out_of_the_ordinary() -> None:
    mixed = boards(profile("a", training=make_timing(8, 50.0, precision="bf16")))[0]
    assert cost_title(mixed) == "224 px · Test CPU, 2 threads, fp32 inference, bf16 training"
    special = {"precision": "bf16", "memory_format": "contiguous", "compiled": True}
    every = {name: make_timing(8, 50.0, **special) for name in ("latency", "inference", "training")}
    gpu = {"hardware": "GPU", "device": "cuda:0"}
    assert cost_title(boards(profile("a", environment=gpu, **every))[0]) == "224 px · GPU, bf16, contiguous, compiled"


def test_ratios_are_told_even_where_no_figure_is_valid_since_drift_cancels_in_them() -> None:
    pair = [
        profile(name, inference=make_timing(32, speed, name=name, invalid=["drifted"]))
        for name, speed in (("a", 100.0), ("b", 50.0))
    ]
    assert "0.50" in _section(_page(*pair), "Compared with a")


def test_a_training_step_that_does_not_fit_into_memory_says_so() -> None:
    page = _page(profile("a", memory=make_memory(1000, training_peak_bytes=None)))
    assert "did not fit" in _section(page, "Memory")
