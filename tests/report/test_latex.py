"""The table for a paper: the rows and columns of the page, and no name that LaTeX would run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bench import build_board, load_records
from bench.analysis.board import Board
from bench.report.latex import latex, leaderboard_tex
from bench.report.markdown.main_table import main_table
from tests.samples import CANONICAL_FAKES, Fake, make_study

COMMANDS = {
    **{r"\textbackslash{}": "\\", r"\textasciicircum{}": "^", r"\textasciitilde{}": "~", r"\textless{}": "<"},
    **{r"\textgreater{}": ">", r"\textbar{}": "|", r"\textquotedbl{}": '"', r"\textasciigrave{}": "`"},
    **{r"\textquotesingle{}": "'", "{[}": "[", "{]}": "]", r"\{": "{", r"\}": "}", "{}": ""},
    **{rf"\{one}": one for one in "$&#%_"},
}
"""What each command that may stand in escaped ASCII text prints."""


def _printed(source: str) -> str:
    """What LaTeX prints for escaped ASCII text; fails on anything that would be more than a printed character."""
    shown, k = "", 0
    while k < len(source):
        command = next((c for c in sorted(COMMANDS, key=len, reverse=True) if source.startswith(c, k)), None)
        assert command is not None or source[k] not in '\\{}$&#^_~%"`[]<>|', source[k:]
        shown += COMMANDS[command] if command is not None else source[k]
        k += len(command) if command is not None else 1
    return shown


def _board(root: Path, **study: Any) -> Board:
    make_study(root, **study)
    return build_board(load_records(root))[0]


def _rows(text: str) -> list[list[str]]:
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    lines = [line.strip() for line in body.splitlines() if line.strip() not in ("", r"\addlinespace")]
    assert all(line.endswith(r" \\") for line in lines)
    return [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in lines]


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_ascii_text_prints_as_itself(text: str) -> None:
    assert _printed(latex(text)) == re.sub(" +", " ", text).strip()
    assert not re.search(r"--|,,|''|``", latex(text))


@given(st.text())
def test_no_text_at_all_leaves_the_characters_that_every_latex_engine_can_set(text: str) -> None:
    assert re.fullmatch(r"[ -~À-ÿ]*", latex(text))


def test_a_character_that_the_fonts_may_lack_shows_as_its_number() -> None:
    assert latex("né\n中") == "né {[}U+4E2D{]}"


def test_the_table_has_the_rows_and_columns_of_the_page_between_the_rules_of_booktabs(tmp_path: Path) -> None:
    board = _board(tmp_path, models=(*CANONICAL_FAKES, Fake("broken", fails=((0, 0), (1, 0), (2, 0)))))
    text, table = leaderboard_tex([board]), main_table(board)
    for once in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{table}", r"\end{table}", r"\begin{tabular}{"):
        assert text.count(once) == 1
    headers = text.partition(r"\toprule")[2].partition(r" \\")[0].strip().split(" & ")
    assert [_printed(header) for header in headers] == [column.header for column in table.columns]
    assert len(re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text)[0]) == len(table.columns)
    rows = _rows(text)
    assert [row[1].removesuffix(r"~$\star$") for row in rows] == [latex(line.row.name) for line in table.lines]
    assert [row[2] for row in rows] == [latex(line.cells[2]) for line in table.lines]
    assert [row[0] for row in rows] == [latex(line.cells[0]) for line in table.lines]


def test_the_caption_is_the_stamp_and_what_few_seeds_mean(tmp_path: Path) -> None:
    caption = re.findall(r"\\caption\{(.*)\}", leaderboard_tex([_board(tmp_path)]))[0]
    for part in ("1,280 images seen", "360 test images", r"Test CPU, 2 threads, fp32", r"\%", "Exploratory: one seed"):
        assert part in caption


def test_the_notes_stand_below_with_their_numbers(tmp_path: Path) -> None:
    text = leaderboard_tex([_board(tmp_path, models=(Fake("a", degenerate=("50 % of it",)), Fake("b", 0.5)))])
    assert r"geometry\textsuperscript{1}" in text
    assert r"\textsuperscript{1}~a: at 32 px: 50 \% of it.\par" in text


def test_braces_balance_whatever_a_model_is_called(tmp_path: Path) -> None:
    evil = r"\input{/etc/passwd} } % & $x^2$ \end{table}"
    text = leaderboard_tex([_board(tmp_path, models=(Fake(evil), Fake("b", 0.6)))])
    assert r"\input" not in text
    assert text.count(r"\end{table}") == 1
    bare = re.sub(r"\\[{}%&$#_]", "", text)
    assert bare.count("{") == bare.count("}")
    assert {len(row) for row in _rows(text)} == {10}
    assert all(line.startswith("%") for line in bare.splitlines() if "%" in line)


def test_no_board_is_still_a_valid_file() -> None:
    assert all(line.startswith("%") or not line for line in leaderboard_tex([]).splitlines())
