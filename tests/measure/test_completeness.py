"""Every operator that an architecture meets is counted or known to be free: one architecture of every model file."""

from __future__ import annotations

import dataclasses

import pytest

from bench.measure.macs import flop_counter_macs
from tests.benchmarks.completeness import TOLERANCE, Row, architectures, as_csv, count, modules, table

LARGE = {
    "beit", "byoanet", "cait", "coat", "convit", "convmixer", "cpubone", "crossvit", "csatv2", "cspnext", "cvt",
    "davit", "deepseek_vit", "densenet", "dpn", "efficientformer", "efficientformer_v2", "efficientvim",
    "efficientvit_msra", "eva", "focalnet", "gcvit", "gemma4_vit", "ghostnet", "hiera", "hieradet_sam2", "hrnet",
    "inception_resnet_v2", "inception_v3", "inception_v4", "levit", "lowformer", "mobilenetv5", "mobilevit", "mvitv2",
    "naflexvit", "nasnet", "nest", "nextvit", "pnasnet", "qwen3_vit", "rdnet", "repvit", "res2net", "sequencer",
    "shvit", "sknet", "swiftformer", "swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr", "tiny_vit",
    "tnt", "tresnet", "twins", "vgg", "vision_transformer_sam", "vitamin", "volo", "xception", "xception_aligned",
    "xcit",
}  # fmt: skip
"""Model files whose smallest architecture takes more than a moment."""
INCOMPLETE: dict[str, set[str]] = {}
"""Operators that are known to be missing, by model file."""
APART: dict[str, str] = {}
"""Model files where the two counters are known to differ, and why."""


def _cases() -> list[object]:
    return [
        pytest.param(file, name, id=name, marks=[pytest.mark.slow] if file in LARGE else [])
        for file, name in architectures().items()
    ]


@pytest.mark.parametrize(("file", "name"), _cases())
def test_every_operator_is_known_and_two_counters_agree(file: str, name: str) -> None:
    model, image, counted = count(name)
    assert set(counted.uncounted) == INCOMPLETE.get(file, set())
    assert sum(counted.by_kind.values()) == sum(layer.macs for layer in counted.layers) == counted.macs > 0
    if file not in APART:
        assert flop_counter_macs(model, image) == pytest.approx(counted.macs, rel=TOLERANCE)


def test_every_model_file_has_its_architecture_and_there_are_at_least_sixty() -> None:
    files = set(modules().values())
    assert files <= set(architectures())
    assert len(files) >= 60


def test_the_table_says_first_how_many_are_complete_and_names_what_is_missing() -> None:
    good = Row("resnet", "resnet18", 64, 10, 1000, 1000)
    rows = [good, dataclasses.replace(good, file="odd", missing="fft_fft2"), Row("new", "new_1", problem="no image")]
    text = table(rows)
    assert text.startswith("1 of 3 are complete")
    assert "| odd | resnet18 | 64 | 10 | 1,000 | 1,000 | 0 | fft_fft2 |" in text
    assert "| new | new_1 | – | – | – | – | – | no image |" in text
    assert as_csv(rows).splitlines()[1:] == [
        "resnet,resnet18,64,10,1000,1000,,,True",
        "odd,resnet18,64,10,1000,1000,fft_fft2,,False",
        "new,new_1,,,,,,no image,False",
    ]
