"""C07: a ViT can express more kinds of relations."""

from __future__ import annotations

import contextlib
import math

from bench.claims.arms import DISTANT, RESNET, SAME, TEXTURE, VIT, every_size, on, variant
from bench.claims.chart import Lines
from bench.claims.claim import Claim, Finding, Judgement, Missing
from bench.claims.contrast import accuracy
from bench.claims.evidence import Evidence
from bench.claims.learning import Needed, curves, needed, series
from bench.claims.rules import Ruling, all_of

LEVEL = 0.9
"""The accuracy to reach."""
TASKS = {DISTANT: ("ViT", "distant pair"), SAME: ("ViT", "same or different"), TEXTURE: ("CNN", "local texture")}
"""Who is expected to need fewer images, and the task in words."""
FIXED = on(variant(VIT, "pos_embed=sincos2d"), DISTANT)
"""The control: the same ViT with fixed positions, whose learning does not begin with telling places apart."""


def _ruling(found: Needed, expected: str) -> Ruling:
    """Supported where the expected one needs fewer images beyond doubt; `found` is ViT's need over the CNN's."""
    fewer = found.high < 1 if expected == "ViT" else found.low > 1
    more = found.low > 1 if expected == "ViT" else found.high < 1
    return Ruling("supported" if fewer else "refuted" if more else "inconclusive", found.p)


def _judge(evidence: Evidence) -> Judgement:
    rulings, findings, curved, told, open_tasks = [], [], [], [], []
    for task, (expected, words) in TASKS.items():
        vit, cnn = curves(evidence, [on(VIT, task), on(RESNET, task)])
        curved += [series(evidence, on(arm, task), name, words) for arm, name in ((VIT, "ViT"), (RESNET, "CNN"))]
        found = needed(vit, cnn, LEVEL)
        findings += [_ratio(words, found), _images(words, "ViT", found.first), _images(words, "CNN", found.second)]
        if math.isinf(found.first) and math.isinf(found.second):
            open_tasks.append(words)
            continue
        rulings.append(_ruling(found, expected))
        smallest = int(vit.sizes[0])
        told.append(f"{words}: ViT {_count(found.first, smallest)}, CNN {_count(found.second, smallest)}")
    beside = ""
    with contextlib.suppress(Missing):
        fixed = accuracy(evidence, FIXED)
        findings.append(fixed.finding("ViT with fixed positions, distant pair, all images", unit="%", control=True))
        beside = f" With fixed positions the ViT is right for {fixed.estimate:.1%} of the distant pair."
    if not rulings:
        raise Missing(f"neither model reaches {LEVEL:.0%} on any task within this budget")
    ruling = all_of(rulings)
    verdict = ruling.verdict
    if verdict == "supported" and open_tasks:
        verdict = "inconclusive"
    unreached = f"; neither gets there on {', '.join(open_tasks)}" if open_tasks else ""
    return Judgement(
        verdict,
        reason=f"Images needed for {LEVEL:.0%}: {'; '.join(told)}{unreached}.{beside}",
        meaning="What a model can express and how many images and steps it takes to learn it are two questions; this "
        "run measures the second, under one budget for both. The notes should have named the relation and the budget.",
        findings=tuple(findings),
        chart=Lines(
            "Three tasks of known locality",
            "training images",
            "top-1, %",
            tuple(curved),
            log_x=True,
            reference=100 * LEVEL,
            reference_label=f"{LEVEL:.0%}",
        ),
        needed=""
        if verdict != "inconclusive"
        else f"More images seen per run, or train sizes nearer the crossing of {LEVEL:.0%}.",
    )


def _ratio(words: str, found: Needed) -> Finding:
    """What the rule looks at."""
    name = f"ViT's images over the CNN's for {LEVEL:.0%}, {words}"
    missed = [who for who, images in (("ViT", found.first), ("CNN", found.second)) if math.isinf(images)]
    name += f" ({' and '.join(missed)} not within the train sizes)" if missed else ""
    known = found.low < found.high
    return Finding(
        name,
        found.ratio,
        found.low if known else None,
        found.high if known else None,
        unit="×",
        p=None if math.isnan(found.ratio) else found.p,
    )


def _images(words: str, name: str, images: float) -> Finding:
    return Finding(f"{name}, images for {LEVEL:.0%} on {words} (∞: not within the train sizes)", images, digits=3)


def _count(images: float, smallest: int) -> str:
    if math.isinf(images):
        return "more than there were"
    return f"at most {smallest:,}" if round(images) <= smallest else f"{images:,.0f}"


CLAIM = Claim(
    id="C07",
    title="ViT expresses relations",
    korean="다양한 관계를 표현할 수 있다",
    english="A ViT can express a variety of relations.",
    hypothesis=f"A ViT needs fewer training images than a CNN to reach {LEVEL:.0%} where two distant places, or two "
    "shapes, must be compared, and a CNN fewer where a local texture decides.",
    kind="M",
    models="vit_mini and resnet_mini, matched in grid, parameters and MACs",
    controls="the local-texture task, on which the order should turn round; a ViT with fixed sin-cos positions on the "
    "distant pair",
    statistics="images needed, linear in ln n between train sizes, with joint bootstrap intervals; nothing "
    "extrapolated",
    rule="supported if the expected model needs fewer images on all three tasks beyond doubt; refuted if the other one "
    "does on any; inconclusive otherwise; not testable where neither gets there on any task",
    judge=_judge,
    arms=(*(every_size(on(arm, task)) for task in TASKS for arm in (VIT, RESNET)), FIXED),
    sources=("Fleuret et al. 2011 (same or different)",),
)
