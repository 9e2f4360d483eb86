"""Parts of a page that open on a click, and tables that stop before a page becomes unusable."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.report.words import pipe_table, plural

MOST_LINES = 200
"""Lines of a table on the page; what is beyond stands in the files for programs."""


def folded(summary: str, body: str) -> str:
    """`body` (Markdown) below a line that opens it; nothing for an empty body.

    The blank lines around `body` are what makes GitHub read it as Markdown: an HTML block ends at a blank line.
    """
    if not body:
        return ""
    return f"<details>\n<summary>{escape(' '.join(summary.split()))}</summary>\n\n{body}\n\n</details>"


def long_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[int] = (),
    where: str = "`leaderboard.json`",
    most: int = MOST_LINES,
) -> str:
    """A Markdown table of at most `most` lines; below it, how many are left out and in which file they stand."""
    table = pipe_table(headers, rows[:most], right=right)
    return table + left_out(len(rows) - most, where)


def left_out(count: int, where: str) -> str:
    """A line below a table that was cut short; nothing where it was not."""
    return f"\n\n… and {plural(count, 'more line')} in {where}." if count > 0 else ""
