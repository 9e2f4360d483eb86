"""What multiply-accumulates are spent on: each product gets a kind by its operator and by the module that makes it.

The rules, in this order; a module's own name counts before those around it:

1. An operator that tells itself: fused attention, recurrent layers.
2. A product of two factors that are both made from the image is attention: QKᵀ and AV, whatever they are called.
   A module that makes such a product, or that is named or typed as attention and holds one that does, is an attention
   module. A product for each head that it makes itself is attention too, even with a learned factor (position terms,
   learned queries).
3. A weight inside the classifier is head: the modules that timm's configuration of the model names, and matrix
   products inside a module of the model itself that is called as heads are; convolutions there are none of it.
4. A weight inside an MLP is mlp; inside an attention module, convolutions included (CvT's depthwise ones are part of
   its projections), projection; inside patch embedding or patch merging, or the stem of a model that has both
   attention and MLPs, patch_embedding; inside a recurrent block, recurrent.
5. Any other convolution is convolution, anything else is other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from bench.profiles import Kind, LayerCost

if TYPE_CHECKING:
    from torch import nn

    from bench.measure.products import Work

_HEAD = re.compile(r"heads?|head_\w+|fc|pre_logits|last_linear|logits|output|\w*classifier\w*")
_MLP = re.compile(r"\w*(mlp|ffn|feed_?forward)\w*|ff|linear[12]|linear_tokens|pwconv\d", re.IGNORECASE)
_MLP_TYPE = re.compile(r"mlp(?!.*mixer)|ffn|feedforward|swiglu", re.IGNORECASE)
_ATTENTION = re.compile(r"attn|attention|mhsa|mhca|mha\b", re.IGNORECASE)
_EMBEDDING = re.compile(r"patch_?embed|patch_?merg|conv_?embed|^embeds$", re.IGNORECASE)
_RECURRENT = re.compile(r"lstm|gru|rnn", re.IGNORECASE)
_STEM = re.compile(r"stem\w*")


@dataclass(frozen=True)
class Placed:
    """Work and the name of the module that does it."""

    module: str
    """Its name in the model; the model itself is the empty string."""
    work: Work
    """What the module does."""


class Kinds:
    """Gives every piece of one model's work its kind."""

    def __init__(self, model: nn.Module, placed: Iterable[Placed]) -> None:
        self._types = {name: type(module).__name__ for name, module in model.named_modules(remove_duplicate=False)}
        self._heads = _classifiers(model)
        work = list(placed)
        self._embeds_in_stem = False
        self._attention = self._attention_modules(work)
        has_mlp = any(self._nearest(p) == "mlp" for p in work)
        self._embeds_in_stem = bool(self._attention) and has_mlp

    def of(self, placed: Placed) -> Kind:
        """The kind of one piece of work."""
        work = placed.work
        if work.kind is not None:
            return work.kind
        own = placed.module in self._attention and work.batched
        if work.operator != "conv" and (work.mixes or own):
            return "attention"
        return self._nearest(placed) or ("convolution" if work.operator == "conv" else "other")

    def _attention_modules(self, placed: Sequence[Placed]) -> set[str]:
        makers = {
            p.module for p in placed if p.work.kind == "attention" or (p.work.mixes and p.work.operator != "conv")
        }
        around = {outer for maker in makers for outer in _outwards(maker) if self._says(_ATTENTION, outer)}
        return (makers | around) - {""}

    def _says(self, pattern: re.Pattern[str], name: str) -> bool:
        return bool(pattern.search(name.rpartition(".")[2]) or pattern.search(self._types.get(name, "")))

    def _nearest(self, placed: Placed) -> Kind | None:
        """The kind that the innermost telling module around a weight gives it."""
        path = list(_outwards(placed.module))
        by_name = placed.work.operator != "conv" and path and _HEAD.fullmatch(path[-1])
        if by_name or not self._heads.isdisjoint(path):
            return "head"
        for name in path:
            kind = self._told(name)
            if kind is not None:
                return kind
        return None

    def _told(self, name: str) -> Kind | None:
        """The kind that a module's own name and type tell."""
        own, type_name = name.rpartition(".")[2], self._types.get(name, "")
        if _MLP.fullmatch(own) or _MLP_TYPE.search(type_name):
            return "mlp"
        if name in self._attention:
            return "projection"
        if self._says(_EMBEDDING, name) or (self._embeds_in_stem and _STEM.fullmatch(name)):
            return "patch_embedding"
        return "recurrent" if self._says(_RECURRENT, name) else None


def _classifiers(model: nn.Module) -> set[str]:
    """Names of the classifier's modules, where the model says so as timm's do."""
    cfg = getattr(model, "pretrained_cfg", None)
    named = cfg.get("classifier") if isinstance(cfg, dict) else getattr(cfg, "classifier", None)
    return {named} if isinstance(named, str) else set(named or ())


def _outwards(module: str) -> Iterable[str]:
    """A module's name and those of the modules around it, from the inside out; not the model itself."""
    while module:
        yield module
        module = module.rpartition(".")[0]


def by_kind(model: nn.Module, placed: Sequence[Placed]) -> dict[str, int]:
    """Multiply-accumulates of each kind that occurs, in the order of `Kind`. They add up to all of them."""
    kinds = Kinds(model, placed)
    totals: dict[str, int] = dict.fromkeys(get_args(Kind), 0)
    for p in placed:
        totals[kinds.of(p)] += p.work.macs
    return {kind: macs for kind, macs in totals.items() if macs}


def by_layer(model: nn.Module, placed: Sequence[Placed]) -> list[LayerCost]:
    """One row for each module that does products itself, in the order in which they first run.

    A module that does products of several kinds, such as attention with a weight of its own, has a row for each; its
    parameters stand in the first row that is not attention, or in the only one.
    """
    kinds = Kinds(model, placed)
    totals: dict[tuple[str, Kind], list[int]] = {}
    for p in placed:
        total = totals.setdefault((p.module, kinds.of(p)), [0, 0])
        total[0] += p.work.macs
        total[1] += p.work.written
    owners = _owners(totals)
    modules = dict(model.named_modules(remove_duplicate=False))
    return [
        LayerCost(
            name=name,
            kind=kind,
            macs=macs,
            activations=written,
            params=sum(p.numel() for p in modules[name].parameters(recurse=False)) if owners[name] == kind else 0,
        )
        for (name, kind), (macs, written) in totals.items()
    ]


def _owners(rows: Mapping[tuple[str, Kind], object]) -> dict[str, Kind]:
    """The kind whose row holds a module's parameters."""
    owners: dict[str, Kind] = {}
    for name, kind in rows:
        if name not in owners or (owners[name] == "attention" and kind != "attention"):
            owners[name] = kind
    return owners
