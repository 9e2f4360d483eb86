"""Names and types of everything that programs read: records, `leaderboard.csv`, `leaderboard.json`."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from bench.analysis.board import build_board
from bench.analysis.cost_table import COST_COLUMNS
from bench.analysis.costs import build_costs
from bench.analysis.table import COLUMNS
from bench.profiles import DeviceRecord, ProfileRecord
from bench.protocol import Protocol
from bench.records import RunRecord
from bench.report.costs.tables import costs_json
from bench.report.tables import boards_json
from bench.store import Records

RECORDS: tuple[type[BaseModel], ...] = (RunRecord, ProfileRecord, DeviceRecord)
"""Kinds of record whose layout is compared."""


def board_schema() -> dict[str, str]:
    """Every field by its full name, with its type and default: `TrainMetrics.steps` → `integer`."""
    found: dict[str, str] = {}
    for kind in RECORDS:
        found |= record_fields(kind)
    for table, columns in (("leaderboard", COLUMNS), ("costs", COST_COLUMNS)):
        found |= {f"{table}.csv: {name}": "column" for name in ("board", *columns)}
    found |= {f"leaderboard.json: {path}": "key" for path in sorted(set(_paths(_leaderboard())))}
    found |= {f"costs.json: {path}": "key" for path in sorted(set(_paths(_costs())))}
    return found


def record_fields(kind: type[BaseModel]) -> dict[str, str]:
    """Fields of a record and of all values inside it, by `Class.field`, from its JSON Schema."""
    schema = kind.model_json_schema()
    found: dict[str, str] = {}
    for name, part in {kind.__name__: schema, **schema.get("$defs", {})}.items():
        required = set(part.get("required", ()))
        for field, node in part.get("properties", {}).items():
            default = "" if field in required else f" = {node['default']!r}" if "default" in node else ", optional"
            found[f"{name}.{field}"] = _type_text(node) + default
    return found


def _type_text(node: Mapping[str, Any]) -> str:
    """A short name of a JSON Schema type: `integer`, `list of number`, `Timing or null`."""
    if "$ref" in node:
        return str(node["$ref"]).rpartition("/")[2]
    if "anyOf" in node:
        return " or ".join(_type_text(part) for part in node["anyOf"])
    if "enum" in node or "const" in node:
        return " | ".join(str(value) for value in node.get("enum", [node.get("const")]))
    if node.get("type") == "array":
        inner = node.get("prefixItems") or [node.get("items", {})]
        return f"list of {', '.join(_type_text(part) for part in inner)}"
    if node.get("type") == "object" and isinstance(node.get("additionalProperties"), dict):
        return f"map to {_type_text(node['additionalProperties'])}"
    return str(node.get("type", "any"))


def _leaderboard() -> dict[str, Any]:
    """`leaderboard.json` of one made-up run."""
    protocol = Protocol(train_sizes=(1.0,), lr_trials=1)
    run: RunRecord = _example(RunRecord)
    data = run.data.model_copy(
        update={"dataset": "digits", "classes": ["a", "b"], "n_train": 20, "n_test": 2, "train_counts": [10, 10]}
    )
    cell = run.cell.model_copy(update={"kind": "run", "lr": None, "seed": 0, "train_size": 18, "weights": "scratch"})
    record = run.model_copy(
        update={"cell": cell, "status": "ok", "failure": None, "data": data, "protocol": protocol.to_dict()}
    )
    return boards_json(build_board(Records(root=Path(), runs=[record], profiles=[], problems=[])))


def _costs() -> dict[str, Any]:
    """`costs.json` of one made-up profile."""
    profile: ProfileRecord = _example(ProfileRecord)
    profile = profile.model_copy(update={"status": "ok", "failure": None})
    return costs_json(build_costs(Records(root=Path(), runs=[], profiles=[profile], problems=[])))


OPEN = (
    *("protocol", "versions", "data", "per_seed", "confusion", "macs_by_operator", "macs_by_kind"),
    *("timings", "memory", "energy", "before", "after", "switches", "device_record", "layers", "macs_by_size"),
)
"""Keys below which names are not looked at: open maps, and parts of records, which are compared by themselves."""


def _paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Full names of all keys inside: `boards[].rows[].name`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{prefix}{key}"
            if key not in OPEN:
                yield from _paths(inner, f"{prefix}{key}.")
    elif isinstance(value, list) and value:
        yield from _paths(value[0], f"{prefix[:-1]}[].")


def _example(annotation: Any) -> Any:
    """Some valid value of a type, with every optional field of a record filled in."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation(**{name: _example(f.annotation) for name, f in annotation.model_fields.items()})
    if origin is Literal:
        return inner[0]
    if origin in (Union, types.UnionType):
        return _example(next(part for part in inner if part is not type(None)))
    if origin is list:
        return [_example(inner[0])]
    if origin is tuple:
        return tuple(_example(part) for part in inner if part is not Ellipsis)
    if origin is dict:
        return {_example(inner[0]): _example(inner[1])}
    simple: dict[Any, Any] = {str: "x", int: 1, float: 0.5, bool: False}
    return simple.get(annotation, 0)
