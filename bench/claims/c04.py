"""C04: the right assumption saves data, and too strong a one hurts elsewhere. The main confirmatory test."""

from __future__ import annotations

from bench.claims.arms import PATCHES, PIXELS, RESNET, VIT, WITHIN, every_size, under
from bench.claims.chart import Lines, Series
from bench.claims.claim import Claim, Judgement, Missing
from bench.claims.contrast import difference, difference_in_differences, gap_change, need_seeds
from bench.claims.evidence import Evidence
from bench.claims.rules import all_of, directional

SHOWN = {"intact": "none", "patches permuted": PATCHES, "pixels permuted": PIXELS}
OTHERS = {"within patches": WITHIN, "all pixels": PIXELS}


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
    findings += [
        difference_in_differences(evidence, pair, (under(RESNET, what), under(VIT, what))).finding(
            f"(CNN − ViT) intact minus (CNN − ViT) permuted {name}"
        )
        for name, what in OTHERS.items()
    ]
    curves = []
    for name, what in SHOWN.items():
        gaps = [difference(evidence, under(RESNET, what), under(VIT, what), size) for size in sizes]
        curves.append(
            Series(
                name,
                tuple(float(size) for size in sizes),
                tuple(100 * gap.estimate for gap in gaps),
                tuple(100 * gap.low for gap in gaps),
                tuple(100 * gap.high for gap in gaps),
                control=what != "none",
            )
        )
    return Judgement(
        ruling.verdict,
        reason=f"Difference in differences at n = {sizes[-1]:,}: {main.words}; the intact gap shrinks by "
        f"{shrinks.words} from n = {sizes[0]:,}.",
        meaning="An advantage that goes with locality should go where locality is taken away, and matter less with "
        "more data; the interval says how far this run shows it. The notes should have said which structure of the "
        "images the assumption fits, and at how many images.",
        findings=tuple(findings),
        chart=Lines("What the CNN is ahead by", "training images", "CNN − ViT, points of top-1", tuple(curves),
                    log_x=True, reference=0.0, reference_label="no difference"),
        needed="" if ruling.verdict != "inconclusive" else "More test images and seeds, or a wider range of train "
        "sizes.",
        p=ruling.p,
    )  # fmt: skip


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
