"""`leaderboard.html` in a real browser: it keeps to itself, can be used by everyone, and shows what the board says."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from bench.analysis.answers import read_answers
from bench.analysis.board import Board, build_board
from bench.analysis.confusions import most_confused, pooled_confusion
from bench.analysis.table import table
from bench.protocol import PRESETS
from bench.report.html.page import html_page, write_html
from bench.report.tables import boards_csv
from bench.report.words import percent, points
from bench.store import Store
from tests.browser.pages import Seen, opened, violations, written
from tests.samples import CANONICAL_FAKES, Fake, make_study

THREE_SEEDS = replace(PRESETS["quick"], seeds=(0, 1, 2))
FAILED = Fake("broken", fails=tuple((size, seed) for size in range(3) for seed in range(3)))
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The canonical four and one that failed, three seeds."""
    folder = tmp_path_factory.mktemp("four")
    make_study(folder, (*CANONICAL_FAKES, FAILED), THREE_SEEDS)
    return folder


@pytest.fixture(scope="module")
def board(root: Path) -> Board:
    """Their board, its page written."""
    (found,) = written(root)
    return found


@pytest.fixture
def seen(browser: Browser, root: Path, board: Board) -> Iterator[Seen]:
    """The page, open and drawn; whatever a test does on it, there is nothing to complain of."""
    found = opened(browser, root)
    found.wait_for_charts()
    yield found
    assert found.complaints == []
    found.page.context.close()


def _button(page: Page, name: str) -> object:
    return page.get_by_role("button", name=name, exact=True)


def test_nothing_is_requested_and_nothing_is_complained_of(seen: Seen, board: Board) -> None:
    assert seen.names() == [row.name for row in board.rows]
    assert seen.page.locator("[data-chart] :is(svg, canvas)").count() >= 3


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)])
def test_axe_finds_nothing_serious(browser: Browser, root: Path, board: Board, scheme: str, width: int) -> None:
    pair = most_confused(pooled_confusion(board.rows[0]), 1)[0]  # type: ignore[arg-type]
    address = f"preset=all&open={board.rows[0].name}&open=broken&cell={pair.true}-{pair.predicted}"
    seen = opened(browser, root, address, width=width, color_scheme=scheme)
    seen.wait_for_charts()
    expect(seen.page.locator("[data-part=images] img").first).to_be_visible()
    seen.page.locator(".filters summary").click()
    assert violations(seen.page) == []
    assert seen.complaints == []
    seen.page.context.close()


def test_a_column_sorts_by_keyboard_and_says_so(seen: Seen, board: Board) -> None:
    page = seen.page
    header = page.locator("table.models thead th", has_text="Params M")
    page.get_by_role("searchbox").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        if header.evaluate("node => node.contains(document.activeElement)"):
            break
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    by_params = sorted((row.params or 0, row.name) for row in board.rows)
    assert seen.names()[0] == by_params[0][1]
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "descending")
    assert seen.names()[0] == by_params[-1][1]
    assert "sort=params" in seen.address


def test_models_without_a_value_stay_last_whichever_way_a_column_sorts(
    browser: Browser, root: Path, board: Board
) -> None:
    for way in ("asc", "desc"):
        seen = opened(browser, root, f"sort=top1:{way}")
        assert seen.names()[-1] == "broken"
        seen.page.context.close()


def test_search_and_filters_leave_the_models_that_fit_and_tell_how_many(seen: Seen) -> None:
    page = seen.page
    page.get_by_role("searchbox").fill("SWIN")
    expect(page.get_by_role("status")).to_have_text("1 of 5 models")
    assert seen.names() == ["swin_t"]
    page.get_by_role("searchbox").fill("")
    page.locator(".filters summary").click()
    page.get_by_role("checkbox", name="CNN").uncheck()
    page.locator("[data-control=params_from]").fill("20")
    expect(page.get_by_role("status")).to_have_text("2 of 5 models")
    assert set(seen.names()) == {"swin_t", "vit_b16"}
    page.locator("[data-control=latency_to]").fill("25")
    assert seen.names() == ["swin_t"]
    page.get_by_role("button", name="Clear filters").click()
    assert len(seen.names()) == 5


def test_presets_choose_the_columns(seen: Seen) -> None:
    page = seen.page
    headers = page.locator("table.models thead th")
    page.get_by_text("Efficiency", exact=True).click()
    assert any("MiB" in text for text in headers.all_inner_texts())
    assert not any("NLL" in text for text in headers.all_inner_texts())
    page.get_by_text("All columns", exact=True).click()
    assert {"NLL", "Infer MiB"} <= {text.strip() for text in headers.all_inner_texts()}


