"""A board under a budget: what fits, ranked anew, in Markdown, in a terminal and as JSON."""

from __future__ import annotations

import json

import pytest
from markdown_it import MarkdownIt

from bench.analysis.budget import UnderBudget, parse_budget, under_budget
from bench.report.markdown.budget import MOST_OPEN, MOST_ROWS, budget_json, budget_section, budget_table, verdict
from tests.analysis.hand_boards import DOUBT, Made, invalid, make_board

MADE = (
    Made("giant", 0.97, params=90_000_000, speed=100.0),
    Made("a", 0.90, speed=600.0),
    Made("b", 0.90 - DOUBT / 2, speed=700.0),
    Made("c", 0.70, speed=800.0),
    Made("edge", 0.93, speed=500.0),
    Made("odd", 0.60, speed=600.0, cost=invalid(600.0)),
)


def _found(where: str = "latency_ms < 10 & params_m < 30", made: tuple[Made, ...] = MADE) -> UnderBudget:
    return under_budget(make_board(made), parse_budget(where))


def test_the_verdict_counts_names_ties_tells_the_price_and_who_might_be_better() -> None:
    assert verdict(_found()) == (
        "3 of 6 models fit the budget, 2 may fit, 1 does not. a (90.0 %) and b (88.5 %) share first place and cannot "
        "be told apart. a against giant, the best without a budget: −7.0 [−10.0, −4.0] points. Of those that may fit, "
        "edge would be more accurate."
    )


@pytest.mark.parametrize(
    ("where", "made", "said"),
    [
        ("params_m<1", (Made("a", 0.9),), "None of 1 model fits."),
        ("energy_mj<1", MADE, "None of 6 models fits, 6 may fit."),
        ("params_m<30", (Made("a", 0.9),), "1 of 1 model fits the budget. Best: a (90.0 %), the only one with a rank."),
        ("params_m<30", (Made("a", 0.9), Made("b", 0.8)), "2 of 2 models fit the budget. Best: a (90.0 %)."),
        (
            "params_m<30",
            (Made("a", 0.9), Made("b", 0.9)),
            "2 of 2 models fit the budget. None of them can be told apart from the best: a (90.0 %) and b (90.0 %).",
        ),
        (
            "params_m<30",
            (Made("a", 0.9, ranked=False),),
            "1 of 1 model fits the budget. No model that fits has a rank.",
        ),
    ],
)
def test_the_verdict_is_right_in_odd_cases(where: str, made: tuple[Made, ...], said: str) -> None:
    assert verdict(_found(where, made)) == said


def test_the_section_has_the_table_the_open_cases_with_reasons_and_the_rest() -> None:
    text = budget_section(_found())
    assert text.startswith("### Under the budget `latency_ms < 10 & params_m < 30`\n")
    rows = [line.replace("\u00a0", " ") for line in text.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in rows[0].strip("|").split("|")] == [
        "rank", "model", "top-1 % [95 % interval]", "latency_ms", "params_m",
    ]  # fmt: skip
    assert [cell.strip() for cell in rows[2].strip("|").split("|")] == [
        "1=", "a", "90.0 [88.5, 91.5]", "8.33 [8.29–8.38]", "10.0",
    ]  # fmt: skip
    assert "- edge: latency_ms 10.0 [9.95–10.1] (the interval holds the limit)" in text
    assert "- odd: latency_ms 8.33 INVALID" in text
    assert "Beyond the budget: giant." in text


def test_the_terminal_gets_plain_text_with_the_title_and_the_takeaway_of_the_whole_board() -> None:
    text = budget_table(_found())
    assert text.startswith("digits · quick · Test CPU")
    assert "Without a budget: At 1,000 training images giant (97.0 %) is first" in text
    assert all(len(line) <= 110 for line in text.splitlines())
    assert "\\" not in text
    assert "`" not in text


def test_json_has_every_row_in_one_list_with_the_facts_that_decided() -> None:
    found = json.loads(json.dumps(budget_json(_found()), allow_nan=False))
    assert [row["name"] for row in found["fits"]] == ["a", "b", "c"]
    assert [row["rank"] for row in found["fits"]] == [1, 1, 3]
    assert found["misses"][0]["facts"][0]["meets"] is False
    (open_case,) = [row for row in found["may_fit"] if row["name"] == "odd"]
    assert open_case["facts"][0]["why"] == "INVALID"
    assert found["where"] == "latency_ms < 10 & params_m < 30"
    assert found["verdict"] == verdict(_found())


def test_a_family_is_a_column_of_words() -> None:
    assert "| family |" in budget_section(_found("family == 'CNN' & params_m < 30"))


def test_names_and_conditions_stay_text_in_markdown() -> None:
    name = "<script>x</script>|`y`"
    html = MarkdownIt().enable("table").render(budget_section(_found("family != 'ViT' | gmacs<1", (Made(name, 0.9),))))
    assert "<script>" not in html
    assert "<code>family != 'ViT' | gmacs&lt;1</code>" in html


def test_long_lists_end_with_a_count() -> None:
    fits = tuple(Made(f"m{k}", 0.9) for k in range(MOST_ROWS + 5))
    may = tuple(Made(f"n{k}", 0.8, measured=False) for k in range(MOST_OPEN + 7))
    text = budget_section(_found("gmacs < 1", (*fits, *may)))
    assert "… and 5 more." in text
    assert "… and 7 more." in text
    assert "… and 5 more." in budget_table(_found("gmacs < 1", (*fits, *may)))
