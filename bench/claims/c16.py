"""C16: Swin and CvT learn hierarchically."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.claims.arms import CVT, MINI, RESNET, SWIN, VIT
from bench.claims.chart import Map, Maps
from bench.claims.claim import Claim, Judgement, Look, Missing
from bench.claims.contrast import over_seeds
from bench.claims.evidence import Evidence
from bench.claims.rules import all_of, directional

ENOUGH_IMAGES = 1000
"""Images below which similarities between layers are not judged."""
ARMS = {"CNN": RESNET, "Swin": SWIN, "CvT": CVT, "ViT": VIT}
TRAINED = {family: Look("layer_similarity", arm.model, arm=arm, seeds="all") for family, arm in ARMS.items()}
UNTRAINED = {family: Look("layer_similarity", arm.model, seeds="each") for family, arm in ARMS.items()}


def stages(cells: list[int]) -> NDArray[np.int64]:
    """The stage of each block: a new one wherever the grid shrinks; halves of the depth where it never does."""
    sides = np.array(cells)
    found = np.concatenate([[0], np.cumsum(np.diff(sides) != 0)])
    return found if found.any() else np.asarray(np.arange(len(sides)) >= len(sides) / 2, dtype=np.int64)


def stagedness(matrix: list[list[float]], cells: list[int]) -> float:
    """Mean similarity of two blocks of one stage minus that of two blocks of different stages."""
    values, stage = np.array(matrix), stages(cells)
    first, second = np.triu_indices(len(values), 1)
    same = stage[first] == stage[second]
    if same.all() or not same.any():
        raise Missing("a model needs two blocks in one stage and two stages")
    pairs = values[first, second]
    return float(pairs[same].mean() - pairs[~same].mean())


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
    above = {
        family: over_seeds([one - vit for one, vit in zip(staged[family], staged["ViT"], strict=True)])
        for family in ("CNN", "Swin", "CvT")
    }
    ruling = all_of(directional(found) for found in above.values())
    findings = [found.finding(f"{family} minus ViT, stagedness", unit="CKA") for family, found in above.items()]
    findings += [over_seeds(found).finding(f"{family}, stagedness", unit="CKA") for family, found in staged.items()]
    findings += [
        over_seeds(found).finding(f"{family} untrained, stagedness", unit="CKA", control=True)
        for family, found in plain.items()
    ]
    told = ", ".join(f"{family} {found.estimate:+.2f}".replace("-", "−") for family, found in above.items())
    return Judgement(
        ruling.verdict,
        reason=f"Stagedness (similarity within stages minus across) above ViT's: {told}.",
        meaning="A map that shrinks between stages makes features of different stages differ by construction; the "
        "untrained control shows how much of it is there before any training. The notes should have said what is "
        "hierarchical: the grid, or what is learned on it.",
        findings=tuple(findings),
        chart=Maps("Similarity between blocks", "debiased linear CKA", _maps(trained, evidence), low=0.0, high=1.0),
        needed=""
        if ruling.verdict != "inconclusive"
        else "More seeds: the spread over seeds is as large as the effect.",
    )


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
    "across (ViT: halves of the depth); difference to ViT's seed by seed, Student's t",
    rule=f"supported if the stagedness of each of CNN, Swin and CvT is above ViT's beyond doubt; refuted if any is "
    f"surely below; inconclusive otherwise; not testable below {ENOUGH_IMAGES:,} images",
    judge=_judge,
    arms=tuple(ARMS.values()),
    looks=(*TRAINED.values(), *UNTRAINED.values()),
    sources=("Kornblith et al. 2019", "Nguyen, Raghu & Kornblith 2021 (mini-batch CKA)", "Raghu et al. 2021"),
)
