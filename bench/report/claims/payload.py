"""`claims.json`: every verdict with its numbers, for programs."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from bench.claims.claim import Finding
from bench.claims.results import Lab, Result

CLAIMS_SCHEMA_VERSION = 1
"""Version of the layout of `claims.json`."""


def claims_json(lab: Lab) -> dict[str, Any]:
    """All of a lab as JSON values."""
    return {
        "schema_version": CLAIMS_SCHEMA_VERSION,
        "command": lab.command,
        "created": lab.created,
        "hardware": lab.hardware,
        "exploratory": lab.exploratory,
        "trainings": lab.trainings,
        "probes": lab.probes,
        "tasks": {
            task: {
                "protocol": protocol.to_dict(),
                "protocol_id": protocol.id,
                "data": lab.data[task].model_dump(mode="json") if task in lab.data else None,
                "train_sizes": list(lab.sizes.get(task, ())),
            }
            for task, protocol in lab.protocols.items()
        },
        "claims": [_claim(result) for result in lab.results],
    }


def _claim(result: Result) -> dict[str, Any]:
    claim, judgement = result.claim, result.judgement
    return {
        "id": claim.id,
        "title": claim.title,
        "korean": claim.korean,
        "english": claim.english,
        "hypothesis": claim.hypothesis,
        "kind": claim.kind,
        "confirmatory": claim.confirmatory,
        "models": claim.models,
        "controls": claim.controls,
        "statistics": claim.statistics,
        "rule": claim.rule,
        "sources": list(claim.sources),
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "meaning": judgement.meaning,
        "needed": judgement.needed,
        "p": judgement.p,
        "p_holm": judgement.p_holm,
        "findings": [_finding(finding) for finding in judgement.findings],
        "checks": [asdict(check) for check in judgement.checks],
        "records": list(result.records),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    """A finding's fields; infinite and missing numbers, which JSON has none of, are null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(finding).items()
        if key != "digits"
    }
