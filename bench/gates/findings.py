"""What the gates found, and the Markdown that says it: gate, model, quantity, base, head, change, verdict."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.report.words import NOTHING, pipe_table, plain

GateName = Literal["1 exact", "2 accuracy", "3 speed"]
Status = Literal["passed", "failed", "not run"]
Verdict = Literal["ok", "FAIL", "better", "new", "not compared"]


@dataclass(frozen=True)
class Finding:
    """One quantity of one model, before and after."""

    gate: GateName
    """Which gate found it."""
    model: str
    """The model, or `board` for the layout of what is written."""
    quantity: str
    """What was compared, with its unit."""
    base: str
    """Value of the baseline."""
    head: str
    """Value of the code at hand."""
    change: str
    """By how much it moved."""
    verdict: Verdict
    """`FAIL` fails the gate; `new` and `not compared` are told and fail nothing."""


@dataclass(frozen=True)
class Outcome:
    """One gate's result."""

    gate: GateName
    """Which gate."""
    status: Status
    """`not run` is no pass: `reason` says why, and what to do about it."""
    reason: str
    """One sentence."""
    findings: tuple[Finding, ...] = ()
    """What moved, and what is worth showing although it did not."""


def judged(gate: GateName, findings: Sequence[Finding], unmoved: str) -> Outcome:
    """The outcome of a gate that was run: failed where any finding fails. `unmoved` says what was compared."""
    failed = [f for f in findings if f.verdict == "FAIL"]
    if failed:
        names = ", ".join(dict.fromkeys(f"{f.model} {f.quantity}" for f in failed[:3]))
        rest = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        return Outcome(gate, "failed", f"{names}{rest}", tuple(findings))
    return Outcome(gate, "passed", unmoved, tuple(findings))


def markdown(title: str, outcomes: Sequence[Outcome], remarks: Sequence[str] = ()) -> str:
    """The gates in one table, then everything that moved, failures first; ends with a newline."""
    parts = [f"## {plain(title)}"]
    rows = [[o.gate, f"**{o.status}**" if o.status != "passed" else o.status, plain(o.reason)] for o in outcomes]
    parts.append(pipe_table(["gate", "result", "what"], rows))
    findings = [f for o in outcomes for f in o.findings]
    if findings:
        parts.append(table(findings))
    parts += [plain(remark) for remark in remarks]
    return "\n\n".join(parts) + "\n"


def table(findings: Sequence[Finding]) -> str:
    """One row per finding, those that fail first, otherwise in their order."""
    ordered = sorted(findings, key=lambda f: f.verdict != "FAIL")
    headers = ["gate", "model", "quantity", "base", "head", "change", "verdict"]
    rows = [
        [f.gate, *(plain(text) for text in (f.model, f.quantity, f.base, f.head, f.change)), _shown(f.verdict)]
        for f in ordered
    ]
    return pipe_table(headers, rows, right=(3, 4, 5))


def percent_change(base: float, head: float) -> str:
    """`+2.3 %`; a dash where there is nothing to divide by."""
    if base == 0:
        return NOTHING
    change = 100 * (head / base - 1)
    digits = 1 if abs(change) >= 0.1 or change == 0 else 4
    return f"{change:+.{digits}f} %".replace("-", "−")


def append_to_step_summary(text: str) -> Path | None:
    """Append Markdown to the file that GITHUB_STEP_SUMMARY names; None where none is named or it cannot be written."""
    named = os.environ.get("GITHUB_STEP_SUMMARY")
    if not named:
        return None
    try:
        with open(named, "a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError:
        return None
    return Path(named)


def _shown(verdict: Verdict) -> str:
    return f"**{verdict}**" if verdict == "FAIL" else verdict
