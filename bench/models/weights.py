"""Weights that are not random: published ones, and files of the user's own. A file is never run, only read."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError, first_line
from bench.models.provenance import described

if TYPE_CHECKING:
    from torch import Tensor, nn

NAMED = 3
"""How many names of a mismatch are printed."""


class CheckpointError(UsageError):
    """Weights that cannot be had or do not fit."""


def load_checkpoint(model: nn.Module, path: Path) -> str:
    """Load the weights in `path` (`.pth` or `.safetensors`) into `model`; returns what the row says of them.

    Published layouts are brought into the model's names by the filter of its model
    file. Only a classifier for another number of classes may differ: it stays as initialised, and that is said.
    Raises CheckpointError where anything else does not fit, and for a file that would run code.
    """
    state = _fitted(model, read_state_dict(path), path)
    own = model.state_dict()
    head = classifier_names(model)
    renewed = sorted(n for n in head if n in state and state[n].shape != own[n].shape)
    for name in renewed:
        del state[name]
    optional = {n for n in own if n.endswith("num_batches_tracked")}
    missing = sorted(set(own) - set(state) - set(renewed) - optional)
    unexpected = sorted(set(state) - set(own))
    reshaped = sorted(n for n in set(own) & set(state) if own[n].shape != state[n].shape)
    if missing or unexpected or reshaped:
        raise CheckpointError(_mismatch(path, missing, unexpected, reshaped, own, state))
    model.load_state_dict(state, strict=False)
    return f"weights of {path.name}" + (", new classifier" if renewed else "")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Names and tensors in a file, wrappers such as `state_dict` and `module.` removed; raises CheckpointError."""
    from timm.models import load_state_dict

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = load_state_dict(str(path), use_ema=False, device="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise almost anything for a torn file
        if "weights_only" in f"{error} {error.__cause__}":
            raise CheckpointError(
                f"checkpoint {path} is refused: opening it would run code of its own (or it is no checkpoint at all); "
                "save it as safetensors, or as a plain dictionary of tensors."
            ) from error
        reason = first_line(error)
        raise CheckpointError(f"checkpoint {path} cannot be read: {reason}.") from error
    return _tensors(state, path)


def published_weights(builder: str, create: Any) -> tuple[nn.Module, str]:
    """`create(pretrained=True)` and what the row says of the weights; raises CheckpointError where there are none."""
    try:
        model = create(pretrained=True)
    except UsageError:
        raise
    except Exception as error:
        reason = first_line(error)
        raise CheckpointError(
            f"the published weights of {builder} cannot be loaded: {reason} "
            "(--checkpoint MODEL=FILE starts from a local file)."
        ) from error
    config = getattr(model, "pretrained_cfg", None) or {}
    tag = config.get("tag")
    name = f"{config.get('architecture', builder)}.{tag}" if tag else builder
    return model, f"pretrained: {name}, {described(str(tag or ''))}"


def _tensors(state: Any, path: Path) -> dict[str, Tensor]:
    import torch

    if not isinstance(state, dict) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise CheckpointError(f"checkpoint {path} holds no dictionary of tensors.")
    return dict(state)


def _fitted(model: nn.Module, state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The state in the model's own names, by the filter that timm keeps beside each architecture."""
    adapt = getattr(sys.modules.get(type(model).__module__), "checkpoint_filter_fn", None)
    if adapt is None:
        return state
    try:
        return dict(adapt(state, model))
    except Exception as error:  # a filter meets names it does not know
        raise CheckpointError(f"checkpoint {path} does not fit the model: {type(error).__name__}: {error}.") from error


def classifier_names(model: nn.Module) -> set[str]:
    """Names of the last layer's parameters."""
    get = getattr(model, "get_classifier", None)
    layers = get() if get is not None else None
    modules = layers if isinstance(layers, (tuple, list)) else [layers]
    owned = {id(p) for m in modules if m is not None and hasattr(m, "parameters") for p in m.parameters()}
    return {name for name, p in model.named_parameters() if id(p) in owned}


def _mismatch(path: Path, missing: list[str], unexpected: list[str], reshaped: list[str], own: Any, state: Any) -> str:
    parts = []
    if missing:
        parts.append(f"it lacks {_some(missing)}")
    if unexpected:
        parts.append(f"the model does not know {_some(unexpected)}")
    if reshaped:
        name = reshaped[0]
        more = f" (and {len(reshaped) - 1} more)" if len(reshaped) > 1 else ""
        parts.append(f"{name} is {list(state[name].shape)} in the file and {list(own[name].shape)} in the model{more}")
    return f"checkpoint {path} does not fit the model: {'; '.join(parts)}."


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown
