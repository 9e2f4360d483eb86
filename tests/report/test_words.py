"""Values as text: no number loses its meaning, no name becomes markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bench.analysis.rows import Point
from bench.report.words import (
    code_block,
    link,
    listing,
    p_value,
    percent,
    pipe_table,
    plain,
    plural,
    points,
    significant,
    superscript,
    unbroken,
    with_interval,
)

MARKDOWN = MarkdownIt("commonmark").enable("table")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (0.0854, "0.085"), (4.089, "4.09"), (17.56, "17.6"), (410.2, "410"), (12345.6, "12,346")],
)
def test_numbers_keep_about_three_digits_without_an_exponent(value: float | None, text: str) -> None:
    assert significant(value) == text


def test_accuracies_are_in_percent_and_absence_is_a_dash() -> None:
    assert percent(0.83123) == "83.1"
    assert percent(None) == with_interval(None) == points(None) == "–"
    assert points(-0.0333) == "−3.3"
    assert with_interval(Point(9, {0: 0.8}, 0.8, 0.75, 0.85, "wilson")) == "80.0 [75.0, 85.0]"
    assert with_interval(Point(9, {0: 0.8}, 0.8, None, None, "none")) == "80.0 [unknown]"


def test_small_p_values_are_bounded_not_rounded_to_zero() -> None:
    assert (p_value(1e-9), p_value(0.0357), p_value(0.519)) == ("< 0.001", "0.036", "0.52")


def test_lists_read_like_a_sentence() -> None:
    assert listing([]) == ""
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert listing([str(k) for k in range(20)], most=3) == "0, 1 and 18 more"
    assert (plural(1, "image"), plural(1437, "image")) == ("1 image", "1,437 images")
    assert superscript(12) == "¹²"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
def test_any_text_shows_as_itself_inside_a_table(text: str) -> None:
    shown = " ".join(text.split())
    html = MARKDOWN.render(pipe_table(["name"], [[plain(text)]]))
    cell = html.partition("<tbody>")[2].partition("<td>")[2].partition("</td>")[0]
    expected = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    assert cell == expected


def test_a_link_survives_a_name_full_of_markup() -> None:
    html = MARKDOWN.render(link("a]b|<i>", "runs/a b(1)/"))
    assert html == '<p><a href="runs/a%20b%281%29/">a]b|&lt;i&gt;</a></p>\n'


def test_no_line_ends_the_block_of_code_it_stands_in() -> None:
    html = MARKDOWN.render(code_block(["python x ```", "```\n<b>", "````"]))
    assert html == '<pre><code class="language-sh">python x ```\n``` &lt;b&gt;\n````\n</code></pre>\n'


def test_an_unbroken_text_has_no_space_to_break_at() -> None:
    assert unbroken("−0.8 to +3.9") == "−0.8\u00a0to\u00a0+3.9"
