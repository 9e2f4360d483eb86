"""How pictures look: colours and markers that colour-blind readers can tell apart, fonts, and files that repeat."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe & Ito (2008), "Color universal design", without the yellow, which is too light on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
"""Shapes; their number shares no factor with the number of colours, so that a pair of both repeats late."""
DASHES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.2)))
"""Line styles, one for each time that the colours start again."""
GREY = "#5f6368"
"""Secondary text and lines."""
PNG_DPI = 160
"""Dots per inch of the PNG files."""

_RC: Any = {
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "backbone-bench",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the house style inside this block; the caller's matplotlib settings are as they were afterwards."""
    import matplotlib as mpl
    import seaborn as sns

    with mpl.rc_context({**sns.axes_style("whitegrid"), **_RC}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


class Look(NamedTuple):
    """How one model looks in every figure."""

    colour: str
    """Of lines and markers."""
    ink: str
    """Of its name: the same, darkened until it can be read on white."""
    marker: str
    """Shape of its points."""
    dashes: Any
    """Style of its lines."""


def looks(names: Sequence[str]) -> dict[str, Look]:
    """A look for each name, the same for the same set of names, whatever their order."""
    return {name: nth_look(k) for k, name in enumerate(sorted(names))}


def nth_look(k: int) -> Look:
    """The look of number `k`: colours, markers and dashes start again when they are used up."""
    colour = COLOURS[k % len(COLOURS)]
    ink = "#" + "".join(f"{int(0.62 * int(colour[j : j + 2], 16)):02x}" for j in (1, 3, 5))
    return Look(colour, ink, MARKERS[k % len(MARKERS)], DASHES[k // len(COLOURS) % len(DASHES)])


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, drawn by Agg and without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def headed(axes: Axes, heading: str, below: str) -> None:
    """A heading over the axes and a line in grey between the two."""
    axes.set_title(heading, pad=24)
    axes.annotate(below, (0, 1), xycoords="axes fraction", xytext=(0, 9), textcoords="offset points",
                  color=GREY, fontsize=8.5)  # fmt: skip


def files_of(figure: Figure) -> dict[str, bytes]:
    """The figure as `.svg` and `.png` bytes, equal for equal figures: no date, no random ids."""
    found = {}
    for ending, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
        buffer = io.BytesIO()
        fast: Any = {"pil_kwargs": {"compress_level": 3}} if ending == ".png" else {}
        figure.savefig(buffer, format=ending[1:], dpi=PNG_DPI, metadata=metadata, **fast)
        found[ending] = buffer.getvalue()
    return found
