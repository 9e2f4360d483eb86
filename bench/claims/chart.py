"""What a claim's figure shows, without saying how it is drawn. Plain values; the report draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Dot:
    """One value with its interval."""

    label: str
    """What it is of, such as a model; values of one label share a line."""
    value: float
    """The value, in the unit of the chart's axis."""
    low: float | None = None
    """Lower end of its 95 % interval; None without one."""
    high: float | None = None
    """Upper end."""
    group: str = ""
    """Dots of one group share a colour and a line of the legend."""
    control: bool = False
    """Whether it is a control, drawn hollow."""


@dataclass(frozen=True)
class Dots:
    """Values with intervals, a line for each label."""

    title: str
    """What is shown, in a few words."""
    axis: str
    """The value's name with its unit."""
    dots: tuple[Dot, ...]
    """From top to bottom, by their labels."""
    reference: float | None = 0.0
    """A line to compare with; None for none."""
    band: tuple[float, float] | None = None
    """An interval shown behind the dots, such as a margin of equivalence."""


@dataclass(frozen=True)
class Series:
    """One curve."""

    label: str
    """What it is of."""
    x: tuple[float, ...]
    """Positions, ascending."""
    y: tuple[float, ...]
    """Values."""
    low: tuple[float, ...] | None = None
    """Lower ends of the 95 % intervals."""
    high: tuple[float, ...] | None = None
    """Upper ends."""
    control: bool = False
    """Whether it is a control, drawn dashed."""
    panel: str = ""
    """Series of one panel are drawn together; panels stand side by side with the same axes."""


@dataclass(frozen=True)
class Lines:
    """Curves over a common axis."""

    title: str
    """What is shown, in a few words."""
    x_axis: str
    """Name and unit of the positions."""
    y_axis: str
    """Name and unit of the values."""
    series: tuple[Series, ...]
    """The curves."""
    log_x: bool = False
    """Whether positions are on a logarithmic axis."""
    reference: float | None = None
    """A level to compare with; None for none."""
    reference_label: str = ""
    """What that level is."""


@dataclass(frozen=True)
class Map:
    """A matrix as colours."""

    label: str
    """What it is of."""
    values: tuple[tuple[float, ...], ...]
    """Rows from top to bottom."""
    rows: tuple[str, ...] = ()
    """Names of the rows; none where they are positions."""
    columns: tuple[str, ...] = ()
    """Names of the columns."""
    control: bool = False
    """Whether it is a control."""


@dataclass(frozen=True)
class Maps:
    """Matrices side by side on one colour scale."""

    title: str
    """What is shown, in a few words."""
    scale: str
    """Name and unit of the values."""
    maps: tuple[Map, ...]
    """From left to right, then below."""


Chart = Dots | Lines | Maps


def by_block(shares: Mapping[str, Sequence[float]], panel: str = "") -> tuple[Series, ...]:
    """Curves of a part of something after 1, 2, … blocks, in %, as far as every model has blocks."""
    blocks = tuple(float(k) for k in range(1, min(map(len, shares.values())) + 1))
    return tuple(
        Series(name, blocks, tuple(100 * part for part in parts[: len(blocks)]), panel=panel)
        for name, parts in shares.items()
    )
