"""What others have published about the models of a board, beside what was measured here; never ranked together."""

from __future__ import annotations

from bench.analysis.board import Board
from bench.analysis.published import (
    DATASET,
    LEAST,
    Agreement,
    Correlation,
    best_published,
    least_p,
    published,
    rank_agreement,
)
from bench.analysis.rows import Row
from bench.report.words import NOTHING, p_value, percent, pipe_table, plain, plural

PUBLISHED = "Published numbers: external, self-reported, other recipe and data"
"""What the section is called."""


def published_section(board: Board) -> str:
    """Markdown: every published figure of the board's models, and how far the two orders agree; nothing without one.

    Only rows that start from scratch are looked up: the others did not learn what they know here.
    """
    rows = {row.model: row for row in board.rows if row.weights == "scratch"}
    found = [figure for figure in published() if figure.model in rows]
    if not found:
        return ""
    place = {model: k for k, model in enumerate(rows)}
    lines = [
        [
            plain(figure.model),
            percent(top1.value if (top1 := rows[figure.model].top1) else None),
            f"{figure.top1_percent:.1f}",
            str(figure.img_size),
            plain(figure.extra_data) or "none",
            f"{figure.params_m:g}",
            NOTHING if figure.gmacs is None else f"{figure.gmacs:g}",
            str(figure.year),
            plain(figure.recipe),
            f"[{plain(figure.source.partition(', ')[0])}]({figure.url})",
        ]
        for figure in sorted(found, key=lambda figure: place[figure.model])
    ]
    headers = ["model", "here, top-1 %", f"{DATASET}, top-1 %", "px", "extra data", "params M", "GMACs", "year"]
    table = pipe_table([*headers, "recipe", "source"], lines, right=(1, 2, 3, 5, 6, 7))
    return (
        f"External figures, as their sources report them, on {DATASET}, by other recipes and in part with other data; "
        f"never ranked with the rows above. Here: {plain(board.dataset)}, {board.train_sizes[-1]:,} training "
        f"images, {board.protocol.get('img_size')} px. The year is that of the architecture's paper."
        f"\n\n{table}\n\n{_agreement_text(rows)}"
    )


def _agreement_text(rows: dict[str, Row]) -> str:
    """How far our order and the published one agree, in a few sentences."""
    both = [(-row.rank, best) for row in rows.values() if row.rank and (best := best_published(row.model)) is not None]
    found = rank_agreement([ours for ours, _ in both], [theirs for _, theirs in both])
    common = f"{plural(found.models, 'ranked model')} in common"
    if found.models < LEAST:
        return f"Do the two orders agree? {common} (figures without extra data): too few to say."
    if found.kendall is None or found.spearman is None:
        return f"Do the two orders agree? On one side all of {common} are tied: nothing to say."
    return (
        f"Do the two orders agree? Over {common}, the ranks here (shared ranks are ties) against each model's best "
        f"figure without extra data: Kendall's τ {_told(found.kendall)}, Spearman's ρ {_told(found.spearman)}; p by "
        f"{'all' if found.exact else 'a sample of'} permutations. {_warning(found)}"
    )


def _told(found: Correlation) -> str:
    p = p_value(found.p)
    interval = f" [{_signed(found.low)}, {_signed(found.high)}]" if found.low is not None else ""
    return f"= {_signed(found.value)}{interval} (p {p if '<' in p else f'= {p}'})"


def _warning(found: Agreement) -> str:
    """What may not be concluded from it."""
    if found.kendall is not None and found.kendall.low is None:
        least = least_p(found.models)
        said = "On so few models it has no useful interval."
        if least > 0.05:
            said += f" With {found.models} models no two orders can reach a p below {p_value(least)}."
    else:
        said = "Intervals of 95 % say how much hangs on which models were taken."
    return f"{said} The published order mixes recipes, so neither order checks the other."


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.2f}".replace("-", "−")
