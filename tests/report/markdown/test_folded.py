"""Folded parts open as Markdown, whatever their summary says; long tables say what they leave out."""

from __future__ import annotations

from markdown_it import MarkdownIt

from bench.report.markdown.folded import folded, long_table

MARKDOWN = MarkdownIt("commonmark").enable("table")


def test_the_body_is_markdown_and_the_summary_is_text() -> None:
    html = MARKDOWN.render(folded("a <b>\n& c", "**bold**"))
    assert "<summary>a &lt;b&gt; &amp; c</summary>" in html
    assert "<p><strong>bold</strong></p>" in html
    assert html.strip().endswith("</details>")


def test_nothing_is_folded_where_there_is_nothing() -> None:
    assert folded("empty", "") == ""


def test_a_table_that_is_too_long_says_how_much_is_where() -> None:
    rows = [[str(k)] for k in range(7)]
    assert long_table(["a"], rows, most=7).count("\n") == 8
    cut = long_table(["a"], rows, where="`x.csv`", most=5)
    assert cut.endswith("| 4   |\n\n… and 2 more lines in `x.csv`.")
