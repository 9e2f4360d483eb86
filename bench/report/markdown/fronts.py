"""Trade-offs in words: for each cost who is on the front, who is beaten by whom, and who cannot be judged."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.board import Board
from bench.analysis.fronts import Front, Place, fronts_of
from bench.report.words import listing, plain, plural

STAR_MEANS = "★: no other model here is more accurate beyond doubt and needs no more multiply-accumulates."
"""What the ★ of the main table means, in one sentence for below it."""
_HOW = (
    "A model is off a front only if another beats it beyond doubt: told apart from it at the largest train size and "
    "more accurate, and not more costly: the 95 % interval of its cost lies at or below the other's (of a throughput, "
    "at or above). Counts are exact; energy, and memory where it is the process's, are read once and allowed 5 % to "
    "both sides. A cost that is unknown or INVALID decides nothing."
)
_MOST_NAMED = 25
_COSTS = {
    "gmacs": "multiply-accumulates",
    "params_m": "parameters",
    "latency_ms": "latency of one image",
    "inference_img_per_s": "inference throughput",
    "memory_mib": "peak memory of inference",
    "energy_mj": "energy of inference",
}


def front_section(board: Board) -> str:
    """The section on trade-offs in Markdown, without a heading; empty where no rank meets a cost."""
    fronts = fronts_of(board)
    measured = [front for front in fronts if front.of_state("front")]
    if not measured:
        return ""
    without = [_COSTS[front.quantity.name] for front in fronts if front not in measured]
    parts = [_HOW, "\n".join(_line(front) for front in measured)]
    if without:
        parts.append(f"Not measured, or not so that it can be relied on: {listing(without)}.")
    unranked = measured[0].of_state("unranked")
    if unranked:
        parts.append(f"On no front, as they have no rank: {_names(unranked)}.")
    return "\n\n".join(parts)


def _line(front: Front) -> str:
    """One front as an item of a list."""
    beaten, undecided = front.of_state("beaten"), _undecided(front)
    said = [f"- **{_COSTS[front.quantity.name]}**: on the front {_names(front.of_state('front'))}"]
    if beaten:
        said.append(f"beaten beyond doubt {listing([_beaten(place) for place in beaten])}")
    return "; ".join(said) + (f". Undecided: {undecided}." if undecided else ".")


def _names(places: Sequence[Place]) -> str:
    return listing([plain(place.row.name) for place in places], most=_MOST_NAMED)


def _beaten(place: Place) -> str:
    """`vit_b16 (by swin_t and 2 more)`."""
    by = [plain(name) for name in place.beaten_by[:1]]
    more = [f"{place.beaten_times - 1:,} more"] if place.beaten_times > 1 else []
    return f"{plain(place.row.name)} (by {' and '.join([*by, *more])})"


def _undecided(front: Front) -> str:
    """The rows that cannot be judged, by reason: `INVALID: a, b; not measured: 7 models`."""
    by_reason: dict[str, list[str]] = {}
    for place in front.of_state("undecided"):
        by_reason.setdefault(place.reading.why, []).append(plain(place.row.name))
    told = [
        f"{reason}: {', '.join(names) if len(names) <= 6 else plural(len(names), 'model')}"
        for reason, names in by_reason.items()
    ]
    return "; ".join(told)
