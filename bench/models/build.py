"""Build one model for a protocol: its image size, its classes, its regularisation, its initial weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.models.geometry import read_geometry
from bench.models.info import Geometry, ModelInfo
from bench.models.small import CELL_PX
from bench.models.weights import load_checkpoint, published_weights
from bench.models.zoo import REMOTE, Entry, resolve

if TYPE_CHECKING:
    from torch import nn

SCRATCH = "from scratch"
STEMS = ("act1", "bn1", "conv1", "stem")
"""How names of stages start that come before the blocks."""
NAMED_STRAYS = 5
"""How many departures from the recipe are named."""


def build(
    name: str,
    *,
    num_classes: int,
    img_size: int,
    drop: float = 0.0,
    drop_path: float = 0.0,
    pretrained: bool = False,
    checkpoint: Path | None = None,
    seed: int = 0,
    known: ModelInfo | None = None,
) -> tuple[nn.Module, ModelInfo]:
    """The model `name` for images [b, 3, img_size, img_size] and `num_classes` logits, and what it is.

    `seed` decides the initial weights. `known` is what an earlier call with the same arguments said of it (another
    seed changes nothing), so that it is not found out twice. Raises CheckpointError for weights that do not fit.
    """
    import torch

    register()
    entry = resolve(name)
    asked = {"img_size": img_size, "drop_rate": drop, "drop_path_rate": drop_path}
    torch.manual_seed(seed)
    if pretrained and checkpoint is None:
        model, provenance = published_weights(entry.builder, lambda **k: _create(entry, num_classes, asked, **k)[0])
        accepted = _accepted(entry, num_classes, asked)
    else:
        model, accepted = _create(entry, num_classes, asked)
        _fit(entry, model)
        provenance = SCRATCH if checkpoint is None else load_checkpoint(model, checkpoint)
    if known is not None:
        return model, known
    info = _describe(entry, model, provenance, asked, accepted)
    return model, info if provenance == SCRATCH else info.model_copy(update=_moments(model))


def _moments(model: nn.Module) -> dict[str, list[float] | None]:
    """The normalisation that a model's published weights were made with, as timm records it with the architecture."""
    config = getattr(model, "pretrained_cfg", None) or {}
    return {name: [float(v) for v in config[name]] if config.get(name) else None for name in ("mean", "std")}


def build_module(name: str, *, num_classes: int, img_size: int, seed: int = 0) -> nn.Module:
    """The untrained model alone, without regularisation: what probes look at, or load trained weights into."""
    import torch

    register()
    entry = resolve(name)
    torch.manual_seed(seed)
    model = _create(entry, num_classes, {"img_size": img_size})[0]
    _fit(entry, model)
    return model


def register() -> None:
    """Make this project's own models known to timm."""
    import bench.models.cvt
    import bench.models.mini  # noqa: F401


def _fit(entry: Entry, model: nn.Module) -> None:
    """Give a model of the small geometry the grids that its name promises."""
    if entry.small_px is not None:
        from bench.models.grids import keep_grids

        keep_grids(model, entry.small_px)


def _create(entry: Entry, num_classes: int, asked: dict[str, Any], **more: Any) -> tuple[nn.Module, list[str]]:
    """timm's model with as many of the optional arguments as it takes, and their names."""
    import timm

    wanted, fixed = dict(asked), {**dict(entry.arguments), **more}
    while True:
        try:
            model: nn.Module = timm.create_model(entry.builder, num_classes=num_classes, **wanted, **fixed)
        except TypeError as error:
            refused = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if refused is None or refused.group(1) not in wanted:
                raise
            del wanted[refused.group(1)]
            continue
        return model, list(wanted)


def _accepted(entry: Entry, num_classes: int, asked: dict[str, Any]) -> list[str]:
    """The optional arguments that an architecture takes, found on the meta device."""
    import torch

    if entry.builder.startswith(REMOTE):
        return list(asked)
    with torch.device("meta"):
        return _create(entry, num_classes, asked)[1]


def _describe(entry: Entry, model: nn.Module, provenance: str, asked: dict[str, Any], accepted: list[str]) -> ModelInfo:
    rates = {k: float(v) for k, v in asked.items() if k != "img_size"}
    given = {k: v for k, v in rates.items() if k in accepted}
    return ModelInfo(
        name=entry.name,
        builder=_built_as(entry),
        family=entry.family,
        paper=entry.paper,
        year=entry.year,
        params=sum(p.numel() for p in model.parameters()),
        provenance=provenance,
        regularisation=given,
        recipe_diff=[f"takes no {k}" for k, v in rates.items() if v > 0 and k not in given] + strays(model, rates),
        geometry=_geometry(entry, model, asked["img_size"]),
    )


def _built_as(entry: Entry) -> str:
    """timm's name, with what the small geometry changed about it."""
    if entry.small_px is None or not entry.arguments:
        return entry.builder
    return f"{entry.builder}[{','.join(f'{key}={value}' for key, value in entry.arguments)}]"


def _geometry(entry: Entry, model: nn.Module, img_size: int) -> Geometry:
    """The grids of a model, and for one of the small geometry whether it has the common finest one."""
    found = read_geometry(model, img_size)
    if entry.small_px is None:
        return found
    blocks = [stage for stage in found.stages if not stage.name.startswith(STEMS)]
    side = max((max(stage.height, stage.width) for stage in blocks), default=img_size // CELL_PX)
    if side == img_size // CELL_PX:
        return found
    told = f"the finest grid is {side}×{side}, that of the small geometry {img_size // CELL_PX}×{img_size // CELL_PX}"
    return found.model_copy(update={"degenerate": [*found.degenerate, told]})


def strays(model: nn.Module, rates: dict[str, float]) -> list[str]:
    """Dropout and stochastic depth that a built model brings although the protocol did not ask for it."""
    from timm.layers.drop import DropPath
    from torch import nn

    found = []
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p not in (0, rates["drop_rate"]):
            found.append(f"{name} drops {module.p:g}")
        if isinstance(module, DropPath) and (module.drop_prob or 0.0) > rates["drop_path_rate"] + 1e-6:
            found.append(f"{name} drops paths with {module.drop_prob:g}")
    return found if len(found) <= NAMED_STRAYS else [*found[:NAMED_STRAYS], f"and {len(found) - NAMED_STRAYS} more"]
