"""C05: a ViT also learns large data well, and gains more from data."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis.crossover import crossover
from bench.analysis.power_law import fit_curve
from bench.claims.arms import RESNET, VIT, every_size
from bench.claims.chart import Lines
from bench.claims.claim import Claim, Judgement, Verdict
from bench.claims.contrast import need_seeds, slope_difference
from bench.claims.evidence import Evidence
from bench.claims.learning import curves, series
from bench.claims.rules import directional

LARGE = 100_000
"""Training images below which nothing is said about who gains more from large data: published crossings of from-scratch
ViTs and CNNs lie beyond a million."""
MEANING: Mapping[Verdict, str] = {
    "not testable here": "A slope over small train sizes says how two models climb there, and nothing about who wins "
    "with large data.",
    "supported": "With this recipe the ViT climbed faster and came to lead within the range of train sizes.",
    "refuted": "With this recipe the CNN climbed faster over the whole range of train sizes.",
    "inconclusive": "That the ViT both climbs faster and comes to lead cannot be told over this range of train sizes.",
}
NEEDED: Mapping[Verdict, str] = {
    "not testable here": f"{LARGE:,} training images and more, over at least a tenfold range.",
    "inconclusive": "More images at the upper end of the range, more test images, or more seeds.",
}


def _judge(evidence: Evidence) -> Judgement:
    slopes = slope_difference(evidence, VIT, RESNET)
    need_seeds(slopes)
    vit, cnn = curves(evidence, [VIT, RESNET])
    crossing = crossover(vit, cnn, fit_curve(vit), fit_curve(cnn))
    where = "" if crossing.n is None else f" at n = {crossing.n:,.0f} [{crossing.low:,.0f}, {crossing.high:,.0f}]"
    told = f"Slope of top-1 per tenfold of images, ViT minus CNN: {slopes.words}; crossover: {crossing.state}{where}."
    largest = int(evidence.sizes(VIT)[-1])
    ruling = directional(slopes)
    verdict: Verdict = ruling.verdict
    overtaken = crossing.state == "crossing" and crossing.ahead == vit.name and not crossing.extrapolated
    if verdict == "supported" and not overtaken:
        verdict = "inconclusive"
    if largest < LARGE:
        verdict = "not testable here"
    return Judgement(
        verdict,
        reason=f"{told} The largest train size is {largest:,}; the rule asks for {LARGE:,}."
        if largest < LARGE
        else told,
        meaning=f"{MEANING[verdict]} The notes should have said from how many images on, and under which recipe.",
        findings=(slopes.finding("slope per tenfold of images, ViT minus CNN"),),
        chart=Lines(
            "Learning curves, intact images",
            "training images",
            "top-1, %",
            (series(evidence, VIT, "ViT"), series(evidence, RESNET, "CNN")),
            log_x=True,
        ),
        needed=NEEDED.get(verdict, ""),
        # Without a crossing the claim is not shown, however small the p-value of the slopes: Holm must not count it.
        p=None if largest < LARGE else ruling.p if overtaken else 1.0,
    )


CLAIM = Claim(
    id="C05",
    title="ViT gains more from data",
    korean="ViT는 대용량 데이터도 잘 학습",
    english="A ViT also learns large data well (it gains more from data).",
    hypothesis="ViT's error falls with a steeper slope in log n than the CNN's, and their curves cross in range.",
    kind="M",
    models="resnet_mini and vit_mini, matched in grid, parameters and MACs",
    controls="both on the same nested subsets, with the same budget at every size",
    statistics="difference of least-squares slopes of top-1 in log10 n, hierarchical and paired; crossover by joint "
    "bootstrap, never extrapolated beyond twice the largest size",
    rule=f"not testable below {LARGE:,} training images; else supported if ViT's slope is steeper beyond doubt and it "
    "comes to lead at a crossing in range, refuted if the CNN's is steeper, inconclusive otherwise",
    judge=_judge,
    arms=(every_size(VIT), every_size(RESNET)),
    confirmatory=True,
    sources=("Dosovitskiy et al. 2021, figure 4", "Hestness et al. 2017"),
)
