"""Heat maps: a coloured matrix with or without numbers, its colour bar, its heading, and names cut to fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.report.figures.style import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

NOTHING_THERE = "#d0d0d0"
"""Colour of a cell without a value."""
_DARK = 0.41
"""Relative luminance below which white numbers are read better than black ones."""


@dataclass(frozen=True)
class Frame:
    """Where a matrix stands in its figure, in inches from the lower left."""

    left: float
    bottom: float
    width: float
    """Of the matrix."""
    height: float
    right: float = 1.1
    """Room for the colour bar and its label."""
    top: float = 0.95
    """Room for the heading."""
    heading: float = 6.3
    """Width that headings need, from the left edge of the matrix."""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the figure."""
        return self.left + max(self.width + self.right, self.heading), self.bottom + self.height + self.top

    def axes(self, figure: Figure) -> tuple[Axes, Axes]:
        """The axes of the matrix and of its colour bar."""
        width, height = self.size
        box = (self.left / width, self.bottom / height, self.width / width, self.height / height)
        bar = ((self.left + self.width + 0.2) / width, self.bottom / height, 0.17 / width, self.height / height)
        return figure.add_axes(box), figure.add_axes(bar)

    def label(self, axes: Axes, across: str, up: str) -> None:
        """The axes' own names, below and left of everything else; placed by hand, since to measure is slow."""
        axes.set_xlabel(across)
        axes.xaxis.set_label_coords(0.5, -(self.bottom - 0.32) / self.height)
        axes.set_ylabel(up)
        axes.yaxis.set_label_coords(-(self.left - 0.34) / self.width, 0.5)


def heat_map(
    axes: Axes,
    bar_axes: Axes,
    values: NDArray[np.float64],
    *,
    colours: str,
    norm: Normalize,
    label: str,
    numbers: NDArray[np.str_] | None = None,
    number_pt: float = 8.5,
    ticks: Sequence[float] | None = None,
    gaps: bool = False,
) -> None:
    """Draw `values` [rows, columns], the first row at the top; cells without a value are grey.

    `numbers` are the texts in the cells, empty ones are left out; `ticks` those of the colour bar, which `label` names;
    `gaps` leaves white between the cells. Without numbers the cells are kept as pixels, so that large ones stay small.
    """
    import matplotlib as mpl

    shown = np.ma.masked_invalid(values)
    mesh = axes.pcolormesh(
        shown, cmap=colours, norm=norm, rasterized=numbers is None and not gaps,
        edgecolors="white" if gaps else "none", linewidth=0.4 if gaps else 0,
    )  # fmt: skip
    bar = axes.figure.colorbar(mesh, cax=bar_axes, label=label, ticks=ticks, format="%g")
    bar.outline.set_visible(False)
    bar_axes.tick_params(length=3)
    axes.set_facecolor(NOTHING_THERE)
    axes.invert_yaxis()
    axes.grid(False)
    axes.spines[:].set_visible(True)
    if numbers is None:
        return
    inks = np.where(_luminance(mpl.colormaps[colours](norm(shown.filled(0.0)))) < _DARK, "white", "#262626")
    for row, column in np.argwhere(numbers != ""):
        axes.text(column + 0.5, row + 0.5, numbers[row, column], ha="center", va="center", fontsize=number_pt,
                  color=inks[row, column])  # fmt: skip


def heading(axes: Axes, title: str, first: str, second: str = "") -> None:
    """A heading over the axes, and one or two lines in grey between them."""
    lines = [line for line in (second, first) if line]
    axes.set_title(title, pad=11 + 13 * len(lines), y=1.0)
    for k, line in enumerate(lines):
        axes.annotate(line, (0, 1), xycoords="axes fraction", xytext=(0, 9 + 13 * k), textcoords="offset points",
                      color=GREY, fontsize=8.5)  # fmt: skip


def shortened(name: str, most: int = 18) -> str:
    """A name of at most `most` characters, cut in the middle, since names of variants differ at their ends."""
    if len(name) <= most:
        return name
    head = most // 2
    return f"{name[:head]}…{name[len(name) - (most - head - 1) :]}"


def _luminance(colour: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative luminance (WCAG 2) of RGBA colours [..., 4]."""
    channels = colour[..., :3]
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]))
