"""Gate 1: what must not move at all: sizes, arithmetic and shapes of each model, and the layout of the board."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.gates.baseline import Baseline, ModelFacts
from bench.gates.findings import Finding, GateName, Outcome, judged, percent_change
from bench.protocol import content_hash
from bench.report.words import NOTHING

if TYPE_CHECKING:
    from torch import nn

GATE: GateName = "1 exact"
MOST_ROWS = 20
"""How many fields of the board's layout are named one by one."""
QUANTITIES = {
    "params": "parameters",
    "buffers": "buffer elements",
    "state_sha256": "names and shapes of weights",
    "macs": "MACs",
    "activations": "activations",
    "uncounted": "uncounted operators",
    "feature_shape": "feature shape",
    "output_shape": "output shape",
}
"""What the table calls the fields of `ModelFacts`."""


def facts_of(name: str, *, img_size: int, num_classes: int) -> ModelFacts:
    """Build `name` on the CPU and count. Raises whatever building or tracing raises."""
    from bench.models.build import build

    return facts(build(name, num_classes=num_classes, img_size=img_size)[0], img_size)


def facts(model: nn.Module, img_size: int) -> ModelFacts:
    """The exact facts of a built model for images [b, 3, img_size, img_size]."""
    import torch

    from bench.measure.macs import count_macs

    model.eval()
    state = model.state_dict()
    named = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    counted = count_macs(model, torch.zeros(1, 3, img_size, img_size))
    with torch.inference_mode():
        logits = model(torch.zeros(2, 3, img_size, img_size))
        features = getattr(model, "forward_features", None)
        inner = features(torch.zeros(1, 3, img_size, img_size)) if callable(features) else None
    return ModelFacts(
        params=sum(p.numel() for p in model.parameters()),
        buffers=sum(value.numel() for name, value in state.items() if name not in named),
        state_sha256=content_hash({name: list(value.shape) for name, value in state.items()}),
        macs=counted.macs,
        activations=counted.activations,
        uncounted=list(counted.uncounted),
        feature_shape=list(inner.shape) if isinstance(inner, torch.Tensor) else [],
        output_shape=list(logits.shape),
    )


def collect(
    models: Sequence[str], *, img_size: int, num_classes: int, log: Callable[[str], None]
) -> tuple[dict[str, ModelFacts], dict[str, str]]:
    """(facts, reasons): each model is in one of them; a reason is one line that says why there are no facts."""
    found: dict[str, ModelFacts] = {}
    reasons: dict[str, str] = {}
    for name in models:
        try:
            found[name] = facts_of(name, img_size=img_size, num_classes=num_classes)
        except Exception as error:
            reasons[name] = one_line(error)
            log(f"{name}: {reasons[name]}")
    return found, reasons


def compare(
    baseline: Baseline, found: Mapping[str, ModelFacts], reasons: Mapping[str, str], schema: Mapping[str, str]
) -> Outcome:
    """Every difference fails; a model that only the head has is told."""
    findings: list[Finding] = []
    for name, before in baseline.models.items():
        if name in found:
            findings += model_changes(name, before, found[name])
        else:
            reason = reasons.get(name, "not there any more")
            findings.append(Finding(GATE, name, "the model", "there", reason, NOTHING, "FAIL"))
    for name in (*found, *reasons):
        if name not in baseline.models:
            said = f"{found[name].params:,} parameters" if name in found else reasons[name]
            findings.append(Finding(GATE, name, "the model", NOTHING, said, NOTHING, "new"))
    findings += schema_changes(baseline.board_schema, schema)
    return judged(
        GATE,
        findings,
        f"{len(baseline.models)} models, {len(QUANTITIES)} quantities each, and {len(schema)} fields of records and "
        "board: all equal",
    )


def model_changes(name: str, before: ModelFacts, after: ModelFacts) -> list[Finding]:
    """One finding for each fact that differs."""
    found = []
    for field, quantity in QUANTITIES.items():
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            change = percent_change(old, new) if isinstance(old, int) else NOTHING
            found.append(Finding(GATE, name, quantity, _shown(old), _shown(new), change, "FAIL"))
    return found


def schema_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Finding]:
    """Fields that went, came, or changed type; beyond `MOST_ROWS` they are counted."""
    rows = []
    for field in sorted({*before, *after}):
        old, new = before.get(field), after.get(field)
        if old != new:
            moved = "new field" if old is None else "gone" if new is None else "changed"
            rows.append(Finding(GATE, "board", field, old or NOTHING, new or NOTHING, moved, "FAIL"))
    if len(rows) <= MOST_ROWS:
        return rows
    rest = Finding(GATE, "board", f"and {len(rows) - MOST_ROWS} more fields", NOTHING, NOTHING, NOTHING, "FAIL")
    return [*rows[:MOST_ROWS], rest]


def one_line(error: BaseException) -> str:
    """An exception as one line that names its kind."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _shown(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return "×".join(map(str, value)) if all(isinstance(v, int) for v in value) else ", ".join(value) or "none"
    return str(value)[:12]
