"""C03: reading patches in raster order loses the two-dimensional structure."""

from __future__ import annotations

from collections.abc import Mapping

from bench.claims.arms import CVT, MINI, PATCHES, RESNET, SWIN, VIT, under
from bench.claims.chart import Dots
from bench.claims.claim import Check, Claim, Judgement, Look, Verdict
from bench.claims.contrast import difference, need_seeds
from bench.claims.evidence import Evidence
from bench.claims.rules import all_of, directional, equivalence, settled
from bench.claims.statements import told

MARGIN = 0.01
EXACT = 1e-5
ORDER = Look("patch_order_equality", "vit_mini")
FALLING = {"CNN": RESNET, "Swin": SWIN, "CvT": CVT}
MEANING: Mapping[Verdict, str] = {
    "supported": "The order in which patches are listed carries no information for a ViT, whose positions are learned; "
    "what it knows of the plane is what its position rows come to hold.",
    "refuted": "Listing the patches in another order changes nothing for a ViT; taking them from their places in the "
    "image, with training from scratch, did not go with what was expected of all four families.",
    "inconclusive": "Listing the patches in another order changes nothing for a ViT; what goes with taking them from "
    "their places in the image, with training from scratch, this run does not tell for all four families.",
}


def _judge(evidence: Evidence) -> Judgement:
    order = evidence.values(ORDER)
    checks = (
        Check(
            "listing the patches in another order, each with its position row, changes no logit",
            order["with_rows"] <= EXACT,
            f"largest change {order['with_rows']:.1e} of the logits' spread (limit {EXACT:g})",
        ),
        Check(
            "without their rows it does",
            order["without_rows"] > EXACT,
            f"largest change {order['without_rows']:.1e}",
        ),
    )
    kept = difference(evidence, under(VIT, PATCHES), VIT)
    need_seeds(kept)
    lost = {family: difference(evidence, arm, under(arm, PATCHES)) for family, arm in FALLING.items()}
    ruling = all_of([equivalence(kept, MARGIN), *(directional(found) for found in lost.values())])
    verdict = settled(checks, ruling.verdict)
    falls = "; ".join(f"{family} {(100 * found.estimate):.1f}" for family, found in lost.items())
    dots = [kept.dot("ViT: permuted − intact")]
    dots += [found.dot(f"{family}: intact − permuted", group="expected to fall") for family, found in lost.items()]
    reason, meaning = told(
        checks,
        f"Retrained under one fixed patch permutation, ViT changes by {kept.words}; the others lose, in points: "
        f"{falls}.",
        f"{MEANING[ruling.verdict]} The notes should have said that the raster order is a list of names, not a path "
        "that is walked.",
    )
    return Judgement(
        verdict,
        reason=reason,
        meaning=meaning,
        findings=(
            kept.finding("ViT, permuted minus intact"),
            *(found.finding(f"{family}, intact minus permuted") for family, found in lost.items()),
        ),
        checks=checks,
        chart=Dots("One fixed patch permutation, in training and test", "top-1, points", tuple(dots),
                   band=(-100 * MARGIN, 100 * MARGIN)),
        needed="" if verdict != "inconclusive" else f"A spread of ViT's change below ±{100 * MARGIN:g} point: more "
        "test images, more seeds.",
        p=ruling.p,
    )  # fmt: skip


CLAIM = Claim(
    id="C03",
    title="Raster order",
    korean="좌→우/상→하 순차 입력은 2차원 구조를 반영 못한다?",
    english="Sequential input from left to right and top to bottom cannot reflect two-dimensional structure?",
    hypothesis="Order itself is irrelevant: permuting patches with their position rows changes no logit; retrained "
    "under one fixed patch permutation a ViT stays within ±1 point, while CNN, Swin and CvT fall.",
    kind="S+M",
    models=MINI,
    controls="the same models on intact images; patches permuted without their rows",
    statistics="largest change of a logit in float64; differences of top-1 at the largest train size, paired over "
    "seeds and test images; two one-sided tests for ViT",
    rule=f"refuted if an exact statement fails; supported if ViT is equivalent within ±{100 * MARGIN:g} point and each "
    "other family falls (intersection–union); refuted if ViT's change is beyond the margin or a family surely rises",
    judge=_judge,
    arms=tuple(a for arm in (VIT, *FALLING.values()) for a in (arm, under(arm, PATCHES))),
    looks=(ORDER,),
    confirmatory=True,
    sources=("Schuirmann 1987 (equivalence)",),
)