def test_the_address_keeps_the_whole_view(browser: Browser, seen: Seen, root: Path) -> None:
    page = seen.page
    page.get_by_text("Accuracy", exact=True).click()
    page.get_by_role("searchbox").fill("geometry")
    page.locator("table.models thead th", has_text="Model").click()
    page.get_by_role("button", name="Details of cvt_13").click()
    page.locator("[data-control=axis]").select_option("params_m")
    page.locator("[data-control=a]").select_option("vit_b16")
    page.locator("[data-control=model]").select_option("cvt_13")
    again = opened(browser, root, seen.address)
    again.wait_for_charts()
    for selector in ("table.models", "[data-part=compare]", "[data-part=worst]", "[data-told=pareto]"):
        assert again.page.inner_text(selector) == page.inner_text(selector), selector
    assert again.page.input_value("[data-control=axis]") == "params_m"
    assert again.complaints == []
    again.page.context.close()


def test_a_row_unfolds_by_keyboard_to_its_runs_environment_and_command(seen: Seen, board: Board) -> None:
    trigger = seen.page.get_by_role("button", name=f"Details of {board.rows[0].name}")
    trigger.focus()
    seen.page.keyboard.press("Enter")
    expect(trigger).to_have_attribute("aria-expanded", "true")
    shown = seen.page.locator(".unfolded")
    runs = shown.get_by_role("region", name="Runs").locator("tbody tr")
    assert runs.count() == len(board.rows[0].runs)
    assert percent(board.rows[0].runs[0].test.top1) in runs.first.inner_text()  # type: ignore[union-attr]
    for told in ("python run_bench.py", "Test CPU", "torch 2.9", "the windows cover".replace("the ", "")):
        assert told in shown.inner_text()
    seen.page.keyboard.press("Enter")
    expect(shown).to_have_count(0)


def test_numbers_round_as_in_the_rest_of_the_report(seen: Seen) -> None:
    values = [k / 800 for k in range(801)] + [k / 1080 for k in range(1081)]
    for shown, value in zip(_rounded_by_the_page(seen.page, values), values, strict=True):
        assert shown == percent(value)


def _rounded_by_the_page(page: Page, values: list[float]) -> list[str]:
    """The function of the page that shows percentages, applied outside it, since modules keep it to themselves."""
    source = next(script for script in page.locator("script").all_inner_texts() if "const oneDecimal" in script)
    line = next(line for line in source.split("\n") if line.startswith("const oneDecimal"))
    found: list[str] = page.evaluate(f"values => {{ {line} return values.map(v => oneDecimal(100 * v)); }}", values)
    return found


def test_a_failed_row_says_why(browser: Browser, root: Path, board: Board) -> None:
    seen = opened(browser, root, "open=broken")
    assert "OutOfMemoryError: tried to allocate 2.5 GiB" in seen.page.inner_text(".unfolded")
    seen.page.context.close()


def test_two_models_are_compared_by_the_boards_own_pairs(seen: Seen, board: Board) -> None:
    page = seen.page
    page.locator("[data-control=a]").select_option("cvt_13")
    page.locator("[data-control=b]").select_option("swin_t")
    lines = page.get_by_role("region", name=re.compile("by training images")).locator("tbody tr").all_inner_texts()
    assert len(lines) == len(board.train_sizes)
    for size, line in zip(board.train_sizes, lines, strict=True):
        pair = board.pairs.between("cvt_13", "swin_t", size)
        assert pair is not None
        assert f"{points(pair.difference)} [{points(pair.low)}, {points(pair.high)}]" in line
        assert ("is ahead" in line) == pair.apart


