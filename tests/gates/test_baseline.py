"""The stored baseline: what is written is read, and whatever else is in the file is told in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.errors import UsageError
from bench.gates.baseline import Baseline, Reference, SeedRuns, pack, read, torch_minor, unpack, write
from bench.protocol import Protocol

BASELINE = Baseline(
    created="2026-01-01T00:00:00+00:00",
    hardware="Test CPU",
    git_commit=None,
    protocol=Protocol().to_dict(),
    num_classes=10,
    models={},
    board_schema={"A.x": "integer"},
    references={
        "2.9": Reference(
            created="2026-01-01T00:00:00+00:00",
            hardware="Test CPU",
            versions={"torch": "2.9.0"},
            data_fingerprint="f" * 64,
            labels=pack(np.arange(5)),
            models={"a": SeedRuns(predictions=[pack(np.arange(5))], accuracy=[1.0])},
            left_out={},
        )
    },
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(BASELINE, tmp_path / "deep" / "b.json")
    assert read(tmp_path / "deep" / "b.json") == BASELINE


def test_predictions_survive_packing() -> None:
    values = np.random.default_rng(0).integers(0, 21_841, 1000)
    assert (unpack(pack(values)) == values).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "is no baseline of this program"),
        ('{"kind": "something else"}', "is no baseline of this program"),
        (json.dumps({"kind": BASELINE.kind, "version": 99}), "has version 99, this program reads version 1"),
        (json.dumps({"kind": BASELINE.kind, "version": 1, "created": 3}), "damaged or of another version"),
    ],
)
def test_anything_else_in_the_file_is_one_clear_line(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        read(file)
    assert "\n" not in str(caught.value)
    assert "--save-baseline" in str(caught.value)


def test_a_missing_baseline_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no baseline"):
        read(tmp_path / "b.json")
    with pytest.raises(UsageError, match="cannot read the baseline"):
        read(tmp_path)


def test_a_protocol_with_a_field_that_nobody_knows_is_another_version(tmp_path: Path) -> None:
    write(BASELINE.model_copy(update={"protocol": {**BASELINE.protocol, "novelty": 1}}), tmp_path / "b.json")
    with pytest.raises(UsageError, match="novelty"):
        read(tmp_path / "b.json")


@pytest.mark.parametrize(("version", "minor"), [("2.14.1+cu130", "2.14"), ("2.9.0", "2.9"), ("3.0.0a0", "3.0")])
def test_references_are_kept_by_minor_version_of_torch(version: str, minor: str) -> None:
    assert torch_minor(version) == minor
