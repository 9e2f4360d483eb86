"""C09: only the class token's vector is used."""

from __future__ import annotations

from bench.claims.ablation import judged
from bench.claims.arms import VIT, variant
from bench.claims.claim import Check, Claim, Judgement, Look
from bench.claims.contrast import difference
from bench.claims.evidence import Evidence

EXACT = 1e-9
MEAN = variant(VIT, "pool=mean")
LOOKS = {name: Look("readout", f"{name}_mini") for name in ("vit", "swin", "cvt")}


def _judge(evidence: Evidence) -> Judgement:
    vit, swin, cvt = (evidence.values(look) for look in LOOKS.values())
    last_stage = [int(cells == cvt["cells"][-1]) for cells in cvt["cells"]]
    checks = (
        Check(
            "ViT's head reads the class token alone: noise in all other tokens changes no logit",
            vit["cells_replaced"] <= EXACT < (vit["class_replaced"] or 0.0),
            f"largest change {vit['cells_replaced']:.1e}; noise in the class token {vit['class_replaced'] or 0:.2g}",
        ),
        Check(
            "Swin has no class token and reads the mean: the order of its cells does not matter, their content does",
            not any(swin["class_tokens"]) and swin["cells_permuted"] <= EXACT < swin["cells_replaced"],
            f"permuted {swin['cells_permuted']:.1e}, replaced {swin['cells_replaced']:.2g}",
        ),
        Check(
            "CvT has a class token in its last stage only",
            cvt["class_tokens"] == last_stage and not all(last_stage),
            f"class tokens by block: {', '.join(map(str, cvt['class_tokens']))}",
        ),
    )
    found = difference(evidence, MEAN, VIT)
    texts = (
        f"Mean pooling minus class token, each at its own learning rate: {found.words}.",
        "Reading the class token is ViT's custom, not a need: other families read the mean, and here the two are "
        "compared on one model. The notes should have said which model uses which.",
    )
    return judged(
        checks,
        found,
        texts,
        title="What ViT's head reads",
        name="mean pooling minus class token",
        label="mean minus class token",
    )


CLAIM = Claim(
    id="C09",
    title="Only CLS is used",
    korean="분류 토큰 벡터만 사용",
    english="Only the class token's vector is used.",
    hypothesis="Class token and mean pooling differ by less than 1 point once each has its own learning rate; Swin "
    "pools the mean, and CvT has a class token in its last stage only.",
    kind="S+M",
    models="vit_mini with both readouts; swin_mini and cvt_mini for the structure",
    controls="learning-rate trials for every arm, as everywhere in the lab",
    statistics="changes of the logits in float64; difference of top-1, hierarchical and paired, two one-sided tests",
    rule="refuted if an exact statement fails or the difference is surely beyond ±1 point; supported if it is "
    "equivalent within ±1 point; inconclusive otherwise",
    judge=_judge,
    arms=(VIT, MEAN),
    looks=tuple(LOOKS.values()),
)
