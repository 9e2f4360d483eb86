"""The layout of what programs read: every field has a name here, so that a change can be named."""

from __future__ import annotations

from bench.analysis.table import COLUMNS
from bench.gates.exact import MOST_ROWS, schema_changes
from bench.gates.schema import board_schema, record_fields
from bench.records import TrainMetrics
from bench.values import Frozen


class _Inner(Frozen):
    value: float


class _Outer(Frozen):
    name: str
    inner: list[_Inner]
    note: str | None = None


def test_a_record_is_described_down_to_the_values_inside_it() -> None:
    assert record_fields(_Outer) == {
        "_Outer.name": "string",
        "_Outer.inner": "list of _Inner",
        "_Outer.note": "string or null = None",
        "_Inner.value": "number",
    }


def test_records_columns_and_keys_of_the_board_are_all_in_the_schema() -> None:
    schema = board_schema()
    assert {f"TrainMetrics.{name}" for name in TrainMetrics.model_fields} <= set(schema)
    assert {f"leaderboard.csv: {name}" for name in COLUMNS} <= set(schema)
    assert {"leaderboard.json: boards[].rows[].points[].low", "costs.json: boards[].rows[].macs"} <= set(schema)
    assert {"ProfileRecord.macs", "DeviceRecord.flops_per_s"} <= set(schema)


def test_a_field_that_came_went_or_changed_type_is_named_and_fails() -> None:
    found = schema_changes({"A.x": "integer", "A.y": "number"}, {"A.y": "string", "A.z": "number"})
    assert [(f.quantity, f.base, f.head, f.change) for f in found] == [
        ("A.x", "integer", "–", "gone"),
        ("A.y", "number", "string", "changed"),
        ("A.z", "–", "number", "new field"),
    ]
    assert {f.verdict for f in found} == {"FAIL"}


def test_a_rewritten_schema_does_not_flood_the_table() -> None:
    found = schema_changes({}, {f"A.f{k}": "number" for k in range(MOST_ROWS + 5)})
    assert len(found) == MOST_ROWS + 1
    assert "5 more" in found[-1].quantity
