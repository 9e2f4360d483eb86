"""Error consistency of models with each other, and the images on which the best one and the next disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.agreement import Disagreement, wrong_answer
from bench.analysis.board import Board
from bench.analysis.mistakes import Mistakes
from bench.report.figures.heat import NOTHING_THERE, Frame, heading, heat_map, shortened
from bench.report.figures.style import GREY, new_figure
from bench.report.markdown.stamp import title
from bench.report.words import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NUMBERS_UP_TO = 14
"""Rows up to which the cells hold numbers."""
_COLUMNS, _LINES = 8, 2
"""Images side by side, and lines of them, for each of the two sides."""
MOST_SHOWN = _COLUMNS * _LINES
"""Images of each side that the picture shows."""


def agreement_figure(board: Board, mistakes: Mistakes) -> Figure:
    """κ of every pair of models; the diagonal is a model's seeds against each other. ValueError below two models."""
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    found = mistakes.agreement
    rows = len(found.names)
    if rows < 2:
        raise ValueError("error consistency needs two models")
    names = [shortened(name, 32) for name in found.names]
    side = max((0.58 if rows <= _NUMBERS_UP_TO else 0.27) * rows, 2.2)
    margin = 0.35 + 0.075 * max(map(len, names))
    frame = Frame(left=margin, bottom=margin, width=side, height=side)
    figure = new_figure(*frame.size)
    axes, bar_axes = frame.axes(figure)
    lower = np.tril(np.ones_like(found.kappa, dtype=bool))
    visible = found.kappa[lower & ~np.isnan(found.kappa)]
    norm = Normalize(min(0.0, float(visible.min(initial=0.0))), max(float(visible.max(initial=0.0)), 0.1))
    numbers = np.array(
        [["" if np.isnan(v) or j > k else f"{v:.2f}" for j, v in enumerate(line)] for k, line in enumerate(found.kappa)]
    )
    heat_map(
        axes, bar_axes, np.where(lower, found.kappa, np.nan), colours="cividis", norm=norm, gaps=True,
        numbers=numbers if rows <= _NUMBERS_UP_TO else None, label="error consistency κ",
    )  # fmt: skip
    axes.set_facecolor("white")
    for k, j in np.argwhere(lower & np.isnan(found.kappa)):
        axes.add_patch(Rectangle((j, k), 1, 1, facecolor=NOTHING_THERE, edgecolor="white"))
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(rows) + 0.5, names, rotation=90, fontsize=9)
    axes.set_yticks(np.arange(rows) + 0.5, names, rotation=0, fontsize=9)
    several = not np.isnan(np.diagonal(found.kappa)).all()
    told = "diagonal: one seed against another of the same model" if several else "one seed: the diagonal is empty"
    told = f"0: as chance has it, 1: the same mistakes; {told}"
    heading(axes, "Do models make the same mistakes?", title(board), told)
    return figure


def disagreement_figure(board: Board, mistakes: Mistakes, found: Disagreement) -> Figure:
    """Images that only one of two rows gets right in all seeds, with what the other one takes them for."""
    sides = [
        (f"Only {found.first} is right", found.second, found.only_first),
        (f"Only {found.second} is right", found.first, found.only_second),
    ]
    lines = [min(_LINES, -(-len(images) // _COLUMNS)) for _, _, images in sides]
    height = 0.75 + sum(0.5 + 1.25 * n for n in lines)
    width = 0.3 + 1.08 * _COLUMNS
    figure = new_figure(width, height)
    whole = f"Where {shortened(found.first, 26)} and {shortened(found.second, 26)} disagree in all seeds"
    figure.text(0.2 / width, 1 - 0.25 / height, whole, fontsize=12, fontweight="bold", va="center")
    below = f"{title(board)}; below each image its class and what the other model takes it for"
    figure.text(0.2 / width, 1 - 0.47 / height, below, fontsize=8.5, color=GREY, va="center")
    top = height - 0.75
    for (told, wrong, images), count in zip(sides, lines, strict=True):
        shown = images[:MOST_SHOWN]
        most = "" if len(shown) == len(images) else f", {len(shown)} shown"
        told = f"{told}: {plural(len(images), 'image')} of {found.images:,}{most}"
        figure.text(0.2 / width, (top - 0.16) / height, told, fontsize=10, va="center")
        for k, position in enumerate(shown):
            x, y = 0.2 + 1.08 * (k % _COLUMNS), top - 0.36 - 1.25 * (k // _COLUMNS) - 0.85
            axes = figure.add_axes((x / width, y / height, 0.85 / width, 0.85 / height))
            _image(axes, mistakes, int(position), _named(board, mistakes, wrong, int(position)))
        top -= 0.5 + 1.25 * count
    return figure


def shown_disagreement(mistakes: Mistakes) -> Disagreement | None:
    """The disagreement to be shown as a picture: the best row against the next one that has kept images to show.

    None where there is none.
    """
    for found in mistakes.disagreements:
        shown: Sequence[int] = [*found.only_first[:MOST_SHOWN], *found.only_second[:MOST_SHOWN]]
        if any(int(mistakes.answers.index[position]) in mistakes.images for position in shown):
            return found
    return None


def _named(board: Board, mistakes: Mistakes, wrong: str, position: int) -> tuple[str, str]:
    """The class of an image, and what a row takes it for."""
    label = int(mistakes.answers.label[position])
    row = mistakes.answers.of(wrong)
    said = wrong_answer(row, position, label) if row is not None else None
    return board.data.classes[label], "" if said is None else board.data.classes[said]


def _image(axes: Axes, mistakes: Mistakes, position: int, named: tuple[str, str]) -> None:
    pixels = mistakes.images.get(int(mistakes.answers.index[position]))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    if pixels is None:
        axes.set_facecolor(NOTHING_THERE)
        axes.text(0.5, 0.5, "not kept", transform=axes.transAxes, ha="center", va="center", fontsize=7, color=GREY)
    else:
        axes.imshow(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=255,
                    interpolation="nearest")  # fmt: skip
    axes.set_xlabel(f"{shortened(named[0], 16)}\n→ {shortened(named[1], 14)}", fontsize=7.5, labelpad=2)
