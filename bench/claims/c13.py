"""C13: is the relative position bias part of the attention value itself?"""

from __future__ import annotations

from bench.claims.ablation import POINT, dots
from bench.claims.arms import SWIN, variant
from bench.claims.claim import Check, Claim, Judgement, Look
from bench.claims.contrast import difference
from bench.claims.evidence import Evidence
from bench.claims.rules import all_of, directional, not_worse, settled
from bench.claims.statements import told

EXACT, FELT = 1e-9, 1e-3
NONE, ABSOLUTE = variant(SWIN, "bias=none"), variant(SWIN, "bias=absolute")
BIAS = Look("score_bias", SWIN.model)


def _judge(evidence: Evidence) -> Judgement:
    values = evidence.values(BIAS)
    checks = (
        Check(
            "weights are softmax(QKᵀ/√d + B), B looked up by relative position",
            values["scores"] <= EXACT,
            f"largest difference {values['scores']:.1e}",
        ),
        Check("and not softmax(QKᵀ/√d)", values["without"] > FELT, f"largest difference {values['without']:.2g}"),
        Check(
            "B acts on the weights alone: where all values are alike, another table changes no output",
            values["values"] <= EXACT and values["weights_moved"] > FELT,
            f"output {values['values']:.1e}, while a weight moved by {values['weights_moved']:.2g}",
        ),
    )
    absolute = difference(evidence, ABSOLUTE, NONE)
    relative = difference(evidence, SWIN, ABSOLUTE)
    total = difference(evidence, SWIN, NONE)
    ruling = all_of([directional(absolute), not_worse(relative, POINT)])
    verdict = settled(checks, ruling.verdict)
    contrasts = [
        ("absolute minus none", absolute),
        ("relative minus absolute", relative),
        ("relative minus none", total),
    ]
    reason, meaning = told(
        checks,
        f"Absolute minus none: {absolute.words}; relative minus absolute: {relative.words}.",
        "The bias is added to the scores before the softmax and never to the values; it shifts who is attended to, "
        "not what is passed on. The notes should have said scores, not attention value.",
    )
    return Judgement(
        verdict,
        reason=reason,
        meaning=meaning,
        findings=tuple(contrast.finding(name) for name, contrast in contrasts),
        checks=checks,
        chart=dots("Positions in Swin", contrasts, margin=POINT),
        needed="" if verdict != "inconclusive" else "More test images or seeds: the differences are within the noise.",
    )


CLAIM = Claim(
    id="C13",
    title="Relative position bias",
    korean="상대적 위치 편향을 어텐션 값 자체에 포함???",
    english="Is the relative position bias included in the attention value itself?",
    hypothesis="It is added to the scores QKᵀ/√d before the softmax, not to V; no position < absolute ≤ relative.",
    kind="S+M",
    models="swin_mini without positions, with absolute ones, and with the relative bias",
    controls="the same attention with the table drawn anew and all values alike",
    statistics="largest differences in float64; differences of top-1, hierarchical and paired; non-inferiority with a "
    "margin of 1 point for the last one",
    rule="refuted if an exact statement fails; supported if absolute is ahead of none beyond doubt and relative is not "
    "worse than absolute by 1 point; refuted if either is surely the other way; inconclusive otherwise",
    judge=_judge,
    arms=(SWIN, ABSOLUTE, NONE),
    looks=(BIAS,),
    sources=("Liu et al. 2021, Swin, equation 4",),
)
