"""How numbers become verdicts. Pure functions; thresholds and directions are the claims' own, fixed beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.analysis.comparisons import ALPHA
from bench.claims.claim import Check, Verdict
from bench.claims.contrast import Contrast


@dataclass(frozen=True)
class Ruling:
    """A verdict with the p-value of the test behind it."""

    verdict: Verdict
    """`supported`, `refuted` or `inconclusive`."""
    p: float
    """p-value of the hypothesis's opposite: small where it is supported; two-sided for a direction."""


def directional(found: Contrast, threshold: float = 0.0) -> Ruling:
    """Whether a true mean is above `threshold`: supported or refuted where a two-sided test at 5 % says so.

    Stating the direction beforehand buys no one-sided test here: a surprise in the other direction must count.
    """
    above, below = 2 * found.p_above(threshold), 2 * found.p_below(threshold)
    verdict: Verdict = "supported" if above < ALPHA else "refuted" if below < ALPHA else "inconclusive"
    return Ruling(verdict, min(above, 1.0))


def equivalence(found: Contrast, margin: float) -> Ruling:
    """Whether a true mean lies within ±`margin`, by two one-sided tests (Schuirmann 1987, J. Pharmacokinet. 15:657).

    Supported where both tests reject at 5 %: the 90 % interval lies within the margin. Refuted where the 95 % interval
    lies wholly beyond it on one side. Anything else is inconclusive: not having found a difference is no equivalence.
    """
    p = max(found.p_above(-margin), found.p_below(margin))
    low, high = found.interval()
    beyond = low > margin or high < -margin
    verdict: Verdict = "supported" if p < ALPHA else "refuted" if beyond else "inconclusive"
    return Ruling(verdict, p)


def not_worse(found: Contrast, margin: float) -> Ruling:
    """Whether a true mean is above −`margin` (non-inferiority), by one one-sided test at 5 %; refuted where the 95 %
    interval lies wholly below."""
    p = found.p_above(-margin)
    verdict: Verdict = "supported" if p < ALPHA else "refuted" if found.high < -margin else "inconclusive"
    return Ruling(verdict, p)


def all_of(rulings: Iterable[Ruling]) -> Ruling:
    """Whether all of several hypotheses hold: the intersection–union test (Berger 1982), whose p-value is the largest.

    Supported where each is; refuted where any is, since then not all hold. No adjustment is needed for being several
    where all must be supported; a refutation by one of several is told with its number.
    """
    found = list(rulings)
    if all(ruling.verdict == "supported" for ruling in found):
        verdict: Verdict = "supported"
    elif any(ruling.verdict == "refuted" for ruling in found):
        verdict = "refuted"
    else:
        verdict = "inconclusive"
    return Ruling(verdict, max(ruling.p for ruling in found))


def settled(checks: Sequence[Check], measured: Verdict | None = None) -> Verdict:
    """The verdict of exact statements, and of a measurement beside them: a statement that fails refutes."""
    if not all(check.holds for check in checks):
        return "refuted"
    return "by structure" if measured is None else measured
