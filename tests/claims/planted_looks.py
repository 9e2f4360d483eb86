"""Evidence of probes alone, with a record for each seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.claims.claim import Look
from bench.claims.evidence import Evidence
from tests.claims.planted_evidence import evidence_of


def looked(found: Mapping[Look, Sequence[Mapping[str, Any]]]) -> Evidence:
    """Evidence in which each look has a record for each of the values given; with none it was not made."""
    records = {
        look: tuple(evidence_of({}, probes={look: one}).probes[look][0] for one in values)
        for look, values in found.items()
    }
    return replace(evidence_of({}), probes=records)
