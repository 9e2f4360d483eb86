"""C12: attention within windows, then between windows."""

from __future__ import annotations

from bench.claims.ablation import dots
from bench.claims.arms import DISTANT, SWIN, on, variant
from bench.claims.claim import MAIN, Check, Claim, Judgement, Look
from bench.claims.contrast import difference
from bench.claims.evidence import Evidence
from bench.claims.rules import all_of, directional, settled
from bench.claims.statements import told

STILL = variant(SWIN, "shift=false")
MOVING_REACH, STILL_REACH = Look("window_reach", SWIN.model), Look("window_reach", STILL.model)
TASKS = {MAIN: "main task", DISTANT: "distant pair"}


def _judge(evidence: Evidence) -> Judgement:
    moving, still = evidence.values(MOVING_REACH), evidence.values(STILL_REACH)
    checks = (
        Check(
            "in a block attention never leaves its window",
            moving["first"] == 0,
            f"{moving['first']:.0%} of a cell's support lies outside",
        ),
        Check(
            "the next block's windows lie across the first ones",
            moving["second"] > 0,
            f"a cell sees up to {moving['second_groups']} of the first block's windows",
        ),
        Check(
            "they are the first ones moved by half a window, nothing leaves them, and they do not wrap around",
            moving["second_outside_moved"] == 0,
            f"{moving['second_outside_moved']:.0%} of a cell's support lies outside its moved window",
        ),
        Check(
            "information has crossed after two blocks",
            moving["both"] > 0,
            f"{moving['both']:.0%} of a cell's support lies outside its first window",
        ),
        Check(
            "without the shift it never does within the stage",
            still["stage"] == 0 and still["stage_blocks"] > 1,
            f"{still['stage']:.0%} outside after {still['stage_blocks']} blocks",
        ),
    )
    found = {words: difference(evidence, on(SWIN, task), on(STILL, task)) for task, words in TASKS.items()}
    ruling = all_of(directional(contrast) for contrast in found.values())
    verdict = settled(checks, ruling.verdict)
    differences = "; ".join(f"{words} {contrast.words}" for words, contrast in found.items())
    reason, meaning = told(
        checks,
        f"With shift minus without: {differences}.",
        "Blocks do not alternate between attention within and between windows: all are within, and the partition "
        "moves. The notes should have said that information passes between windows by the shift alone, and measured "
        "what it is worth.",
    )
    return Judgement(
        verdict,
        reason=reason,
        meaning=meaning,
        findings=tuple(contrast.finding(f"with shift minus without, {words}") for words, contrast in found.items()),
        checks=checks,
        chart=dots("Swin with and without shifted windows", list(found.items())),
        needed=""
        if verdict != "inconclusive"
        else "More test images or seeds, or a task that needs more than a window.",
    )


CLAIM = Claim(
    id="C12",
    title="Within and between windows",
    korean="윈도 안/윈도 간 어텐션",
    english="Attention within windows, and between windows.",
    hypothesis="Attention never leaves a window; the shift moves the partition, so that information crosses after two "
    "blocks; without it accuracy falls where the grid is larger than the window.",
    kind="S+M",
    models="swin_mini with and without shift, whose first grid holds four windows",
    controls="the same reach without shift; the distant pair beside the main task",
    statistics="support of gradients in float64, cell by cell; differences of top-1, hierarchical and paired",
    rule="refuted if an exact statement fails; supported if the shift is ahead on both tasks beyond doubt, refuted if "
    "it is behind on either, inconclusive otherwise",
    judge=_judge,
    arms=tuple(on(arm, task) for task in TASKS for arm in (SWIN, STILL)),
    looks=(MOVING_REACH, STILL_REACH),
    sources=("Liu et al. 2021, Swin, table 4",),
)
