"""Pictures of costs: roofline, MACs by kind and against image size, throughput against batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from bench.analysis.cost_table import KINDS, kind_shares
from bench.analysis.costs import CostBoard, CostRow
from bench.analysis.roofline import RoofPoint
from bench.analysis.speeds import INVALID
from bench.profiles import CurvePoint, DeviceRecord, Timing
from bench.report.costs.stamp import cost_title
from bench.report.figures.drawing import LABEL_PT, End, log_limits, log_y, names_at_the_right, width_of
from bench.report.figures.style import COLOURS, GREY, Look, files_of, headed, looks, new_figure, styled
from bench.report.words import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 30
"""Models in a picture at most: the fastest ones."""
_WIDTH = 7.2
_KIND_COLOURS = dict(zip(KINDS, (*COLOURS[:6], "#333333", "#b0b0b0"), strict=True))
_PALE = ("#56B4E9", "#E69F00", "#CC79A7", "#b0b0b0")


class Picture(NamedTuple):
    """One picture of a board."""

    text: str
    """Its heading."""
    draw: Callable[[CostBoard], Figure]
    """What draws it."""
    possible: Callable[[CostBoard], bool]
    """Whether the board has what it shows."""


def draw_cost_figures(board: CostBoard) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(name, bytes by ending) of every picture that the board has the numbers for, of its fastest `MOST` models."""
    shown = _shown(board)
    with styled():
        for name in cost_figure_names(board):
            figure = COST_FIGURES[name].draw(shown)
            if shown is not board:
                note = f"the fastest {MOST} of {len(board.good):,} models"
                figure.text(0.99, 0.005, note, color=GREY, fontsize=8, ha="right", va="bottom")
            yield name, files_of(figure)


def cost_figure_names(board: CostBoard) -> list[str]:
    """Names of the pictures that the board has the numbers for, among its fastest `MOST` models."""
    shown = _shown(board)
    return [name for name, picture in COST_FIGURES.items() if picture.possible(shown)]


def _shown(board: CostBoard) -> CostBoard:
    """The board, cut at its fastest `MOST` models where it has more."""
    return replace(board, rows=board.good[:MOST]) if len(board.good) > MOST else board


def roofline(board: CostBoard) -> Figure:
    """Rate against operations per byte, both log: the device's roofs, and each model at inference and training."""
    rows = [row for row in board.good if _points(row)]
    figure, axes = _canvas(board, "What the device could do, and what the models reach", _height(len(rows)))
    device = board.device
    assert device is not None
    points = [point for row in rows for point in _points(row)]
    _roofs(axes, device, points)
    look = _looks(board)
    for row in rows:
        style, found = look[row.model], _points(row)
        places = [_place(point) for point in found]
        axes.plot(*zip(*places, strict=True), color=style.colour, linewidth=0.8, alpha=0.6, zorder=2)
        for point, (x, y) in zip(found, places, strict=True):
            face = style.colour if point.use == "inference" else "white"
            axes.plot(x, y, style.marker, color=style.colour, markerfacecolor=face, markersize=7.5, zorder=3)
    axes.set_xlabel("floating-point operations per byte moved (log scale)")
    axes.set_ylabel("GFLOP/s (log scale)")
    ends = []
    for row in rows:
        x, y = max(_place(point) for point in _points(row))
        ends.append(End(_reached(row), x, y, look[row.model].colour, look[row.model].ink))
    names_at_the_right(axes, ends)
    roofs = f"; roofs {INVALID}" if device.invalid else ""
    _below(axes, f"filled: inference, hollow: training; beside the name: % of the attainable rate at each{roofs}")
    return figure


