"""What the learning curves of a board say, in words and tables: areas, fitted curves, ratios, crossovers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.board import Board
from bench.analysis.crossover import REACH, Crossover
from bench.analysis.curves import Curve
from bench.analysis.efficiency import Area, Efficiency, efficiency_of
from bench.analysis.power_law import EXPONENT, FREE_ABOVE, LEAST_SIZES, Fit
from bench.analysis.sample_ratio import SampleRatio
from bench.report.words import NOTHING, listing, percent, pipe_table, plain, plural, points, significant

DATA_EFFICIENCY = "Data efficiency: mean accuracy over log n, fitted curves, data needed, crossovers"
"""What the section is called."""
MOST_ROWS = 30
"""Rows of the tables on the page: the best ones."""


def about(n: float) -> str:
    """A number of images to three digits: `1,240`."""
    return f"{float(f'{n:.3g}'):,.0f}"


def efficiency_section(board: Board) -> str:
    """Markdown without a heading of its own; nothing where no row has two train sizes."""
    return section_of(board, efficiency_of(board.curves))


def section_of(board: Board, found: Efficiency) -> str:
    """The same from what was found about the board's curves."""
    names = [curve.name for curve in board.curves if curve.name in found.areas]
    if not names:
        return ""
    parts = [_how_to_read(board), _seeds(board.curves), _areas_and_fits(found, names), _fit_words(found)]
    parts += [_ratios(board.curves, found, names), _crossovers(found)]
    return "\n\n".join(part for part in parts if part)


def _how_to_read(board: Board) -> str:
    """Two sentences, and what the budget of the protocol means for them."""
    budget, epochs = board.protocol.get("samples_seen"), board.protocol.get("epochs")
    if epochs:
        meaning = (
            f"Every run makes {epochs:g} passes over its training images, so that with more images it also trains "
            "longer: a curve shows what both are worth together."
        )
    else:
        seen = f"{plural(budget, 'image')}, repeats counted" if isinstance(budget, int) else "images"
        meaning = (
            f"Every run sees the same budget of {seen}, whatever the number of training images n: with fewer, each is "
            "seen more often, and a curve shows what more different images are worth, not more training."
        )
    return (
        "The area is the mean accuracy over the range of ln n, so that every doubling of the data counts the same; the "
        "further a model gets with little data, the larger it is. Nothing is told beyond the train sizes that were "
        f"run, except a crossing of two fitted curves up to {REACH:g} times the largest, marked as such. {meaning}"
    )


def _seeds(curves: Sequence[Curve]) -> str:
    """What the intervals do not cover, and whose are missing."""
    single = [plain(c.name) for c in curves if c.seeds == 1 and c.replicates is not None]
    unknown = [plain(c.name) for c in curves if c.replicates is None]
    told = []
    if single:
        told.append(
            "There is one seed: intervals show test-set uncertainty only, not the luck of training; with another seed, "
            "ratios and crossings may come out elsewhere."
            if len(single) == len(curves)
            else f"{listing(single)}: one seed at some size: intervals take the spread over seeds from the models that "
            "have several at that size, where any has."
        )
    if unknown:
        told.append(f"{listing(unknown)}: without predictions for every run nothing is known of the uncertainty.")
    return " ".join(told)


def _areas_and_fits(found: Efficiency, names: Sequence[str]) -> str:
    ranges = {(area.smallest, area.largest) for area in found.areas.values()}
    rows = [
        [
            plain(name),
            _area(found.areas[name], tell_range=len(ranges) > 1),
            *_fit(found.fits.get(name)),
        ]
        for name in names[:MOST_ROWS]
    ]
    headers = ["model", "area, mean top-1 % over ln n", "α %", "η", "γ", "largest residual, points", "χ²/df"]
    table = pipe_table(headers, rows, right=range(1, 7))
    first = f"The best {MOST_ROWS} of {len(names)} models.\n\n" if len(names) > MOST_ROWS else ""
    apart = "\n\nAreas over different ranges of n must not be compared." if len(ranges) > 1 else ""
    return f"{first}{table}{apart}"


def _area(area: Area, *, tell_range: bool) -> str:
    interval = "[unknown]" if area.low is None else f"[{percent(area.low)}, {percent(area.high)}]"
    over = f" (n {area.smallest:,}–{area.largest:,})" if tell_range else ""
    return f"{percent(area.value)} {interval}{over}"


