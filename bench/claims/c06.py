"""C06: a ViT has no inductive bias."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.claims.arms import FAMILIES, MINI
from bench.claims.chart import Lines, Series
from bench.claims.claim import Check, Claim, Judgement, Look, Missing, Verdict
from bench.claims.contrast import contrast, curve, need_seeds
from bench.claims.evidence import Evidence
from bench.claims.rules import directional, settled
from bench.claims.statements import told

EXACT = 1e-5
"""Change of a logit, as a part of the logits' spread, up to which it counts as rounding."""
PATCH_PX = 4
BARE = Look("shift_equality", "vit_mini[pool=mean,pos_embed=none]")
WITH_POSITIONS = Look("shift_equality", "vit_mini")
SHIFTS = {
    family: Look("shift_consistency", arm.model, arm=arm, seeds="each", options=(("largest_px", PATCH_PX),))
    for family, arm in FAMILIES.items()
}
UNTRAINED = {
    family: Look("shift_consistency", FAMILIES[family].model, seeds="each", options=(("largest_px", PATCH_PX),))
    for family in ("CNN", "ViT")
}
RANGE = f"under shifts of 1 to {PATCH_PX} px"
MEANING: Mapping[Verdict, str] = {
    "supported": "A ViT shares its weights over patches, which is an assumption about images; under small shifts it "
    "keeps fewer of its answers than a CNN on the same grid.",
    "refuted": "A ViT shares its weights over patches, which is an assumption about images; under small shifts it "
    "keeps more of its answers than a CNN on the same grid, so that weaker is the wrong word here.",
    "inconclusive": "A ViT shares its weights over patches, which is an assumption about images; whether it keeps "
    "fewer of its answers under small shifts than a CNN on the same grid is not decided here.",
}
"""What each outcome of the comparison with a CNN means, where the exact statements hold."""

Kept = dict[str, NDArray[np.bool_]]


def _judge(evidence: Evidence) -> Judgement:
    checks = _checks(evidence)
    same, right = _arrays(evidence, SHIFTS, "same"), _arrays(evidence, SHIFTS, "right")
    plain = _arrays(evidence, UNTRAINED, "same")
    weaker = contrast(_moved(same["CNN"]) - _moved(same["ViT"]))
    need_seeds(weaker)
    ruling = directional(weaker)
    findings = [weaker.finding(f"CNN minus ViT, answers kept {RANGE}")]
    findings += [
        contrast(_moved(kept)).finding(f"{family}, answers kept {RANGE}", unit="%") for family, kept in same.items()
    ]
    findings += [
        contrast(np.asarray(kept.all(axis=1))).finding(f"{family}, answers kept under each of these shifts", unit="%")
        for family, kept in same.items()
    ]
    findings += [
        contrast(hits[:, 0] - _moved(hits)).finding(f"{family}, accuracy lost {RANGE}")
        for family, hits in right.items()
    ]
    findings += [
        contrast(_moved(kept)).finding(f"{family} untrained, answers kept {RANGE}", unit="%", control=True)
        for family, kept in plain.items()
    ]
    reason, meaning = told(
        checks,
        f"The exact statements hold; answers kept {RANGE}, CNN minus ViT: {weaker.words}.",
        f"{MEANING[ruling.verdict]} The notes should have said which assumption a ViT makes, and that it holds for "
        "shifts by whole patches and without position embedding only.",
    )
    verdict = settled(checks, ruling.verdict)
    return Judgement(
        verdict,
        reason=reason,
        meaning=meaning,
        findings=tuple(findings),
        checks=checks,
        chart=Lines(
            "How many answers stay when the image is shifted",
            "shift right and down, px",
            "answers kept, %",
            (
                *(_curve(family, kept) for family, kept in same.items()),
                *(_curve(f"{family} untrained", kept, control=True) for family, kept in plain.items()),
            ),
        ),
        needed="" if verdict != "inconclusive" else "More test images or seeds.",
        p=ruling.p,
    )


def _checks(evidence: Evidence) -> tuple[Check, ...]:
    bare, learned = evidence.values(BARE), evidence.values(WITH_POSITIONS)
    return (
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


def _arrays(evidence: Evidence, looks: dict[str, Look], name: str) -> Kept:
    """One array of the probe for each family, bool [seeds, shifts, images], on the seeds that all have."""
    found = {
        family: {record.spec.seed: evidence.arrays(record)[name].astype(bool) for record in evidence.found(look)}
        for family, look in looks.items()
    }
    common = sorted(set.intersection(*(set(by_seed) for by_seed in found.values())))
    if not common:
        raise Missing("the shifted models have no seed in common")
    return {family: np.stack([by_seed[seed] for seed in common]) for family, by_seed in found.items()}


def _moved(kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Part of the shifts from 1 px for which each image counts, float64 [seeds, images]."""
    return np.asarray(kept[:, 1:].mean(axis=1), dtype=np.float64)


def _curve(family: str, kept: NDArray[np.bool_], *, control: bool = False) -> Series:
    return curve(family, {k: contrast(kept[:, k]) for k in range(kept.shape[1])}, control=control)


CLAIM = Claim(
    id="C06",
    title="ViT has no inductive bias",
    korean="ViT는 귀납적 편향이 없다",
    english="A ViT has no inductive bias.",
    hypothesis="Wrong as said, weaker rather than absent: weights are shared over patches, so that without position "
    "embedding a shift by a whole patch only permutes tokens and a shift by less does not; trained, a ViT keeps fewer "
    f"of its answers {RANGE} than a CNN on the same grid of patches.",
    kind="S+M",
    models=MINI,
    controls="untrained CNN and ViT of the same seeds; the ViT with its position embedding; Swin, CvT and LSTM; the "
    "accuracy lost, since a model that always gives one answer keeps it",
    statistics="largest change of a logit in float64; share of test images whose answer stays when the image is moved "
    f"right and down by 1 to {PATCH_PX} px with reflected edges, CNN minus ViT, hierarchical and paired over seeds and "
    "images",
    rule="refuted if an exact statement fails; else supported if the CNN keeps more answers beyond doubt (two-sided, "
    "5 %), refuted if the ViT does, inconclusive otherwise",
    judge=_judge,
    arms=tuple(FAMILIES.values()),
    looks=(BARE, WITH_POSITIONS, *SHIFTS.values(), *UNTRAINED.values()),
    confirmatory=True,
    sources=("Azulay & Weiss 2019 (small image transformations)",),
)
