"""C21: an RNN's sequential bias."""

from __future__ import annotations

from collections.abc import Mapping

from bench.claims.ablation import dots
from bench.claims.arms import LSTM, PATCHES, RESNET, ROWS, VIT, under
from bench.claims.claim import Claim, Judgement, Verdict
from bench.claims.contrast import difference, difference_in_differences
from bench.claims.evidence import Evidence
from bench.claims.rules import all_of, directional

MEANING: Mapping[Verdict, str] = {
    "supported": "A model that reads patches in a row loses more than a ViT when they change places, as one that draws "
    "on neighbours in the sequence would, and less than a CNN when rows of pixels do.",
    "refuted": "In this run one of the two went the other way: a model that reads patches in a row lost less than a "
    "ViT when they changed places, or more than a CNN when rows of pixels did.",
    "inconclusive": "A model that draws on neighbours in the sequence should lose more than a ViT when they change "
    "places, and less than a CNN when rows of pixels do; this run does not show both beyond doubt.",
}


def _judge(evidence: Evidence) -> Judgement:
    more = difference_in_differences(evidence, (LSTM, VIT), (under(LSTM, PATCHES), under(VIT, PATCHES)))
    less = difference_in_differences(evidence, (RESNET, LSTM), (under(RESNET, ROWS), under(LSTM, ROWS)))
    ruling = all_of([directional(more), directional(less)])
    losses = [
        (f"{name} under {what}", difference(evidence, arm, under(arm, what)))
        for name, arm, what in (
            ("LSTM", LSTM, PATCHES),
            ("ViT", VIT, PATCHES),
            ("LSTM", LSTM, ROWS),
            ("CNN", RESNET, ROWS),
        )
    ]
    contrasts = [("LSTM's loss minus ViT's, patches permuted", more), ("CNN's loss minus LSTM's, rows permuted", less)]
    return Judgement(
        ruling.verdict,
        reason=f"LSTM's loss minus ViT's under a patch permutation: {more.words}; CNN's loss minus LSTM's under a row "
        f"shuffle: {less.words}.",
        meaning=f"{MEANING[ruling.verdict]} The notes should have named the order in which it reads.",
        findings=tuple(
            [contrast.finding(name) for name, contrast in contrasts]
            + [loss.finding(f"loss of {name}") for name, loss in losses]
        ),
        chart=dots("What is lost when the order is taken away", [(f"loss of {name}", loss) for name, loss in losses]),
        needed="" if ruling.verdict != "inconclusive" else "More test images or seeds.",
    )


CLAIM = Claim(
    id="C21",
    title="Sequential bias of an RNN",
    korean="RNN의 순차적 편향",
    english="The sequential bias of an RNN.",
    hypothesis="An LSTM over patches loses more than a ViT under a fixed patch permutation, and less than a CNN under "
    "a row shuffle.",
    kind="M",
    models="lstm_mini beside vit_mini and resnet_mini",
    controls="each model on intact images",
    statistics="differences in differences of top-1, hierarchical and paired",
    rule="supported if both contrasts are above 0 beyond doubt; refuted if either is surely below; inconclusive "
    "otherwise",
    judge=_judge,
    arms=(
        LSTM,
        VIT,
        RESNET,
        *(under(arm, PATCHES) for arm in (LSTM, VIT)),
        *(under(arm, ROWS) for arm in (LSTM, RESNET)),
    ),
)
