"""The main table for a paper: `leaderboard.tex`, in the style of the booktabs package."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from bench.analysis.board import Board
from bench.report.markdown.main_table import STAR, Line, MainTable, main_table
from bench.report.markdown.stamp import caveat, short_stamp, takeaway, title
from bench.report.words import listing

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",
    "]": "{]}",
    "'": r"\textquotesingle{}",
}
"""Characters that LaTeX reads as commands, as an optional argument, or as a typographic quote."""
_LIGATURES = ("--", ",,")
"""Neighbours that fonts draw as one sign."""
_SYMBOLS = {
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "°": r"$^\circ$",
    "…": r"\ldots{}",
    "’": "'",
    "\u00a0": "~",
    STAR: r"$\star$",
}
_REAL_ACCENTS = set("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ")
"""Letters beyond ASCII that every LaTeX engine sets with its default fonts."""
_HEADER = r"""% Main tables of the leaderboard. Needs \usepackage{booktabs} and \usepackage{textcomp}.
% A table that is too wide fits with \usepackage{graphicx} and \resizebox{\textwidth}{!}{...} around its tabular."""


def leaderboard_tex(boards: Sequence[Board]) -> str:
    """One table a board with the rows and columns of `leaderboard.md`, its stamp as the caption."""
    tables = [_table(board, main_table(board)) for board in boards]
    return "\n\n".join([_HEADER, *tables]) + "\n"


def latex(text: str) -> str:
    """Any text as LaTeX that shows as this text, on one line, in pdfLaTeX as in the engines that read Unicode.

    A character that the default fonts may lack shows as its number: `[U+4E2D]`.
    """
    one_line = unicodedata.normalize("NFC", re.sub(r"[ \t\r\n\f\v]+", " ", text).strip(" "))
    pairs = zip(" " + one_line, one_line, strict=False)
    return "".join("{}" * (before + one in _LIGATURES) + _character(one) for before, one in pairs)


def _character(one: str) -> str:
    if one in _ESCAPES:
        return _ESCAPES[one]
    if one in _SYMBOLS:
        return _SYMBOLS[one]
    if " " <= one <= "~" or one in _REAL_ACCENTS:
        return one
    return f"{{[}}U+{ord(one):04X}{{]}}"


def _table(board: Board, table: MainTable) -> str:
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    headers = " & ".join(latex(column.header) for column in table.columns)
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{_caption(board)}}}",
            f"  \\label{{tab:{re.sub('[^A-Za-z0-9]+', '-', board.id)}}}",
            f"  \\begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            f"    {headers} \\\\",
            r"    \midrule",
            *(_row(line) for line in table.lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            *_below(table),
            r"\end{table}",
        ]
    )


def _caption(board: Board) -> str:
    facts = [f"{label}: {text}." for label, text in short_stamp(board)]
    said = [f"{title(board)}.", *facts, takeaway(board), *filter(None, [caveat(board)])]
    return latex(" ".join(said))


def _row(line: Line) -> str:
    cells = [latex(text) for text in line.cells]
    cells[1] += f"~{latex(STAR)}" * line.star
    cells[-1] = ", ".join(f"{latex(short)}\\textsuperscript{{{number}}}" for short, number in line.notes)
    gap = "    \\addlinespace\n" if line.apart else ""
    return f"{gap}    {' & '.join(cells)} \\\\"


def _below(table: MainTable) -> list[str]:
    """Notes and what was left out, in small print below the table."""
    lines = [
        f"\\textsuperscript{{{number}}}~{latex(f'{listing(names)}: {note.long}')}"
        for number, (note, names) in enumerate(table.notes, 1)
    ]
    if table.more:
        lines.append(latex(f"{table.more:,} more rows are in leaderboard.csv."))
    return ["", r"  \medskip", r"  \footnotesize", *(f"  {line}\\par" for line in lines)] if lines else []
