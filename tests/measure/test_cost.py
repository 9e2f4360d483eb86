"""What a model costs: everything that a profile needs, and nothing done to the model."""

from __future__ import annotations

import pytest
import torch

from bench.measure import latency
from bench.measure.cost import measure_model
from bench.models.build import build
from bench.profiles import ProfileRecord


def test_a_measured_model_fills_a_profile_and_keeps_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "REPEATS_S", 0.05)
    model, info = build("test_resnet", num_classes=10, img_size=32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cost = measure_model(model, img_size=32, batch_size=4, device=torch.device("cpu"))
    assert set(cost) <= set(ProfileRecord.model_fields)
    assert cost["macs"] == sum(cost["macs_by_operator"].values()) > 0
    assert cost["flop_counter_macs"] == cost["macs"]
    assert cost["activations"] > 0
    assert cost["uncounted"] == []
    assert cost["latency"].batch_size == 1
    assert cost["inference"].batch_size == 4
    assert info.params == sum(p.numel() for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
