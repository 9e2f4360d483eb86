"""Where the files in an uncompressed tar file lie."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from bench.errors import UsageError

LONGEST_PADDING = 1 << 20
"""Bytes after the end mark beyond which they are no padding but what should have been read."""
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd")
"""How files begin that gzip, bzip2, xz and Zstandard have made."""


class TarBroken(Exception):
    """The rest of a tar file cannot be read; its text says why."""


def members(path: Path) -> Iterator[tuple[str, int, int]]:
    """(name, offset, bytes) of every file in a tar file, in its order.

    Raises TarBroken after the last whole file of one that is cut off or damaged, UsageError where `path` is no tar
    file or a compressed one.
    """
    length = path.stat().st_size
    try:
        tar = tarfile.open(path, "r:")  # noqa: SIM115
    except tarfile.ReadError:
        raise _no_tar(path) from None
    with tar:
        while True:
            try:
                member = tar.next()
            except tarfile.ReadError:
                raise TarBroken("is cut off") from None
            if member is None:
                break
            tar.members.clear()  # type: ignore[attr-defined]  # a million of them would take a gigabyte
            if member.offset_data + (member.size if member.isreg() else 0) > length:
                raise TarBroken("is cut off")
            if member.isreg():
                yield member.name, member.offset_data, member.size
        _check_end(path, tar.offset, length)


def _check_end(path: Path, at: int, length: int) -> None:
    """Raise TarBroken where what ended the reading is not the mark of the end: tarfile says nothing of a header that is
    damaged or cut off."""
    with path.open("rb") as file:
        file.seek(at)
        header = file.read(tarfile.BLOCKSIZE)
    if len(header) < tarfile.BLOCKSIZE:
        raise TarBroken("is cut off")
    if any(header) or length - at > LONGEST_PADDING:
        raise TarBroken("is damaged")


def _no_tar(path: Path) -> UsageError:
    with path.open("rb") as file:
        if file.read(4).startswith(_COMPRESSED):
            return UsageError(f"{path} is compressed, so that no image in it can be found alone: decompress it once.")
    return UsageError(f"{path} is not a tar file.")
