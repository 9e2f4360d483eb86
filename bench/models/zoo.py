"""The registry: what a model's name means. Needs neither torch nor timm, so that the command line answers at once."""

from __future__ import annotations

import fnmatch
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from bench.errors import UsageError, did_you_mean
from bench.models.small import ARGUMENTS, originals, small_name, split_small
from bench.models.variants import canonical, parse_variant, split_models

Family = Literal["CNN", "ViT", "Swin", "Hybrid", "RNN", "other"]
REMOTE = ("hf_hub:", "hf-hub:", "local-dir:")
"""Prefixes of names that timm resolves by a configuration elsewhere."""


@dataclass(frozen=True)
class Entry:
    """One model: our name for it, timm's name that builds it, and where it comes from."""

    name: str
    """The name on the board."""
    builder: str
    """timm's architecture name, with the tag of its weights if one was asked for."""
    family: Family
    """The kind of inductive bias."""
    paper: str = ""
    """Authors and year."""
    year: int | None = None
    """Year of the paper."""
    spellings: tuple[str, ...] = ()
    """Other names for it, such as torchvision's."""
    arguments: tuple[tuple[str, Any], ...] = ()
    """Arguments of its builder: those that the name has in brackets, those of the small geometry."""
    small_px: int | None = None
    """Image side in pixels that it is fitted to in the small geometry; None for the published geometry."""


_HE, _DOSOVITSKIY, _TOUVRON = "He et al. 2016", "Dosovitskiy et al. 2021", "Touvron et al. 2021"
_LIU, _WU = "Liu et al. 2021", "Wu et al. 2021"
_MINI = "the claims lab's, after "

ZOO: tuple[Entry, ...] = (
    Entry("resnet18", "resnet18", "CNN", _HE, 2016),
    Entry("resnet34", "resnet34", "CNN", _HE, 2016),
    Entry("resnet50", "resnet50", "CNN", _HE, 2016),
    Entry("resnet101", "resnet101", "CNN", _HE, 2016),
    Entry("vgg16_bn", "vgg16_bn", "CNN", "Simonyan & Zisserman 2015", 2015),
    Entry("densenet121", "densenet121", "CNN", "Huang et al. 2017", 2017),
    Entry("mobilenetv3_l", "mobilenetv3_large_100", "CNN", "Howard et al. 2019", 2019, ("mobilenet_v3_large",)),
    Entry("efficientnet_b0", "efficientnet_b0", "CNN", "Tan & Le 2019", 2019),
    Entry("regnety_016", "regnety_016", "CNN", "Radosavovic et al. 2020", 2020, ("regnet_y_1_6gf",)),
    Entry("convnext_t", "convnext_tiny", "CNN", "Liu et al. 2022", 2022),
    Entry("vit_ti16", "vit_tiny_patch16_224", "ViT", _DOSOVITSKIY, 2021, ("vit_ti_16",)),
    Entry("vit_s16", "vit_small_patch16_224", "ViT", _DOSOVITSKIY, 2021, ("vit_s_16",)),
    Entry("vit_b16", "vit_base_patch16_224", "ViT", _DOSOVITSKIY, 2021, ("vit_b_16",)),
    Entry("vit_l16", "vit_large_patch16_224", "ViT", _DOSOVITSKIY, 2021, ("vit_l_16",)),
    Entry("vit_b32", "vit_base_patch32_224", "ViT", _DOSOVITSKIY, 2021, ("vit_b_32",)),
    Entry("deit_ti", "deit_tiny_patch16_224", "ViT", _TOUVRON, 2021),
    Entry("deit_s", "deit_small_patch16_224", "ViT", _TOUVRON, 2021),
    Entry("deit_b", "deit_base_patch16_224", "ViT", _TOUVRON, 2021),
    Entry("swin_t", "swin_tiny_patch4_window7_224", "Swin", _LIU, 2021),
    Entry("swin_s", "swin_small_patch4_window7_224", "Swin", _LIU, 2021),
    Entry("swin_b", "swin_base_patch4_window7_224", "Swin", _LIU, 2021),
    Entry("swinv2_t", "swinv2_tiny_window8_256", "Swin", "Liu et al. 2022", 2022, ("swin_v2_t",)),
    Entry("cvt_13", "cvt_13", "Hybrid", _WU, 2021),
    Entry("cvt_21", "cvt_21", "Hybrid", _WU, 2021),
    Entry("cvt_w24", "cvt_w24", "Hybrid", _WU, 2021),
    Entry("coat_lite_tiny", "coat_lite_tiny", "Hybrid", "Xu et al. 2021", 2021),
    Entry("sequencer2d_s", "sequencer2d_s", "RNN", "Tatsunami & Taki 2022", 2022),
    Entry("resnet_mini", "resnet_mini", "CNN", _MINI + _HE),
    Entry("vit_mini", "vit_mini", "ViT", _MINI + _DOSOVITSKIY),
    Entry("swin_mini", "swin_mini", "Swin", _MINI + _LIU),
    Entry("cvt_mini", "cvt_mini", "Hybrid", _MINI + _WU),
    Entry("lstm_mini", "lstm_mini", "RNN", _MINI + "Hochreiter & Schmidhuber 1997"),
)
"""Our names. Adding a model is one line here. The mini family is matched at 32 px and takes arguments in brackets."""

