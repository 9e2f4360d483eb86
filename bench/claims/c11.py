"""C11: does Swin vary the size and number of patches?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from bench.claims.chart import Lines, Series
from bench.claims.claim import Check, Claim, Judgement, Look
from bench.claims.evidence import Evidence
from bench.claims.rules import settled
from bench.claims.statements import told

PLAN = Look("window_plan", "swin_t", img_size=224, num_classes=1000)
WINDOW, GRIDS, PATCHES_PX = 7, [56, 28, 14, 7], [4.0, 8.0, 16.0, 32.0]


def _judge(evidence: Evidence) -> Judgement:
    values = evidence.values(PLAN)
    grids = [grid for grid, _ in groupby(values["grid"])]
    patches = [px for px, _ in groupby(values["patch_px"])]
    windows = sorted(set(values["window"]))
    checks = (
        Check(f"every block attends in windows of {WINDOW}×{WINDOW}", windows == [WINDOW], f"windows {windows}"),
        Check(
            "merging makes patches of 4, 8, 16 and 32 px",
            patches == PATCHES_PX,
            f"patches of {', '.join(f'{px:g}' for px in patches)} px",
        ),
        Check("on grids of 56, 28, 14 and 7 cells a side", grids == GRIDS, f"grids {', '.join(map(str, grids))}"),
    )
    blocks = tuple(float(k) for k in range(1, len(values["grid"]) + 1))
    curves = (
        Series("grid, cells a side", blocks, tuple(map(float, values["grid"]))),
        Series("window, cells a side", blocks, tuple(map(float, values["window"]))),
        Series("patch, px a side", blocks, tuple(values["patch_px"])),
    )
    reason, meaning = told(
        checks,
        f"Windows stay at {windows[0]} cells while patches grow {_arrows(patches)} px on grids {_arrows(grids)}.",
        "Swin varies neither at will: the window is fixed, and merging four neighbours doubles the patch at every "
        "stage. The notes should have said that the window covers more of the image as patches grow.",
    )
    return Judgement(
        settled(checks),
        reason=reason,
        meaning=meaning,
        checks=checks,
        chart=Lines("Swin-T at 224 px, block by block", "block", "cells or pixels", curves),
    )


def _arrows(values: Sequence[float]) -> str:
    return "→".join(f"{value:g}" for value in values)


CLAIM = Claim(
    id="C11",
    title="Swin's patches",
    korean="Swin: 패치의 크기와 개수를 다양하게 구성???",
    english="Swin composes patches of various sizes and numbers?",
    hypothesis=f"The window is fixed ({WINDOW}); merging patches makes them 4→8→16→32 px on grids 56→28→14→7.",
    kind="S",
    models="swin_t at 224 px, untrained",
    controls="none needed: shapes of a real forward pass",
    statistics="keys of every attention and the grid of every block, as they occur",
    rule="by structure if windows, grids and patches are exactly these; refuted otherwise",
    judge=_judge,
    looks=(PLAN,),
    sources=("Liu et al. 2021, Swin, figure 3",),
)
