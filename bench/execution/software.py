"""What of the software here can change a number, for a cluster whose nodes must agree."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import bench
from bench.measure.environment import LIBRARIES, versions

CODE = "code of Backbone Bench"


@cache
def software() -> dict[str, str]:
    """Each piece of software and its version; the project itself by the content of its files."""
    return {
        "Python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **{name: versions().get(name, "none") for name in LIBRARIES},
        CODE: _code_sha256(),
    }


def differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """`torch 2.8 instead of 2.9, Python 3.12.1 instead of 3.11.7`; empty where there is none."""
    found = []
    for name, own in ours.items():
        other = theirs.get(name, "none")
        if other != own:
            found.append(f"other {CODE}" if name == CODE else f"{name} {other} instead of {own}")
    return ", ".join(found)


def _code_sha256() -> str:
    root = Path(bench.__file__).parent
    total = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        total.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()