def macs_vs_size(board: CostBoard) -> Figure:
    """MACs of one image against its size, both log: all of them solid, attention's two products dashed."""
    rows = [row for row in board.good if len(row.profile.macs_by_size) > 1]
    figure, axes = _canvas(board, "Multiply-accumulates against image size", _height(len(rows)), settings=False)
    look = _looks(board)
    ends, lows, highs, sizes = [], [], [], set()
    for row in rows:
        style, found = look[row.model], sorted(row.profile.macs_by_size, key=lambda s: s.img_size)
        xs, totals = [s.img_size for s in found], [s.macs / 1e9 for s in found]
        attention = [s.macs_by_kind.get("attention", 0) / 1e9 for s in found]
        axes.plot(xs, totals, color=style.colour, marker=style.marker, markersize=5, linewidth=1.7, zorder=3)
        if all(attention):
            axes.plot(xs, attention, color=style.colour, linestyle=(0, (3, 2)), linewidth=1.3, zorder=3)
        share = attention[-1] / totals[-1]
        name = f"{row.model} ({100 * share:.0f} %)" if share else row.model
        ends.append(End(name, xs[-1], totals[-1], style.colour, style.ink))
        drawn = [*totals, *attention] if all(attention) else totals
        lows.append(min(drawn))
        highs.append(max(drawn))
        sizes |= set(xs)
    axes.set_xscale("log")
    axes.set_xticks(sorted(sizes), [f"{size:,}" for size in sorted(sizes)], fontsize=8.5)
    axes.set_xticks([], minor=True)
    log_y(axes, min(lows) / 1.4, max(highs) * 1.4)
    axes.set_xlabel("image size in pixels (log scale)")
    axes.set_ylabel("GMACs for one image (log scale)")
    names_at_the_right(axes, ends)
    _below(axes, "solid: all, dashed: attention scores (QKᵀ and AV); in brackets: their share at the largest size")
    return figure


def throughput_vs_batch(board: CostBoard) -> Figure:
    """Images per second against batch size, both log: inference above, training below, the chosen batch ringed."""
    rows = [row for row in board.good if _sweep(row)]
    panel = max(2.5, 0.55 + 0.19 * len(rows))
    height = 2 * panel + 1.95
    figure = new_figure(_WIDTH, height)
    upper = figure.add_axes((0.115, (0.85 + panel + 0.45) / height, 0.87, panel / height))
    lower = figure.add_axes((0.115, 0.85 / height, 0.87, panel / height))
    ran_out = any(p.throughput_img_per_s is None for row in rows for p in _sweep(row))
    crosses = "; ×: memory ran out after that batch" if ran_out else ""
    headed(upper, "Throughput against batch size", cost_title(board))
    _below(upper, f"ringed: the batch that was then measured{crosses}")
    look = _looks(board)
    widest = width_of(upper, [f"{row.model}{_doubt(row.inference, row.training)}" for row in rows])
    curves = {
        "inference": (upper, [(row.model, row.profile.inference_curve, row.inference) for row in rows]),
        "training": (lower, [(row.model, row.profile.training_curve, row.training) for row in rows]),
    }
    batches = sorted({p.batch_size for _, lines in curves.values() for _, curve, _ in lines for p in curve})
    for use, (axes, lines) in curves.items():
        _curves(axes, use, lines, look, batches, widest)
    lower.set_xlabel("images per step (log scale)")
    return figure


def macs_by_kind(board: CostBoard) -> Figure:
    """What each model spends its MACs on, as parts of 100 %, with the total beside its bar."""
    rows = [row for row in board.good if row.profile.macs_by_kind][::-1]
    height = 1.75 + 0.34 * len(rows)
    figure = new_figure(_WIDTH, height)
    shares = [kind_shares(row.profile.macs_by_kind) for row in rows]
    kinds = list(
        dict.fromkeys(kind for kind in (*KINDS, *(k for s in shares for k in s)) if any(kind in s for s in shares))
    )
    probe = figure.add_axes((0, 0, 1, 1))
    left = width_of(probe, [row.model for row in rows]) + 0.035
    probe.remove()
    axes = figure.add_axes((left, 0.75 / height, 0.885 - left, (height - 1.45) / height))
    headed(axes, "What the multiply-accumulates are spent on", _subtitle(board, settings=False))
    for place, (row, parts) in enumerate(zip(rows, shares, strict=True)):
        start = 0.0
        for kind in kinds:
            share = 100 * parts.get(kind, 0.0)
            colour = _KIND_COLOURS.get(kind, GREY)
            axes.barh(place, share, left=start, height=0.7, color=colour, edgecolor="white", linewidth=0.8)
            if share >= 6:
                ink = "black" if colour in _PALE else "white"
                axes.text(start + share / 2, place, f"{share:.0f}", ha="center", va="center", color=ink, fontsize=8.5)
            start += share
        axes.text(101, place, f"{significant((row.macs or 0) / 1e9)} G", va="center", fontsize=LABEL_PT)
    _bars_axis(axes, [row.model for row in rows], kinds)
    return figure


