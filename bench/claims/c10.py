"""C10: how is the class token made?"""

from __future__ import annotations

from bench.claims.chart import Dot, Dots
from bench.claims.claim import Check, Claim, Judgement, Look
from bench.claims.evidence import Evidence
from bench.claims.rules import settled
from bench.claims.statements import told

EXACT = 1e-9
FELT = 1e-3
LOOKS = (Look("readout", "vit_mini"), Look("readout", "vit_ti16", img_size=224, num_classes=1000))


def _judge(evidence: Evidence) -> Judgement:
    checks, dots = [], []
    for look in LOOKS:
        values = evidence.values(look)
        before, after, read = values["spread_in"], values["spread_out"], values["head_of_class"]
        checks += [
            Check(
                f"{look.model}: the class token is the same for every image where it enters",
                before is not None and before <= EXACT,
                "there is none" if before is None else f"largest difference between images {before:.1e} of its size",
            ),
            Check(
                f"{look.model}: it is learned",
                values["class_learned"] is True,
                f"trainable parameter behind it: {'yes' if values['class_learned'] else 'no'}",
            ),
            Check(
                f"{look.model}: it differs between images where it leaves the last block",
                after is not None and after > FELT,
                "there is none" if after is None else f"{after:.2g} of its size",
            ),
            Check(
                f"{look.model}: the logits are head(norm(what became of it))",
                read is not None and read <= EXACT,
                "there is none" if read is None else f"largest difference {read:.1e} of the logits' spread",
            ),
            Check(
                f"{look.model}: the head reads what became of it, and nothing else",
                values["class_replaced"] is not None and values["cells_replaced"] <= EXACT < values["class_replaced"],
                f"noise in the other tokens changes a logit by {values['cells_replaced']:.1e} of the logits' spread",
            ),
        ]
        dots += [
            Dot(f"{look.model}, entering", before or 0.0, group="difference between images"),
            Dot(f"{look.model}, leaving", after or 0.0, group="difference between images"),
        ]
    reason, meaning = told(
        checks,
        "One learned vector goes in for every image; what comes out differs by image and is what the head reads.",
        "The class token is a parameter like any weight, and becomes a summary of the image by attending to it. The "
        "notes should have said that it is learned, not computed from the image.",
    )
    return Judgement(
        settled(checks),
        reason=reason,
        meaning=meaning,
        checks=tuple(checks),
        chart=Dots(
            "The class token before and after the blocks", "largest difference between images ÷ its size", tuple(dots)
        ),
    )


CLAIM = Claim(
    id="C10",
    title="How CLS is made",
    korean="CLS 토큰은 어떻게 만드는가???",
    english="How is the class token made?",
    hypothesis="It is one learned vector, the same for every image; what it becomes differs by image, and is the "
    "classification token that is read out.",
    kind="S",
    models="vit_mini and vit_ti16 (224 px), untrained",
    controls="the same token before the first and after the last block; noise in the other tokens",
    statistics="largest differences in float64 between four random images",
    rule=f"by structure if the token's difference between images is at most {EXACT:g} where it enters and above "
    f"{FELT:g} where it leaves, a trainable parameter stands behind it, head(norm(it)) is within {EXACT:g} of the "
    "logits, and noise elsewhere changes no logit; refuted otherwise",
    judge=_judge,
    looks=LOOKS,
)
