"""Published CvT weights: where they are, and how the two layouts they come in are named.

The original checkpoints (`.pth`, github.com/microsoft/CvT) have the names of `bench.models.cvt`; those on the Hugging
Face hub hold the same tensors under other names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import generate_default_cfgs
from torch import nn

_THEIR_STAGE = "cvt.encoder.stages.{stage}"
_OUR_BLOCK, _THEIR_BLOCK = "stage{stage}.blocks.{block}", f"{_THEIR_STAGE}.layers.{{block}}"
_THEIR_ATTENTION = f"{_THEIR_BLOCK}.attention.attention"
_PROJECTIONS = (("q", "query"), ("k", "key"), ("v", "value"))

_LAYOUTS: tuple[tuple[str, str], ...] = (
    ("stage{stage}.cls_token", f"{_THEIR_STAGE}.cls_token"),
    ("stage{stage}.patch_embed.proj", f"{_THEIR_STAGE}.embedding.convolution_embeddings.projection"),
    ("stage{stage}.patch_embed.norm", f"{_THEIR_STAGE}.embedding.convolution_embeddings.normalization"),
    *(
        (
            f"{_OUR_BLOCK}.attn.conv_proj_{letter}.{ours}",
            f"{_THEIR_ATTENTION}.convolution_projection_{word}.convolution_projection.{theirs}",
        )
        for letter, word in _PROJECTIONS
        for ours, theirs in (("conv", "convolution"), ("bn", "normalization"))
    ),
    *((f"{_OUR_BLOCK}.attn.proj_{letter}", f"{_THEIR_ATTENTION}.projection_{word}") for letter, word in _PROJECTIONS),
    (f"{_OUR_BLOCK}.attn.proj", f"{_THEIR_BLOCK}.attention.output.dense"),
    (f"{_OUR_BLOCK}.norm1", f"{_THEIR_BLOCK}.layernorm_before"),
    (f"{_OUR_BLOCK}.norm2", f"{_THEIR_BLOCK}.layernorm_after"),
    (f"{_OUR_BLOCK}.mlp.fc1", f"{_THEIR_BLOCK}.intermediate.dense"),
    (f"{_OUR_BLOCK}.mlp.fc2", f"{_THEIR_BLOCK}.output.dense"),
    ("norm", "layernorm"),
    ("head", "classifier"),
)
"""Beginnings of the names of parameters and buffers: ours, and those of the Hugging Face layout."""


def from_hugging_face(key: str) -> str:
    """A parameter's name in the published layout, from its name in the Hugging Face layout; KeyError if it is none."""
    return _rename(key, [(theirs, ours) for ours, theirs in _LAYOUTS])


def to_hugging_face(key: str) -> str:
    """The inverse of `from_hugging_face`."""
    return _rename(key, _LAYOUTS)


def _rename(key: str, templates: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> str:
    for source, target in templates:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", re.escape(source))
        found = re.match(rf"{pattern}(?=\.|$)", key)
        if found:
            return target.format(**found.groupdict()) + key[found.end() :]
    raise KeyError(key)


def checkpoint_filter_fn(state_dict: Mapping[str, Any], model: nn.Module) -> dict[str, Any]:
    """A published state dict in our names, whichever of the two layouts it has, with or without a wrapper.

    A name that belongs to neither layout is kept, so that strict loading complains about it.
    """
    for wrapper in ("model", "state_dict"):
        inner = state_dict.get(wrapper)
        if isinstance(inner, Mapping):
            state_dict = inner
    plain = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    if not any(name.startswith("cvt.") for name in plain):
        return plain
    return {_known(name): tensor for name, tensor in plain.items()}


def _known(key: str) -> str:
    try:
        return from_hugging_face(key)
    except KeyError:
        return key


def _cfg(hub_id: str | None, size: int = 224) -> dict[str, Any]:
    return {
        "hf_hub_id": hub_id,
        "num_classes": 1000,
        "input_size": (3, size, size),
        "pool_size": None,
        "crop_pct": 0.875 if size == 224 else 1.0,
        "interpolation": "bicubic",
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "first_conv": "stage0.patch_embed.proj",
        "classifier": "head",
        "license": "mit",
        "paper_ids": "arXiv:2103.15808",
        "paper_name": "CvT: Introducing Convolutions to Vision Transformers",
        "origin_url": "https://github.com/microsoft/CvT",
    }


default_cfgs = generate_default_cfgs(
    {
        "cvt_13.ms_in1k": _cfg("microsoft/cvt-13"),
        "cvt_13.ms_in1k_384": _cfg("microsoft/cvt-13-384", 384),
        "cvt_13.ms_in22k_ft_in1k_384": _cfg("microsoft/cvt-13-384-22k", 384),
        "cvt_21.ms_in1k": _cfg("microsoft/cvt-21"),
        "cvt_21.ms_in1k_384": _cfg("microsoft/cvt-21-384", 384),
        "cvt_21.ms_in22k_ft_in1k_384": _cfg("microsoft/cvt-21-384-22k", 384),
        "cvt_w24.ms_in22k_ft_in1k_384": _cfg("microsoft/cvt-w24-384-22k", 384),
        "cvt_w24.untrained": _cfg(None),
    }
)
"""timm's pretrained configurations; the first of each architecture is its default. W24 was published at 384 px only."""
