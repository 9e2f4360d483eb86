"""What a reader should know about a cost: figures not to rely on, counts that may be too low, smaller batches."""

from __future__ import annotations

from bench.analysis.rows import Note
from bench.analysis.settings import timings
from bench.analysis.speeds import INVALID, is_judged
from bench.profiles import ProfileRecord

AGREEMENT = 0.001
"""Relative difference between two counts of MACs from which they are in doubt."""


def cost_notes(profile: ProfileRecord) -> list[Note]:
    """The notes of one profile in the order of their weight."""
    if profile.failure is not None:
        return [Note("cost unknown", f"measuring its cost failed: {profile.failure.line}.")]
    found = [_invalid(profile), _macs(profile), *_problems(profile), _reduced(profile), _unjudged(profile)]
    return [note for note in found if note is not None]


def count_difference(profile: ProfileRecord) -> float | None:
    """FlopCounterMode's count over ours, minus 1; None where one of them is missing."""
    if not profile.macs or profile.flop_counter_macs is None:
        return None
    return profile.flop_counter_macs / profile.macs - 1


def completeness(profile: ProfileRecord) -> str:
    """`complete`, `incomplete`, `in doubt` where two counts disagree, `not traced` where there is no count."""
    if profile.macs is None:
        return "not traced"
    if profile.uncounted:
        return "incomplete"
    difference = count_difference(profile)
    return "in doubt" if difference is not None and abs(difference) > AGREEMENT else "complete"


def _invalid(profile: ProfileRecord) -> Note | None:
    reasons = [f"{name}: {'; '.join(t.invalid)}" for name, t in timings(profile).items() if t.invalid]
    if not reasons:
        return None
    return Note(INVALID, f"{INVALID}, not to be relied on: {'. '.join(reasons)}.")


def _macs(profile: ProfileRecord) -> Note | None:
    if profile.macs is not None and profile.uncounted:
        return Note("MACs incomplete", f"operators without a count: {', '.join(profile.uncounted)}.")
    difference = count_difference(profile)
    if completeness(profile) == "in doubt" and difference is not None:
        more = "more" if difference > 0 else "fewer"
        return Note("MACs in doubt", f"torch's FlopCounterMode counts {100 * abs(difference):.2f} % {more} of them.")
    return None


def _problems(profile: ProfileRecord) -> list[Note]:
    """One note for each part that could not be measured: `macs: …` → `MACs unknown`."""
    found = []
    for problem in profile.problems:
        part, colon, why = problem.partition(": ")
        if not colon:
            found.append(Note("part unknown", f"a part could not be measured: {problem}."))
        elif part == "macs" and profile.macs is not None:
            found.append(Note("MACs unchecked", f"its MACs could not be checked, or not at other image sizes: {why}."))
        else:
            name = "MACs" if part == "macs" else part
            found.append(Note(f"{name} unknown", f"{name} could not be measured: {why}."))
    return found


def _reduced(profile: ProfileRecord) -> Note | None:
    parts = [
        f"{name} with {t.batch_size:,} images a step instead of {t.requested_batch_size:,}"
        for name, t in timings(profile).items()
        if t.requested_batch_size is not None and t.requested_batch_size > t.batch_size
    ]
    memory = profile.memory
    if memory is not None and memory.requested_batch_size > memory.batch_size:
        parts.append(f"memory with {memory.batch_size:,} instead of {memory.requested_batch_size:,}")
    return Note("smaller batch", f"memory ran out: {'; '.join(parts)}.") if parts else None


def _unjudged(profile: ProfileRecord) -> Note | None:
    """Profiles of earlier versions have quartiles only."""
    if all(is_judged(t) for t in timings(profile).values()):
        return None
    return Note("not judged", "measured without intervals by an earlier version: speeds are not judged.")