FAMILY_OF_MODULE: dict[str, Family] = {
    **dict.fromkeys(
        (
            "byobnet", "convnext", "cspnet", "cspnext", "densenet", "dla", "dpn", "edgenext", "efficientnet",
            "fasternet", "ghostnet", "hardcorenas", "hgnet", "hrnet", "inception_next", "inception_resnet_v2",
            "inception_v3", "inception_v4", "lcnetv2", "mobilenetv3", "mobilenetv5", "nasnet", "nfnet", "pnasnet",
            "rdnet", "regnet", "repghost", "repvit", "res2net", "resnest", "resnet", "resnetv2", "rexnet", "selecsls",
            "senet", "sknet", "starnet", "tresnet", "vgg", "vovnet", "xception", "xception_aligned",
        ),
        "CNN",
    ),
    **dict.fromkeys(
        (
            "beit", "cait", "crossvit", "deepseek_vit", "deit", "eva", "gemma4_vit", "hiera", "hieradet_sam2",
            "naflexvit", "pit", "qwen3_vit", "tnt", "twins", "vision_transformer", "vision_transformer_relpos",
            "vision_transformer_sam", "vitamin", "volo", "xcit",
        ),
        "ViT",
    ),
    **dict.fromkeys(("swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr"), "Swin"),
    **dict.fromkeys(
        (
            "byoanet", "coat", "convit", "convmixer", "davit", "efficientformer", "efficientformer_v2",
            "efficientvit_mit", "efficientvit_msra", "fastvit", "focalnet", "gcvit", "iformer", "levit", "lowformer",
            "maxxvit", "metaformer", "mobilevit", "mvitv2", "nest", "nextvit", "pvt_v2", "shvit", "swiftformer",
            "tiny_vit", "vision_transformer_hybrid", "visformer",
        ),
        "Hybrid",
    ),
    "sequencer": "RNN",
}  # fmt: skip
"""Families of timm's model files, for its names that have no line of their own above; any other file is `other`."""

_BY_NAME = {spelling: entry for entry in ZOO for spelling in (entry.builder, *entry.spellings, entry.name)}


