"""The command line: options from types, one clear line for every mistake."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.conditions import FAMILIES, NAMES
from bench.errors import UsageError
from bench.options import Options, _field_docs, parse
from bench.protocol import PRESETS, Protocol, claims_protocol
from bench.study import CANONICAL, Study


def _parse(*argv: str) -> Options:
    options = parse(["--device", "cpu", *argv])
    assert options is not None
    return options


def test_without_options_the_four_canonical_backbones_go_through_quick_on_a_cpu() -> None:
    options = _parse()
    assert options.study.models == CANONICAL
    assert options.study.protocol == PRESETS["quick"]


def test_options_refine_a_preset() -> None:
    options = _parse("--protocol", "standard", "--img-size", "64", "--seeds", "3,4", "--train-sizes", "0.5,100,1")
    assert options.study.protocol == replace(
        PRESETS["standard"], img_size=64, seeds=(3, 4), train_sizes=(0.5, 100.0, 1.0)
    )


def test_lists_may_be_written_with_an_equals_sign_or_as_one_value() -> None:
    options = _parse("--models=resnet18,deit_ti", "--seeds=5")
    assert options.study.models == ("resnet18", "deit_ti")
    assert options.study.protocol.seeds == (5,)


def test_the_printed_configuration_gives_the_same_study_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [
        "--device",
        "cpu",
        "--models",
        "resnet18",
        "--protocol",
        "smoke",
        "--lr",
        "0.002",
        "--download",
        "--limit",
        "3",
    ]
    first = parse(argv)
    assert parse([*argv, "--print_config"]) is None
    file = tmp_path / "study.yaml"
    file.write_text(capsys.readouterr().out)
    again = parse(["--config", str(file)])
    assert first is not None
    assert again is not None
    assert again.study == first.study
    assert again.study.protocol.id == first.study.protocol.id


def test_a_config_file_may_name_a_preset_and_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("protocol: smoke\nlr: 0.01\nmodels: [deit_ti]\n")
    options = _parse("--config", str(file), "--lr", "0.02")
    assert options.study.protocol == replace(PRESETS["smoke"], lr=0.02)
    assert options.study.models == ("deit_ti",)


def test_cost_only_defaults_to_the_size_that_published_costs_are_told_for(tmp_path: Path) -> None:
    assert _parse("--cost-only").study.protocol.img_size == 224
    assert _parse("--cost-only", "--img-size", "64").study.protocol.img_size == 64
    file = tmp_path / "study.yaml"
    file.write_text("cost_only: true\n")
    assert _parse("--config", str(file)).study.protocol.img_size == 224
    assert _parse().study.protocol.img_size == 32


def test_options_of_the_cost_measurement_reach_its_settings() -> None:
    study = _parse(
        "--cost-only", "--no-channels-last", "--compile", "--batch-sizes", "8,4", "--time-budget", "7", "--threads", "3"
    ).study
    settings = study.cost_settings("bf16")
    assert (settings.channels_last, settings.compiled, settings.batch_sizes) == (False, True, (4, 8))
    assert (settings.budget_s, study.threads) == (7.0, 3)
    assert _parse().study.cost_settings("bf16").channels_last


def test_inference_is_timed_in_float32_unless_a_precision_is_asked_for() -> None:
    assert _parse("--cost-only").study.cost_settings("bf16").inference_precision == "fp32"
    assert _parse("--cost-only").study.cost_settings("bf16").training_precision == "bf16"
    assert _parse("--cost-only", "--precision", "bf16").study.cost_settings("bf16").inference_precision == "bf16"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--modles", "resnet50"], r"no option --modles.*--models"),
        (["--models", "resnt50"], r"unknown model 'resnt50'.*resnet50"),
        (["--models", ""], r"model"),
        (["--batch-size", "many"], r"--batch-size does not take 'many': expected a whole number"),
        (["--augment", "lite"], r"--augment does not take 'lite': expected one of none, light, heavy"),
        (["--protocol", "quik"], r"unknown protocol 'quik'.*quick"),
        (["--seeds", "a,b"], r"--seeds"),
        (["--train-sizes", "0"], r"--train-sizes must all be above 0"),
        (["--img-size", "2"], r"--img-size must be between"),
        (["--device", "tpu"], r"tpu"),
        (["--config", "nowhere.yaml"], r"nowhere.yaml cannot be read"),
        (["--checkpoint", "resnet50"], r"--checkpoint takes MODEL=FILE"),
        (["--checkpoint", "resnet50=nowhere.pth"], r"there is no file nowhere.pth"),
        (["--limit", "-1"], r"--limit must not be negative"),
        (["--threads", "0"], r"--threads must be at least 1, not 0"),
        (["--batch-sizes", "8,0"], r"--batch-sizes must all be at least 1"),
        (["--batch-sizes", "many"], r"--batch-sizes"),
        (["--time-budget", "0"], r"--time-budget must be above 0 seconds"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_wrong(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        parse(argv)
    assert "\n" not in str(refused.value)


def test_an_unknown_key_in_a_config_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("batch_sice: 3\n")
    with pytest.raises(UsageError, match="batch_sice") as refused:
        parse(["--config", str(file)])
    assert "\n" not in str(refused.value)


def test_a_budget_is_taken_as_it_is_written_also_from_a_config_file(tmp_path: Path) -> None:
    assert _parse().where is None
    assert _parse("--where", "latency_ms<5 & params_m<30").where == "latency_ms<5 & params_m<30"
    file = tmp_path / "study.yaml"
    file.write_text("where: latency_ms<5 & family == 'CNN'\n")
    assert _parse("--config", str(file)).where == "latency_ms<5 & family == 'CNN'"


def test_the_help_names_everything_that_a_budget_may_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--help"]) is None
    text = " ".join(capsys.readouterr().out.rpartition("--where")[2].partition("--report-only")[0].split())
    for word in (*NAMES, *FAMILIES):
        assert re.search(rf"\b{word}\b", text), word


def test_every_field_has_an_option_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--help"]) is None
    text = capsys.readouterr().out
    for name in [*Protocol.__dataclass_fields__, *Study.__dataclass_fields__]:
        if name != "protocol":
            assert "--" + name.replace("_", "-") in text
    for owner in (Protocol, Study):
        assert set(_field_docs(owner)) == set(owner.__dataclass_fields__)  # type: ignore[attr-defined]


def test_claims_are_tested_with_three_seeds_unless_told_otherwise() -> None:
    assert _parse("--claims").study.protocol == claims_protocol("quick")
    assert _parse("--claims", "C04,C15").claims == "C04,C15"
    assert _parse("--claims").claims == ""
    assert _parse().claims is None
    assert _parse("--claims", "--seeds", "0").study.protocol.seeds == (0,)
    assert len(_parse("--claims", "--protocol", "standard").study.protocol.seeds) == 3


def test_models_with_arguments_and_interventions_are_lists_too() -> None:
    found = _parse("--models", "vit_mini,vit_mini[pos_embed=none,pool=mean]", "--interventions", "none,shift:3").study
    assert found.models == ("vit_mini", "vit_mini[pool=mean,pos_embed=none]")
    assert found.interventions == ("none", "shift:3")


@pytest.mark.parametrize(
    ("asked", "geometry", "first"),
    [
        ([], "canonical", "resnet50"),
        (["--protocol", "standard"], "small", "resnet50@32"),
        (["--protocol", "standard", "--img-size", "64"], "small", "resnet50@64"),
        (["--protocol", "standard", "--img-size", "224"], "canonical", "resnet50"),
        (["--protocol", "standard", "--geometry", "canonical"], "canonical", "resnet50"),
        (["--protocol", "standard", "--pretrained"], "canonical", "resnet50"),
        (["--protocol", "standard", "--cost-only"], "canonical", "resnet50"),
        (["--protocol", "standard", "--claims"], "canonical", "resnet50"),
        (["--geometry", "small"], "small", "resnet50@32"),
    ],
)
def test_standard_uses_the_small_geometry_where_images_have_one(asked: list[str], geometry: str, first: str) -> None:
    options = _parse(*asked)
    assert options.study.protocol.geometry == geometry
    assert options.study.models[0] == first
