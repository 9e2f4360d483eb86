"""A folder of Parquet shards in the Hugging Face layout: `train-*.parquet` and `test-*` or `validation-*`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.examples import (
    EMPTY,
    Example,
    Source,
    Split,
    class_codes,
    encode_labels,
    flip_keeps_labels,
    with_held_out_test,
)
from bench.data.shard_files import TEST_SPLITS, find_shards
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.data.examples import Encoded

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
BATCH_ROWS = 512
SUFFIXES = (".parquet",)


@dataclass(frozen=True)
class _Columns:
    image: str
    label: str
    names: list[str] | None
    """Class names of the schema's metadata, where there are any."""


def open_parquet(root: Path) -> Source:
    """The dataset in `root`; class names from the schema's metadata, else the sorted labels of train.

    Raises UsageError for unreadable shards, missing columns and labels that are not known from train.
    """
    shards = find_shards(root, SUFFIXES)
    if "train" not in shards:
        raise UsageError(f"{root} has no train-*.parquet, only the splits {', '.join(sorted(shards))}.")
    columns = _columns(shards["train"][0])
    raw = _read_labels(shards["train"], columns)
    classes, code = class_codes(columns.names, raw)
    train = Split(encode_labels(raw, code, f"{root} train"), partial(_walk, root, shards["train"], columns))
    source = Source(root.name, classes, train, EMPTY, flip_keeps_labels(root.name, columns.names or ()))
    for name in TEST_SPLITS:
        if name not in shards:
            continue
        raw = _read_labels(shards[name], columns)
        if all(v == -1 for v in raw):
            continue
        test = Split(encode_labels(raw, code, f"{root} {name}"), partial(_walk, root, shards[name], columns))
        notes = () if name == "test" else (f"{name} is the test split",)
        return Source(source.name, classes, train, test, source.flip, notes)
    return with_held_out_test(source)


def _columns(shard: Path) -> _Columns:
    """Where images and labels stand in a shard, and the class names its schema tells."""
    import pyarrow as pa

    schema = _open(shard).schema_arrow
    features = _features(schema.metadata or {})
    by_type = {f.get("_type"): name for name, f in reversed(features.items()) if isinstance(f, dict)}
    image = next((c for c in (*IMAGE_COLUMNS, by_type.get("Image")) if c in schema.names), None)
    label = next((c for c in (*LABEL_COLUMNS, by_type.get("ClassLabel")) if c in schema.names), None)
    if image is None or label is None:
        raise UsageError(
            f"{shard} has the columns {', '.join(schema.names)}: an image column (image, img) and a label "
            "column (label) are needed."
        )
    kind = schema.field(image).type
    if not (pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise UsageError(f"{shard}: column {image!r} is {kind}, not a struct of bytes and path, nor bytes.")
    return _Columns(image, label, (features.get(label) or {}).get("names"))


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """What the Hugging Face part of a schema's metadata says about each column; empty where there is none."""
    try:
        return (json.loads(metadata.get(b"huggingface", b"{}")).get("info") or {}).get("features") or {}
    except (ValueError, AttributeError):
        return {}


def _read_labels(shards: Sequence[Path], columns: _Columns) -> list[Any]:
    labels: list[Any] = []
    for shard in shards:
        file = _open(shard)
        try:
            labels += file.read(columns=[columns.label]).column(0).to_pylist()
        except (OSError, KeyError, ValueError) as error:
            raise _unreadable(shard, error) from error
    return labels


def _walk(root: Path, shards: Sequence[Path], columns: _Columns) -> Iterator[Example]:
    """Rows in order, a batch of rows in memory at a time."""
    for shard in shards:
        row, file = 0, _open(shard)
        try:
            for batch in file.iter_batches(BATCH_ROWS, columns=[columns.image]):
                for value in batch.column(0).to_pylist():
                    yield Example(f"{shard.name}[{row}]", partial(_content, value, root))
                    row += 1
        except (OSError, ValueError) as error:
            raise _unreadable(shard, error) from error


def _content(value: Any, root: Path) -> Encoded:
    """The image file in one cell: bytes, or a path below the dataset's folder."""
    if isinstance(value, bytes):
        return value
    content = (value or {}).get("bytes")
    if content:
        return bytes(content)
    path = (value or {}).get("path")
    if not path:
        raise ValueError("the row has neither bytes nor a path")
    return root / str(path)


def _open(shard: Path) -> Any:
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(shard)
    except (OSError, ValueError) as error:
        raise _unreadable(shard, error) from error


def _unreadable(shard: Path, error: Exception) -> UsageError:
    return UsageError(f"{shard} is not a readable Parquet file: {' '.join(str(error).split())}.")
