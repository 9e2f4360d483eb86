"""Gate 1: sizes, arithmetic and shapes must not move at all, and what moved is named."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.gates import exact
from bench.gates.baseline import Baseline, ModelFacts
from bench.protocol import Protocol


class _Small(nn.Module):
    def __init__(self, name: str = "head", bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 2, 2, bias=False)
        self.norm = nn.BatchNorm2d(4)
        setattr(self, name, nn.Linear(4, 10, bias=bias))
        self._head = name

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.norm(self.conv(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = getattr(self, self._head)(self.forward_features(images).mean((2, 3)))
        return logits


def _facts(model: nn.Module) -> ModelFacts:
    return exact.facts(model, 8)


def _baseline(models: dict[str, ModelFacts]) -> Baseline:
    return Baseline(
        created="2026-01-01T00:00:00+00:00",
        hardware="Test CPU",
        git_commit=None,
        protocol=Protocol().to_dict(),
        num_classes=10,
        models=models,
        board_schema={},
        references={},
    )


def test_facts_are_what_can_be_counted_by_hand() -> None:
    facts = _facts(_Small())
    assert facts.params == 3 * 4 * 4 + 2 * 4 + 4 * 10 + 10
    assert facts.buffers == 2 * 4 + 1
    assert facts.macs == 4 * 4 * 4 * (3 * 4) + 4 * 10
    assert facts.activations == 4 * 4 * 4 + 10
    assert facts.feature_shape == [1, 4, 4, 4]
    assert facts.output_shape == [2, 10]
    assert facts.uncounted == []


def test_facts_do_not_depend_on_the_initial_weights() -> None:
    torch.manual_seed(1)
    first = _facts(_Small())
    torch.manual_seed(2)
    assert _facts(_Small()) == first


def test_every_fact_that_moved_is_named_with_old_and_new_value() -> None:
    found = exact.model_changes("small", _facts(_Small()), _facts(_Small(bias=False)))
    assert [(f.quantity, f.verdict) for f in found] == [("parameters", "FAIL"), ("names and shapes of weights", "FAIL")]
    assert (found[0].base, found[0].head, found[0].change) == ("106", "96", "−9.4 %")


def test_a_renamed_weight_is_seen_although_no_number_moved() -> None:
    found = exact.model_changes("small", _facts(_Small()), _facts(_Small("classifier")))
    assert [f.quantity for f in found] == ["names and shapes of weights"]


def test_an_untouched_model_passes_and_the_result_says_what_was_compared() -> None:
    facts = _facts(_Small())
    outcome = exact.compare(_baseline({"small": facts}), {"small": facts}, {}, {})
    assert (outcome.status, outcome.findings) == ("passed", ())
    assert "1 models" in outcome.reason


def test_a_model_that_is_gone_fails_and_one_that_is_new_is_told() -> None:
    facts = _facts(_Small())
    outcome = exact.compare(_baseline({"old": facts}), {"new": facts}, {"old": "UsageError: unknown model"}, {})
    verdicts = {f.model: f.verdict for f in outcome.findings}
    assert verdicts == {"old": "FAIL", "new": "new"}
    assert "unknown model" in outcome.findings[0].head


def test_one_model_that_cannot_be_built_does_not_keep_the_others_from_being_measured() -> None:
    lines: list[str] = []
    found, reasons = exact.collect(["no_such_model", "test_vit"], img_size=32, num_classes=10, log=lines.append)
    assert list(found) == ["test_vit"]
    assert "no_such_model" in reasons["no_such_model"]
    assert len(lines) == 1
