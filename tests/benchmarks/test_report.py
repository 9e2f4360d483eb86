"""Building the report from records: the texts, the pictures apart, and a large board's statistics.

`python -m pytest tests/benchmarks/test_report.py -n 0 --benchmark-enable -m 'slow or not slow'`
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from bench.analysis.board import build_board
from bench.analysis.mistakes import mistakes_of
from bench.protocol import PRESETS
from bench.report.html.page import html_page
from bench.report.write import write_pictures, write_texts
from bench.store import Store, load_records
from tests.benchmarks.large_study import large_study
from tests.browser.conftest import browser as browser
from tests.samples import make_study


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records of the canonical four over three seeds."""
    root = tmp_path_factory.mktemp("results")
    make_study(root, protocol=replace(PRESETS["quick"], seeds=(0, 1, 2)))
    return root


def test_report_from_records_to_the_text_of_the_board(results: Path, tmp_path: Path, benchmark: Any) -> None:
    def report() -> None:
        write_texts(build_board(load_records(results)), tmp_path)

    benchmark.pedantic(report, rounds=3, warmup_rounds=1)
    assert (tmp_path / "leaderboard.md").is_file()


@pytest.mark.slow
def test_pictures_of_the_report(results: Path, tmp_path: Path, benchmark: Any) -> None:
    boards = build_board(load_records(results))
    mistakes = {board.id: mistakes_of(board, Store(results)) for board in boards}

    def draw() -> None:
        (tmp_path / ".drawn.json").unlink(missing_ok=True)  # what would not change is not drawn again
        write_pictures(boards, tmp_path, mistakes)

    benchmark.pedantic(draw, rounds=3, warmup_rounds=1)
    assert list(tmp_path.rglob("*.png"))


@pytest.mark.slow
def test_statistics_of_1300_models_five_sizes_and_three_seeds(benchmark: Any) -> None:
    records = large_study(1300)
    (board,) = benchmark.pedantic(build_board, args=(records,), rounds=1)
    assert len(board.rows) == len(board.curves) == 1300
    assert all(found.seeds[0, 1] == 3 for found in board.pairs.at)


@pytest.mark.slow
def test_a_page_of_1300_models_until_one_is_found(browser: Browser, tmp_path: Path, benchmark: Any) -> None:
    """2 s of the page's computing are asked for; `extra_info` tells them, without the time of reading the file."""
    (tmp_path / "leaderboard.html").write_text(html_page(build_board(large_study(1300))))
    computed: list[float] = []

    def find() -> None:
        page = browser.new_page()
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto((tmp_path / "leaderboard.html").as_uri(), wait_until="commit")
        page.get_by_role("searchbox").fill("model_0777")
        expect(page.get_by_role("status")).to_have_text("1 of 1,300 models")
        found = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        computed.append(found["TaskDuration"])
        page.close()

    benchmark.pedantic(find, rounds=3)
    benchmark.extra_info["computing_s"] = min(computed)
