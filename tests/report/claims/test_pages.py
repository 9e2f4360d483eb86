"""Pages of claims: verdicts first, every number beside its interval, nothing that a name could inject."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.claims.claim import Finding
from bench.claims.registry import all_claims
from bench.claims.results import VERDICTS
from bench.report.claims.html import claims_html
from bench.report.claims.page import anchor, claims_page, terminal_table, verdict_table
from bench.report.claims.payload import claims_json
from bench.report.claims.words import SIGNS, detectable_words, interval_words, nature, takeaway, value_words
from bench.report.claims.write import write_claims
from tests.report.claims.samples import HOSTILE, make_lab

CAUSAL = re.compile(
    r"\b(because of|caused? by|causes|due to|thanks to|leads? to|results? in|owing to)\b", re.IGNORECASE
)


def test_the_page_begins_with_the_verdicts_and_each_is_linked_to_its_section() -> None:
    page = claims_page(make_lab())
    table = page.index("| claim ")
    assert table < page.index("## C01")
    for result in make_lab().results:
        target = f"(#{anchor(result.claim)})"
        assert target in page
        heading = next(line for line in page.splitlines() if line.startswith(f"## {result.claim.id} "))
        assert re.sub(r"[^\w -]", "", heading.removeprefix("## ").lower()).replace(" ", "-") == anchor(result.claim)


def test_every_section_has_both_languages_rule_evidence_verdict_and_figure() -> None:
    section = claims_page(make_lab()).split("## C04")[1].split("\n## ")[0]
    for part in (
        "주장",
        "The statement of C04",
        "✓ supported",
        "**Rule**",
        "**Statistics**",
        "**Beside it**",
        "+3.0 points",
    ):
        assert part in section
    assert "![" in section
    assert "(claims/C04.svg)" in section
    assert "p = 0.003, after Holm's correction 0.006" in section
    assert "[+1.0, +5.0]" in section
    assert "2.9" in section
    assert "(control)" in section


def test_a_verdict_can_be_told_without_colour() -> None:
    assert set(SIGNS) == set(VERDICTS)
    assert len(set(SIGNS.values())) == len(SIGNS)


def test_the_takeaway_counts_every_verdict() -> None:
    assert takeaway(make_lab()) == (
        "Of 5 claims 1 is supported, 1 refuted, 1 inconclusive, 1 not testable here and 1 settled by structure."
    )


def test_too_few_seeds_are_told_on_the_page() -> None:
    lab = make_lab()
    one = replace(lab, protocols={"main": replace(lab.main, seeds=(0,))})
    assert "**Exploratory:** 1 seed" in claims_page(one)
    assert "Exploratory" not in claims_page(lab)


@pytest.mark.parametrize("text", [claims_page(make_lab()), verdict_table(make_lab())])
def test_names_that_are_markup_show_as_text(text: str) -> None:
    assert "<script" not in text
    for line in text.splitlines():
        if line.startswith("| [C20]"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 6


def test_the_page_in_html_escapes_everything_and_allows_only_its_own_script() -> None:
    page = claims_html(make_lab(), {"C04": {".svg": b"<svg/>"}})
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?!data:|#)", page) == []
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe-eval" not in policy[1]


def test_json_has_every_number_and_no_infinite_one() -> None:
    document = json.loads(json.dumps(claims_json(make_lab()), allow_nan=False))
    claims = {claim["id"]: claim for claim in document["claims"]}
    assert [claim["verdict"] for claim in claims.values()] == [r.judgement.verdict for r in make_lab().results]
    assert [finding["value"] for finding in claims["C04"]["findings"]] == [3.0, 0.93, None]
    assert claims["C20"]["reason"] == f"{HOSTILE}."


@pytest.mark.parametrize(
    ("finding", "value", "interval", "detectable"),
    [
        (Finding("x", -1.25, -2.5, 0.0, "points", detectable=1.8), "−1.2 points", "[−2.5, +0.0]", "1.8"),
        (Finding("x", 0.93456, 0.9, 0.97, "×", detectable=0.04), "0.935 ×", "[0.900, 0.970]", "0.0400"),
        (Finding("x", float("inf")), "∞", "–", "–"),
        (Finding("x", 5173.0), "5,173", "–", "–"),
        (Finding("x", 0.0), "0.00", "–", "–"),
        (Finding("x", 83.123, unit="%"), "83.1 %", "–", "–"),
    ],
)
def test_numbers_have_signs_units_and_as_many_digits_as_they_need(
    finding: Finding, value: str, interval: str, detectable: str
) -> None:
    assert (value_words(finding), interval_words(finding), detectable_words(finding)) == (value, interval, detectable)


def test_the_terminal_shows_what_was_asked_for() -> None:
    shown = terminal_table(make_lab(), {"C04"})
    assert "C04" in shown
    assert "C08" not in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_files_are_written_and_pictures_are_drawn_again_only_if_they_would_change(tmp_path: Path) -> None:
    write_claims(make_lab(), tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    drawn = {f"claims/{name}{ending}" for name in ("C01", "C04", "C08", "C14") for ending in (".svg", ".png")}
    assert names == {"claims.md", "claims.json", "claims.html", ".drawn.json", *drawn}
    before = (tmp_path / "claims" / "C04.png").stat().st_mtime_ns
    write_claims(make_lab(), tmp_path)
    assert (tmp_path / "claims" / "C04.png").stat().st_mtime_ns == before
    write_claims(make_lab(trainings=243), tmp_path)
    assert (tmp_path / "claims" / "C04.png").stat().st_mtime_ns != before


def test_without_pictures_only_texts_are_written(tmp_path: Path) -> None:
    write_claims(make_lab(), tmp_path, pictures=False)
    assert {path.name for path in tmp_path.iterdir()} == {"claims.md", "claims.json"}


def test_all_twenty_one_claims_are_there_with_everything_a_reader_needs() -> None:
    claims = all_claims()
    assert [claim.id for claim in claims] == [f"C{k:02d}" for k in range(1, 22)]
    for claim in claims:
        for text in (
            claim.title,
            claim.korean,
            claim.english,
            claim.hypothesis,
            claim.controls,
            claim.statistics,
            claim.rule,
        ):
            assert text.strip(), claim.id
        assert claim.arms or claim.looks or claim.id == "C20", claim.id
        assert not CAUSAL.search(" ".join((claim.hypothesis, claim.statistics, claim.rule, claim.controls))), claim.id
    assert [claim.id for claim in claims if claim.confirmatory] == ["C03", "C04", "C05", "C06"]
    assert {claim.id: nature(claim) for claim in claims}["C10"] == "S"


def test_no_claim_is_written_with_causal_words() -> None:
    for path in (Path(__file__).parents[3] / "bench" / "claims").glob("c[0-9][0-9].py"):
        assert not CAUSAL.search(path.read_text(encoding="utf-8")), path.name
