"""Which of a model's outputs the classes of a folder mean: ImageNet-1k's by WordNet id or number, or the model's own.

The ids, and ReaL's labels (Beyer et al. 2020, "Are we done with ImageNet?"), are those that timm carries.
"""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from bench.errors import UsageError, did_you_mean

CLASSES = 1000
"""Outputs of a model of ImageNet-1k."""


@dataclass(frozen=True)
class Mapping:
    """The outputs that the classes of a folder mean."""

    outputs: tuple[int, ...]
    """The model's output for each class of the folder, in the folder's order; -1 for one that the model lacks."""
    named_by: str
    """How that is known: `WordNet id`, `number` or `order`."""
    restricted: bool
    """Whether the folder has fewer classes than the model, so that only their outputs compete."""
    unknown: tuple[str, ...] = ()
    """A line for each class that the model lacks."""

    @property
    def known(self) -> tuple[int, ...]:
        """The outputs that compete."""
        return tuple(output for output in self.outputs if output >= 0)


def map_classes(names: Sequence[str], num_classes: int) -> Mapping:
    """The outputs of a model with `num_classes` that class folders `names` mean.

    WordNet ids are looked up in ImageNet-1k, where a class that it does not have is left out; a subset such as
    ImageNet-A's or -R's 200 classes is judged among its own. So are numbers from 0, which are the outputs themselves.
    Any other names must be as many as the outputs, and mean them in sorted order. Raises UsageError where they can
    mean nothing.
    """
    known = {synset: k for k, synset in enumerate(synsets())} if num_classes == CLASSES else {}
    outputs = tuple(known.get(name, -1) for name in names)
    if max(outputs) >= 0:
        strange = tuple(
            f"class {name} is none of ImageNet-1k's, its images are left out.{did_you_mean(name, known)}"
            for name, output in zip(names, outputs, strict=True)
            if output < 0
        )
        return Mapping(outputs, "WordNet id", len(names) - len(strange) < num_classes, strange)
    if known and all(re.fullmatch(r"n\d{8}", name) for name in names):
        raise UsageError(f"class folder {names[0]} is none of ImageNet-1k's.{did_you_mean(names[0], known)}")
    numbers = all(re.fullmatch(r"\d{1,5}", name) and int(name) < num_classes for name in names)
    if numbers and (num_classes == CLASSES or len(names) < num_classes):
        return Mapping(tuple(map(int, names)), "number", len(names) < num_classes)
    if len(names) == num_classes:
        return Mapping(tuple(range(num_classes)), "order", restricted=False)
    stranger = next((name for name in names if not re.fullmatch(r"n\d{8}", name)), names[0])
    raise UsageError(
        f"the folder has {len(names)} classes (such as {stranger!r}) and the model {num_classes} outputs: name the "
        "folders by WordNet id (n01440764) or by number (0 to 999) for a model of ImageNet-1k, or give a model with as "
        "many outputs."
    )


@cache
def synsets() -> tuple[str, ...]:
    """WordNet ids of ImageNet-1k's classes, in the order of a model's outputs."""
    from timm.data.imagenet_info import ImageNetInfo

    return tuple(ImageNetInfo("imagenet-1k").label_names())  # type: ignore[no-untyped-call]


@cache
def real_labels() -> dict[str, tuple[int, ...]]:
    """ReaL's classes of each validation image, by file name without suffix; an image may have none, or several."""
    text = pkgutil.get_data("timm.data", "_info/imagenet_real_labels.json") or b"[]"
    return {f"ILSVRC2012_val_{k + 1:08d}": tuple(labels) for k, labels in enumerate(json.loads(text))}
