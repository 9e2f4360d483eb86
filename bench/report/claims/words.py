"""How verdicts and numbers of claims look in text."""

from __future__ import annotations

import math

from bench.claims.claim import Claim, Finding, Judgement, Verdict
from bench.claims.results import Lab
from bench.report.words import NOTHING, listing, p_value, plural

SIGNS: dict[Verdict, str] = {
    "supported": "✓",
    "refuted": "✗",
    "inconclusive": "?",
    "not testable here": "–",
    "by structure": "≡",
}
"""A sign for each verdict that can be told without colour."""


def signed(verdict: Verdict) -> str:
    """`✓ supported`."""
    return f"{SIGNS[verdict]} {verdict}"


def nature(claim: Claim) -> str:
    """`M, confirmatory`, `S+M, exploratory`, `S`: exact statements are neither."""
    return (
        claim.kind if claim.kind == "S" else f"{claim.kind}, {'confirmatory' if claim.confirmatory else 'exploratory'}"
    )


def value_words(finding: Finding) -> str:
    """`+1.2 points`, `83.1 %`, `0.93 ×`, `more than there were`."""
    return NOTHING if math.isnan(finding.value) else f"{_number(finding.value, finding)}{_unit(finding)}"


def interval_words(finding: Finding) -> str:
    """`[−0.3, +2.7]`; nothing for an exact number."""
    if finding.low is None or finding.high is None:
        return NOTHING
    return f"[{_number(finding.low, finding)}, {_number(finding.high, finding)}]"


def detectable_words(finding: Finding) -> str:
    """The smallest effect that the run would have found 4 times in 5; nothing for an exact number."""
    return NOTHING if finding.detectable is None else _number(finding.detectable, finding).removeprefix("+")


def p_words(judgement: Judgement) -> str:
    """`p = 0.012, after Holm's correction 0.036`; nothing without a confirmatory test."""
    if judgement.p is None:
        return ""
    after = "" if judgement.p_holm is None else f", after Holm's correction {p_value(judgement.p_holm)}"
    p = p_value(judgement.p)
    return f"p {p if p.startswith('<') else f'= {p}'}{after}"


def deciding(judgement: Judgement) -> str:
    """The number that decided, in a few words: the first finding, or how many exact statements hold."""
    if judgement.findings and judgement.verdict != "by structure":
        first = judgement.findings[0]
        interval = interval_words(first)
        return f"{first.name}: {value_words(first)}{'' if interval == NOTHING else f' {interval}'}"
    if judgement.checks:
        held = sum(check.holds for check in judgement.checks)
        return f"{held} of {plural(len(judgement.checks), 'exact statement')} hold"
    return judgement.reason.rstrip(".")


def takeaway(lab: Lab) -> str:
    """`Of 21 claims 5 are supported, 2 refuted and 1 inconclusive.`"""
    told: list[str] = []
    for verdict, count in lab.count().items():
        verb = "" if told else "is " if count == 1 else "are "
        told.append(f"{count} {verb}{'settled by structure' if verdict == 'by structure' else verdict}")
    return f"Of {plural(len(lab.results), 'claim')} {listing(told)}."


def _number(value: float, finding: Finding) -> str:
    if math.isinf(value):
        return "∞"
    sign = "+" if finding.unit == "points" else ""
    if finding.unit in ("points", "%"):
        text = f"{value:{sign}.1f}"
    elif abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.{max(0, finding.digits - 1 - _digits(value))}f}"
    return text.replace("-", "−")


def _digits(value: float) -> int:
    """Digits before the decimal point less one; negative for small numbers, at least −3."""
    return max(-3, math.floor(math.log10(abs(value)))) if value and math.isfinite(value) else 0


def _unit(finding: Finding) -> str:
    return f" {finding.unit}" if finding.unit else ""
