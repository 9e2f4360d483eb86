"""C02: a ViT extracts no local features, but looks at everything at once."""

from __future__ import annotations

from collections.abc import Mapping

from bench.claims.arms import CVT, MINI, SWIN, VIT
from bench.claims.chart import Dot, Dots
from bench.claims.claim import Claim, Judgement, Look, Missing, Verdict
from bench.claims.contrast import over_seeds
from bench.claims.evidence import Evidence

MARGIN = 0.1
"""A head whose distance is within this part of uniform attention's looks at everything alike."""
TRAINED = Look("attention_distance", "vit_mini", arm=VIT, seeds="each")
UNTRAINED = Look("attention_distance", "vit_mini", seeds="each")
OTHERS = {
    "Swin": Look("attention_distance", "swin_mini", arm=SWIN, seeds="each"),
    "CvT": Look("attention_distance", "cvt_mini", arm=CVT, seeds="each"),
}
MEANING: Mapping[Verdict, str] = {
    "supported": "Here every head of the first layer looks about as far as if it looked at everything alike, which an "
    "untrained net does too.",
    "refuted": "Global attention allows a head to look anywhere, and after training at least one in the first layer "
    "looks near.",
    "inconclusive": "Global attention allows a head to look anywhere; whether one of the first layer looks near after "
    "this training stays open.",
}


def _first_layer(evidence: Evidence, look: Look) -> list[list[float]]:
    """The ratios of the first layer's heads, ascending, for each seed: heads of two seeds have no common order."""
    return [sorted(record.values["layers"][0]["ratio"]) for record in evidence.found(look)]


def _judge(evidence: Evidence) -> Judgement:
    heads = _first_layer(evidence, TRAINED)
    nearest, farthest = over_seeds([h[0] for h in heads]), over_seeds([h[-1] for h in heads])
    inside = all(1 - MARGIN <= end <= 1 + MARGIN for one in (nearest, farthest) for end in one.interval())
    local = nearest.high < 1 - MARGIN
    control = _first_layer(evidence, UNTRAINED)
    untrained = over_seeds([h[0] for h in control])
    findings = [
        nearest.finding("ViT, most local head of the first layer ÷ uniform", unit="×"),
        farthest.finding("ViT, least local head of the first layer ÷ uniform", unit="×"),
        untrained.finding("untrained ViT, most local head ÷ uniform", unit="×", control=True),
    ]
    dots = [
        Dot(f"seed {k}, head {j}", ratio, group="trained")
        for k, row in enumerate(heads)
        for j, ratio in enumerate(row, 1)
    ]
    dots += [
        Dot(f"seed {k}, head {j}", ratio, group="untrained", control=True)
        for k, row in enumerate(control)
        for j, ratio in enumerate(row, 1)
    ]
    for family, look in OTHERS.items():
        try:
            rows = _first_layer(evidence, look)
            findings.append(
                over_seeds([row[0] for row in rows]).finding(f"{family}, most local head ÷ uniform", unit="×")
            )
        except Missing:
            continue
    low, high = nearest.interval()
    verdict: Verdict = "supported" if inside else "refuted" if local else "inconclusive"
    return Judgement(
        verdict,
        reason=f"The most local head of the first layer reaches {nearest.estimate:.2f} [{low:.2f}, {high:.2f}] of the "
        "distance of uniform attention.",
        meaning=f"{MEANING[verdict]} The notes should have said that a ViT is not told to extract local features, and "
        "that published low layers mix local and global heads.",
        findings=tuple(findings),
        chart=Dots("First-layer heads against uniform attention", "mean attention distance ÷ uniform, ×", tuple(dots),
                   reference=1.0, band=(1 - MARGIN, 1 + MARGIN)),
        needed="" if inside or local else "Longer training or more seeds: attention moves away from uniform slowly.",
    )  # fmt: skip


CLAIM = Claim(
    id="C02",
    title="No local features in ViT",
    korean="지역 특징을 추출하지 않고 전체를 한 번에",
    english="A ViT does not extract local features; it looks at the whole at once.",
    hypothesis="In the first layer every head's mean attention distance is about that of uniform attention.",
    kind="M",
    models=MINI,
    controls="the untrained ViT of the same seeds; Swin and CvT, each against uniform attention over its own keys",
    statistics="mean attention distance over queries and test images, divided by that of uniform attention; the most "
    "and the least local head of each seed, Student's t over seeds",
    rule=f"supported if the intervals of the most and the least local head lie within 1 ± {MARGIN}; refuted if the "
    f"most local head lies below {1 - MARGIN:g} beyond doubt; inconclusive otherwise",
    judge=_judge,
    arms=(VIT, SWIN, CVT),
    looks=(TRAINED, UNTRAINED, *OTHERS.values()),
    sources=("Raghu et al. 2021, Do vision transformers see like convolutional neural networks?",),
)
