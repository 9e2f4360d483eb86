"""Heat maps: numbers readable on their cells, empty cells grey, names cut where they differ least."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import Normalize, to_hex

from bench.report.figures.heat import NOTHING_THERE, Frame, heat_map, shortened
from bench.report.figures.style import new_figure, styled


@given(st.text(max_size=60), st.integers(3, 40))
def test_a_name_is_cut_to_fit_and_keeps_both_its_ends(name: str, most: int) -> None:
    cut = shortened(name, most)
    assert len(cut) <= most
    assert cut == name or (cut[0] == name[0] and cut[-1] == name[-1] and "…" in cut)


def test_variants_that_differ_at_their_ends_stay_apart() -> None:
    assert shortened("a_rather_long_name_of_a_model.in1k") != shortened("a_rather_long_name_of_a_model.in22k")


def test_numbers_are_white_on_dark_cells_and_dark_on_light_ones() -> None:
    with styled():
        frame = Frame(left=1, bottom=1, width=2, height=2)
        figure = new_figure(*frame.size)
        axes, bar = frame.axes(figure)
        heat_map(axes, bar, np.array([[0.0, 1.0]]), colours="cividis", norm=Normalize(0, 1), label="x",
                 numbers=np.array([["dark", "light"]]))  # fmt: skip
    inks = {t.get_text(): to_hex(t.get_color()) for t in axes.texts}
    assert inks == {"dark": "#ffffff", "light": "#262626"}


def test_a_cell_without_a_value_has_the_colour_of_nothing() -> None:
    with styled():
        frame = Frame(left=1, bottom=1, width=2, height=2)
        figure = new_figure(*frame.size)
        axes, bar = frame.axes(figure)
        heat_map(axes, bar, np.array([[0.2, np.nan]]), colours="cividis", norm=Normalize(0, 1), label="x",
                 numbers=np.array([["1", ""]]))  # fmt: skip
    assert np.ma.getmaskarray(axes.collections[0].get_array()).tolist() == [[False, True]]
    assert to_hex(axes.get_facecolor()) == NOTHING_THERE
    assert [t.get_text() for t in axes.texts] == ["1"]


@pytest.mark.parametrize("width", [0.5, 12.0])
def test_a_frame_has_room_for_its_heading_however_narrow_the_matrix(width: float) -> None:
    frame = Frame(left=1, bottom=1, width=width, height=3)
    assert frame.size == (1 + max(6.3, width + 1.1), 1 + 3 + frame.top)