def _fit(fit: Fit | None) -> list[str]:
    if fit is None:
        return [NOTHING] * 5
    k = fit.largest
    errors = f", {abs(fit.residuals[k]) / fit.errors[k]:.1f} se" if fit.errors else ""
    gamma = f"{fit.gamma:.2f}{' (at its bound)' if fit.at_bound else ''}" if fit.free else f"{EXPONENT:g} (fixed)"
    return [
        percent(fit.alpha),
        significant(fit.eta),
        gamma if fit.eta > 0 else NOTHING,
        f"{points(fit.residuals[k])} at n={fit.sizes[k]:,}{errors}",
        NOTHING if fit.chi2 is None else f"{fit.chi2:.2f}",
    ]


def _fit_words(found: Efficiency) -> str:
    if not found.fits:
        return f"No curve is fitted: that takes at least {LEAST_SIZES} train sizes."
    clashing = [plain(name) for name, fit in found.fits.items() if fit.clashes]
    judged = [fit for fit in found.fits.values() if fit.clashes is not None]
    said = ""
    if clashing:
        said = (
            f" For {listing(clashing)} the residuals are larger than noise (chi-square test at 5 %): "
            f"{'its curve has' if len(clashing) == 1 else 'their curves have'} another shape."
        )
    elif judged:
        said = " No curve misses its points by more than noise, which few sizes would hardly show."
    return (
        "Fitted: error = α + η·n^(−γ), where α is the error that more data would not remove. γ is held at "
        f"{EXPONENT:g} up to {FREE_ABOVE} train sizes. The largest residual is measured minus fitted accuracy, also "
        "in standard errors; χ²/df is about 1 or less where the curve misses its points by no more than noise." + said
    )


def _ratios(curves: Sequence[Curve], found: Efficiency, names: Sequence[str]) -> str:
    """How many times the best row's data every other row needs, at each accuracy that the best reaches."""
    best = next(curve for curve in curves if curve.name == found.best)
    shown = [name for name in names if name != found.best][:MOST_ROWS]
    if not shown:
        return ""
    headers = ["model"] + [
        f"{percent(value)} % (n={size:,})"
        for size, value in zip(best.sizes.tolist(), best.values.tolist(), strict=True)
    ]
    rows = [[plain(name), *map(_ratio, found.ratios[name])] for name in shown]
    return (
        f"Sample-efficiency ratio to {plain(found.best)}, the best at the largest train size: how many times as much "
        "data a model needs to reach what the best reaches with n images, linear in ln n between train sizes (where "
        "they are far apart, that makes it a little too high). "
        "`> x`: not within the train sizes; `< x`: its smallest is already more than enough. An interval is `open` "
        f"where its end is out of range.\n\n{pipe_table(headers, rows, right=range(1, len(headers)))}"
    )


def _ratio(found: SampleRatio) -> str:
    value = f"{'' if found.bound == '=' else f'{found.bound} '}{found.value:.2f}"
    if not found.known:
        return f"{value} [unknown]"
    if found.low is None and found.high is None and found.bound != "=":
        return value
    low, high = ("open" if end is None else f"{end:.2f}" for end in (found.low, found.high))
    return f"{value} [{low}, {high}]"


def _crossovers(found: Efficiency) -> str:
    """Which curves cross where, which do not, and of which that cannot be told."""
    if not found.crossovers:
        return ""
    lines = [_crossing(c) for c in found.crossovers if c.state == "crossing"]
    ahead: dict[str, list[str]] = {}
    for c in found.crossovers:
        if c.state == "none in range":
            ahead.setdefault(c.ahead, []).append(plain(c.behind))
    lines += [
        f"- None in range: {plain(name)} is ahead of {listing(ahead[name])} at every train size."
        for name in sorted(ahead, key=found.compared.index)
    ]
    reasons: dict[str, list[str]] = {}
    for c in found.crossovers:
        if c.state == "unresolved":
            reasons.setdefault(c.reason, []).append(f"{plain(c.first)} and {plain(c.second)}")
    lines += [f"- Unresolved, {reason}: {'; '.join(pairs)}." for reason, pairs in reasons.items()]
    which = f"the best {len(found.compared)} models" if len(found.areas) > len(found.compared) else "all models"
    return f"Crossovers of the curves, over all pairs of {which}:\n\n" + "\n".join(lines)


def _crossing(found: Crossover) -> str:
    assert found.n is not None
    assert found.low is not None
    assert found.high is not None
    where = f"n ≈ {about(found.n)} [{about(found.low)}, {about(found.high)}], at {percent(found.accuracy)} %"
    who = f"{plain(found.ahead)} overtakes {plain(found.behind)}"
    if found.extrapolated:
        return (
            f"- Crossing, extrapolated: by their fitted curves {who} at {where}; the largest train size is "
            f"{found.sizes[-1]:,}."
        )
    return f"- Crossing: {who} at {where}."
