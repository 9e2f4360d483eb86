"""A lab by hand: every verdict, every kind of chart, hostile names, a claim without a figure."""

from __future__ import annotations

import math
from dataclasses import replace

from bench.claims.chart import Dot, Dots, Lines, Map, Maps, Series
from bench.claims.claim import Check, Finding, Judgement
from bench.claims.results import Lab, Result
from bench.protocol import claims_protocol
from tests.claims.fakes import make_claim
from tests.samples import DATA, ENVIRONMENT

HOSTILE = "<script>alert(1)</script> | `code` [link](http://example.org)"

LINES = Lines(
    "Learning curves",
    "training images",
    "top-1, %",
    (
        Series("ViT", (129.0, 1294.0), (20.0, 40.0), (15.0, 35.0), (25.0, 45.0), panel="distant pair"),
        Series("CNN", (129.0, 1294.0), (60.0, 90.0), panel="distant pair", control=True),
        Series("ViT", (129.0, 1294.0), (21.0, 41.0), panel="local texture"),
    ),
    log_x=True,
    reference=90.0,
    reference_label="90 %",
)
DOTS = Dots(
    "Differences",
    "points",
    (
        Dot("a long label of a contrast that is measured", 1.0, -0.5, 2.5),
        Dot("a control", 0.2, group="control", control=True),
    ),
    band=(-1.0, 1.0),
)
MAPS = Maps(
    "Similarity", "CKA", (Map("trained", ((1.0, 0.5), (0.5, 1.0))), Map("untrained", ((1.0,) * 20,) * 20, control=True))
)

JUDGEMENTS = {
    "C01": Judgement(
        "by structure",
        "Both hold.",
        "It means this. The notes should have said so.",
        checks=(Check("a token is learned", True, "0.0"), Check("it is read", True, "1e-9")),
        chart=MAPS,
    ),
    "C04": Judgement(
        "supported",
        "Difference in differences: +3.0 points [+1.0, +5.0].",
        "It means this. The notes should have said so.",
        findings=(
            Finding("a contrast", 3.0, 1.0, 5.0, "points", 0.003, 2.9),
            Finding("a control", 0.93, 0.91, 0.95, "×", control=True),
            Finding("images needed", math.inf),
        ),
        chart=LINES,
        p=0.003,
        p_holm=0.006,
    ),
    "C08": Judgement(
        "inconclusive", "−0.2 points [−3.0, +2.6].", "It is open. More is needed.", chart=DOTS, needed="More images."
    ),
    "C14": Judgement("refuted", "It is not so.", "It is not so. The notes are wrong.", chart=DOTS),
    "C20": Judgement("not testable here", f"{HOSTILE}.", "Nothing can be said. It stands.", needed=HOSTILE),
}


def make_lab(**changes: object) -> Lab:
    """A lab with one claim of each verdict."""
    kinds = {"C01": "S", "C04": "M", "C08": "M", "C14": "S+M", "C20": "M"}
    results = tuple(
        Result(
            make_claim(
                name,
                kind=kinds[name],
                confirmatory=name == "C04",
                english=HOSTILE if name == "C20" else f"The statement of {name}.",
                title=f"Title {name}",
                sources=("A paper 2021",),
            ),
            judgement,
            ("runs/049b3d7a/vit_mini/n1294-s0-0123456789ab",) if name == "C04" else (),
        )
        for name, judgement in JUDGEMENTS.items()
    )
    lab = Lab(
        results=results,
        protocols={
            "main": claims_protocol("quick"),
            "synthetic/texture": replace(claims_protocol("quick"), dataset="synthetic/texture"),
        },
        data={"main": DATA},
        sizes={"main": (259, 1294)},
        hardware="Test CPU (cpu), 1 threads, fp32",
        command="python run_bench.py --claims",
        created="2026-01-01T00:00:00+00:00",
        seconds=900.0,
        trainings=242,
        probes=64,
        environments=(ENVIRONMENT,),
    )
    return replace(lab, **changes)  # type: ignore[arg-type]
