"""Conditions on rows, such as `latency_ms<5 & params_m<30`: read without running any code, judged in three values.

A condition is true, false, or unknown (None) of a row: a figure may be missing, INVALID, or its 95 % interval may hold
the limit. The three values combine as in Kleene's strong logic (Kleene 1952, Introduction to Metamathematics, § 64).
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from bench.analysis.quantities import NO_INTERVAL, QUANTITIES, Reading
from bench.analysis.rows import Row
from bench.errors import UsageError, did_you_mean
from bench.models.zoo import Family

LONGEST = 1000
"""Characters that a condition may have."""
FAMILY = "family"
"""The one name that stands for words: the family of a model."""
FAMILIES: tuple[str, ...] = get_args(Family)
"""What `family` may be compared with."""
NAMES = (*QUANTITIES, FAMILY)
"""Every name that a condition may use."""
Operator = Literal["<", "<=", ">", ">=", "==", "!="]

_OPERATORS: dict[type[ast.cmpop], Operator] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_TURNED: dict[Operator, Operator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_PYTHON = {"&": " and ", "&&": " and ", "|": " or ", "||": " or ", "≤": "<=", "≥": ">=", "≠": "!=",
           "\n": " ", "\r": " "}  # fmt: skip
_PIECE = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|&&?|\|\|?|[<>=!]=|[\s\S]")


@dataclass(frozen=True)
class Fact:
    """What a condition looked at in one row."""

    name: str
    """One of `NAMES`."""
    found: Reading | str
    """The figure, or the word."""
    truth: bool | None = None
    """What the comparison with it came to."""


@dataclass(frozen=True)
class Outcome:
    """What a condition comes to for one row."""

    truth: bool | None
    """None: unknown."""
    facts: tuple[Fact, ...]
    """What decided it, or what left it open, each once."""


class Condition(Protocol):
    """Something that can be said of a row."""

    def judge(self, row: Row) -> Outcome:
        """Whether it holds of `row`, and by which facts."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it uses, in order, each once."""
        ...


@dataclass(frozen=True)
class Compared:
    """A quantity against a number, with the quantity on the left."""

    name: str
    operator: Operator
    limit: float

    @property
    def names(self) -> tuple[str, ...]:
        """The one name."""
        return (self.name,)

    def judge(self, row: Row) -> Outcome:
        """True or false only where the whole of the figure's interval is on one side of the limit."""
        found = QUANTITIES[self.name].of(row)
        truth = _compared(found, self.operator, self.limit)
        return Outcome(truth, (Fact(self.name, found, truth),))


