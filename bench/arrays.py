"""Arrays as `.npz` files: packed into bytes, and read back fast where thousands of small files hold the same ones."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

IN_COMMON = ("index", "label")
"""Arrays of the predictions that are the same in all runs of a board."""


def packed(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Arrays as the content of an `.npz` file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_arrays(
    path: Path,
    names: Collection[str] | None,
    in_common: dict[tuple[str, int, int], NDArray[np.generic]] | None = None,
) -> dict[str, NDArray[np.generic]]:
    """Arrays of an `.npz` file, or only those in `names`. Raises OSError where it is missing, ValueError if damaged.

    `in_common` holds the arrays that the runs of a board have in common, by name, CRC-32 and length of the file's
    member: those are read once, and shared.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if names is not None and name not in names:
                    continue
                if in_common is None or name not in IN_COMMON:
                    found[name] = _array(archive.read(member))
                    continue
                key = name, member.CRC, member.file_size
                if key not in in_common:
                    in_common[key] = _array(archive.read(member))
                    in_common[key].flags.writeable = False
                found[name] = in_common[key]
            return found
    except (EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _array(data: bytes) -> NDArray[np.generic]:
    """The array of an `.npy` file. Its header is parsed once for all files that begin alike, which takes most of the
    time with thousands of small ones. Raises ValueError where it is none."""
    size = 10 + int.from_bytes(data[8:10], "little")
    if data[:8] != b"\x93NUMPY\x01\x00" or len(data) < size:
        return np.asarray(np.lib.format.read_array(io.BytesIO(data), allow_pickle=False))
    shape, fortran, dtype = _npy_header(data[8:size])
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return np.frombuffer(data, dtype, offset=size).reshape(shape, order="F" if fortran else "C").copy()


@lru_cache(maxsize=256)
def _npy_header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and type of a version 1 header, without its magic."""
    return np.lib.format.read_array_header_1_0(io.BytesIO(header))


def packed_counts(counts: NDArray[np.int64]) -> str:
    """The counts of a matrix that are not 0, as text: base64 of zlib of int32 little-endian [3, n], which are their
    rows, their columns and themselves."""
    rows, columns = np.nonzero(counts)
    found = np.stack([rows, columns, counts[rows, columns]]).astype("<i4")
    return base64.b64encode(zlib.compress(found.tobytes(), 9)).decode()


def unpacked_counts(text: str, side: int) -> NDArray[np.int64]:
    """The matrix int64 [side, side] that `packed_counts` made a text of. Raises ValueError where it is none."""
    try:
        rows, columns, values = np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i4").reshape(3, -1)
        counts = np.zeros((side, side), np.int64)
        counts[rows, columns] = values
    except (zlib.error, IndexError, ValueError) as error:
        raise ValueError(f"not the counts of {side} classes: {error}") from error
    return counts
