"""The state of a training in the middle, so that one that was ended goes on where it was, bit for bit on a CPU."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.errors import first_line

if TYPE_CHECKING:
    import torch
    from torch import Generator

    from bench.training.step import Eager

log = logging.getLogger("bench")


@dataclass
class Keeper:
    """Keeps the state of one training from time to time, where whoever made it wants it kept."""

    read: Callable[[], bytes | None]
    """What was written last; None where there is nothing."""
    write: Callable[[bytes], None]
    """Puts a state in the place of the one before."""
    every_s: float
    """Seconds between two states."""
    _last: float = field(default_factory=time.monotonic)

    def earlier(self, lr: float, steps: int) -> dict[str, Any] | None:
        """The state of a training at this rate and of so many steps; None where there is none that can be used."""
        import torch

        data = self.read()
        if data is None:
            return None
        try:
            state: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
            fits = bool(state["lr"] == lr and len(state["losses"]) < steps)
        except Exception as error:
            log.warning("a training's state that was kept cannot be read, so it begins anew: %s", first_line(error))
            return None
        return state if fits else None

    def due(self) -> bool:
        """Whether it is time to keep a state."""
        return time.monotonic() - self._last >= self.every_s

    def keep(self, state: dict[str, Any]) -> None:
        """Write a state. Raises whatever `write` raises."""
        import torch

        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.write(buffer.getvalue())
        self._last = time.monotonic()


def state_of(step_of: Eager, generator: Generator) -> dict[str, Any]:
    """Weights, buffers, the optimiser's state and all random streams, on the CPU."""
    import torch

    streams = {"cpu": torch.get_rng_state(), "augment": generator.get_state()}
    if step_of.device.type == "cuda":
        streams["cuda"] = torch.cuda.get_rng_state(step_of.device)
    moments = [{name: value.cpu() for name, value in state.items()} for _, state in _moments(step_of)]
    return {
        "weights": {name: value.detach().cpu() for name, value in _tensors(step_of)},
        "moments": moments,
        "streams": streams,
    }


def restore(step_of: Eager, state: dict[str, Any], *, streams: bool) -> None:
    """Put weights, buffers and the optimiser's state back, in place, so that a recorded step finds them; with
    `streams` dropout and stochastic depth draw on from where they were."""
    import torch

    with torch.no_grad():
        for name, value in _tensors(step_of):
            value.copy_(state["weights"][name])
        for (parameter, known), kept in zip(_moments(step_of), state["moments"], strict=True):
            for name, value in kept.items():
                if name in known:
                    known[name].copy_(value)
                else:
                    known[name] = value.to(parameter.device, copy=True)
    if streams:
        torch.set_rng_state(state["streams"]["cpu"])
        if step_of.device.type == "cuda" and "cuda" in state["streams"]:
            torch.cuda.set_rng_state(state["streams"]["cuda"], step_of.device)


def _tensors(step_of: Eager) -> list[tuple[str, torch.Tensor]]:
    """Parameters and buffers by name, those that are not saved with a model too."""
    return [*step_of.model.named_parameters(), *step_of.model.named_buffers()]


def _moments(step_of: Eager) -> list[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Every trained parameter and what the optimiser knows of it, in the optimiser's order."""
    optimizer = step_of.optimizer
    return [(p, optimizer.state[p]) for group in optimizer.param_groups for p in group["params"]]