@dataclass(frozen=True)
class OfFamily:
    """Whether a model is of a family, or is not."""

    family: str
    is_it: bool

    @property
    def names(self) -> tuple[str, ...]:
        """`family`."""
        return (FAMILY,)

    def judge(self, row: Row) -> Outcome:
        """Unknown where the model was never built."""
        if row.info is None:
            return Outcome(None, (Fact(FAMILY, Reading(None, why="never built")),))
        truth = (row.info.family == self.family) == self.is_it
        return Outcome(truth, (Fact(FAMILY, row.info.family, truth),))


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    part: Condition

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the part."""
        return self.part.names

    def judge(self, row: Row) -> Outcome:
        """Unknown stays unknown."""
        found = self.part.judge(row)
        return Outcome(None if found.truth is None else not found.truth, found.facts)


@dataclass(frozen=True)
class Combined:
    """Several conditions: all of them, or any."""

    parts: tuple[Condition, ...]
    every: bool
    """Whether all must hold; else one is enough."""

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the parts."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.names))

    def judge(self, row: Row) -> Outcome:
        """One false part settles `all`, one true part settles `any`; otherwise one unknown part leaves it open."""
        found = [part.judge(row) for part in self.parts]
        truths = [outcome.truth for outcome in found]
        settled = not self.every
        truth = settled if settled in truths else None if None in truths else self.every
        deciding = [outcome for outcome in found if outcome.truth is truth]
        return Outcome(truth, tuple(dict.fromkeys(fact for outcome in deciding for fact in outcome.facts)))


def parse_condition(text: str) -> Condition:
    """A condition from its text. Raises UsageError, one line, for what is none.

    Comparisons (`<`, `<=`, `>`, `>=`, `==`, `!=`, also in chains: `10 < params_m < 30`) of a name in `NAMES` with a
    number, or of `family` with a word in quotes, joined by `&` or `and`, `|` or `or`, `not` and parentheses. As in
    prose, and other than in Python, `&` and `|` bind less tightly than comparisons.
    """
    if not text.strip():
        raise UsageError("--where is empty: give a condition such as 'latency_ms<5 & params_m<30'.")
    if len(text) > LONGEST:
        raise UsageError(f"--where takes at most {LONGEST:,} characters, not {len(text):,}.")
    source = _Source(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source.python, mode="eval")
    except SyntaxError as error:
        raise source.unreadable((error.offset or len(source.python) + 1) - 1) from error
    except (ValueError, MemoryError, RecursionError) as error:
        raise source.unreadable(0) from error
    return _condition(tree.body, source)


class _Source:
    """The text of a condition as Python can read it, and the way back from a place there to one in the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        python: list[str] = []
        self.origin: list[int] = []
        for piece in _PIECE.finditer(text):
            word = _PYTHON.get(piece.group(), piece.group())
            if word in ("=", "#", "\\"):
                hint = "; write == to compare" if word == "=" else ""
                raise self.unreadable(0, piece.start(), hint)
            python.append(word)
            self.origin += [piece.start() + (k if word == piece.group() else 0) for k in range(len(word))]
        joined = "".join(python)
        lead = len(joined) - len(joined.lstrip())
        self.python = joined.strip()
        self.origin = [*self.origin[lead : lead + len(self.python)], len(text)]

    def unreadable(self, place: int, at: int | None = None, hint: str = "") -> UsageError:
        """The error of a syntax that cannot be read at `place` of the Python, or `at` a place of the text."""
        at = self.origin[min(max(place, 0), len(self.origin) - 1)] if at is None else at
        rest = " ".join(self.text[at:].split())
        where = f"at character {at + 1} ({_short(rest)})" if rest else "at its end"
        return UsageError(f"--where {_short(self.text)} cannot be read {where}{hint}.")

    def refused(self, node: ast.expr, why: str) -> UsageError:
        """The error of an expression that has no meaning here."""
        start = self._characters(node.lineno, node.col_offset)
        end = self._characters(node.end_lineno or 1, node.end_col_offset or 0)
        shown = self.text[self.origin[start] : self.origin[end]]
        return UsageError(f"--where: {_short(shown)} at character {self.origin[start] + 1} {why}")

    def _characters(self, line: int, column: int) -> int:
        """A place that `ast` gives in bytes of UTF-8, in characters; a text has one line."""
        return len(self.python.encode()[:column].decode(errors="ignore")) if line == 1 else len(self.python)


def _short(text: str) -> str:
    """Text in quotes, unless it brings its own, on one line and not too long."""
    shown = "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))
    shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
    return shown if shown[:1] in ("'", '"') and shown[:1] == shown[-1:] and len(shown) > 1 else f"'{shown}'"


