"""C16: Swin and CvT learn hierarchically."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.claims.arms import CVT, MINI, RESNET, SWIN, VIT
from bench.claims.chart import Map, Maps
from bench.claims.claim import Claim, Judgement, Look, Missing, Verdict
from bench.claims.contrast import Contrast, over_seeds
from bench.claims.evidence import Evidence
from bench.claims.rules import all_of, directional

ENOUGH_IMAGES = 1000
"""Images below which similarities between layers are not judged."""
ARMS = {"CNN": RESNET, "Swin": SWIN, "CvT": CVT, "ViT": VIT}
TRAINED = {family: Look("layer_similarity", arm.model, arm=arm, seeds="all") for family, arm in ARMS.items()}
UNTRAINED = {family: Look("layer_similarity", arm.model, seeds="each") for family, arm in ARMS.items()}
BUILT = "A map that shrinks between stages makes features of different stages differ by construction"
MEANING: Mapping[Verdict, str] = {
    "supported": f"{BUILT}: the untrained models, shown beside the trained ones, tell how much needs no training.",
    "refuted": f"{BUILT}, and yet in one family at least the trained blocks show the boundary less than those of a "
    "ViT, which has none.",
    "inconclusive": f"{BUILT}; whether the boundary shows more than in the middle of a ViT, after this training, "
    "stays open.",
}


def stages(cells: list[int]) -> NDArray[np.int64]:
    """The stage of each block: a new one wherever the grid shrinks; halves of the depth where it never does."""
    sides = np.array(cells)
    found = np.concatenate([[0], np.cumsum(np.diff(sides) != 0)])
    return found if found.any() else np.asarray(np.arange(len(sides)) >= len(sides) / 2, dtype=np.int64)


def stagedness(matrix: list[list[float]], cells: list[int]) -> float:
    """Mean similarity of two blocks of one stage minus that of two of different stages, at equal distance in depth.

    The mean over all distances that have both: similarity that only falls with distance is no staging, and comes out
    at 0 wherever the stages lie.
    """
    values, stage = np.array(matrix), stages(cells)
    gaps = []
    for distance in range(1, len(values)):
        pairs, same = np.diagonal(values, distance), stage[distance:] == stage[:-distance]
        if same.any() and not same.all():
            gaps.append(pairs[same].mean() - pairs[~same].mean())
    if not gaps:
        raise Missing("a model needs two blocks in one stage and two stages")
    return float(np.mean(gaps))


def _judge(evidence: Evidence) -> Judgement:
    trained = {family: evidence.values(look) for family, look in TRAINED.items()}
    images = min(int(values["images"]) for values in trained.values())
    if images < ENOUGH_IMAGES:
        raise Missing(f"similarity between layers needs {ENOUGH_IMAGES:,} images, and there were {images:,}")
    staged = {family: [stagedness(own, values["cells"]) for own in values["own"]] for family, values in trained.items()}
    plain = {
        family: [stagedness(record.values["own"][0], record.values["cells"]) for record in evidence.found(look)]
        for family, look in UNTRAINED.items()
    }
    above, built = _above_vit(staged), _above_vit(plain)
    ruling = all_of(directional(found) for found in above.values())
    findings = [found.finding(f"{family} minus ViT, stagedness", unit="CKA") for family, found in above.items()]
    findings += [
        found.finding(f"{family} minus ViT, stagedness, untrained", unit="CKA", control=True)
        for family, found in built.items()
    ]
    findings += [over_seeds(found).finding(f"{family}, stagedness", unit="CKA") for family, found in staged.items()]
    findings += [
        over_seeds(found).finding(f"{family} untrained, stagedness", unit="CKA", control=True)
        for family, found in plain.items()
    ]
    return Judgement(
        ruling.verdict,
        reason=f"Stagedness (similarity within stages minus across) above ViT's, on {images:,} images: {_told(above)}; "
        f"before training: {_told(built)}.",
        meaning=f"{MEANING[ruling.verdict]} The notes should have said what is hierarchical: the grid, or what is "
        "learned on it.",
        findings=tuple(findings),
        chart=Maps("Similarity between blocks", "debiased linear CKA", _maps(trained, evidence)),
        needed=""
        if ruling.verdict != "inconclusive"
        else "More seeds: the spread over seeds is as large as the effect.",
    )


def _above_vit(staged: Mapping[str, Sequence[float]]) -> dict[str, Contrast]:
    """How much the stagedness of each family with stages exceeds ViT's, seed by seed."""
    return {
        family: over_seeds([one - vit for one, vit in zip(found, staged["ViT"], strict=True)])
        for family, found in staged.items()
        if family != "ViT"
    }


def _told(found: Mapping[str, Contrast]) -> str:
    return ", ".join(f"{family} {one.estimate:+.2f}".replace("-", "−") for family, one in found.items())


def _maps(trained: Mapping[str, Mapping[str, Any]], evidence: Evidence) -> tuple[Map, ...]:
    """Trained, then seed against seed, then untrained, each family in a column."""

    def square(values: list[list[float]]) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(row) for row in values)

    maps = [Map(f"{family}, trained", square(values["own"][0])) for family, values in trained.items()]
    maps += [
        Map(f"{family}, seed against seed", square(values["across"]), control=True)
        for family, values in trained.items()
        if values["across"] is not None
    ]
    maps += [
        Map(f"{family}, untrained", square(evidence.values(look)["own"][0]), control=True)
        for family, look in UNTRAINED.items()
    ]
    return tuple(maps)


CLAIM = Claim(
    id="C16",
    title="Hierarchical features",
    korean="Swin, CvT는 계층적으로 학습",
    english="Swin and CvT learn hierarchically.",
    hypothesis="Similarity between layers is staged in CNN, Swin and CvT, and uniform in ViT.",
    kind="M",
    models=MINI,
    controls="untrained models of the same seeds; two seeds against each other",
    statistics="debiased linear CKA between all blocks, batch by batch; stagedness = mean CKA within stages minus "
    "across, at equal distance in depth (ViT: halves of the depth); difference to ViT's seed by seed, Student's t",
    rule=f"supported if the stagedness of each of CNN, Swin and CvT is above ViT's beyond doubt; refuted if any is "
    f"surely below; inconclusive otherwise; not testable below {ENOUGH_IMAGES:,} images",
    judge=_judge,
    arms=tuple(ARMS.values()),
    looks=(*TRAINED.values(), *UNTRAINED.values()),
    sources=("Kornblith et al. 2019", "Nguyen, Raghu & Kornblith 2021 (mini-batch CKA)", "Raghu et al. 2021"),
)
