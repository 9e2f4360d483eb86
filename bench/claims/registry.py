"""The claims by id. A claim is one file here, `cNN.py`, found by its name."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from bench.claims.claim import Claim
from bench.errors import UsageError, did_you_mean


@cache
def all_claims() -> tuple[Claim, ...]:
    """Every claim, by id."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("c[0-9][0-9].py"))
    return tuple(importlib.import_module(f"bench.claims.{name}").CLAIM for name in names)


def choose(text: str) -> tuple[Claim, ...]:
    """The claims of a comma-separated list of ids, each once, by id; all for an empty text. Raises UsageError."""
    known = {claim.id: claim for claim in all_claims()}
    asked = [part.strip().upper() for part in text.split(",") if part.strip()]
    for name in asked:
        if name not in known:
            raise UsageError(f"unknown claim {name!r}.{did_you_mean(name, known)} --list-claims names them.")
    return tuple(known[name] for name in sorted(set(asked or known)))
