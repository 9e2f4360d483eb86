"""Every benchmark's JSON says in `extra_info` what was run: the same four keys, None where one has no meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.measure.hardware import cpu_threads

if TYPE_CHECKING:
    from bench.data.batches import ImageData


@pytest.fixture(autouse=True)
def _same_keys(request: pytest.FixtureRequest) -> None:
    """Give each benchmark its keys; what has a model, a batch or MACs fills them in with `steps.describe`."""
    if "benchmark" in request.fixturenames:
        information = request.getfixturevalue("benchmark").extra_info
        information.update(model=None, batch=None, macs=None, threads=cpu_threads())


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    """The default dataset, resident on the CPU."""
    import torch

    from bench.data.batches import load
    from bench.data.cache import prepare

    cache = tmp_path_factory.mktemp("cache")
    info = prepare("digits", data_dir=None, img_size=32, download=False, cache_dir=cache)
    return load(info, cache_dir=cache, img_size=32, device=torch.device("cpu"))