def parse_models(text: str, small_px: int | None = None) -> list[str]:
    """Board names of a comma-separated list, without repetitions; in the small geometry where `small_px` is given.

    Raises UsageError for an unknown name, and for one of the small geometry at another image size or without it.
    """
    names = split_models(text)
    if not names:
        raise UsageError("--models needs at least one model; --list-models shows the names.")
    entries = [resolve(name) for name in names]
    for entry in entries:
        if entry.small_px not in (None, small_px):
            asked = "the published geometry" if small_px is None else f"{small_px} px"
            raise UsageError(
                f"{entry.name} has the small geometry at {entry.small_px} px, and the study {asked}: "
                f"give --geometry small --img-size {entry.small_px}."
            )
    return list(dict.fromkeys(e.name if small_px is None else small_name(e.name, small_px) for e in entries))


def resolve(name: str) -> Entry:
    """The model that `name` means: ours (with arguments in brackets where it takes any), torchvision's
    spelling, or any name of timm's, `hf_hub:…` included.

    Raises UsageError with the nearest names for one that nobody knows.
    """
    small = split_small(name)
    if small is not None and not name.startswith(REMOTE[2:]):
        return _small(*small)
    if "[" in name and not name.startswith(REMOTE):
        plain, arguments = parse_variant(name)
        entry = resolve(plain)
        return replace(entry, name=canonical(entry.name, arguments), arguments=tuple(sorted(arguments.items())))
    known = _BY_NAME.get(name) or _BY_NAME.get(name.lower().replace("-", "_"))
    if known is not None:
        return known
    if name.startswith(REMOTE) and name.partition(":")[2]:
        return Entry(name, name, "other")
    architecture, dot, tag = name.partition(".")
    builder = _BY_NAME[architecture].builder if architecture in _BY_NAME else architecture
    modules = timm_modules()
    if builder in modules or architecture in _BY_NAME:
        base = _BY_NAME.get(architecture)
        family = base.family if base else FAMILY_OF_MODULE.get(modules[builder], "other")
        return Entry(name, f"{builder}{dot}{tag}", family, base.paper if base else "", base.year if base else None)
    raise UsageError(
        f"unknown model {name!r}.{did_you_mean(name, [*_BY_NAME, *modules])} --list-models '*part*' searches all names."
    )


def _small(base: str, img_size: int) -> Entry:
    """The model that `base@img_size` means; the mini family is made for its size and stays as it is."""
    known = next((name for name in originals(base) if name in _BY_NAME or name in timm_modules()), base)
    entry = resolve(known)
    name = small_name(entry.name, img_size)
    if name == entry.name:
        return entry
    module = timm_modules().get(entry.builder.partition(".")[0], "")
    return replace(entry, name=name, arguments=entry.arguments + ARGUMENTS.get(module, ()), small_px=img_size)


def list_models(pattern: str | None) -> list[Entry]:
    """Our models, or all of ours and timm's whose name matches a glob."""
    if not pattern:
        return list(ZOO)
    ours = [entry for entry in ZOO if fnmatch.fnmatch(entry.name, pattern)]
    builders = {entry.builder for entry in ZOO}
    theirs = sorted(name for name in timm_modules() if name not in builders and fnmatch.fnmatch(name, pattern))
    return ours + [resolve(name) for name in theirs]


def timm_modules() -> dict[str, str]:
    """Architecture names of timm and the model file of each.

    Read off timm's source, which takes a fraction of the seconds that importing it does; where timm is imported
    anyway, its registry is asked, which also knows the models that plugins have registered.
    """
    names = dict(_scan_timm())
    registry = sys.modules.get("timm.models._registry")
    if registry is not None:
        entrypoints: dict[str, object] = registry._model_entrypoints
        for name in entrypoints:
            names.setdefault(name, getattr(entrypoints[name], "__module__", "").rpartition(".")[2])
    return names


@cache
def _scan_timm() -> dict[str, str]:
    spec = find_spec("timm")
    folders: Sequence[str] = spec.submodule_search_locations or () if spec else ()
    found: dict[str, str] = {}
    for folder in folders:
        for path in sorted((Path(folder) / "models").glob("*.py")):
            for name in re.findall(r"^@register_model\s+def (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
                found[name] = path.stem
    return found
