"""C04: the right assumption saves data, and too strong a one hurts elsewhere. The main confirmatory test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from bench.claims.arms import PATCHES, PIXELS, RESNET, VIT, WITHIN, every_size, under
from bench.claims.chart import Lines, Series
from bench.claims.claim import Claim, Judgement, Missing, Verdict
from bench.claims.contrast import curve, difference, difference_in_differences, gap_change, need_seeds
from bench.claims.evidence import Evidence
from bench.claims.rules import all_of, directional

SHOWN = {"intact": "none", "patches permuted": PATCHES, "pixels permuted": PIXELS}
OTHERS = {"within patches": WITHIN, "all pixels": PIXELS}
MEANING: Mapping[Verdict, str] = {
    "supported": "What the CNN was ahead by went with neighbouring patches being neighbours, and was less with more "
    "images.",
    "refuted": "In this run one of the two went the other way: what the CNN was ahead by was larger where patches were "
    "permuted, or grew with the images.",
    "inconclusive": "An advantage that goes with locality should go where locality is taken away, and matter less with "
    "more data; this run does not show both beyond doubt.",
}


def _judge(evidence: Evidence) -> Judgement:
    sizes = evidence.sizes(VIT)
    if len(sizes) < 2:
        raise Missing("whether the gap shrinks needs two train sizes")
    pair = (RESNET, VIT)
    main = difference_in_differences(evidence, pair, (under(RESNET, PATCHES), under(VIT, PATCHES)))
    need_seeds(main)
    shrinks = gap_change(evidence, RESNET, VIT, sizes[0], sizes[-1])
    ruling = all_of([directional(main), directional(shrinks)])
    findings = [
        main.finding("(CNN − ViT) intact minus (CNN − ViT) patches permuted"),
        shrinks.finding(f"(CNN − ViT) at n = {sizes[0]:,} minus at n = {sizes[-1]:,}, intact"),
    ]
    for name, what in OTHERS.items():
        with suppress(Missing):  # a control that failed does not take the test with it
            found = difference_in_differences(evidence, pair, (under(RESNET, what), under(VIT, what)))
            findings.append(found.finding(f"(CNN − ViT) intact minus (CNN − ViT) permuted {name}"))
    curves = [_curve(evidence, name, what, sizes) for name, what in SHOWN.items()]
    shown = tuple(curve for curve in curves if curve.x)
    return Judgement(
        ruling.verdict,
        reason=f"Difference in differences at n = {sizes[-1]:,}: {main.words}; the intact gap shrinks by "
        f"{shrinks.words} from n = {sizes[0]:,}.",
        meaning=f"{MEANING[ruling.verdict]} The notes should have said which structure of the images the assumption "
        "fits, and at how many images.",
        findings=tuple(findings),
        chart=Lines("What the CNN is ahead by", "training images", "CNN − ViT, points of top-1", shown, log_x=True,
                    reference=0.0, reference_label="no difference"),
        needed="" if ruling.verdict != "inconclusive" else "More test images and seeds, or a wider range of train "
        "sizes.",
        p=ruling.p,
    )  # fmt: skip


def _curve(evidence: Evidence, name: str, what: str, sizes: Sequence[int]) -> Series:
    """What the CNN is ahead by under an intervention, at the train sizes where both have runs."""
    gaps = {}
    for size in sizes:
        with suppress(Missing):
            gaps[float(size)] = difference(evidence, under(RESNET, what), under(VIT, what), size)
    return curve(name, gaps, control=what != "none", shares=False)


CLAIM = Claim(
    id="C04",
    title="The right bias saves data",
    korean="가정이 올바르면 더 적은 데이터로, 너무 강하면 다른 데이터가 어렵다",
    english="With the right assumption less data is enough; too strong an assumption makes other data hard.",
    hypothesis="(CNN − ViT) on intact images minus (CNN − ViT) on permuted ones is above 0, and the intact gap shrinks "
    "with n.",
    kind="M",
    models="resnet_mini and vit_mini, matched in grid, parameters and MACs",
    controls="the same models with patches, pixels within patches, and all pixels permuted",
    statistics="difference in differences of top-1, hierarchical over seeds and test images, paired; Holm over C03–C06",
    rule="supported if both contrasts are above 0 beyond doubt (95 % intervals, intersection–union); refuted if either "
    "is surely below; inconclusive otherwise",
    judge=_judge,
    arms=(
        *(every_size(under(arm, what)) for arm in (RESNET, VIT) for what in SHOWN.values()),
        *(under(arm, WITHIN) for arm in (RESNET, VIT)),
    ),
    confirmatory=True,
)
