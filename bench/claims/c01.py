"""C01: a CNN needs many layers, a ViT one."""

from __future__ import annotations

from bench.claims.arms import DISTANT, RESNET, VIT, on, variant
from bench.claims.chart import Lines, Series
from bench.claims.claim import Arm, Check, Claim, Finding, Judgement, Look
from bench.claims.contrast import accuracy, difference
from bench.claims.evidence import Evidence
from bench.claims.rules import directional, settled

DEPTHS = (1, 2, 4, 8)
SUPPORTS = {"ViT": Look("gradient_support", "vit_mini"), "CNN": Look("gradient_support", "resnet_mini[depth=8]")}
FIELDS = {
    (family, trained): Look("effective_receptive_field", arm.model, arm=arm if trained else None)
    for family, arm in (("ViT", VIT), ("CNN", RESNET))
    for trained in (False, True)
}


def _deep(arm: Arm, depth: int) -> Arm:
    return on(arm if depth == 4 else variant(arm, f"depth={depth}"), DISTANT)


def _judge(evidence: Evidence) -> Judgement:
    share = {family: evidence.values(look)["share"] for family, look in SUPPORTS.items()}
    whole = next((k for k, part in enumerate(share["CNN"], 1) if part == 1), len(share["CNN"]) + 1)
    checks = (
        Check("after one ViT block a unit depends on every pixel", share["ViT"][0] == 1, f"{share['ViT'][0]:.1%}"),
        Check(
            "after one CNN block a unit depends on a part of the image, after more on all of it",
            share["CNN"][0] < 1 and 1 < whole <= len(share["CNN"]),
            f"{share['CNN'][0]:.1%} after 1, 100 % after {whole}",
        ),
    )
    shallow = difference(evidence, _deep(VIT, 1), _deep(RESNET, 1))
    ruling = directional(shallow)
    sweep = {
        family: [accuracy(evidence, _deep(arm, depth)) for depth in DEPTHS]
        for family, arm in (("ViT", VIT), ("CNN", RESNET))
    }
    findings = [shallow.finding("one ViT block minus one CNN block, distant pair")]
    findings += [
        found.finding(f"{family} of {depth} blocks, distant pair", unit="%")
        for family, column in sweep.items()
        for depth, found in zip(DEPTHS, column, strict=True)
    ]
    findings += [
        _field(evidence, look, f"{family} {'trained' if trained else 'untrained'}: effective field", not trained)
        for (family, trained), look in FIELDS.items()
    ]
    seen, right = "one unit sees, % of the pixels", "top-1 on the distant pair, %"
    curves = [
        Series(family, tuple(range(1, len(parts) + 1)), tuple(100 * part for part in parts), panel=seen)
        for family, parts in share.items()
    ]
    curves += [
        Series(
            family,
            tuple(float(depth) for depth in DEPTHS),
            tuple(100 * found.estimate for found in column),
            tuple(100 * found.low for found in column),
            tuple(100 * found.high for found in column),
            panel=right,
        )
        for family, column in sweep.items()
    ]
    verdict = settled(checks, ruling.verdict)
    return Judgement(
        verdict,
        reason=f"One ViT block minus one CNN block on the distant pair: {shallow.words}.",
        meaning="Which pixels one unit can depend on and whether a network of that depth solves a task are two "
        "questions: a block that sees everything need not use it. The notes should have said that one ViT block covers "
        "the image, not that one layer is enough.",
        findings=tuple(findings),
        checks=checks,
        chart=Lines("Coverage is not competence", "blocks", "%", tuple(curves)),
        needed="" if verdict != "inconclusive" else "More training or more seeds for the shallow models.",
    )


def _field(evidence: Evidence, look: Look, name: str, control: bool) -> Finding:
    values = evidence.values(look)
    return Finding(name, values["side_px"], unit="px", control=control)


CLAIM = Claim(
    id="C01",
    title="Depth for global reach",
    korean="CNN은 수많은 계층이 필요, ViT는 레이어 하나면 된다",
    english="A CNN needs many layers, a ViT one.",
    hypothesis="One unit depends on the whole image after one ViT block and after more than one CNN block; apart from "
    "that, one ViT block solves a long-range task that one CNN block does not.",
    kind="S+M",
    models="vit_mini and resnet_mini of 1, 2, 4 and 8 blocks",
    controls="effective receptive fields of untrained models; the same task at four depths",
    statistics="exact support of the gradient of a centre unit; difference of top-1 of one-block models, paired over "
    "seeds and test images",
    rule="refuted if an exact statement fails; else supported if the one-block ViT is ahead on the distant pair "
    "(95 % interval above 0), refuted if it is behind, inconclusive otherwise",
    judge=_judge,
    arms=tuple(_deep(arm, depth) for arm in (VIT, RESNET) for depth in DEPTHS),
    looks=(*SUPPORTS.values(), *FIELDS.values()),
    sources=("Luo et al. 2016, Understanding the effective receptive field",),
)
