"""Where labels go so that they cover neither data nor each other. Boxes are (left, bottom, right, top) in pixels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

Box = tuple[float, float, float, float]
Point = tuple[float, float]

_DIRECTIONS = ((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1))
_DISTANCES = (1.0, 2.0, 3.5, 5.5)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near the wanted ones, in the same order, at least `gap` apart and inside [low, high].

    Neighbours that are too close are merged into blocks around their common mean. Where not all fit, they are
    spaced evenly.
    """
    if not wanted:
        return []
    if gap * (len(wanted) - 1) >= high - low:
        step = (high - low) / max(1, len(wanted) - 1)
        by_place = [low + k * step for k in range(len(wanted))]
    else:
        by_place = _blocks(sorted(wanted), gap, low, high)
    order = sorted(range(len(wanted)), key=lambda k: (wanted[k], k))
    placed = [0.0] * len(wanted)
    for position, k in zip(by_place, order, strict=True):
        placed[k] = position
    return placed


def _blocks(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """`spread` for ascending positions that all fit."""
    blocks: list[list[float]] = []
    for value in wanted:
        blocks.append([value])
        while len(blocks) > 1 and _start(blocks[-2], gap, low, high) + gap * len(blocks[-2]) > _start(
            blocks[-1], gap, low, high
        ):
            last = blocks.pop()
            blocks[-1] += last
    return [_start(block, gap, low, high) + k * gap for block in blocks for k in range(len(block))]


def _start(block: Sequence[float], gap: float, low: float, high: float) -> float:
    """Lowest position of a block centred on the mean of what its members want, kept inside the bounds."""
    length = gap * (len(block) - 1)
    return min(max(sum(block) / len(block) - length / 2, low), high - length)


def place(
    points: Sequence[Point], sizes: Sequence[Point], obstacles: Sequence[Box], bounds: Box, gap: float
) -> list[Box]:
    """A box for the label of each point: near it, inside `bounds`, off the obstacles and the other labels.

    `sizes` are (width, height) of the labels; `gap` is the distance from a point to its label. Greedy: points in
    the thick of others choose first.
    """
    crowd = sorted(range(len(points)), key=lambda k: _loneliness(points, k))
    taken: list[Box] = list(obstacles)
    chosen: dict[int, Box] = {}
    for k in crowd:
        candidates = [
            _candidate(points[k], sizes[k], direction, gap * distance)
            for distance, direction in itertools.product(_DISTANCES, _DIRECTIONS)
        ]
        costs = [_cost(box, taken, bounds) + rank * 0.01 for rank, box in enumerate(candidates)]
        chosen[k] = candidates[costs.index(min(costs))]
        taken.append(chosen[k])
    return [chosen[k] for k in range(len(points))]


def overlap(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def _loneliness(points: Sequence[Point], k: int) -> float:
    x, y = points[k]
    return min(((x - a) ** 2 + (y - b) ** 2 for j, (a, b) in enumerate(points) if j != k), default=0.0)


def _candidate(point: Point, size: Point, direction: tuple[int, int], gap: float) -> Box:
    (x, y), (width, height), (dx, dy) = point, size, direction
    left = x + dx * gap if dx > 0 else x + dx * gap - width if dx < 0 else x - width / 2
    bottom = y + dy * gap if dy > 0 else y + dy * gap - height if dy < 0 else y - height / 2
    return left, bottom, left + width, bottom + height


def _cost(box: Box, taken: Sequence[Box], bounds: Box) -> float:
    area = (box[2] - box[0]) * (box[3] - box[1])
    outside = area - overlap(box, bounds)
    return sum(overlap(box, other) for other in taken) + 10 * outside
