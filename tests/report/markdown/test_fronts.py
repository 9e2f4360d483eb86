"""The section on trade-offs says who is on a front, who is beaten by whom, and why others cannot be judged."""

from __future__ import annotations

from markdown_it import MarkdownIt

from bench.report.markdown.fronts import STAR_MEANS, front_section
from tests.analysis.hand_boards import Made, invalid, make_board


def test_each_front_is_told_with_those_who_are_beaten_and_by_whom() -> None:
    text = front_section(make_board([Made("good", 0.9, macs=500), Made("fine", 0.85, macs=500), Made("bad", 0.7)]))
    line = next(line for line in text.splitlines() if line.startswith("- **multiply-accumulates**"))
    assert line.endswith("on the front good; beaten beyond doubt fine (by good) and bad (by good and 1 more).")


def test_who_cannot_be_judged_is_told_with_the_reason() -> None:
    made = [Made("good", 0.9), Made("odd", 0.8, cost=invalid(800.0)), Made("none", 0.7, measured=False)]
    text = front_section(make_board(made))
    line = next(line for line in text.splitlines() if line.startswith("- **latency of one image**"))
    assert line.endswith("Undecided: INVALID: odd; not measured: none.")


def test_a_cost_that_nobody_has_and_rows_without_a_rank_are_named_once() -> None:
    text = front_section(make_board([Made("good", 0.9), Made("odd", 0.8, ranked=False)]))
    assert "Not measured, or not so that it can be relied on: energy of inference." in text
    assert "On no front, as they have no rank: odd." in text


def test_there_is_no_section_where_nothing_ranks_or_nothing_was_measured() -> None:
    assert front_section(make_board([Made("a", 0.9, ranked=False)])) == ""


def test_a_name_stays_text_in_markdown() -> None:
    name = "<b>*x*</b> `y` | [z](w)"
    html = MarkdownIt().render(front_section(make_board([Made(name, 0.9), Made("other", 0.5)])))
    assert "<b>" not in html
    assert "&lt;b&gt;*x*&lt;/b&gt; `y` | [z](w)" in html


def test_of_many_models_the_section_names_only_some() -> None:
    made = [Made(f"m{k}", 0.9 - k / 2000) for k in range(400)]
    assert len(front_section(make_board(made))) < 5000


def test_the_star_is_explained_in_one_sentence() -> None:
    assert STAR_MEANS.startswith("★")
    assert STAR_MEANS.count(".") == 1
