"""What the gates say: one table a reviewer can read, and nothing that was not run is called passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.gates.command import CheckResult
from bench.gates.findings import Finding, Outcome, append_to_step_summary, judged, markdown, percent_change

OK = Finding("3 speed", "resnet18", "inference step", "1.00 ms", "1.01 ms", "+1.0 %", "ok")
BAD = Finding("3 speed", "a|b", "training step", "1.00 ms", "1.40 ms", "+40.0 %", "FAIL")


def test_a_gate_fails_where_one_finding_fails_and_names_it() -> None:
    outcome = judged("3 speed", [OK, BAD], "all equal")
    assert outcome.status == "failed"
    assert "a|b training step" in outcome.reason
    assert judged("3 speed", [OK], "all equal") == Outcome("3 speed", "passed", "all equal", (OK,))


def test_what_is_new_or_cannot_be_compared_fails_nothing() -> None:
    new = Finding("1 exact", "deit_ti", "the model", "–", "5 parameters", "–", "new")
    assert judged("1 exact", [new], "").status == "passed"


def test_failures_come_first_and_no_name_breaks_the_table() -> None:
    text = markdown("Gates", [judged("3 speed", [OK, BAD], "")])
    rows = [line for line in text.splitlines() if line.startswith("| 3 speed") and "ms" in line]
    assert "FAIL" in rows[0]
    assert r"a\|b" in rows[0]
    assert len({line.replace(r"\|", "").count("|") for line in rows}) == 1


def test_a_gate_that_was_not_run_is_never_called_passed() -> None:
    outcome = Outcome("3 speed", "not run", "no --base was given")
    text = markdown("Gates", [outcome])
    assert "**not run**" in text
    assert "passed" not in text
    assert CheckResult((outcome,), text).passed  # it has not failed, and the table says that it was not run


@pytest.mark.parametrize(
    ("base", "head", "text"), [(100, 115, "+15.0 %"), (100, 99, "−1.0 %"), (0, 5, "–"), (10**9, 10**9 + 1, "+0.0000 %")]
)
def test_a_change_is_told_in_percent(base: int, head: int, text: str) -> None:
    assert percent_change(base, head) == text


def test_the_step_summary_is_appended_to_and_only_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    assert append_to_step_summary("table") == file
    assert file.read_text() == "before\ntable\n"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "folder"))
    assert append_to_step_summary("table") is None
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    assert append_to_step_summary("table") is None
