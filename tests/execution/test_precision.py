"""What is called float32 is float32 for every kind of layer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from bench.execution.worker import full_precision
from bench.measure.state import switches


@pytest.fixture
def as_before() -> Iterator[None]:
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept


@pytest.mark.usefixtures("as_before")
def test_neither_convolutions_nor_products_are_shortened() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    assert switches().tf32_cudnn
    full_precision()
    assert not switches().tf32_cudnn
    assert not switches().tf32_matmul
    with torch.backends.cudnn.flags(enabled=False):  # torch refuses that once its two ways to say so are mixed
        pass
