"""A board under a budget, in words: a section of the page, a table for the terminal, JSON for programs."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.analysis.budget import Judged, UnderBudget
from bench.analysis.conditions import Fact, why_open
from bench.analysis.quantities import QUANTITIES, Reading
from bench.report.markdown.stamp import takeaway, title
from bench.report.words import (
    NOTHING,
    listing,
    percent,
    pipe_table,
    plain,
    plural,
    points,
    significant,
    text_table,
    with_interval,
)

MOST_ROWS = 50
"""Rows that a table of those that fit shows; the rest is counted."""
MOST_OPEN = 20
"""Rows that may fit and are listed with their reasons; the rest is counted."""
_NBSP = "\u00a0"
_WIDTH = 110


def verdict(found: UnderBudget) -> str:
    """How many rows fit, and who is best among them, with ties named, in plain text."""
    fits, may, misses = len(found.fits), len(found.may_fit), len(found.misses)
    every = plural(fits + may + misses, "model")
    counts = f"{fits:,} of {every} {'fits' if fits == 1 else 'fit'} the budget" if fits else f"None of {every} fits"
    counts += f", {may:,} may fit" * bool(may)
    counts += f", {misses:,} {'does' if misses == 1 else 'do'} not." if misses and fits else "."
    return " ".join(part for part in (counts, _best(found), _open_and_better(found)) if part)


def budget_section(found: UnderBudget) -> str:
    """The section of `leaderboard.md`: what fits, ranked anew; what may fit and why; what does not."""
    names = _columns(found)
    parts = [f"### Under the budget {_code(found.budget.text)}", f"**{plain(verdict(found))}**"]
    if found.fits:
        rows = _rows(found, names, markdown=True)
        parts.append(pipe_table(_headers(names), rows, right=_right(names)) + _rest(found.fits, MOST_ROWS))
    if found.may_fit:
        lines = [f"- {plain(judged.row.name)}: {_why(judged)}" for judged in found.may_fit[:MOST_OPEN]]
        parts.append("May fit:\n\n" + "\n".join(lines) + _rest(found.may_fit, MOST_OPEN))
    if found.misses:
        parts.append(f"Beyond the budget: {listing([plain(judged.row.name) for judged in found.misses])}.")
    parts.append(_READING)
    return "\n\n".join(parts)


def budget_table(found: UnderBudget) -> str:
    """The same as plain text for a terminal, without colours, between the board's title and its takeaway."""
    names = _columns(found)
    parts = [f"{title(found.board)}\nUnder the budget {found.budget.text}"]
    if found.fits:
        rows = _rows(found, names, markdown=False)
        table = text_table(_headers(names), rows, right=_right(names))
        parts.append(table + _rest(found.fits, MOST_ROWS).replace("\n\n", "\n"))
    if found.may_fit:
        lines = [_wrapped(f"  {judged.row.name}: {_why(judged)}") for judged in found.may_fit[:MOST_OPEN]]
        parts.append("May fit:\n" + "\n".join(lines) + _rest(found.may_fit, MOST_OPEN).replace("\n\n", "\n  "))
    if found.misses:
        parts.append(_wrapped(f"Beyond the budget: {listing([judged.row.name for judged in found.misses])}."))
    parts += [_wrapped(verdict(found)), _wrapped(f"Without a budget: {takeaway(found.board)}")]
    return "\n\n".join(parts) + "\n"


def budget_json(found: UnderBudget) -> dict[str, Any]:
    """The same as JSON values; `leaderboard.json` has what else is known of each row."""
    return {
        "board": found.board.id,
        "where": found.budget.text,
        "verdict": verdict(found),
        "fits": [_line(judged) for judged in found.fits],
        "may_fit": [_line(judged) for judged in found.may_fit],
        "misses": [_line(judged) for judged in found.misses],
    }


_READING = (
    "Ranked anew among those that fit, by the rule of the board. A model fits if its figures, with the whole of their "
    "95 % intervals, meet the condition; it may fit where an interval holds a limit, or where a figure is missing or "
    "INVALID."
)


def _best(found: UnderBudget) -> str:
    """The sentence on who is first among those that fit."""
    ranked = [judged for judged in found.fits if judged.rank is not None]
    if not ranked:
        return "No model that fits has a rank." if found.fits else ""
    first = list(found.first)
    scores = listing([f"{judged.row.name} ({_top1(judged)} %)" for judged in first], most=6)
    if len(ranked) == 1:
        lead = f"Best: {scores}, the only one with a rank."
    elif len(first) == len(ranked):
        lead = f"None of them can be told apart from the best: {scores}."
    elif len(first) == 1:
        lead = f"Best: {scores}."
    else:
        lead = f"{scores} share first place and cannot be told apart."
    return lead + _behind_the_board(found, first[0])


