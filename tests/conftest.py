"""Tests keep to themselves: a cache of their own, and one thread, so that small models do not wait for each other."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

_CACHE = tempfile.mkdtemp(prefix="backbone-bench-tests-")
os.environ["BACKBONE_BENCH_CACHE"] = _CACHE
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the tests' own cache."""
    shutil.rmtree(_CACHE, ignore_errors=True)
