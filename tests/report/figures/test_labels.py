"""Labels stay near what they name, inside the picture, and off each other."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bench.report.figures.labels import overlap, place, spread

PLACES = st.lists(st.floats(0, 100), min_size=1, max_size=9)


@given(PLACES)
def test_spread_labels_are_far_enough_apart_inside_the_bounds_and_in_order(wanted: list[float]) -> None:
    placed = spread(wanted, 10, 0, 100)
    assert all(-1e-6 <= p <= 100 + 1e-6 for p in placed)
    assert all(b - a >= 10 - 1e-6 for a, b in itertools.pairwise(sorted(placed)))
    order = sorted(range(len(wanted)), key=lambda k: (wanted[k], k))
    assert sorted(range(len(placed)), key=lambda k: placed[k]) == order


def test_labels_that_have_room_stay_where_they_belong() -> None:
    assert spread([80.0, 10.0, 50.0], 10, 0, 100) == [80.0, 10.0, 50.0]
    assert spread([50.0, 50.0], 10, 0, 100) == [45.0, 55.0]
    assert spread([], 10, 0, 100) == []


def test_more_labels_than_fit_are_spaced_evenly() -> None:
    assert spread([1.0, 2.0, 3.0], 60, 0, 100) == [0.0, 50.0, 100.0]


@given(st.lists(st.tuples(st.integers(1, 19), st.integers(1, 19)), min_size=1, max_size=12, unique=True))
def test_labels_of_points_with_room_overlap_neither_each_other_nor_any_point(grid: list[tuple[int, int]]) -> None:
    points = [(100.0 * x, 50.0 * y) for x, y in grid]
    dots = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    boxes = place(points, [(60.0, 12.0)] * len(points), dots, (0, 0, 2000, 1000), gap=8)
    for box in boxes:
        assert box[0] >= 0
        assert box[2] <= 2000
        assert all(overlap(box, dot) == 0 for dot in dots)
    assert all(overlap(a, b) == 0 for a, b in itertools.combinations(boxes, 2))


def test_a_label_at_the_right_edge_moves_to_the_left_of_its_point() -> None:
    (box,) = place([(95.0, 50.0)], [(30.0, 10.0)], [], (0, 0, 100, 100), gap=5)
    assert box[2] <= 95


def test_overlap_is_the_shared_area() -> None:
    assert overlap((0, 0, 10, 10), (5, 5, 20, 20)) == 25
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0
