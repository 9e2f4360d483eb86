"""C08: position embeddings of one and two dimensions hardly differ."""

from __future__ import annotations

from collections.abc import Mapping

from bench.claims.ablation import POINT, dots, more_for_equivalence
from bench.claims.arms import PATCHES, VIT, under, variant
from bench.claims.claim import Arm, Claim, Judgement, Verdict
from bench.claims.contrast import difference
from bench.claims.evidence import Evidence
from bench.claims.rules import all_of, directional, equivalence

KINDS = {
    "learned": VIT,
    **{kind: variant(VIT, f"pos_embed={kind}") for kind in ("none", "sincos1d", "sincos2d", "relative")},
}
ASKED = "Whether positions are one list or two coordinates is one question, whether there are any is another."
MEANING: Mapping[Verdict, str] = {
    "supported": f"{ASKED} The notes should have said that the dimension matters little here, and that leaving "
    "positions out is what is felt.",
    "refuted": f"{ASKED} The notes should have said for which images the two differ little: here they do not, or a "
    "model without positions is ahead of one with them.",
    "inconclusive": f"{ASKED} The notes should have said how large a difference they call none, since this run leaves "
    "one of the two questions open.",
}


def _judge(evidence: Evidence) -> Judgement:
    none, learned, fixed = (KINDS[kind] for kind in ("none", "learned", "sincos2d"))
    same = difference(evidence, learned, fixed)
    better = {kind: difference(evidence, KINDS[kind], none) for kind in ("learned", "sincos2d")}
    alike = equivalence(same, POINT)
    ruling = all_of([alike, *(directional(found) for found in better.values())])
    needed = "" if ruling.verdict != "inconclusive" else "More test images or seeds."
    if needed and alike.verdict == "inconclusive":
        needed = more_for_equivalence([same], POINT)
    others: list[tuple[str, Arm, Arm]] = [
        (f"{kind} minus none, intact", KINDS[kind], none) for kind in ("sincos1d", "relative")
    ]
    others += [
        (f"{kind} minus none, patches permuted", under(KINDS[kind], PATCHES), under(none, PATCHES))
        for kind in KINDS
        if kind != "none"
    ]
    found = [(name, difference(evidence, first, second)) for name, first, second in others]
    contrasts = [
        ("learned 1-D minus sin-cos 2-D", same),
        *((f"{kind} minus none, intact", contrast) for kind, contrast in better.items()),
        *found,
    ]
    return Judgement(
        ruling.verdict,
        reason=f"Learned 1-D minus fixed 2-D: {same.words}; learned minus none: {better['learned'].words}; fixed 2-D "
        f"minus none: {better['sincos2d'].words}.",
        meaning=MEANING[ruling.verdict],
        findings=tuple(contrast.finding(name) for name, contrast in contrasts),
        chart=dots("Position embeddings of ViT", contrasts, margin=POINT),
        needed=needed,
    )


CLAIM = Claim(
    id="C08",
    title="1-D and 2-D positions",
    korean="위치 임베딩은 1차원과 2차원이 별차이없다",
    english="1-D and 2-D position embeddings hardly differ.",
    hypothesis="Learned 1-D and fixed 2-D sin-cos positions differ by less than 1 point, and none is worse than "
    "either.",
    kind="M",
    models="vit_mini with five kinds of position embedding",
    controls="no position embedding; all five with patches permuted",
    statistics="differences of top-1, hierarchical and paired; two one-sided tests for the equivalence",
    rule="supported if the two are equivalent within ±1 point and each is ahead of none beyond doubt; refuted if the "
    "difference is surely beyond the margin or none surely ahead; inconclusive otherwise",
    judge=_judge,
    arms=tuple(a for arm in KINDS.values() for a in (arm, under(arm, PATCHES))),
    sources=("Dosovitskiy et al. 2021, appendix D.4",),
)
