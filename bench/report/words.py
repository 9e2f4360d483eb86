"""How values look in text: numbers, intervals, lists, and names that must not become markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from bench.analysis.rows import Point

NOTHING = "–"
"""What stands where there is no value."""
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(fraction: float | None) -> str:
    """`0.8312` → `83.1`."""
    return NOTHING if fraction is None else f"{100 * fraction:.1f}"


def with_interval(point: Point | None) -> str:
    """`83.1 [79.0, 86.5]`, in percent."""
    if point is None:
        return NOTHING
    if point.low is None or point.high is None:
        return f"{percent(point.value)} [unknown]"
    return f"{percent(point.value)} [{percent(point.low)}, {percent(point.high)}]"


def points(difference: float | None) -> str:
    """A difference of accuracies with its sign: `-0.0333` → `−3.3`."""
    return NOTHING if difference is None else f"{100 * difference:+.1f}".replace("-", "−")


def significant(value: float | None) -> str:
    """At least three significant digits, no exponent, no superfluous ones: `0.0854`, `4.09`, `17.6`, `1,234`."""
    if value is None:
        return NOTHING
    if abs(value) >= 100 or value == 0:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    if abs(value) >= 1:
        return f"{value:.2f}"
    return f"{value:.2g}" if abs(value) < 0.001 else f"{value:.3f}"


def p_value(p: float) -> str:
    """`0.036`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def setting(value: float | None) -> str:
    """A setting of the protocol, such as a learning rate, as short as it is exact: `0.0005`, `1e-05`."""
    return NOTHING if value is None else f"{value:g}"


def listing(items: Sequence[str], most: int = 12) -> str:
    """`a, b and c`; beyond `most`, `a, b and 7 more`."""
    shown = list(items)
    if len(shown) > most:
        shown = [*shown[: most - 1], f"{len(shown) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""


def superscript(number: int) -> str:
    """`12` → `¹²`."""
    return str(number).translate(_SUPERSCRIPTS)


def plural(count: int, word: str) -> str:
    """`1 image`, `2 images`, `1,437 images`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def plain(text: str) -> str:
    """Any text as Markdown that shows as exactly this text, on one line and inside a table too."""
    one_line = " ".join(text.split())
    inert = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", re.sub(r"&(?=[#\w]+;)", "&amp;", one_line))
    escaped = re.sub(r"([\\`*\[\]|~])", r"\\\1", inert)
    return re.sub(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", r"\\_", escaped)


def unbroken(text: str) -> str:
    """The same with spaces that no browser breaks a line at."""
    return text.replace(" ", "\u00a0")


def code_block(lines: Sequence[str], language: str = "sh") -> str:
    """Lines as a block of code that none of them can end."""
    shown = [" ".join(line.split("\n")) for line in lines]
    ticks = max([2, *(len(run) for line in shown for run in re.findall("`+", line))]) + 1
    return "\n".join([f"{'`' * ticks}{language}", *shown, "`" * ticks])


def link(text: str, path: str) -> str:
    """A Markdown link to a file below the board."""
    return f"[{plain(text)}]({quote(path)})"


def pipe_table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A Markdown table with columns padded to equal width; the columns in `right` are aligned to the right."""
    widths = [max(3, *(len(line[k]) for line in (headers, *rows))) for k in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.rjust(w) if k in right else c.ljust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = [f"{'-' * (w - 1)}:" if k in right else "-" * w for k, w in enumerate(widths)]
    return "\n".join([line(headers), line(rule), *(line(row) for row in rows)])


def filled_table(headers: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A Markdown table without the columns that say nothing; all but those in `left` are aligned to the right."""
    kept = [k for k in range(len(headers)) if k == 0 or any(row[k] != NOTHING for row in rows)]
    right = [place for place, k in enumerate(kept) if k not in left]
    return pipe_table([headers[k] for k in kept], [[row[k] for k in kept] for row in rows], right=right)


def text_table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table of plain text; cells and headers may have several lines. Columns in `right` are aligned to the right."""
    folded = [[cell.split("\n") for cell in row] for row in (headers, *rows)]
    widths = [max(len(text) for row in folded for text in row[k]) for k in range(len(headers))]
    lines = []
    for row in folded:
        for height in range(max(map(len, row))):
            texts = [cell[height] if height < len(cell) else "" for cell in row]
            padded = [
                t.rjust(w) if k in right else t.ljust(w) for k, (t, w) in enumerate(zip(texts, widths, strict=True))
            ]
            lines.append("  ".join(padded).rstrip())
        if row is folded[0]:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines)
