"""Writes what a lab found: texts first, then pictures and the page that has all of it in one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench.claims.results import FOLDER, Lab
from bench.report.claims.figures import draw_figures
from bench.report.claims.html import PAGE, claims_html
from bench.report.claims.page import claims_page
from bench.report.claims.payload import claims_json
from bench.report.files import drawing_of, is_drawn, note_drawn, write_all, write_file


def write_claims(lab: Lab, output: Path, problems: Sequence[str] = (), *, pictures: bool = True) -> None:
    """Write `claims.md` and `claims.json`, then the figures as SVG and PNG and `claims.html`, unless they would be the
    same as they are. Raises StoreError where a file cannot be written."""
    write_file(output / "claims.md", claims_page(lab, problems).encode())
    text = json.dumps(claims_json(lab), indent=1, ensure_ascii=False, allow_nan=False)
    write_file(output / "claims.json", f"{text}\n".encode())
    if not pictures:
        return
    names = [result.claim.id for result in lab.results if result.judgement.chart is not None]
    expected = [f"{FOLDER}/{name}{ending}" for name in names for ending in (".svg", ".png")]
    drawing = drawing_of(output, ["claims.md", "claims.json"])
    if is_drawn(output, "claims", drawing, [*expected, PAGE]):
        return
    figures = dict(draw_figures(lab))
    write_all(output / FOLDER, iter(figures.items()))
    write_file(output / PAGE, claims_html(lab, figures, problems).encode())
    note_drawn(output, "claims", drawing)
