"""Specifications of the interactive charts, made with Altair; the page's scripts fill in the rows of a board.

Every chart reads the inline data set `rows`. Colours, fonts and sizes come from the page, so that they follow light and
dark.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.analysis.fronts import AXES
from bench.analysis.quantities import QUANTITIES

if TYPE_CHECKING:
    import altair as alt

FAMILIES = ("CNN", "ViT", "Swin", "Hybrid", "RNN", "other")
"""Families in the order of their colours."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
"""Shapes beside the colours, for readers who cannot tell these apart."""
AXIS_TITLES = {
    "gmacs": "thousand millions of multiply-accumulates per image",
    "params_m": "millions of parameters",
    "latency_ms": "milliseconds for a single image",
    "inference_img_per_s": "images per second, batched inference",
    "memory_mib": "peak memory of inference, MiB",
    "energy_mj": "millijoules per image of inference",
}
"""Titles of the costs, by their name in `bench.analysis.fronts`."""
AXIS_LABELS = {
    "gmacs": "GMACs",
    "params_m": "Parameters",
    "latency_ms": "Latency",
    "inference_img_per_s": "Throughput",
    "memory_mib": "Memory",
    "energy_mj": "Energy",
}
"""The same in a word, for the switch."""


_TITLE = "TITLE OF THE COST"
"""Stands for the title of a cost, since making a chart anew for each of them would take a tenth of a second each."""


def charts() -> dict[str, Any]:
    """All specifications as Vega-Lite JSON: `pareto` by the name of the cost, `curves`, `confusion`."""
    pareto = {less: json.dumps(_json(_pareto(less=less))) for less in (True, False)}
    return {
        "pareto": {
            name: json.loads(pareto[QUANTITIES[name].less_is_better].replace(_TITLE, AXIS_TITLES[name]))
            for name in AXES
        },
        "curves": _json(_curves()),
        "confusion": _json(_confusion()),
    }


def _json(chart: Any) -> dict[str, Any]:
    """Unvalidated, since that takes a second for what only changes with this file; a test validates it."""
    found: dict[str, Any] = chart.to_dict(validate=False)
    found.pop("config", None)
    return found


def _accuracy(field: str = "y") -> alt.Y:
    import altair as alt

    return alt.Y(f"{field}:Q", title="top-1 accuracy, %", scale=alt.Scale(zero=False, nice=True, padding=12))


def _pareto(*, less: bool) -> alt.LayerChart | alt.FacetChart:
    """Accuracy against one cost. Fields: name, family, x, low, high, y, y_low, y_high, edge (on the upper envelope),
    on (not beaten beyond doubt), told (words for the tooltip)."""
    import altair as alt

    way = "further left is cheaper" if less else "further right is faster"
    x = alt.X("x:Q", title=f"{_TITLE} (log scale; {way})", scale=alt.Scale(type="log", nice=False, padding=24),
              axis=alt.Axis(tickCount=6, format=",~g"))  # fmt: skip
    bars = alt.param(name="bars", value=True)
    shown = alt.when("bars").then(alt.value(0.55)).otherwise(alt.value(0))
    base = alt.Chart(alt.NamedData("rows"))
    family = alt.Color("family:N", title="family", scale=alt.Scale(domain=list(FAMILIES)))
    envelope = (
        base.transform_filter("datum.edge")
        .mark_line(
            interpolate="step-after" if less else "step-before", strokeDash=[4, 3], color="#888", strokeWidth=1.2
        )
        .encode(x=x, y=_accuracy(), order=alt.Order("x:Q"))
    )
    upright = base.mark_rule().encode(x=x, y=_accuracy("y_low"), y2="y_high:Q", color=family, opacity=shown)
    across = base.mark_rule().encode(
        x=alt.X("low:Q", title=f"{_TITLE} (log scale; {way})"), x2="high:Q", y=_accuracy(), color=family, opacity=shown
    )
    dots = base.mark_point(size=90, strokeWidth=1.8).encode(
        x=x,
        y=_accuracy(),
        color=family,
        fill=alt.when("datum.on").then(family).otherwise(alt.value("transparent")),
        shape=alt.Shape("family:N", title="family", scale=alt.Scale(domain=list(FAMILIES), range=list(SHAPES[:6]))),
        tooltip=[
            alt.Tooltip("name:N", title="model"),
            alt.Tooltip("told:N", title="top-1 %"),
            alt.Tooltip("cost:N", title=_TITLE),
            alt.Tooltip("state:N", title="front"),
        ],
    )
    return alt.layer(envelope, upright, across, dots.properties(name="dots")).add_params(bars)


def _curves() -> alt.LayerChart | alt.FacetChart:
    """Accuracy against training images. Fields: name, x, y, y_low, y_high, told."""
    import altair as alt

    x = alt.X("x:Q", title="training images (log scale)", scale=alt.Scale(type="log", nice=False, padding=16),
              axis=alt.Axis(format=",d"))  # fmt: skip
    base = alt.Chart(alt.NamedData("rows"))
    legend = alt.Legend(labelLimit=220, symbolLimit=0, symbolOpacity=1)
    name = alt.Color("name:N", title="model", sort=None, legend=legend)
    shape = alt.Shape("name:N", title="model", sort=None, scale=alt.Scale(range=list(SHAPES)), legend=legend)
    bands = base.mark_area(opacity=0.14).encode(x=x, y=_accuracy("y_low"), y2="y_high:Q", color=name)
    lines = base.mark_line(strokeWidth=2).encode(x=x, y=_accuracy(), color=name)
    dots = base.mark_point(size=60, filled=True, opacity=1).encode(
        x=x,
        y=_accuracy(),
        color=name,
        shape=shape,
        tooltip=[
            alt.Tooltip("name:N", title="model"),
            alt.Tooltip("x:Q", title="training images", format=",d"),
            alt.Tooltip("told:N", title="top-1 %"),
        ],
    )
    return alt.layer(bands, lines, dots)


def _confusion() -> alt.LayerChart | alt.FacetChart:
    """A confusion matrix. Fields: true, predicted (names of classes), share in percent, count, text, dark."""
    import altair as alt

    base = alt.Chart(alt.NamedData("rows"))
    x = alt.X("predicted:N", sort=None, title="predicted class", axis=alt.Axis(labelLimit=110, orient="top"))
    y = alt.Y("true:N", sort=None, title="true class", axis=alt.Axis(labelLimit=110))
    cells = base.mark_rect(cursor="pointer").encode(
        x=x,
        y=y,
        color=alt.Color("share:Q", title="% of class", scale=alt.Scale(type="sqrt", domain=[0, 100])),
        tooltip=[
            alt.Tooltip("true:N", title="true"),
            alt.Tooltip("predicted:N", title="predicted"),
            alt.Tooltip("share:Q", title="% of the true class", format=".1f"),
            alt.Tooltip("count:Q", title="test images", format=",d"),
        ],
    )
    numbers = base.mark_text(fontSize=11).encode(
        x=x, y=y, text="text:N", color=alt.when("datum.dark").then(alt.value("#fff")).otherwise(alt.value("#1b1b1b"))
    )
    return alt.layer(cells, numbers)
