"""`claims.html`: one file that opens from disk, needs no network, and can be read without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from bench.claims.results import VERDICTS, Lab, Result
from bench.report.claims.page import HOW, alternative, facts, heading, method
from bench.report.claims.words import (
    SIGNS,
    deciding,
    detectable_words,
    interval_words,
    nature,
    p_words,
    takeaway,
    value_words,
)
from bench.report.html import libraries
from bench.report.html.pictures import picture_url

PAGE = "claims.html"
"""The file's name."""


def claims_html(lab: Lab, figures: Mapping[str, Mapping[str, bytes]], problems: Sequence[str] = ()) -> str:
    """The whole page. `figures` are bytes by ending for each claim's id; `problems` are records left out.

    All text is escaped by Jinja2. The policy allows this script and this style by their hashes, and nothing else.
    """
    from markupsafe import Markup

    templates = files("bench.report.claims") / "templates"
    script = libraries.inert((templates / "claims.js").read_text(encoding="utf-8"))
    style = libraries.our_style() + (templates / "claims.css").read_text(encoding="utf-8")
    return (
        libraries.templates_of("bench.report.claims")
        .get_template("claims.html.j2")
        .render(
            policy=libraries.content_policy((script,), (style,)),
            style=Markup(style),
            script=Markup(script),
            takeaway=takeaway(lab),
            exploratory=lab.exploratory,
            seeds=len(lab.main.seeds),
            how=HOW,
            facts=facts(lab),
            command=lab.command,
            claims=[_claim(result, figures.get(result.claim.id, {})) for result in lab.results],
            verdicts=[(verdict, SIGNS[verdict], lab.count().get(verdict, 0)) for verdict in VERDICTS],
            problems=problems,
        )
    )


def _claim(result: Result, figure: Mapping[str, bytes]) -> dict[str, Any]:
    claim, judgement = result.claim, result.judgement
    return {
        "id": claim.id,
        "heading": heading(claim),
        "korean": claim.korean,
        "english": claim.english,
        "verdict": judgement.verdict,
        "sign": SIGNS[judgement.verdict],
        "kind": nature(claim),
        "letters": claim.kind,
        "confirmatory": claim.confirmatory,
        "deciding": deciding(judgement),
        "reason": judgement.reason,
        "meaning": judgement.meaning,
        "needed": judgement.needed,
        "p": p_words(judgement),
        "findings": [
            {
                "name": finding.name,
                "value": value_words(finding),
                "interval": interval_words(finding),
                "detectable": detectable_words(finding),
                "control": finding.control,
            }
            for finding in judgement.findings
        ],
        "checks": judgement.checks,
        "method": method(claim),
        "records": result.records,
        "figure": picture_url(figure) if figure else None,
        "alternative": alternative(claim, judgement),
    }