def _bars_axis(axes: Axes, names: Sequence[str], kinds: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    axes.set_yticks(range(len(names)), names, fontsize=LABEL_PT)
    axes.set_ylim(-0.5, len(names) - 0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the multiply-accumulates of one image", labelpad=2)
    axes.grid(visible=False, axis="y")
    handles = [Patch(color=_KIND_COLOURS.get(kind, GREY), label=kind.replace("_", " ")) for kind in kinds]
    axes.figure.legend(
        handles=handles, loc="lower center", ncols=len(kinds), fontsize=8, frameon=False, handlelength=1,
        handletextpad=0.4, columnspacing=1.0, bbox_to_anchor=(0.5, 0.0), borderaxespad=0.2,
    )  # fmt: skip


def _curves(
    axes: Axes,
    use: str,
    lines: Sequence[tuple[str, list[CurvePoint], Timing | None]],
    look: dict[str, Look],
    batches: Sequence[int],
    widest: float,
) -> None:
    """One panel of `throughput_vs_batch`; a batch that did not fit into memory ends its line with a cross."""
    ends: list[End] = []
    every: list[float] = []
    for name, curve, chosen in lines:
        fits = [(p.batch_size, p.throughput_img_per_s) for p in curve if p.throughput_img_per_s is not None]
        if not fits:
            continue
        style, (xs, ys) = look[name], zip(*fits, strict=True)
        axes.plot(xs, ys, color=style.colour, marker=style.marker, markersize=4.5, linewidth=1.6, zorder=3)
        for batch, speed in fits:
            if chosen is not None and chosen.batch_size == batch:
                axes.plot(batch, speed, "o", markersize=11, markerfacecolor="none", color=style.colour, zorder=4)
        if len(fits) < len(curve):
            axes.plot(xs[-1] * 1.19, ys[-1], "x", color=style.colour, markersize=6, zorder=4)
        every += ys
        ends.append(End(f"{name}{_doubt(chosen)}", xs[-1], ys[-1], style.colour, style.ink))
    axes.set_xscale("log", base=2)
    axes.set_xticks(batches, [f"{batch:,}" for batch in batches])
    axes.set_xticks([], minor=True)
    axes.set_xlim(batches[0] / 1.2, batches[-1] * 1.3)
    axes.set_ylabel(f"{use}, img/s (log scale)")
    if every:
        log_y(axes, min(every) / 1.25, max(every) * 1.25)
        names_at_the_right(axes, ends, widest=widest)
    else:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_yticks([])


def _roofs(axes: Axes, device: DeviceRecord, points: Sequence[RoofPoint]) -> None:
    """The two kinds of roof: a slope for the bandwidth, and a level for the matrix rate in each precision."""
    bandwidth = device.copy_bytes_per_s.median_per_s / 1e9
    levels = {name: rate.median_per_s / 1e9 for name, rate in device.flops_per_s.items()}
    xs = [_place(p)[0] for p in points] + [level / bandwidth for level in levels.values()]
    axes.set_xscale("log")
    log_limits(axes, xs, xs)
    left, right = axes.get_xlim()
    lowest = min([p.flops_per_s / 1e9 for p in points] + [bandwidth * min(xs)])
    log_y(axes, lowest / 2, max([*levels.values(), *(p.flops_per_s / 1e9 for p in points)]) * 1.8)
    top = max(levels.values())
    axes.plot([left, top / bandwidth], [bandwidth * left, top], color=GREY, linewidth=1.4, zorder=1)
    for name, level in levels.items():
        axes.plot([level / bandwidth, right], [level, level], color=GREY, linewidth=1.4, zorder=1)
        axes.annotate(f"{name} {significant(level)} GFLOP/s", (right, level), xytext=(-4, 3), ha="right",
                      textcoords="offset points", color=GREY, fontsize=8.5)  # fmt: skip
    x = left * (top / bandwidth / left) ** 0.5
    axes.annotate(f"copy {significant(bandwidth)} GB/s", (x, bandwidth * x), xytext=(-5, 5), ha="center", va="bottom",
                  textcoords="offset points", color=GREY, fontsize=8.5, rotation=_slope(axes),
                  rotation_mode="anchor")  # fmt: skip


def _slope(axes: Axes) -> float:
    """Degrees of a line of slope 1 in log-log axes as drawn."""
    import math

    (x0, y0), (x1, y1) = axes.transData.transform([(1.0, 1.0), (10.0, 10.0)])
    return math.degrees(math.atan2(y1 - y0, x1 - x0))


def _points(row: CostRow) -> list[RoofPoint]:
    return [p for p in (row.inference_point, row.training_point) if p is not None and p.intensity is not None]


def _place(point: RoofPoint) -> tuple[float, float]:
    """Operations per byte and GFLOP/s of a point whose intensity is known."""
    return point.intensity or 0.0, point.flops_per_s / 1e9


def _reached(row: CostRow) -> str:
    """`vit_b16 82, 71 %`: parts of the attainable rate at inference and training."""
    parts = [f"{100 * p.fraction:.0f}" for p in _points(row) if p.fraction is not None]
    doubt = _doubt(row.inference, row.training)
    return f"{row.model} {', '.join(parts)} %{doubt}" if parts else f"{row.model}{doubt}"


def _doubt(*timings: Timing | None) -> str:
    """` (INVALID)` where a figure behind what is drawn must not be relied on."""
    return f" ({INVALID})" if any(t is not None and t.invalid for t in timings) else ""


def _sweep(row: CostRow) -> list[CurvePoint]:
    return [*row.profile.inference_curve, *row.profile.training_curve]


def _looks(board: CostBoard) -> dict[str, Look]:
    return looks([row.model for row in board.rows])


def _height(rows: int) -> float:
    return max(4.5, 1.9 + 0.2 * rows)


def _canvas(board: CostBoard, heading: str, height: float, *, settings: bool = True) -> tuple[Figure, Axes]:
    figure = new_figure(_WIDTH, height)
    axes = figure.add_axes((0.115, 0.85 / height, 0.87, 1 - 1.5 / height))
    headed(axes, heading, _subtitle(board, settings=settings))
    return figure, axes


def _subtitle(board: CostBoard, *, settings: bool) -> str:
    """The board it belongs to; counts do not depend on the machine."""
    return (
        cost_title(board)
        if settings
        else f"canonical: matrix products and convolutions; {board.key.num_classes:,} classes"
    )


def _below(axes: Axes, text: str) -> None:
    axes.figure.text(0.115, 0.012, text, color=GREY, fontsize=8.5, va="bottom")


def _has_roof(board: CostBoard) -> bool:
    return board.device is not None and bool(board.device.flops_per_s) and any(_points(row) for row in board.good)


COST_FIGURES: dict[str, Picture] = {
    "roofline": Picture("What the device could do, and what the models reach", roofline, _has_roof),
    "throughput_vs_batch": Picture(
        "Throughput against batch size",
        throughput_vs_batch,
        lambda board: any(_sweep(row) for row in board.good),
    ),
    "macs_by_kind": Picture(
        "What the multiply-accumulates are spent on",
        macs_by_kind,
        lambda board: any(row.profile.macs_by_kind for row in board.good),
    ),
    "macs_vs_size": Picture(
        "Multiply-accumulates against image size",
        macs_vs_size,
        lambda board: any(len(row.profile.macs_by_size) > 1 for row in board.good),
    ),
}
"""Every picture of a cost board."""
