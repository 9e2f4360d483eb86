"""The probes by name. Needs no torch: the module of a probe is imported when it runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from bench.probes.subject import Findings


@dataclass(frozen=True)
class Probe:
    """Where a probe is and what it needs."""

    function: str
    """`module:function`; the function takes a `Subject` and the probe's options as keywords."""
    version: int = 1
    """Raised whenever its results change their meaning, so that old records are not taken for new ones."""
    images: bool = False
    """Whether it looks at images of the dataset."""

    def load(self) -> Callable[..., Findings]:
        """The function itself."""
        module, _, name = self.function.partition(":")
        found: Callable[..., Findings] = getattr(importlib.import_module(module), name)
        return found


PROBES: Mapping[str, Probe] = {
    "gradient_support": Probe("bench.probes.reach:gradient_support"),
    "effective_receptive_field": Probe("bench.probes.reach:effective_receptive_field", images=True),
    "input_gradient_coverage": Probe("bench.probes.reach:input_gradient_coverage"),
    "shift_consistency": Probe("bench.probes.shift:shift_consistency", images=True),
    "shift_equality": Probe("bench.probes.shift:shift_equality"),
    "patch_order_equality": Probe("bench.probes.order:patch_order_equality"),
    "attention_distance": Probe("bench.probes.attention:attention_distance", images=True),
    "layer_similarity": Probe("bench.probes.similarity:layer_similarity", images=True),
    "readout": Probe("bench.probes.tokens:readout", version=2),
    "embedding_norms": Probe("bench.probes.tokens:embedding_norms"),
    "window_plan": Probe("bench.probes.windows:window_plan"),
    "window_reach": Probe("bench.probes.windows:window_reach", version=2),
    "score_bias": Probe("bench.probes.windows:score_bias"),
    "patch_count": Probe("bench.probes.patches:patch_count", version=2),
    "key_value_reduction": Probe("bench.probes.patches:key_value_reduction"),
}
"""A probe is one line here."""


def find(name: str) -> Probe:
    """The probe called `name`. Raises UsageError with the nearest names for one that nobody knows."""
    if name not in PROBES:
        raise UsageError(f"unknown probe {name!r}.{did_you_mean(name, PROBES)}")
    return PROBES[name]
