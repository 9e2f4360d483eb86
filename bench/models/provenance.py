"""What published weights have seen, read from the tag that timm gives them."""

from __future__ import annotations

import re

DATASETS = (
    ("in1k", "ImageNet-1k"),
    ("in12k", "ImageNet-12k"),
    ("in21k", "ImageNet-21k"),
    ("in22k", "ImageNet-22k"),
    ("imagenet", "ImageNet-1k"),
    ("lvd142m", "LVD-142M"),
    ("lvd1689m", "LVD-1689M"),
    ("sat493m", "SAT-493M"),
    ("yfcc100m", "YFCC-100M"),
    ("ig1b", "Instagram-1B"),
    ("laion2b", "LAION-2B"),
    ("laion400m", "LAION-400M"),
    ("laiona", "LAION-A"),
    ("datacompxl", "DataComp-XL"),
    ("datacomp1b", "DataComp-1B"),
    ("dfn2b", "DFN-2B"),
    ("dfn5b", "DFN-5B"),
    ("openai", "OpenAI's image-text pairs"),
    ("webli", "WebLI"),
    ("merged2b", "Merged-2B"),
    ("jft", "JFT"),
    ("cc12m", "CC-12M"),
    ("m30m", "Merged-30M"),
    ("m38m", "Merged-38M"),
)
"""Words of tags, and the images they stand for."""
PLAIN = "ImageNet-1k"
"""Weights that saw more than this have extra data."""


def seen_images(tag: str) -> list[str]:
    """The datasets that a tag names, in the order in which they were trained on; empty where it names none.

    `augreg2_in21k_ft_in1k` → ImageNet-21k, then ImageNet-1k.
    """
    known = dict(DATASETS)
    return list(dict.fromkeys(known[word] for word in re.split(r"[_.]", tag.lower()) if word in known))


def described(tag: str) -> str:
    """`ImageNet-21k, then ImageNet-1k: extra data`; says so where the tag does not tell."""
    seen = seen_images(tag)
    if not seen:
        return "on images that its tag does not name"
    return f"on {', then '.join(seen)}{': extra data' if seen != [PLAIN] else ''}"
