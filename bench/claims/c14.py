"""C14: does CvT reduce K and V?"""

from __future__ import annotations

from bench.claims.ablation import judged
from bench.claims.arms import CVT, variant
from bench.claims.claim import Check, Claim, Finding, Judgement, Look
from bench.claims.contrast import difference
from bench.claims.evidence import Evidence

FULL = variant(CVT, "kv_stride=1")
REDUCTION = Look("key_value_reduction", CVT.model, options=(("full", FULL.model),))


def _judge(evidence: Evidence) -> Judgement:
    values = evidence.values(REDUCTION)
    saved = values["macs_full"] - values["macs"]
    checks = (
        Check(
            "there are four times fewer keys than queries in every block",
            all(4 * k == q for k, q in zip(values["keys"], values["queries"], strict=True)),
            f"queries {values['queries']}, keys {values['keys']}",
        ),
        Check(
            "by a depthwise convolution of stride 2, channels as before",
            set(values["stride"]) == {2} and values["channels_in"] == values["channels_out"] == values["groups"],
            f"stride {sorted(set(values['stride']))}, channels {values['channels_in']} → {values['channels_out']} in "
            f"{values['groups']} groups",
        ),
        Check(
            "multiply-accumulates fall by what the shapes say",
            saved == values["saved_formula"],
            f"counted {saved:,}, formula {values['saved_formula']:,} of {values['macs_full']:,}",
        ),
    )
    found = difference(evidence, CVT, FULL)
    share = 100 * saved / values["macs_full"]
    texts = (
        f"Stride 2 spares {share:.0f} % of the multiply-accumulates; its top-1 minus that of stride 1: {found.words}.",
        "Fewer places are attended to, with as many channels each; what is reduced is the number of tokens. The notes "
        "should have said so, with what it saves and what it costs.",
    )
    return judged(
        checks,
        found,
        texts,
        title="Keys and values of CvT",
        name="stride 2 minus stride 1",
        more=(Finding("multiply-accumulates spared", share, unit="%"),),
    )


CLAIM = Claim(
    id="C14",
    title="CvT reduces K and V",
    korean="CvT: KV를 축소???",
    english="CvT: K and V are reduced?",
    hypothesis="Their tokens are cut 4× by a stride-2 depthwise convolution, channels stay; multiply-accumulates fall "
    "by the computed amount, accuracy by less than 1 point.",
    kind="S+M",
    models="cvt_mini with stride 2 and stride 1 before keys and values",
    controls="the same model with as many keys as queries",
    statistics="shapes and counted operations of a real forward pass; difference of top-1, hierarchical and paired, "
    "two one-sided tests",
    rule="refuted if an exact statement fails or the difference is surely beyond ±1 point; supported if it is "
    "equivalent within ±1 point; inconclusive otherwise",
    judge=_judge,
    arms=(CVT, FULL),
    looks=(REDUCTION,),
    sources=("Wu et al. 2021, CvT, section 3.3",),
)
