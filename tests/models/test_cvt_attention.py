"""CvT's attention computes the same by every road."""

from __future__ import annotations

import pytest
import torch

from bench.models.cvt_attention import attend


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("queries", "keys"), [(5, 2), (197, 50), (785, 197), (3136, 784)])
def test_every_road_through_attention_gives_softmax_of_scaled_products(
    queries: int, keys: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(4)
    q, k, v = (torch.randn(1, 2, n, 8, generator=generator).to(dtype) for n in (queries, keys, keys))
    exact = torch.softmax(0.3 * q.double() @ k.double().transpose(2, 3), -1) @ v.double()
    near = 1e-5 if dtype == torch.float32 else 0.02
    with torch.no_grad():
        torch.testing.assert_close(attend(q, k, v, 0.3).double(), exact, rtol=near, atol=near)
    with torch.enable_grad():
        torch.testing.assert_close(attend(q, k, v, 0.3).double(), exact, rtol=near, atol=near)
