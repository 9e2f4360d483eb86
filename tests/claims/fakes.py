"""Claims whose only purpose is to ask for something."""

from __future__ import annotations

from typing import Any

from bench.claims.claim import Claim, Judgement
from bench.claims.evidence import Evidence


def supported(evidence: Evidence) -> Judgement:
    """A rule that looks at nothing."""
    return Judgement("supported", reason="It is.", meaning="It means this. The notes are right.")


def make_claim(id: str = "C01", **changes: Any) -> Claim:
    """A claim with everything but what it asks for filled in."""
    values: dict[str, Any] = {
        "id": id,
        "title": "a title",
        "korean": "주장",
        "english": "a statement",
        "hypothesis": "a hypothesis",
        "kind": "M",
        "models": "some models",
        "controls": "a control",
        "statistics": "a difference",
        "rule": "a rule",
        "judge": supported,
    }
    return Claim(**(values | changes))
