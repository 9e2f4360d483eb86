"""What is said of a claim when one of its exact statements fails, in place of what is said when all hold."""

from __future__ import annotations

from collections.abc import Sequence

from bench.claims.claim import Check


def told(checks: Sequence[Check], reason: str, meaning: str) -> tuple[str, str]:
    """(reason, meaning) of a judgement: the given ones where every check holds, else the checks that fail.

    Texts that take the structure for granted would contradict a verdict that a failed check has decided.
    """
    failed = [f"{check.statement} ({check.measured})" for check in checks if not check.holds]
    if not failed:
        return reason, meaning
    return (
        f"Expected, and not found: {'; '.join(failed)}.",
        "The models that were looked at are not built as the hypothesis says, whatever their accuracy. The notes "
        "should have named the model that they describe, since this one is another.",
    )