def test_classes_are_compared_on_paired_images(seen: Seen, board: Board, root: Path) -> None:
    """The difference is that of the recalls, and its interval Bonett and Price's, computed here once more."""
    seen.page.locator("[data-control=a]").select_option("resnet50")
    seen.page.locator("[data-control=b]").select_option("vit_b16")
    shown = seen.page.get_by_role("region", name=re.compile("by class")).locator("tbody tr").all_inner_texts()
    answers = read_answers(board, Store(root))
    first, second = (answers.correct(answers.of(name)) for name in ("resnet50", "vit_b16"))  # type: ignore[arg-type]
    only, other = (first & ~second).mean(axis=0), (second & ~first).mean(axis=0)
    assert len(shown) == len(board.data.classes)
    for line in shown:
        name, told = line.split("\t")[:2]
        of_class = answers.label == board.data.classes.index(name)
        n, b, c = of_class.sum() + 2, only[of_class].sum() + 1, other[of_class].sum() + 1
        middle, half = (b - c) / n, 1.959964 * np.sqrt(((b + c) / n - ((b - c) / n) ** 2) / n)
        wanted = ((b - c) / (n - 2), middle - half, middle + half)
        numbers = [float(text.replace("−", "-")) / 100 for text in re.findall(r"[+−][\d.]+", told)]
        assert numbers == pytest.approx(wanted, abs=0.0006)


def test_the_cost_axis_switches_and_error_bars_can_be_hidden(seen: Seen) -> None:
    page = seen.page
    chart = page.locator("[data-chart=pareto]")
    expect(chart).to_contain_text("multiply-accumulates")
    page.locator("[data-control=axis]").select_option("latency_ms")
    expect(chart).to_contain_text("milliseconds")
    bars = chart.locator(".mark-rule.role-mark :is(path, line)")
    assert bars.count() == 2 * len(CANONICAL_FAKES)
    assert float(bars.first.get_attribute("opacity") or 1) > 0
    page.get_by_role("checkbox", name="95 % intervals").uncheck()
    expect(bars.first).to_have_attribute("opacity", "0")


def test_learning_curves_have_a_band_for_each_model(seen: Seen) -> None:
    assert seen.page.locator("[data-chart=curves] .mark-area path[aria-label]").count() >= len(CANONICAL_FAKES)


def test_a_confusion_opens_its_images(seen: Seen, board: Board, root: Path) -> None:
    page, row = seen.page, board.rows[0]
    worst = most_confused(pooled_confusion(row), 1)[0]  # type: ignore[arg-type]
    names = board.data.classes
    page.get_by_role("button", name=f"{names[worst.true]} → {names[worst.predicted]}").click()
    answers = read_answers(board, Store(root))
    taken = (answers.of(row.name).prediction == worst.predicted).any(axis=0)  # type: ignore[union-attr]
    wanted = {int(k) for k in answers.index[taken & (answers.label == worst.true)]}
    told = page.locator("[data-part=images] :is(img, .no-image)").evaluate_all("nodes => nodes.map(n => n.title)")
    assert {int(text.split()[2].strip(":")) for text in told} == wanted
    assert page.locator("[data-part=images] img").count() == len([k for k in wanted if k < 100])


def test_a_cell_of_the_matrix_opens_its_images(seen: Seen) -> None:
    seen.page.locator("[data-chart=confusion] .mark-rect path").first.click(position={"x": 4, "y": 4})
    expect(seen.page.locator("[data-part=images] h4")).to_contain_text("taken for")
    assert "cell=0-0" in seen.address


def test_downloads_hold_the_rows_in_view_with_every_column_of_the_csv_file(seen: Seen, board: Board) -> None:
    page = seen.page
    with page.expect_download() as caught:
        _button(page, "CSV").click()  # type: ignore[attr-defined]
    lines = list(csv.reader(io.StringIO(Path(caught.value.path()).read_text())))
    wanted = list(csv.reader(io.StringIO(boards_csv([board]))))
    assert [[_value(cell) for cell in line] for line in lines] == [[_value(cell) for cell in line] for line in wanted]
    page.get_by_role("searchbox").fill("vit")
    with page.expect_download() as caught:
        _button(page, "JSON").click()  # type: ignore[attr-defined]
    found = json.loads(Path(caught.value.path()).read_text())
    assert found["rows"] == [line for line in json.loads(json.dumps(table(board.rows))) if line["model"] == "vit_b16"]


