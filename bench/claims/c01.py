"""C01: a CNN needs many layers, a ViT one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from bench.claims.arms import DISTANT, RESNET, VIT, on, variant
from bench.claims.chart import Lines, Series, by_block
from bench.claims.claim import Arm, Check, Claim, Finding, Judgement, Look, Missing, Verdict
from bench.claims.contrast import Contrast, accuracy, combination, curve, difference, over_seeds
from bench.claims.evidence import Evidence
from bench.claims.rules import all_of, directional, settled
from bench.claims.statements import told

DEPTHS = (1, 2, 4, 8)
SOLVED = 0.9
"""Accuracy from which a task counts as solved; guessing is right half of the time."""
MODELS = {"ViT": variant(VIT, "pos_embed=sincos2d"), "CNN": RESNET}
"""What the sweep takes: the ViT's positions are fixed, since small learned ones take many times the steps to be told
apart on a task that is about places; the control has those."""
LEARNED = on(variant(VIT, "depth=1"), DISTANT)
"""The one-block ViT whose positions are learned."""
SUPPORTS = {"ViT": Look("gradient_support", "vit_mini"), "CNN": Look("gradient_support", "resnet_mini[depth=8]")}
SHALLOW = Look("gradient_support", "resnet_mini[depth=1]")
FIELDS = {
    (family, trained): Look("effective_receptive_field", arm.model, arm=arm if trained else None, seeds="each")
    for family, arm in (("ViT", VIT), ("CNN", RESNET))
    for trained in (False, True)
}
MEANING: Mapping[Verdict, str] = {
    "supported": "Here one block that sees everything solved a long-range task, and one convolutional block did not; "
    "another task may take more of either.",
    "refuted": "Covering the image and solving a task are two questions: one ViT block covers it, yet on this task the "
    "one-block models did not part into one that solves it and one that does not.",
    "inconclusive": "What one unit can depend on is settled; what one block can solve is not.",
    "not testable here": "What one unit can depend on is settled; of what one block can solve nothing is known here, "
    "where a family did not solve the task at any depth, which tells of the budget.",
}
"""What each outcome of the depth sweep means."""


def _deep(arm: Arm, depth: int) -> Arm:
    return on(variant(arm, f"depth={depth}"), DISTANT)


def _judge(evidence: Evidence) -> Judgement:
    share = {family: evidence.values(look)["share"] for family, look in SUPPORTS.items()}
    checks = _checks(share)
    sweep = {
        family: {depth: accuracy(evidence, _deep(arm, depth)) for depth in DEPTHS} for family, arm in MODELS.items()
    }
    never = [f for f, column in sweep.items() if all(found.estimate < SOLVED for found in column.values())]
    not_by_cnn = combination(evidence, [(_deep(MODELS["CNN"], 1), None, -1.0)])
    ruling = all_of([directional(sweep["ViT"][1], SOLVED), directional(not_by_cnn, -SOLVED)])
    measured = "not testable here" if never else ruling.verdict
    shallow = difference(evidence, _deep(MODELS["ViT"], 1), _deep(MODELS["CNN"], 1))
    reached = evidence.values(SHALLOW)["side_px"][-1]
    findings = [shallow.finding("one ViT block minus one CNN block, distant pair")]
    findings += [
        found.finding(f"{family} of {_blocks(depth)}, distant pair", unit="%")
        for family, column in sweep.items()
        for depth, found in column.items()
    ]
    findings.append(accuracy(evidence, LEARNED).finding("ViT of 1 block, learned positions", unit="%", control=True))
    findings.append(Finding("a centre unit of the one-block CNN sees", reached, unit="px"))
    for (family, trained), look in FIELDS.items():
        with contextlib.suppress(Missing):
            findings.append(_field(evidence, look, f"{family} {'' if trained else 'un'}trained, effective field"))
    one = {family: f"{column[1].estimate:.1%}" for family, column in sweep.items()}
    reason, meaning = told(
        checks,
        f"One ViT block covers the image; on the distant pair it is right for {one['ViT']}, one CNN block for "
        f"{one['CNN']}" + (f"; no depth of the {' or the '.join(never)} reaches {SOLVED:.0%}." if never else "."),
        f"{MEANING[measured]} The notes should have said that one ViT block covers the image, and that how many layers "
        "a task takes has to be measured.",
    )
    verdict = settled(checks, measured)
    return Judgement(
        verdict,
        reason=reason,
        meaning=meaning,
        findings=tuple(findings),
        checks=checks,
        chart=Lines("Coverage is not competence", "blocks", "%", _curves(share, sweep)),
        needed=_needed(verdict),
    )


def _checks(share: dict[str, list[float]]) -> tuple[Check, ...]:
    """What the supports by block must show: [blocks] parts of the image for each family."""
    vit, cnn = share["ViT"], share["CNN"]
    whole = next((k for k, part in enumerate(cnn, 1) if part == 1), None)
    return (
        Check("after one ViT block a unit depends on every pixel", vit[0] == 1, f"{vit[0]:.1%}"),
        Check(
            "after one CNN block a unit depends on a part of the image, after more on all of it",
            whole is not None and whole > 1,
            f"{cnn[0]:.1%} after 1, " + (f"{cnn[-1]:.1%} after {len(cnn)}" if whole is None else f"all after {whole}"),
        ),
    )


def _field(evidence: Evidence, look: Look, name: str) -> Finding:
    """Side of the effective receptive field, the mean over seeds with its interval where there are several."""
    sides = [float(record.values["side_px"]) for record in evidence.found(look)]
    control = look.arm is None
    if len(sides) == 1:
        return Finding(name, sides[0], unit="px", control=control)
    return over_seeds(sides).finding(name, unit="px", control=control)


def _curves(share: dict[str, list[float]], sweep: dict[str, dict[int, Contrast]]) -> tuple[Series, ...]:
    """What one unit sees by block, and what models of several depths get right, in two panels."""
    curves = list(by_block(share, panel="one unit sees, % of the pixels"))
    curves += [curve(family, column, panel="right on the distant pair, %") for family, column in sweep.items()]
    return tuple(curves)


def _blocks(depth: int) -> str:
    return f"{depth} block" + ("s" if depth > 1 else "")


def _needed(verdict: Verdict) -> str:
    if verdict == "inconclusive":
        return "More seeds or test images for the one-block models."
    return "Longer training: a family has not learned the task at any depth." if verdict == "not testable here" else ""


CLAIM = Claim(
    id="C01",
    title="Depth for global reach",
    korean="CNN은 수많은 계층이 필요, ViT는 레이어 하나면 된다",
    english="A CNN needs many layers, a ViT one.",
    hypothesis="One unit depends on the whole image after one ViT block and after more than one CNN block; apart from "
    "that, one ViT block solves a long-range task that one CNN block does not.",
    kind="S+M",
    models="vit_mini with sin-cos positions and resnet_mini, of 1, 2, 4 and 8 blocks",
    controls="the same task at four depths; one ViT block with learned positions; effective receptive fields of "
    "untrained models of the same seeds",
    statistics="exact support of the gradient of a centre unit; accuracy of each one-block model against "
    f"{SOLVED:.0%}, over seeds and test images, two-sided tests at 5 %",
    rule=f"refuted if an exact statement fails; not testable if either family reaches {SOLVED:.0%} at no depth on the "
    f"distant pair; else supported if the one-block ViT is above {SOLVED:.0%} and the one-block CNN below it beyond "
    "doubt, refuted if either is surely on the other side, inconclusive otherwise",
    judge=_judge,
    arms=(*(_deep(arm, depth) for arm in MODELS.values() for depth in DEPTHS), LEARNED),
    looks=(*SUPPORTS.values(), SHALLOW, *FIELDS.values()),
    sources=("Luo et al. 2016, Understanding the effective receptive field",),
)
