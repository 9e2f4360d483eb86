"""Numbers become verdicts by rules that leave doubt where there is doubt."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from bench.claims.claim import Check, Judgement, Verdict
from bench.claims.confirmatory import corrected
from bench.claims.contrast import Contrast
from bench.claims.rules import Ruling, all_of, directional, equivalence, not_worse, settled

MARGIN, SE, DF = 0.01, 0.002, 10.0
ONE_SIDED, TWO_SIDED = SE * stats.t.ppf(0.95, DF), SE * stats.t.ppf(0.975, DF)
A_BIT = 1e-5


def at(estimate: float, se: float = SE) -> Contrast:
    """A contrast with a standard error of a fifth of a point."""
    return Contrast(estimate, se, DF, 3, 1000)


@pytest.mark.parametrize("threshold", [0.0, 0.02])
def test_a_direction_is_told_from_its_threshold_at_5_percent_two_sided(threshold: float) -> None:
    assert directional(at(threshold + TWO_SIDED + A_BIT), threshold).verdict == "supported"
    assert directional(at(threshold + TWO_SIDED - A_BIT), threshold).verdict == "inconclusive"
    assert directional(at(threshold - TWO_SIDED + A_BIT), threshold).verdict == "inconclusive"
    assert directional(at(threshold - TWO_SIDED - A_BIT), threshold).verdict == "refuted"


def test_the_p_value_of_a_direction_is_small_on_the_expected_side_only() -> None:
    assert directional(at(TWO_SIDED)).p == pytest.approx(0.05)
    assert directional(at(-TWO_SIDED)).p == 1


def test_equivalence_asks_the_90_percent_interval_to_lie_within_the_margin() -> None:
    assert equivalence(at(0.0), MARGIN).verdict == "supported"
    for sign in (-1, 1):
        assert equivalence(at(sign * (MARGIN - ONE_SIDED - A_BIT)), MARGIN).verdict == "supported"
        assert equivalence(at(sign * (MARGIN - ONE_SIDED + A_BIT)), MARGIN).verdict == "inconclusive"
    assert equivalence(at(MARGIN - ONE_SIDED), MARGIN).p == pytest.approx(0.05)


def test_a_difference_that_was_not_found_is_no_equivalence() -> None:
    noisy = at(0.0, se=MARGIN)
    assert noisy.p == 1
    assert equivalence(noisy, MARGIN).verdict == "inconclusive"


def test_equivalence_is_refuted_only_wholly_beyond_the_margin() -> None:
    for sign in (-1, 1):
        assert equivalence(at(sign * (MARGIN + TWO_SIDED - A_BIT)), MARGIN).verdict == "inconclusive"
        assert equivalence(at(sign * (MARGIN + TWO_SIDED + A_BIT)), MARGIN).verdict == "refuted"


def test_a_sure_difference_within_the_margin_is_an_equivalence_all_the_same() -> None:
    found = at(MARGIN / 2)
    assert found.low > 0
    assert equivalence(found, MARGIN).verdict == "supported"


def test_not_being_worse_looks_at_one_side_only() -> None:
    assert not_worse(at(0.5), MARGIN).verdict == "supported"
    assert not_worse(at(-MARGIN + ONE_SIDED + A_BIT), MARGIN).verdict == "supported"
    assert not_worse(at(-MARGIN + ONE_SIDED - A_BIT), MARGIN).verdict == "inconclusive"
    assert not_worse(at(-MARGIN - TWO_SIDED + A_BIT), MARGIN).verdict == "inconclusive"
    assert not_worse(at(-MARGIN - TWO_SIDED - A_BIT), MARGIN).verdict == "refuted"


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "inconclusive"], "inconclusive"),
        (["supported", "refuted"], "refuted"),
        (["inconclusive", "refuted"], "refuted"),
        (["inconclusive", "inconclusive"], "inconclusive"),
    ],
)
def test_all_hold_where_each_does_and_not_where_one_surely_does_not(verdicts: list[Verdict], together: Verdict) -> None:
    found = all_of(Ruling(verdict, 0.01 * (k + 1)) for k, verdict in enumerate(verdicts))
    assert found == Ruling(together, 0.02)


def test_a_statement_that_fails_refutes_whatever_was_measured() -> None:
    holds, fails = Check("a", True, "1"), Check("b", False, "2")
    assert settled([holds]) == "by structure"
    assert settled([holds], "inconclusive") == "inconclusive"
    assert settled([holds, fails]) == "refuted"
    assert settled([holds, fails], "supported") == "refuted"


def judged(verdict: Verdict, p: float | None) -> Judgement:
    """A judgement with a p-value."""
    return Judgement(verdict, reason="It was so.", meaning="It means this. The notes are right.", p=p)


def test_confirmatory_claims_share_holms_correction_over_those_that_could_be_tested() -> None:
    found = corrected(
        {
            "C03": judged("supported", 0.03),
            "C04": judged("supported", 0.01),
            "C05": judged("not testable here", None),
            "C06": judged("inconclusive", 0.4),
        }
    )
    assert [found[name].p_holm for name in ("C04", "C03", "C06")] == pytest.approx([0.03, 0.06, 0.4])
    assert found["C05"] == judged("not testable here", None)
    assert [judgement.verdict for judgement in found.values()] == [
        "inconclusive",
        "supported",
        "not testable here",
        "inconclusive",
    ]
    assert "over 3 claims p = 0.06" in found["C03"].reason
    assert found["C04"].reason == "It was so."


def test_a_correction_makes_nothing_supported_and_takes_no_refutation_back() -> None:
    found = corrected({"C03": judged("refuted", 1.0), "C04": judged("inconclusive", 0.06)})
    assert [judgement.verdict for judgement in found.values()] == ["refuted", "inconclusive"]


def test_a_single_tested_claim_needs_no_correction_and_none_is_no_fault() -> None:
    found = corrected({"C04": judged("supported", 0.049), "C05": judged("not testable here", None)})
    assert found["C04"].verdict == "supported"
    assert found["C04"].p_holm is not None
    assert math.isclose(found["C04"].p_holm, 0.049)
    assert corrected({"C05": judged("not testable here", None)})["C05"].p_holm is None
