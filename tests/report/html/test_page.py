"""The page as text: it is one file, its policy allows what is in it and nothing else, and it stays small."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.protocol import PRESETS
from bench.report.html.page import PAGE, Material, bar, html_page, safe_json, write_html
from bench.report.write import write_boards
from bench.store import Store
from tests.samples import CANONICAL_FAKES, Fake, make_study

HOSTILE = "</script><script>alert(1)</script>"


class Parsed(HTMLParser):
    """Elements with their attributes, scripts and styles with their text, and all visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[tuple[dict[str, str | None], str]]] = {"script": [], "style": []}
        self.text: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside = tag
        if tag in self.raw:
            self.raw[tag].append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in self.raw:
            attributes, before = self.raw[self.inside][-1]
            self.raw[self.inside][-1] = attributes, before + data
        else:
            self.text.append(data)

    @property
    def policy(self) -> dict[str, list[str]]:
        """The content security policy: sources by directive."""
        (content,) = (a["content"] for tag, a in self.found if a.get("http-equiv") == "Content-Security-Policy")
        return {part.split()[0]: part.split()[1:] for part in (content or "").split(";")}


def _boards(root: Path, **changes: object) -> list[Board]:
    make_study(root, **changes)  # type: ignore[arg-type]
    return build_board(load_records(root))


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    """The page of a study with hostile names."""
    fakes = (Fake(HOSTILE, 0.9), Fake("<img src=x onerror=alert(2)>", 0.8))
    boards = _boards(tmp_path_factory.mktemp("page"), models=fakes, classes=(HOSTILE, "b & c", "d"))
    return Parsed(html_page(boards, problems=["runs/<b>x</b>/record.json: left out"]))


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_names_every_script_and_style_by_its_hash_and_allows_nothing_else(parsed: Parsed) -> None:
    policy = parsed.policy
    scripts = [text for attributes, text in parsed.raw["script"] if attributes.get("type") != "application/json"]
    assert sorted(policy["script-src"]) == sorted(map(_digest, scripts))
    assert sorted(policy["style-src-elem"]) == sorted(_digest(text) for _, text in parsed.raw["style"])
    assert policy["default-src"] == policy["connect-src"] == ["'none'"]
    assert policy["img-src"] == ["data:"]
    allowed = {source for name, sources in policy.items() if name != "style-src-attr" for source in sources}
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "blob:"} & allowed


def test_nothing_in_the_page_points_outside_it(parsed: Parsed) -> None:
    for _, attributes in parsed.found:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), attributes


def test_hostile_names_are_text_and_no_element_has_a_handler(parsed: Parsed) -> None:
    assert HOSTILE in "".join(parsed.text)
    assert "runs/<b>x</b>/record.json: left out" in "".join(parsed.text)
    assert len(parsed.raw["script"]) == 4
    assert not [a for tag, a in parsed.found if tag == "b" or any(name.startswith("on") for name in a)]


def test_the_data_are_json_that_reads_back_as_written(parsed: Parsed) -> None:
    (text,) = (text for attributes, text in parsed.raw["script"] if attributes.get("type") == "application/json")
    document = json.loads(text)
    assert "<" not in text
    assert document["boards"][0]["classes"] == [HOSTILE, "b & c", "d"]
    assert document["boards"][0]["rows"][0]["name"] in (HOSTILE, "<img src=x onerror=alert(2)>")


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_text_in_json_reads_back_and_ends_no_element(value: object) -> None:
    text = safe_json({"value": value})
    assert json.loads(text) == {"value": value}
    assert not re.search(r"[<>&]", text)


def test_every_row_stands_in_the_plain_table_with_what_the_scripts_show(tmp_path: Path) -> None:
    (board,) = boards = _boards(tmp_path, models=CANONICAL_FAKES)
    parsed = Parsed(html_page(boards))
    text = "".join(parsed.text)
    assert all(row.name in text for row in board.rows)
    assert text.count("resnet50") >= 2
    assert sum(a.get("class") == "interval" for tag, a in parsed.found if tag == "svg") == len(board.rows)
    assert [tag for tag, _ in parsed.found if tag == "caption"]


def test_eight_rows_with_pictures_and_images_need_less_than_3_mb(tmp_path: Path) -> None:
    from bench.report.figures.board import FIGURES, draw_figures

    fakes = [Fake(f"model_{k}", 0.9 - 0.01 * k) for k in range(8)]
    (board,) = boards = _boards(tmp_path, models=fakes)
    figures = {FIGURES[name][0]: contents for name, contents in draw_figures(board)}
    images = {k: bytes(8_000) for k in range(400)}
    text = html_page(boards, [Material(images=images, figures=figures)])
    assert len(text.encode()) < 3_000_000
    assert text.count('<figure class="static">') >= 2


def test_equal_boards_give_equal_bytes(tmp_path: Path) -> None:
    boards = _boards(tmp_path, models=CANONICAL_FAKES[:2])
    assert html_page(boards) == html_page(boards)


def test_the_report_writes_the_page_with_its_still_pictures_and_the_kept_images(tmp_path: Path) -> None:
    (board,) = _boards(tmp_path, models=CANONICAL_FAKES[:2])
    kept = {k: np.full((8, 8, 1), k, dtype=np.uint8) for k in range(3)}
    Store(tmp_path).write_thumbnails(board.key.data_fingerprint, kept)
    write_boards(load_records(tmp_path), tmp_path, "")
    parsed = Parsed((tmp_path / PAGE).read_text())
    (text,) = (text for attributes, text in parsed.raw["script"] if attributes.get("type") == "application/json")
    (values,) = json.loads(text)["boards"]
    assert set(values["images"]) == {"0", "1", "2"}
    assert base64.b64decode(values["images"]["0"]).startswith(b"\x89PNG")
    assert set(values["answers"]["rows"]) == {"0", "1"}
    assert (tmp_path / PAGE).read_text().count('<figure class="static">') >= 2


def test_a_page_without_a_board_says_so(tmp_path: Path) -> None:
    write_html([], tmp_path)
    assert "There is no run yet." in (tmp_path / PAGE).read_text()


def test_each_board_has_a_section_that_its_link_points_to(tmp_path: Path) -> None:
    make_study(tmp_path, models=CANONICAL_FAKES[:1])
    boards = _boards(tmp_path, models=(Fake("other"),), protocol=PRESETS["smoke"], created="2026-06-01T00:00:00+00:00")
    parsed = Parsed(html_page(boards))
    sections = {a["id"] for tag, a in parsed.found if tag == "section" and a.get("class") == "board"}
    assert sections == {f"board={board.id}" for board in boards}
    assert {(a["href"] or "")[1:] for tag, a in parsed.found if tag == "a" and "data-board" in a} == sections


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_bar_lies_within_its_scale_and_around_its_value(a: float, b: float, c: float) -> None:
    low, value, high = sorted((a, b, c))
    found = bar([value, low, high], (0.0, 1.0))
    assert found is not None
    assert found["x"] - 0.2 <= found["value"] <= found["x"] + found["width"] + 0.2
    assert 0 <= found["x"] <= found["x"] + found["width"] <= 100.6
    assert bar([value, None, None], (low, high)) is not None
    assert bar(None, (0.0, 1.0)) is None
