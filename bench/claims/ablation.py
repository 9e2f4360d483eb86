"""The shape of several claims: one argument of a model against another, on one task."""

from __future__ import annotations

from collections.abc import Sequence

from bench.claims.chart import Dot, Dots
from bench.claims.claim import Check, Finding, Judgement
from bench.claims.contrast import Contrast
from bench.claims.rules import equivalence, settled
from bench.claims.statements import told

POINT = 0.01
"""The margin of all claims that two arms do not differ: one point of top-1."""


def dots(title: str, contrasts: Sequence[tuple[str, Contrast]], *, margin: float | None = None) -> Dots:
    """Differences of top-1 with intervals, and the margin of equivalence behind them."""
    marks: tuple[Dot, ...] = tuple(found.dot(label) for label, found in contrasts)
    band = None if margin is None else (-100 * margin, 100 * margin)
    return Dots(title, "difference of top-1, points", marks, band=band)


def judged(
    checks: Sequence[Check],
    found: Contrast,
    texts: tuple[str, str],
    *,
    title: str,
    name: str,
    more: Sequence[Finding] = (),
    label: str = "",
) -> Judgement:
    """The judgement that two arms do not differ by a point, beside exact statements.

    `texts` are reason and meaning where every statement holds. `name` is the difference in words, `label` the same in
    the figure if it is told shorter there; `more` are further findings.
    """
    verdict = settled(checks, equivalence(found, POINT).verdict)
    reason, meaning = told(checks, *texts)
    return Judgement(
        verdict,
        reason=reason,
        meaning=meaning,
        findings=(found.finding(name), *more),
        checks=tuple(checks),
        chart=dots(title, [(label or name, found)], margin=POINT),
        needed=more_for_equivalence([found], POINT) if verdict == "inconclusive" else "",
    )


def more_for_equivalence(contrasts: Sequence[Contrast], margin: float) -> str:
    """What it would take to decide an equivalence: how much smaller the standard error would have to be."""
    widest = max(contrasts, key=lambda found: found.se)
    half = widest.quantile(0.95) * widest.se
    return (
        f"The widest 90 % interval is ±{100 * half:.1f} points, and ±{100 * margin:g} would have to hold it: about "
        f"{max(2, round((half / margin) ** 2)):,} times the test images and seeds."
        if half > 0
        else ""
    )