def _condition(node: ast.expr, source: _Source) -> Condition:
    match node:
        case ast.BoolOp(op=op, values=values):
            return Combined(tuple(_condition(value, source) for value in values), every=isinstance(op, ast.And))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Not(_condition(operand, source))
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [left, *others]
            parts = [_comparison(sides[k], op, sides[k + 1], node, source) for k, op in enumerate(ops)]
            return parts[0] if len(parts) == 1 else Combined(tuple(parts), every=True)
        case ast.Name(id=name):
            _known(name, node, source)
            example = f"{name} == 'CNN'" if name == FAMILY else f"{name} < 5"
            raise source.refused(node, f"is no condition by itself: compare it, as in {example}.")
    raise source.refused(node, "is no condition: only comparisons, &, |, not and parentheses are understood.")


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr, whole: ast.expr, source: _Source) -> Condition:
    """One link of a chain of comparisons."""
    operator = _OPERATORS.get(type(op))
    if operator is None:
        raise source.refused(whole, "compares in a way that is not understood: use <, <=, >, >=, == or !=.")
    one, other = _operand(left, source), _operand(right, source)
    if isinstance(one, ast.Name) and not isinstance(other, ast.Name):
        return _of_name(one, operator, other, right, source)
    if isinstance(other, ast.Name) and not isinstance(one, ast.Name):
        return _of_name(other, _TURNED[operator], one, left, source)
    why = "compares two names: one side must be a number." if isinstance(one, ast.Name) else "compares no quantity."
    raise source.refused(whole, why)


def _of_name(
    name: ast.Name, operator: Operator, value: float | str | ast.Name, node: ast.expr, source: _Source
) -> Condition:
    if name.id == FAMILY:
        if not isinstance(value, str) or operator not in ("==", "!="):
            raise source.refused(name, f"is compared by == or != with one of {', '.join(FAMILIES)} in quotes.")
        family = next((known for known in FAMILIES if known.casefold() == value.casefold()), None)
        if family is None:
            known = ", ".join(FAMILIES)
            raise source.refused(node, f"is no family: choose from {known}.{_meant(value, FAMILIES)}")
        return OfFamily(family, operator == "==")
    if not isinstance(value, float):
        raise source.refused(node, f"is text, but {name.id} is a number.")
    return Compared(name.id, operator, value)


def _operand(node: ast.expr, source: _Source) -> float | str | ast.Name:
    """A side of a comparison: a known name, a finite number, or text."""
    match node:
        case ast.Name(id=name):
            _known(name, node, source)
            return node
        case ast.Constant(value=str() as text):
            return text
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant() as constant):
            number = _number(constant)
            if number is not None:
                return -number if isinstance(sign, ast.USub) else number
        case ast.Constant():
            number = _number(node)
            if number is not None:
                return number
    raise source.refused(node, "is neither a finite number nor a name.")


def _number(constant: ast.Constant) -> float | None:
    """A finite real number; None for anything else."""
    if isinstance(constant.value, bool) or not isinstance(constant.value, (int, float)):
        return None
    try:
        number = float(constant.value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _known(name: str, node: ast.expr, source: _Source) -> None:
    if name not in NAMES:
        choices = did_you_mean(name, NAMES) or f" There are {', '.join(NAMES)}."
        raise source.refused(node, f"is no quantity.{choices}")


def _meant(word: str, choices: Sequence[str]) -> str:
    """`did_you_mean` for choices with capitals."""
    by_lower = {choice.lower(): choice for choice in choices}
    suggestion = did_you_mean(word, by_lower)
    for lower, choice in by_lower.items():
        suggestion = re.sub(rf"\b{lower}\b", choice, suggestion)
    return suggestion


def _compared(found: Reading, operator: Operator, limit: float) -> bool | None:
    """A figure against a limit: certain only where its interval lies on one side."""
    low, high = found.low, found.high
    if not found.sound or low is None or high is None:
        return None
    match operator:
        case "<":
            return True if high < limit else False if low >= limit else None
        case "<=":
            return True if high <= limit else False if low > limit else None
        case ">":
            return True if low > limit else False if high <= limit else None
        case ">=":
            return True if low >= limit else False if high < limit else None
        case "==" | "!=":
            equal = True if low == high == limit else None if low <= limit <= high else False
            return equal if operator == "==" or equal is None else not equal


def why_open(fact: Fact) -> str:
    """Why a comparison is open, in a few words: the figure's own reason, or that its interval holds the limit."""
    if isinstance(fact.found, str) or fact.truth is not None:
        return ""
    return fact.found.why or (NO_INTERVAL if fact.found.low is None else "the interval holds the limit")
