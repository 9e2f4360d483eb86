"""The claims fixed beforehand as confirmatory share one correction for being several (Holm 1979)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bench.analysis.comparisons import ALPHA, holm
from bench.claims.claim import Judgement


def corrected(judgements: Mapping[str, Judgement]) -> dict[str, Judgement]:
    """The judgements with their p-values adjusted over all that could be tested, and held to the adjusted ones.

    A `supported` whose adjusted p-value is 5 % or more becomes `inconclusive` and says so. Verdicts without a p-value
    stay as they are.
    """
    tested = [name for name, judgement in judgements.items() if judgement.p is not None]
    adjusted = holm(np.array([judgements[name].p for name in tested], dtype=float)) if tested else np.array([])
    found = dict(judgements)
    for name, p in zip(tested, adjusted.tolist(), strict=True):
        judgement = replace(found[name], p_holm=p)
        if judgement.verdict == "supported" and p >= ALPHA:
            reason = (
                f"{judgement.reason} After Holm's correction over {len(tested)} claims p = {p:.2g}: not sure enough."
            )
            judgement = replace(judgement, verdict="inconclusive", reason=reason)
        found[name] = judgement
    return found
