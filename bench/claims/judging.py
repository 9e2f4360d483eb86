"""Applies every claim's rule to the evidence; what is missing or breaks is told, and never stops the others."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bench.claims.claim import Claim, Judgement, Missing
from bench.claims.confirmatory import corrected
from bench.claims.evidence import Evidence

log = logging.getLogger("bench")


def judge_all(claims: Sequence[Claim], evidence: Evidence) -> dict[str, Judgement]:
    """The judgement of each claim by id, in their order, the confirmatory ones corrected together."""
    found = {claim.id: judge(claim, evidence) for claim in claims}
    return {**found, **corrected({c.id: found[c.id] for c in claims if c.confirmatory})}


def judge(claim: Claim, evidence: Evidence) -> Judgement:
    """One claim's judgement; `not testable here` where evidence is missing or the rule itself fails."""
    try:
        return claim.judge(evidence)
    except Missing as missing:
        return untestable(str(missing), f"Test it again where this is there: {missing}.")
    except Exception as error:  # a rule that breaks must not take the other twenty verdicts with it
        log.exception("the rule of %s failed", claim.id)
        return untestable(f"its rule failed with {type(error).__name__}: {error}", "This is a fault of the rule.")


def untestable(reason: str, needed: str) -> Judgement:
    """A judgement that says why there is none."""
    meaning = "Nothing can be said of it from this run. The statement stands as untested here."
    return Judgement("not testable here", reason=f"{reason}.", meaning=meaning, needed=needed)