def _value(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell


def test_the_theme_switches_and_charts_follow(seen: Seen) -> None:
    page = seen.page
    ink = "getComputedStyle(document.querySelector('[data-chart=curves] svg text')).fill"
    before = page.evaluate(ink), page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name=re.compile("Theme")).click(click_count=2, delay=50)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.wait_for_function(f"{ink} !== '{before[0]}'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before[1]


@pytest.mark.parametrize("address", ["", "preset=all&open=swin_t&cell=0-5"])
def test_a_narrow_screen_scrolls_sideways_only_inside_the_table(
    browser: Browser, root: Path, board: Board, address: str
) -> None:
    seen = opened(browser, root, address, width=360)
    seen.wait_for_charts()
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert seen.page.locator("table.models tbody th.model").first.is_visible()
    seen.page.context.close()


def test_without_scripts_every_model_and_picture_is_there_and_no_dead_control(browser: Browser, tmp_path: Path) -> None:
    make_study(tmp_path, [Fake(f"model_{k}", 0.9 - 0.002 * k) for k in range(120)], PRESETS["smoke"])
    boards = written(tmp_path)
    seen = opened(browser, tmp_path, java_script_enabled=False)
    assert seen.names() == [row.name for row in boards[0].rows]
    assert not seen.page.locator(".toolbar").is_visible()
    assert not seen.page.locator("[data-chart]").first.is_visible()
    assert "Without scripts" in seen.page.inner_text("main")
    seen.page.context.close()


def test_pages_of_many_models_turn_and_print_whole(browser: Browser, tmp_path: Path) -> None:
    make_study(tmp_path, [Fake(f"model_{k}", 0.9 - 0.002 * k) for k in range(120)], PRESETS["smoke"])
    written(tmp_path)
    seen = opened(browser, tmp_path)
    assert len(seen.names()) == 50
    seen.page.get_by_role("link", name="Next").or_(seen.page.get_by_role("button", name="Next")).click()
    assert "page=2" in seen.address
    again = opened(browser, tmp_path, seen.address)
    assert again.names() == seen.names()
    again.page.context.close()
    seen.page.emulate_media(media="print")
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(seen.names()) == 120
    assert not seen.page.locator(".toolbar").is_visible()
    seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(seen.names()) == 50
    assert seen.complaints == []
    seen.page.context.close()


def test_hostile_names_show_as_text_everywhere(browser: Browser, tmp_path: Path) -> None:
    image = '"><img src=x onerror=alert(2)>'
    make_study(tmp_path, (Fake(HOSTILE), Fake(image, 0.8)), THREE_SEEDS, classes=(HOSTILE, "</script><b>x", image, "a"))
    written(tmp_path)
    seen = opened(browser, tmp_path, "open=%3Cscript%3Ealert(1)%3C%2Fscript%3E&cell=0-1")
    seen.wait_for_charts()
    assert set(seen.names()) == {HOSTILE, image}
    seen.page.locator("[data-chart=pareto] .mark-symbol path").first.hover()
    expect(seen.page.locator("#vg-tooltip-element")).to_contain_text("alert(")
    assert HOSTILE in seen.page.inner_text("[data-part=worst]")
    assert seen.page.locator("main img[src=x], main b").count() == 0
    assert seen.complaints == []
    seen.page.context.close()


def test_one_board_is_shown_at_a_time_and_named_in_the_address(browser: Browser, tmp_path: Path) -> None:
    make_study(tmp_path, CANONICAL_FAKES[:2])
    make_study(tmp_path, (Fake("other"),), PRESETS["smoke"], created="2026-06-01T00:00:00+00:00")
    newest, older = written(tmp_path)
    seen = opened(browser, tmp_path)
    assert seen.names() == ["other"]
    seen.page.get_by_role("navigation", name="Boards").get_by_role("link").last.click()
    seen.wait_for_charts()
    assert f"board={older.id}" in seen.address
    assert seen.names() == [row.name for row in older.rows]
    seen.page.go_back()
    assert seen.names() == [row.name for row in newest.rows]
    assert seen.complaints == []
    seen.page.context.close()


def test_an_empty_board_and_a_board_of_failures_open_too(browser: Browser, tmp_path: Path) -> None:
    write_html([], tmp_path)
    seen = opened(browser, tmp_path)
    assert "There is no run yet." in seen.page.inner_text("main")
    make_study(tmp_path, (FAILED,), THREE_SEEDS)
    written(tmp_path)
    failed = opened(browser, tmp_path)
    assert failed.names() == ["broken"]
    assert seen.complaints == failed.complaints == []
    for found in (seen, failed):
        found.page.context.close()


@pytest.mark.slow
def test_a_page_of_1300_models_opens_and_finds_one(browser: Browser, tmp_path: Path) -> None:
    from tests.benchmarks.large_study import large_study

    (tmp_path / "leaderboard.html").write_text(html_page(build_board(large_study(1300))))
    page = browser.new_page()
    page.goto((tmp_path / "leaderboard.html").as_uri(), wait_until="commit")
    page.get_by_role("searchbox").fill("model_0777")
    expect(page.get_by_role("status")).to_have_text("1 of 1,300 models")
    page.close()
