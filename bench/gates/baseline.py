"""The stored baseline: what the gates compare with. One JSON file, versioned, that can be committed."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.errors import UsageError
from bench.files import atomic_write
from bench.protocol import Protocol
from bench.values import Frozen

BASELINE_VERSION = 1
"""Version of the file's layout."""
KIND = "backbone-bench baseline"
"""What the file says it is."""


class ModelFacts(Frozen):
    """What one model is, exactly: the same on every machine."""

    params: int
    """Parameters."""
    buffers: int
    """Elements of buffers that are saved with the weights."""
    state_sha256: str
    """SHA-256 of the names and shapes of all weights: a checkpoint fits while it stays."""
    macs: int
    """Canonical multiply-accumulates for one image."""
    activations: int
    """Elements written by matrix products and convolutions for one image."""
    uncounted: list[str]
    """Operators that are missing from `macs`."""
    feature_shape: list[int]
    """Shape of `forward_features` for one image; empty where the model has none."""
    output_shape: list[int]
    """Shape of the logits for two images."""


class SeedRuns(Frozen):
    """One model trained once per seed 0, 1, 2, …, and its predictions on the test split."""

    predictions: list[str]
    """Predicted class of every test image, packed; one text per seed."""
    accuracy: list[float]
    """Fraction that is right, per seed."""


class Reference(Frozen):
    """The seeded small study, as one minor version of torch computed it."""

    created: str
    """UTC time, ISO 8601."""
    hardware: str
    """Name of the device that trained."""
    versions: dict[str, str]
    """Versions of the libraries that can change a number."""
    data_fingerprint: str
    """Fingerprint of the dataset."""
    labels: str
    """Labels of the test split, packed."""
    models: dict[str, SeedRuns]
    """Seed runs of each model."""
    left_out: dict[str, str]
    """Models that could not be trained, and why."""


class Baseline(Frozen):
    """Everything in the file."""

    kind: str = KIND
    """Says what the file is."""
    version: int = BASELINE_VERSION
    """Version of this layout."""
    created: str
    """UTC time of the last save, ISO 8601."""
    hardware: str
    """Name of the device of the last save. Gates 1 and 2 hold on any machine; gate 3 stores nothing."""
    git_commit: str | None
    """Commit of this project at the last save, where known."""
    protocol: dict[str, Any]
    """All fields of the protocol of gate 2; its image size and batch are those of gates 1 and 3."""
    num_classes: int
    """Classes of the dataset."""
    models: dict[str, ModelFacts]
    """Gate 1: each model."""
    board_schema: dict[str, str]
    """Gate 1: every field that programs read, with its type."""
    references: dict[str, Reference]
    """Gate 2: by minor version of torch, such as `2.9`."""


def read(file: Path) -> Baseline:
    """The baseline in `file`; UsageError with one line where it is missing, torn, or of another version."""
    advice = "write a new one with --save-baseline"
    try:
        data = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"there is no baseline {file}: write one with --save-baseline {file}.") from error
    except OSError as error:
        raise UsageError(f"cannot read the baseline {file}: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"the baseline {file} is not JSON; {advice}.") from error
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise UsageError(f"{file} is no baseline of this program; {advice}.")
    if data.get("version") != BASELINE_VERSION:
        raise UsageError(
            f"the baseline {file} has version {data.get('version')}, this program reads version "
            f"{BASELINE_VERSION}; {advice}."
        )
    try:
        baseline = Baseline.model_validate(data)
        Protocol.from_dict(baseline.protocol)
    except (ValidationError, UsageError, TypeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(str(part) for part in first["loc"]) + f": {first['msg']}" if first else str(error)
        raise UsageError(f"the baseline {file} is damaged or of another version ({where}); {advice}.") from error
    return baseline


def write(baseline: Baseline, file: Path) -> None:
    """Write the file so that it holds the old baseline or the new one, never a mixture. Raises UsageError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, (baseline.model_dump_json(indent=1) + "\n").encode())
    except OSError as error:
        raise UsageError(f"cannot write the baseline {file}: {error.strerror or error}.") from error


def pack(values: NDArray[np.integer[Any]]) -> str:
    """Small non-negative integers as text."""
    return base64.b64encode(zlib.compress(values.astype("<u2").tobytes(), 9)).decode()


def unpack(text: str) -> NDArray[np.int64]:
    """The inverse of `pack`; ValueError where the text is damaged."""
    try:
        return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<u2").astype(np.int64)
    except zlib.error as error:
        raise ValueError("damaged predictions") from error


def torch_minor(version: str) -> str:
    """`2.14.1+cu130` → `2.14`."""
    return ".".join(version.split("+")[0].split(".")[:2])