def _behind_the_board(found: UnderBudget, best: Judged) -> str:
    """What the budget costs against the best row of the whole board."""
    overall = next((row for row in found.board.rows if row.rank is not None), None)
    if overall is None or overall.name in {judged.row.name for judged in found.fits}:
        return ""
    pair = found.board.pairs.between(best.row.name, overall.name, found.board.train_sizes[-1])
    if pair is None:
        return ""
    ends = f"[{points(pair.low)}, {points(pair.high)}]"
    told = "" if pair.apart else ", which cannot be told apart"
    gap = f"{points(pair.difference)} {ends} points{told}"
    return f" {best.row.name} against {overall.name}, the best without a budget: {gap}."


def _open_and_better(found: UnderBudget) -> str:
    """Whether rows that may fit are more accurate than the best that does."""
    best = max((_accuracy(judged) for judged in found.fits if judged.rank is not None), default=-1.0)
    above = [judged.row.name for judged in found.may_fit if judged.row.rank is not None and _accuracy(judged) > best]
    if not above or best < 0:
        return ""
    return f"Of those that may fit, {listing(above, most=4)} would be more accurate."


def _accuracy(judged: Judged) -> float:
    return judged.row.top1.value if judged.row.top1 else -1.0


def _top1(judged: Judged) -> str:
    return percent(judged.row.top1.value if judged.row.top1 else None)


def _columns(found: UnderBudget) -> list[str]:
    """The names that the condition uses; accuracy has a column anyway."""
    return [name for name in found.budget.condition.names if name != "top1"]


def _headers(names: Sequence[str]) -> list[str]:
    return ["rank", "model", "top-1 % [95 % interval]", *names]


def _right(names: Sequence[str]) -> list[int]:
    """Columns of numbers."""
    return [0, *(3 + k for k, name in enumerate(names) if name in QUANTITIES)]


def _rows(found: UnderBudget, names: Sequence[str], *, markdown: bool) -> list[list[str]]:
    shared = Counter(judged.rank for judged in found.fits)
    return [_cells(judged, names, shared[judged.rank] > 1, markdown) for judged in found.fits[:MOST_ROWS]]


def _cells(judged: Judged, names: Sequence[str], shared: bool, markdown: bool) -> list[str]:
    row = judged.row
    values = [
        _reading(QUANTITIES[name].of(row)) if name in QUANTITIES else row.info.family if row.info else NOTHING
        for name in names
    ]
    cells = [
        f"{judged.rank}{'=' * shared}" if judged.rank is not None else NOTHING,
        plain(row.name) if markdown else row.name,
        with_interval(row.top1),
        *values,
    ]
    return [cells[0], cells[1], *(cell.replace(" ", _NBSP) for cell in cells[2:])] if markdown else cells


def _reading(found: Reading) -> str:
    """`4.21 [4.19–4.25]`; without an interval where it is exact; with the reason where it must not be relied on."""
    if found.value is None:
        return NOTHING
    ends = ""
    if found.sound and not found.exact:
        ends = f" [{significant(found.low)}–{significant(found.high)}]"
    return f"{significant(found.value)}{ends}{f' {found.why}' if found.why else ''}"


def _why(judged: Judged) -> str:
    """What left a row open: `latency_ms 4.98 [4.91–5.10] (the interval holds the limit)`."""
    told = []
    for fact in judged.facts:
        found = fact.found
        if isinstance(found, Reading) and found.sound:
            told.append(f"{fact.name} {_reading(found)} ({why_open(fact)})")
        elif isinstance(found, Reading):
            told.append(f"{fact.name} {_reading(found) if found.value is not None else why_open(fact)}")
    return ", ".join(told)


def _wrapped(text: str) -> str:
    """One line of text in the terminal's width, what follows of it indented."""
    return textwrap.fill(text, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _rest(judged: Sequence[Judged], shown: int) -> str:
    return f"\n\n… and {len(judged) - shown:,} more." if len(judged) > shown else ""


def _code(text: str) -> str:
    """Text as code in Markdown, whatever backticks it has."""
    longest, run = 0, 0
    for letter in text:
        run = run + 1 if letter == "`" else 0
        longest = max(longest, run)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _line(judged: Judged) -> dict[str, Any]:
    row = judged.row
    return {
        "name": row.name,
        "rank": judged.rank,
        "top1": row.top1.value if row.top1 else None,
        "facts": [_fact(fact) for fact in judged.facts],
    }


def _fact(fact: Fact) -> dict[str, Any]:
    found = fact.found
    if isinstance(found, str):
        return {"name": fact.name, "value": found, "low": None, "high": None, "meets": fact.truth, "why": ""}
    return {
        "name": fact.name,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "meets": fact.truth,
        "why": why_open(fact),
    }
