"""C18: patch encoding, then position embedding, then layer normalisation."""

from __future__ import annotations

from bench.claims.chart import Dot, Dots
from bench.claims.claim import Check, Claim, Judgement, Look
from bench.claims.evidence import Evidence
from bench.claims.rules import settled
from bench.claims.statements import told

EXACT, NORMAL, RAW = 1e-9, 0.05, 0.1
"""A sum is exact up to rounding; tokens are normalised within 5 %, for the norm's ε; raw ones are off by over 10 %."""
LOOKS = (Look("embedding_norms", "vit_mini"), Look("embedding_norms", "vit_ti16", img_size=224, num_classes=1000))


def _judge(evidence: Evidence) -> Judgement:
    checks, dots = [], []
    for look in LOOKS:
        values = evidence.values(look)
        worst = max(values["attention_input"])
        checks += [
            Check(
                f"{look.model}: what enters the first block is patches + positions and nothing else",
                values["embedding_change"] <= EXACT,
                f"largest difference {values['embedding_change']:.1e} of their spread",
            ),
            Check(
                f"{look.model}: every block normalises before its attention",
                worst <= NORMAL,
                f"tokens are within {worst:.1e} of mean 0 and variance 1",
            ),
            Check(
                f"{look.model}: what leaves the last block is not normalised, what the head reads is: one final norm",
                values["head_input"] <= NORMAL and values["block_output"] > RAW,
                f"off by {values['block_output']:.2g} before, {values['head_input']:.1e} after",
            ),
        ]
        places = {
            "attention input": worst,
            "last block's output": values["block_output"],
            "head's input": values["head_input"],
        }
        dots += [Dot(f"{look.model}: {place}", off, group=look.model) for place, off in places.items()]
    reason, meaning = told(
        checks,
        "The first block gets patches + positions untouched; each block normalises first, and one norm stands before "
        "the head.",
        "The standard ViT is pre-norm: the norm belongs to the blocks, not to the embedding. The notes should have "
        "drawn it inside each block and once at the end.",
    )
    return Judgement(
        settled(checks),
        reason=reason,
        meaning=meaning,
        checks=tuple(checks),
        chart=Dots("How far tokens are from mean 0 and variance 1", "largest deviation", tuple(dots)),
    )


CLAIM = Claim(
    id="C18",
    title="Norm after the embedding",
    korean="패치 인코딩 → 위치 임베딩 → 계층 정규화",
    english="Patch encoding → position embedding → layer normalisation.",
    hypothesis="The standard ViT has no norm right after the embedding: pre-norm in each block and one final norm.",
    kind="S",
    models="vit_mini and vit_ti16 (224 px), untrained",
    controls="the last block's output, which is not normalised",
    statistics="values of a real forward pass in float64",
    rule="by structure if the first block's input is exactly patches + positions, attention inputs and the head's "
    "input are normalised, and the last block's output is not; refuted otherwise",
    judge=_judge,
    looks=LOOKS,
    sources=("Dosovitskiy et al. 2021, equations 1 to 4",),
)
