"""C06: a ViT has no inductive bias."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.claims.arms import FAMILIES, MINI
from bench.claims.chart import Lines, Series
from bench.claims.claim import Check, Claim, Finding, Judgement, Look
from bench.claims.contrast import contrast, need_seeds
from bench.claims.evidence import Evidence
from bench.claims.rules import directional, settled

EXACT = 1e-5
PATCH_PX = 4
BARE = Look("shift_equality", "vit_mini[pool=mean,pos_embed=none]")
WITH_POSITIONS = Look("shift_equality", "vit_mini")
SHIFTS = {
    family: Look("shift_consistency", arm.model, arm=arm, seeds="each", options=(("largest_px", PATCH_PX),))
    for family, arm in FAMILIES.items()
}


def _same(evidence: Evidence, look: Look) -> NDArray[np.bool_]:
    """Whether each image keeps its answer, bool [seeds, shifts, images]."""
    return np.stack([evidence.arrays(record)["same"] for record in evidence.found(look)]).astype(bool)


def _judge(evidence: Evidence) -> Judgement:
    bare, learned = evidence.values(BARE), evidence.values(WITH_POSITIONS)
    checks = (
        Check(
            "without position embedding a shift by a whole patch changes no logit: weights are shared over patches",
            bare["whole_patch"] <= EXACT,
            f"largest change {bare['whole_patch']:.1e} of the logits' spread (limit {EXACT:g})",
        ),
        Check("a shift by half a patch does", bare["half_patch"] > EXACT, f"{bare['half_patch']:.1e}"),
        Check(
            "with learned positions a whole patch changes logits too",
            learned["whole_patch"] > EXACT,
            f"{learned['whole_patch']:.1e}",
        ),
    )
    same: dict[str, NDArray[np.bool_]] = {family: _same(evidence, look) for family, look in SHIFTS.items()}
    inside = slice(1, PATCH_PX)  # shifts by less than a patch
    weaker = contrast(_kept(same["CNN"][:, inside]) - _kept(same["ViT"][:, inside]))
    need_seeds(weaker)
    ruling = directional(weaker)
    verdict = settled(checks, ruling.verdict)
    findings: list[Finding] = [weaker.finding("CNN minus ViT, answers kept under shifts of 1 to 3 px")]
    findings += [
        contrast(_kept(found[:, inside])).finding(f"{family}, answers kept under shifts of 1 to 3 px", unit="%")
        for family, found in same.items()
    ]
    findings += [
        contrast(np.asarray(found.all(axis=1))).finding(
            f"{family}, answers kept under every shift to {PATCH_PX} px", unit="%"
        )
        for family, found in same.items()
    ]
    return Judgement(
        verdict,
        reason=f"The exact statements {'hold' if all(c.holds for c in checks) else 'do not all hold'}; under shifts by "
        f"less than a patch the CNN keeps more of its answers than the ViT by {weaker.words}.",
        meaning="A ViT shares its weights over patches, which is an assumption about images; it is weaker than a "
        "convolution's, which shares them over pixels. The notes should have said weaker, not absent.",
        findings=tuple(findings),
        checks=checks,
        chart=Lines(
            "How many answers stay when the image is shifted",
            "shift right and down, px",
            "answers kept, %",
            tuple(_curve(family, found) for family, found in same.items()),
        ),
        needed="" if verdict != "inconclusive" else "More test images or seeds.",
        p=ruling.p,
    )


def _kept(same: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Part of the shifts under which each image keeps its answer, float64 [seeds, images]."""
    return np.asarray(same.mean(axis=1), dtype=np.float64)


def _curve(family: str, same: NDArray[np.bool_]) -> Series:
    found = [contrast(same[:, k]) for k in range(same.shape[1])]
    return Series(
        family,
        tuple(float(k) for k in range(len(found))),
        tuple(100 * one.estimate for one in found),
        tuple(max(0.0, 100 * one.low) for one in found),
        tuple(min(100.0, 100 * one.high) for one in found),
    )


CLAIM = Claim(
    id="C06",
    title="ViT has no inductive bias",
    korean="ViT는 귀납적 편향이 없다",
    english="A ViT has no inductive bias.",
    hypothesis="Wrong as said, weaker rather than absent: weights are shared over patches, so that without position "
    "embedding a shift by a whole patch only permutes tokens and a shift by less does not; trained, a ViT keeps fewer "
    "of its answers under shifts by less than a patch than a CNN.",
    kind="S+M",
    models=MINI,
    controls="the ViT with its position embedding; Swin, CvT and LSTM beside the two",
    statistics="largest change of a logit in float64; share of test images whose answer stays under shifts of 1 to 3 "
    "px, CNN minus ViT, hierarchical and paired",
    rule="refuted if an exact statement fails; else supported if the CNN keeps more answers beyond doubt, refuted if "
    "the ViT does, inconclusive otherwise",
    judge=_judge,
    arms=tuple(FAMILIES.values()),
    looks=(BARE, WITH_POSITIONS, *SHIFTS.values()),
    confirmatory=True,
    sources=("Azulay & Weiss 2019 (small image transformations)",),
)
