"""`results/README.md` explains every file and every field that is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from bench import build_board, load_records, profiles, records
from bench.analysis.cost_table import COST_COLUMNS
from bench.analysis.costs import build_costs
from bench.analysis.table import COLUMNS
from bench.claims.claim import Check, Finding, Judgement
from bench.claims.results import Lab, Result
from bench.protocol import PRESETS
from bench.report.claims.payload import claims_json
from bench.report.costs.tables import costs_json
from bench.report.figures.costs import COST_FIGURES
from bench.report.markdown.pairs import PAIR_COLUMNS
from bench.report.tables import boards_json
from tests.claims.fakes import make_claim
from tests.samples import DATA, make_study

README = (Path(__file__).parents[2] / "results" / "README.md").read_text()
SECTIONS = {
    records.RunRecord: "### The record",
    records.CellSpec: "### `cell`",
    records.DataInfo: "### `data`",
    records.Environment: "### `environment`",
    records.ModelInfo: "### `model`",
    records.Geometry: "### `model.geometry`",
    records.Stage: "### `model.geometry.stages[]`",
    records.SubsetInfo: "### `subset`",
    records.TrainMetrics: "### `train`",
    records.LinearMetrics: "### `linear`",
    records.EvalMetrics: "### `test`",
    records.TrialResult: "### `trials[]`",
    records.Failure: "### `failure`",
    records.EvaluationRecord: "### The evaluation",
    records.EvaluationSpec: "### The evaluation's `spec`",
    records.EvaluationMetrics: "### The evaluation's `metrics`",
    records.ProbeRecord: "### The probe",
    records.ProbeSpec: "### `spec`",
    profiles.ProfileRecord: "### The profile",
    profiles.Timing: "### `latency`, `inference`, `training`",
    profiles.CurvePoint: "### `inference_curve[]`, `training_curve[]`",
    profiles.Memory: "### `memory`",
    profiles.Energy: "### `energy`",
    profiles.MachineState: "### `before`, `after`",
    profiles.Switches: "### `switches`",
    profiles.LayerCost: "### `layers[]`",
    profiles.SizeCost: "### `macs_by_size[]`",
    profiles.DeviceRecord: "### The device",
    profiles.Rate: "### `copy_bytes_per_s`, `flops_per_s`",
}


def _explained(heading: str) -> set[str]:
    """Names in code style in the section below a heading, up to the next heading."""
    assert f"\n{heading}\n" in README, heading
    section = re.split(r"\n#+ ", README.partition(f"\n{heading}\n")[2])[0]
    return set(re.findall(r"`(\w+)`", section))


@pytest.mark.parametrize("group", SECTIONS, ids=lambda group: group.__name__)
def test_every_field_of_a_record_is_explained_in_its_section(group: type[BaseModel]) -> None:
    assert set(group.model_fields) <= _explained(SECTIONS[group])


def test_every_group_of_fields_that_records_are_made_of_has_a_section() -> None:
    groups = {
        value
        for value in {**vars(records), **vars(profiles)}.values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel and value.model_fields
    }
    assert groups == set(SECTIONS)


def test_every_column_of_the_table_is_explained() -> None:
    assert set(COLUMNS) <= _explained("## `leaderboard.csv`")


def test_every_column_of_the_pairs_is_explained() -> None:
    assert set(PAIR_COLUMNS) <= _explained("## `pairs.csv`")


def test_every_field_of_the_board_json_is_explained(tmp_path: Path) -> None:
    make_study(tmp_path)
    document = boards_json(build_board(load_records(tmp_path)))
    board = document["boards"][0]
    row = next(row for row in board["rows"] if row["comparison"])
    assert set(board) <= _explained("### A board")
    in_row = _explained("### A row")
    assert set(row) - set(COLUMNS) <= in_row
    assert set(row["comparison"]) | set(row["points"][0]) | set(row["trials"][0]) | set(row["note_texts"][0]) <= in_row


def test_every_column_of_the_costs_is_explained() -> None:
    assert set(COST_COLUMNS) <= _explained("## `costs.csv`")


def test_every_field_of_the_costs_json_is_explained(tmp_path: Path) -> None:
    make_study(tmp_path)
    (board,) = costs_json(build_costs(load_records(tmp_path)))["boards"]
    assert set(board) <= _explained("### A cost board")
    assert set(board["rows"][0]) - set(COST_COLUMNS) <= _explained("### A cost row")
    assert set(board["ratios"][0]) <= _explained("### A ratio")


def test_every_field_of_the_claims_json_is_explained() -> None:
    check, finding = Check("it holds", True, "0"), Finding("a number", 1.0)
    judgement = Judgement("supported", "It is.", "It means this.", findings=(finding,), checks=(check,))
    lab = Lab(
        results=(Result(make_claim(), judgement),),
        protocols={"main": PRESETS["quick"]},
        data={"main": DATA},
        sizes={"main": (129, 1294)},
        hardware="a processor",
        command="python run_bench.py --claims",
        created="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        trainings=1,
        probes=1,
    )
    document = claims_json(lab)
    assert set(document) - {"schema_version"} | set(document["tasks"]["main"]) <= _explained("### A lab")
    (claim,) = document["claims"]
    in_claim = _explained("### A claim")
    assert set(claim) | set(claim["findings"][0]) | set(claim["checks"][0]) <= in_claim


def test_every_picture_of_the_costs_is_named() -> None:
    assert all(f"`figures/costs/{name}.svg`, `.png`" in README for name in COST_FIGURES)


def test_every_array_of_the_predictions_is_explained() -> None:
    assert {"index", "label", "prediction", "logits"} <= _explained("## `runs/…/predictions.npz`")
