"""Tasks that start from weights: linear costs one pass and leaves the model alone; finetune trains all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bench import Protocol, Study, build_board, load_records, run
from bench.data.batches import load
from bench.data.cache import default_cache_dir, prepare
from bench.execution.features import features
from bench.models.build import build, build_module
from bench.protocol import content_hash
from bench.study import initial_weights
from bench.training.linear import state_sha256

CPU = torch.device("cpu")
LINEAR = Protocol(task="linear", train_sizes=(40, 200), seeds=(0, 1), augment="none")
IMAGENET, HALF = [0.485, 0.456, 0.406], [0.5, 0.5, 0.5]
"""Means of ImageNet's channels, and those with which timm's test models were made."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of another task: seven classes, BatchNorm statistics that are not the initial ones."""
    model = build_module("test_resnet", num_classes=7, img_size=32, seed=5).train()
    with torch.no_grad():
        model(torch.randn(16, 3, 32, 32))
    path = tmp_path_factory.mktemp("weights") / "seven.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


def study_of(protocol: Protocol, checkpoint: Path, output: Path) -> Study:
    """The smallest ResNet, started from a file."""
    start = (f"test_resnet={checkpoint}",)
    return Study(models=("test_resnet",), protocol=protocol, checkpoint=start, output=output, time_budget=0.5)


@pytest.fixture(scope="module")
def linear(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("linear")
    run(study_of(LINEAR, checkpoint, output))
    return output


def digits():
    info = prepare("digits", data_dir=None, img_size=32, download=False, cache_dir=default_cache_dir())
    return load(info, cache_dir=default_cache_dir(), img_size=32, device=CPU)


def test_all_sizes_and_seeds_of_a_linear_study_cost_one_pass(linear: Path) -> None:
    runs = load_records(linear).runs
    assert len(runs) == 4
    assert all(r.status == "ok" and r.train is None and r.linear is not None for r in runs)
    assert sum(r.linear.extract_s > 0 for r in runs) == 1
    assert len({r.linear.weights_sha256 for r in runs}) == 1


@pytest.mark.slow
def test_features_are_found_again_by_another_study(checkpoint: Path, linear: Path, tmp_path: Path) -> None:
    more = Protocol(task="linear", train_sizes=(100,), seeds=(3,), augment="none")
    run(study_of(more, checkpoint, tmp_path))
    (again,) = load_records(tmp_path).runs
    assert again.linear.extract_s == 0
    assert again.linear.weights_sha256 == load_records(linear).runs[0].linear.weights_sha256


def test_the_frozen_weights_are_those_of_the_file_and_stay(checkpoint: Path, linear: Path) -> None:
    model, _ = build("test_resnet", num_classes=10, img_size=32, checkpoint=checkpoint)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert state_sha256(model) == load_records(linear).runs[0].linear.weights_sha256
    features(model, digits(), what="none", cache_dir=default_cache_dir())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_images_are_normalised_as_the_weights_were_made_with(linear: Path) -> None:
    for record in load_records(linear).runs:
        np.testing.assert_allclose(record.linear.mean, HALF, atol=1e-6)
        assert record.model.mean == HALF
        assert record.model.provenance == "weights of seven.safetensors, new classifier"


def test_a_linear_board_is_ranked_and_says_what_was_done(linear: Path) -> None:
    (board,) = build_board(load_records(linear))
    (row,) = board.rows
    assert row.status == "complete"
    assert row.train_img_per_s is None
    assert row.top1.value > 0.3  # far above guessing, from random features alone
    from bench.report.markdown.stamp import short_stamp, stamp

    assert "frozen features" in dict(stamp(board))["Protocol"]
    assert "batch" not in dict(stamp(board))["Protocol"]
    assert "linear classifier" in dict(short_stamp(board))["Protocol"]


@pytest.mark.slow
def test_equal_images_of_several_seeds_are_fitted_once(checkpoint: Path, tmp_path: Path) -> None:
    whole = Protocol(task="linear", train_sizes=(1.0,), seeds=(0, 1), augment="none")
    run(study_of(whole, checkpoint, tmp_path))
    first, second = sorted(load_records(tmp_path).runs, key=lambda r: r.cell.seed)
    assert first.test == second.test
    assert second.linear.fit_s < 0.01 * first.linear.fit_s


@pytest.mark.slow
def test_finetuning_trains_every_part_on_images_normalised_for_the_weights(checkpoint: Path, tmp_path: Path) -> None:
    tuned = Protocol(
        task="finetune", batch_size=8, samples_seen=160, train_sizes=(100,), lr_trials=1, bn_samples=16, lr=1e-3
    )
    run(study_of(tuned, checkpoint, tmp_path))
    (record,) = load_records(tmp_path).runs
    assert record.status == "ok"
    assert record.model.mean == HALF
    assert record.train.samples_seen == 160


def test_what_is_trained_is_every_parameter(checkpoint: Path) -> None:
    from bench.training.fit import fit
    from bench.training.step import Engine

    model, info = build("test_resnet", num_classes=10, img_size=32, checkpoint=checkpoint)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    protocol = Protocol(task="finetune", batch_size=8, samples_seen=80, lr=1e-2, bn_samples=16)
    data, index = digits().normalised(info.mean, info.std), np.arange(200)
    fit(model, data, index, index, protocol=protocol, lr=1e-2, seed=0, engine=Engine("fp32", CPU))
    assert [name for name, p in model.named_parameters() if torch.equal(p, before[name])] == []


def test_grey_images_get_the_moments_of_each_channel() -> None:
    data = digits()
    plain, _ = next(data.eval_batches("test", np.arange(4), 4))
    own, _ = next(data.normalised(IMAGENET, [0.229, 0.224, 0.225]).eval_batches("test", np.arange(4), 4))
    assert own.shape == plain.shape == (4, 3, 32, 32)
    byte = plain[:, 0] * data.info.std[0] + data.info.mean[0]
    for channel, (mean, std) in enumerate(zip(IMAGENET, [0.229, 0.224, 0.225], strict=True)):
        assert torch.allclose(own[:, channel], (byte - mean) / std, atol=1e-4)


@pytest.mark.parametrize("task", ["finetune", "linear", "evaluate"])
def test_tasks_that_need_weights_take_published_ones_unless_a_file_is_given(task: str, checkpoint: Path) -> None:
    asked = Study(
        models=("resnet18", "test_resnet"),
        protocol=Protocol(task=task),  # type: ignore[arg-type]
        checkpoint=(f"test_resnet={checkpoint}",),
    )
    started = initial_weights(asked)
    assert started["resnet18"] == "pretrained"
    assert started["test_resnet"].startswith("sha256:")


def test_protocols_of_before_keep_their_names() -> None:
    old = {k: v for k, v in Protocol().to_dict().items() if k not in ("task", "geometry")}
    assert Protocol().id == content_hash(old)
    assert Protocol(task="linear").id != Protocol().id
