"""C17: a CNN learns from selected patches only."""

from __future__ import annotations

from bench.claims.arms import FAMILIES, MINI
from bench.claims.chart import Lines, by_block
from bench.claims.claim import Check, Claim, Judgement, Look
from bench.claims.evidence import Evidence
from bench.claims.rules import settled
from bench.claims.statements import told

COVERAGE = {family: Look("input_gradient_coverage", arm.model) for family, arm in FAMILIES.items()}
CANONICAL = Look("input_gradient_coverage", "resnet18", img_size=64)
REACH = {
    "CNN": Look("gradient_support", "resnet_mini[depth=8]"),
    "ViT": Look("gradient_support", "vit_mini"),
    "Swin": Look("gradient_support", "swin_mini"),
}


def _judge(evidence: Evidence) -> Judgement:
    found = {family: evidence.values(look) for family, look in COVERAGE.items()}
    found["ResNet-18, 64 px"] = evidence.values(CANONICAL)
    checks = [
        Check(
            f"{name}: every position of the image has a gradient",
            values["coverage"] == 1.0,
            f"{values['coverage']:.1%} of positions, the weakest at {values['weakest']:.0%} of the mean",
        )
        for name, values in found.items()
    ]
    share = {family: evidence.values(look)["share"] for family, look in REACH.items()}
    cnn = share["CNN"]
    checks.append(
        Check(
            "what is limited in a CNN is how far one unit of an early block reaches",
            cnn[0] < 1.0,
            f"{cnn[0]:.0%} of the image after one block",
        )
    )
    reason, meaning = told(
        checks,
        "Every position of the image has a gradient in every family; what differs is how much of it one unit of an "
        f"early block sees: {cnn[0]:.0%} after one block of the CNN, {share['ViT'][0]:.0%} after one of the "
        "ViT.",
        "No CNN picks patches: it applies the same kernel everywhere, and each unit sees a part. The notes should have "
        "said that reach is limited per unit, not coverage.",
    )
    return Judgement(
        settled(checks),
        reason=reason,
        meaning=meaning,
        checks=tuple(checks),
        chart=Lines("What one unit depends on", "blocks", "pixels of the image, %", by_block(share)),
    )


CLAIM = Claim(
    id="C17",
    title="CNN selects patches",
    korean="CNN은 패치 중 일부만 선택하여 학습",
    english="A CNN selects only some of the patches to learn from.",
    hypothesis="Wrong: every position has a non-zero gradient; what is limited is each unit's reach.",
    kind="S",
    models=f"{MINI}; resnet18 at 64 px",
    controls="the other families",
    statistics="gradients of a random projection of the logits, float64, random inputs",
    rule="by structure if every position of every model has a gradient and one unit of the CNN's first block does not "
    "see all of the image; refuted otherwise",
    judge=_judge,
    looks=(*COVERAGE.values(), CANONICAL, *REACH.values()),
)
