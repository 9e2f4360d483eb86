"""What weights have seen, read from the tags that timm really has."""

from __future__ import annotations

import pytest

from bench.models.provenance import described, seen_images


@pytest.mark.parametrize(
    ("tag", "seen"),
    [
        ("a1_in1k", ["ImageNet-1k"]),
        ("augreg2_in21k_ft_in1k", ["ImageNet-21k", "ImageNet-1k"]),
        ("fb_in22k_ft_in1k_384", ["ImageNet-22k", "ImageNet-1k"]),
        ("laion2b_ft_in12k_in1k", ["LAION-2B", "ImageNet-12k", "ImageNet-1k"]),
        ("lvd142m", ["LVD-142M"]),
        ("openai", ["OpenAI's image-text pairs"]),
        ("mae", []),
        ("", []),
    ],
)
def test_a_tag_names_what_was_trained_on_in_order(tag: str, seen: list[str]) -> None:
    assert seen_images(tag) == seen


def test_extra_data_is_said() -> None:
    assert described("a1_in1k") == "on ImageNet-1k"
    assert described("augreg2_in21k_ft_in1k") == "on ImageNet-21k, then ImageNet-1k: extra data"
    assert described("lvd142m").endswith("extra data")
    assert "does not name" in described("mae")


def test_most_tags_of_timm_tell() -> None:
    import timm

    tags = [name.partition(".")[2] for name in timm.list_pretrained()]
    assert sum(bool(seen_images(tag)) for tag in tags) > 0.8 * len(tags)
