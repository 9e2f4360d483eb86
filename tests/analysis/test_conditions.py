"""A condition is read without running code, and is true or false of a row only where that is certain."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.analysis.conditions import FAMILIES, LONGEST, Compared, Condition, parse_condition, why_open
from bench.analysis.quantities import QUANTITIES, Quantity, Reading
from bench.analysis.rows import Row
from bench.errors import UsageError
from tests.analysis.hand_boards import Made, invalid, make_board


def _row(**made: Any) -> Row:
    return make_board([Made("a", 0.9, **made)]).rows[0]


ROW = _row(params=20_000_000, macs=500_000_000, speed=500.0, family="ViT")
"""20 M parameters, 0.5 GMACs, 500 img/s, 10 ms [9.95, 10.06], 90 % [88.5, 91.5]."""


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("params_m<30", True),
        ("params_m < 20", False),
        ("params_m <= 20", True),
        ("params_m >= 20", True),
        ("params_m == 20", True),
        ("params_m != 20", False),
        ("30 > params_m", True),
        ("10 < params_m < 30", True),
        ("10 < params_m < 15", False),
        ("latency_ms<11 & params_m<30", True),
        ("latency_ms<11 && params_m<10", False),
        ("latency_ms<5 | params_m<30", True),
        ("latency_ms<5 || params_m<10", False),
        ("latency_ms<11 and not params_m>30", True),
        ("not (latency_ms<11 or params_m>30)", False),
        ("params_m<10 & gmacs<1 | gmacs<1", True),
        ("params_m<10 & (gmacs<1 | gmacs<1)", False),
        ("params_m≤20", True),
        ("params_m≠20", False),
        ("family == 'ViT'", True),
        ('"vit" == family', True),
        ("family != 'CNN' & family != 'Swin'", True),
        ("params_m < 3e1", True),
        ("top1 > -5", True),
        (" params_m\n<30 ", True),
    ],
)
def test_a_condition_means_what_it_says(text: str, truth: bool) -> None:
    assert parse_condition(text).judge(ROW).truth is truth


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("latency_ms < 10", None),
        ("latency_ms < 10.06", None),
        ("latency_ms <= 10.06", True),
        ("latency_ms < 9.95", False),
        ("latency_ms <= 9.95", None),
        ("latency_ms > 10", None),
        ("latency_ms > 9.95", None),
        ("latency_ms >= 9.95", True),
        ("latency_ms > 10.06", False),
        ("latency_ms == 10", None),
        ("latency_ms == 11", False),
        ("latency_ms != 10", None),
        ("latency_ms != 11", True),
        ("top1 > 90", None),
        ("top1 > 88", True),
        ("energy_mj < 5", None),
        ("not energy_mj < 5", None),
        ("energy_mj < 5 & params_m < 30", None),
        ("energy_mj < 5 & params_m > 30", False),
        ("energy_mj < 5 | params_m < 30", True),
        ("energy_mj < 5 | params_m > 30", None),
    ],
)
def test_what_an_interval_or_a_missing_figure_leaves_open_is_unknown(text: str, truth: bool | None) -> None:
    assert parse_condition(text).judge(ROW).truth is truth


def test_an_invalid_figure_leaves_it_open_however_far_from_the_limit_it_is() -> None:
    outcome = parse_condition("latency_ms < 1000").judge(_row(cost=invalid(500.0)))
    assert outcome.truth is None
    assert [why_open(fact) for fact in outcome.facts] == ["INVALID"]


def test_the_family_of_a_model_that_was_never_built_is_unknown() -> None:
    outcome = parse_condition("family == 'CNN'").judge(replace(ROW, profile=None))
    assert outcome.truth is None
    assert [why_open(fact) for fact in outcome.facts] == ["never built"]


@pytest.mark.parametrize(
    ("text", "decisive"),
    [
        ("params_m > 30 & gmacs < 1", ["params_m"]),
        ("params_m < 30 & gmacs < 1", ["params_m", "gmacs"]),
        ("params_m > 30 | gmacs < 1", ["gmacs"]),
        ("latency_ms < 10 & gmacs < 1", ["latency_ms"]),
        ("10 < params_m < 30", ["params_m"]),
    ],
)
def test_the_facts_that_decide_are_told(text: str, decisive: list[str]) -> None:
    assert list(dict.fromkeys(fact.name for fact in parse_condition(text).judge(ROW).facts)) == decisive


def test_a_condition_knows_the_names_it_uses_once_and_in_order() -> None:
    condition = parse_condition("gmacs<1 & (params_m<3 | not gmacs>0.1) & family=='CNN'")
    assert condition.names == ("gmacs", "params_m", "family")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--where is empty"),
        (" \n", "--where is empty"),
        ("latency<5", r"'latency' at character 1 is no quantity\. Did you mean latency_ms\?"),
        ("gmacs<1 & param_m<5", r"'param_m' at character 11 is no quantity\. Did you mean params_m"),
        ("gmacs<1 & zzz<5", r"'zzz' at character 11 is no quantity\. There are top1, .*family"),
        ("params_m", r"'params_m' at character 1 is no condition by itself"),
        ("params_m = 3", r"cannot be read at character 10 \('= 3'\); write == to compare"),
        ("params_m <", r"cannot be read at its end"),
        ("params_m < 3 &", r"cannot be read at its end"),
        ("gmacs<1 & & params_m<3", r"cannot be read at character 11 \('& params_m<3'\)"),
        ("params_m < 3)", r"cannot be read at character 13"),
        ("(params_m < 3", r"cannot be read at character 1"),
        ("params_m < 5ms", r"cannot be read at character 1[12]"),
        ("params_m < 3 # small", r"cannot be read at character 14"),
        ("5 < 6", r"compares no quantity"),
        ("params_m < gmacs", r"compares two names: one side must be a number"),
        ("params_m in (3, 4)", r"compares in a way that is not understood"),
        ("params_m is 3", r"compares in a way that is not understood"),
        ("params_m + 1 < 3", r"'params_m \+ 1' at character 1 is neither a finite number nor a name"),
        ("params_m < True", r"neither a finite number"),
        ("params_m < 1e999", r"neither a finite number"),
        ("params_m < 1" + "0" * 400, r"neither a finite number"),
        ("params_m == 'ten'", r"'ten' at character 13 is text, but params_m is a number"),
        ("family == 'CNNs'", r"'CNNs' at character 11 is no family.*Did you mean CNN"),
        ("family < 'CNN'", r"is compared by == or !="),
        ("family == 3", r"is compared by == or !="),
        ("__import__('os').remove('x')", r"is no condition"),
        ("params_m.real < 3", r"neither a finite number nor a name"),
        ("lambda: 3", r"is no condition"),
        ("params_m<3 if 1 else 2", r"is no condition"),
        ("(" * 300 + "params_m<3" + ")" * 300, r"cannot be read"),
        ("params_m<3 & " * 200, rf"at most {LONGEST:,} characters"),
        ("größe<1 & params_m<größe", r"'größe' at character 1 is no quantity"),
        ("gmacs<1 & größe<1 & zzz<1", r"'größe' at character 11 is no quantity"),
    ],
)
def test_what_is_no_condition_is_one_line_that_says_where(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        parse_condition(text)
    assert "\n" not in str(refused.value)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["params_m", "gmacs", "family", "'CNN'", "<", "<=", "==", "=", "&", "|", "not", "(", ")", "3", "-", "x",
             "é", "'", '"', "\\", "#", "\0", "\n", "\r", "\u2028", "f''", "b'a'", "[", "lambda", ":", "1e999", "\ud800"]
        ),
        max_size=12,
    ).map(" ".join)
    | st.text(max_size=40)
)  # fmt: skip
def test_any_text_is_a_condition_or_a_mistake_in_one_printable_line(text: str) -> None:
    said = ""
    try:
        parse_condition(text).judge(ROW)
    except UsageError as error:
        said = str(error)
    assert said.isprintable()


NUMBERS = ("params_m", "gmacs", "latency_ms")
OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
             "!=": operator.ne}  # fmt: skip
LEAVES = st.builds(
    lambda name, op, limit: f"{name} {op} {limit}", st.sampled_from(NUMBERS), st.sampled_from(list(OPERATORS)),
    st.integers(0, 6),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(lambda a, op, b: f"({a}) {op} ({b})", inner, st.sampled_from(["&", "|"]), inner)
        | inner.map(lambda a: f"not ({a})")
    ),
    max_leaves=6,
)
INTERVALS = st.dictionaries(
    st.sampled_from(NUMBERS), st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=3, max_size=3
)


def _with_readings(readings: dict[str, Reading], condition: Condition, monkeypatch: pytest.MonkeyPatch) -> bool | None:
    """The truth of a condition of a row whose figures are these."""
    with monkeypatch.context() as patch:
        for name, reading in readings.items():
            patch.setitem(QUANTITIES, name, Quantity(name, "", "", True, lambda row, found=reading: found))
        return condition.judge(ROW).truth


@settings(max_examples=150, deadline=None)
@given(text=TREES, intervals=INTERVALS, share=st.floats(0, 1))
def test_what_is_decided_holds_for_every_value_inside_the_intervals(
    text: str, intervals: dict[str, tuple[int, int]], share: float
) -> None:
    condition = parse_condition(text)
    with pytest.MonkeyPatch.context() as patch:
        ranges = {name: Reading(low + wide / 2, low, low + wide) for name, (low, wide) in intervals.items()}
        truth = _with_readings(ranges, condition, patch)
        values = {name: low + share * wide for name, (low, wide) in intervals.items()}
        exact = {name: Reading(value, value, value) for name, value in values.items()}
        certain = _with_readings(exact, condition, patch)
    assert certain is eval(text.replace("&", " and ").replace("|", " or "), {"__builtins__": {}}, values)
    assume(truth is not None)
    assert truth is certain


def test_a_chain_is_each_of_its_links() -> None:
    condition = parse_condition("1 < params_m <= 3")
    assert condition == parse_condition("params_m > 1 & params_m <= 3")
    assert Compared("params_m", ">", 1.0) in condition.parts  # type: ignore[attr-defined]


def test_the_families_are_those_of_the_zoo() -> None:
    from bench.models.zoo import ZOO

    assert {entry.family for entry in ZOO} <= set(FAMILIES)
