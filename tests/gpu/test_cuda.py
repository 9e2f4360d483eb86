"""On a GPU: recorded steps do what launched ones do, float32 is float32, nothing in the loop waits for the device."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench.data.augment import Augment
from bench.execution.worker import full_precision
from bench.models.build import build
from bench.protocol import Protocol
from bench.store import load_records
from bench.training.fit import Fit, fit, looping
from bench.training.state import Keeper
from bench.training.step import Eager, Engine, Recorded
from tests.benchmarks.training_floor import IMAGES, made_up_images

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

GPU = torch.device("cuda:0")
PROTOCOL = Protocol(batch_size=16, samples_seen=16 * 40, lr=1e-3, bn_samples=32, augment="light")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def float32() -> None:
    full_precision()


@pytest.fixture(scope="module")
def data():
    return made_up_images(32, GPU)


def made(name: str = "test_resnet", seed: int = 0, **more: float) -> nn.Module:
    model = build(name, num_classes=10, img_size=32, seed=seed, **more)[0].to(GPU)
    return model.to(memory_format=torch.channels_last)


def trained(model, data, engine: Engine, protocol: Protocol = PROTOCOL, seed: int = 0) -> Fit:
    index = np.arange(IMAGES)
    return fit(model, data, index[:400], index[400:], protocol=protocol, lr=protocol.lr, seed=seed, engine=engine)


def launched(precision: str = "fp32") -> Engine:
    """An engine that records nothing."""
    engine = Engine(precision, GPU)
    engine._unfit = True
    return engine


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_a_recorded_training_is_the_launched_one(name, data):
    recorded, plain = made(name), made(name)
    got, want = trained(recorded, data, Engine("fp32", GPU)), trained(plain, data, launched())
    assert (got.step, want.step) == ("graph", "eager")
    assert got.setup_s > 0
    losses = np.array([[a[1], b[1]] for a, b in zip(got.loss_curve, want.loss_curve, strict=True)])
    np.testing.assert_allclose(losses[:5, 0], losses[:5, 1], rtol=1e-4)
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=0.02)
    for a, b in zip(recorded.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.allclose(a.float(), b.float(), rtol=0.05, atol=0.01)


def test_the_second_training_of_an_engine_is_as_if_it_were_the_first(data):
    engine = Engine("fp32", GPU)
    trained(made(seed=0), data, engine)
    second, alone = made(seed=1), made(seed=1)
    got, want = trained(second, data, engine, seed=1), trained(alone, data, Engine("fp32", GPU), seed=1)
    assert got.setup_s == 0
    np.testing.assert_allclose([p[1] for p in got.loss_curve], [p[1] for p in want.loss_curve], rtol=0.02)
    assert got.dev_loss == pytest.approx(want.dev_loss, rel=0.02)


def test_batchnorm_goes_on_learning_after_its_statistics_were_estimated(data):
    model = made()
    engine = Engine("fp32", GPU)
    trained(model, data, engine)
    norm = next(m for m in engine._recorded.model.modules() if isinstance(m, nn.BatchNorm2d))
    before = norm.running_mean.clone()
    images, targets = next(data.train_batches(np.arange(100), steps=1, batch_size=16, seed=5, augment="none"))
    engine._recorded.model.train()
    engine._recorded(images, targets, 1e-3)
    assert not torch.equal(norm.running_mean, before)


def test_stochastic_depth_draws_anew_in_every_replay(data):
    model = made("test_vit", drop_path=0.5)
    images, targets = next(data.train_batches(np.arange(100), steps=1, batch_size=16, seed=0, augment="none"))
    step = Recorded(model, PROTOCOL, "fp32", GPU, compiled=False, images=images, targets=targets)
    losses = {float(step(images, targets, 0.0)) for _ in range(8)}
    assert len(losses) > 4


def test_compiled_code_is_recorded_too_and_learns_the_same(data):
    model, plain = made("test_vit"), made("test_vit")
    images, targets = next(data.train_batches(np.arange(100), steps=1, batch_size=16, seed=0, augment="none"))
    steps = [
        Recorded(m, PROTOCOL, "bf16", GPU, compiled=c, images=images.clone(), targets=targets.clone())
        for m, c in ((model, True), (plain, False))
    ]
    losses = [[float(step(images, targets, 1e-3)) for _ in range(10)] for step in steps]
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.05)


class Asking(nn.Module):
    """Looks at its numbers on the CPU, which no graph can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 10)

    def forward(self, images):
        means = images.mean((2, 3))
        return self.head(means if float(means.sum()) > 1e9 else means * 2)


def test_a_model_that_cannot_be_recorded_is_trained_operation_by_operation(data):
    result = trained(Asking().to(GPU), data, Engine("fp32", GPU))
    assert result.step == "eager"
    assert np.isfinite(result.train_loss)
    assert trained(made(), data, Engine("fp32", GPU)).step == "graph"  # the device is in order after a failure


@pytest.mark.parametrize("augment", ["none", "light", "heavy"])
@pytest.mark.parametrize("engine", [launched, lambda: Engine("fp32", GPU)], ids=["eager", "graph"])
def test_no_step_waits_for_the_device(engine, augment, data):
    protocol = Protocol(batch_size=16, samples_seen=16 * 40, augment=augment)
    with looping(made(), data, np.arange(400), protocol=protocol, lr=1e-3, seed=0, engine=engine()) as loop:
        loop.run(until=3)
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(5):
                loop._one()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("augment", ["none", "light", "heavy"])
def test_batches_are_the_same_as_on_the_cpu(augment):
    ask = {"steps": 3, "batch_size": 32, "seed": 1, "augment": augment}
    there, here = (made_up_images(32, d).train_batches(np.arange(200), **ask) for d in (GPU, torch.device("cpu")))
    for (a, x), (b, y) in zip(there, here, strict=True):
        assert torch.allclose(x.cpu().float(), y.float(), atol=1e-6)
        off = (a.cpu() - b).abs() > 1e-4
        assert off.float().mean() < (0.01 if augment == "heavy" else 1e-9)  # a rounded half may fall to the other side


def test_float32_is_float32_in_convolutions_and_products():
    generator = torch.Generator().manual_seed(0)
    x, w = torch.randn(4, 256, 16, 16, generator=generator), torch.randn(64, 256, 3, 3, generator=generator)
    exact = nn.functional.conv2d(x.double(), w.double())
    off = (nn.functional.conv2d(x.to(GPU), w.to(GPU)).cpu().double() - exact).norm() / exact.norm()
    assert off < 1e-5
    a = torch.randn(512, 512, generator=generator)
    exact = a.double() @ a.double()
    assert ((a.to(GPU) @ a.to(GPU)).cpu().double() - exact).norm() / exact.norm() < 1e-5


def test_augmentation_on_the_gpu_leaves_its_generator_where_the_cpu_does():
    states = []
    for device in (GPU, torch.device("cpu")):
        generator = torch.Generator().manual_seed(3)
        images = torch.zeros(8, 16, 16, 3, dtype=torch.uint8, device=device)
        Augment("heavy", flip=True, classes=3).on_pixels(images, generator)
        states.append(generator.get_state())
    assert torch.equal(*states)


def test_a_study_on_the_gpu_from_the_command_to_the_board(tmp_path):
    command = [sys.executable, "run_bench.py", "--models", "test_resnet,test_vit", "--protocol", "smoke"]
    command += ["--device", "cuda", "--no-pictures", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    records = load_records(tmp_path)
    assert {run.train.step for run in records.runs} == {"graph"}
    assert {run.environment.device for run in records.runs} == {"cuda:0"}
    for profile in records.profiles:
        assert not profile.problems
        assert profile.latency.median_ms > 0
        assert profile.energy is not None
        assert {profile.switches.tf32_cudnn, profile.switches.tf32_matmul} == {False}
    assert "cuda:0" in (tmp_path / "leaderboard.md").read_text()


@pytest.mark.parametrize("engine", [launched, lambda: Engine("fp32", GPU)], ids=["eager", "graph"])
def test_a_training_that_was_ended_goes_on_with_its_weights_moments_and_dropout(engine, data):
    states: list[bytes] = []
    keeper = Keeper(lambda: states[-1] if states else None, states.append, every_s=0.0)
    index, seen = np.arange(IMAGES), 0

    def end(images: int) -> None:
        nonlocal seen
        seen += images
        if seen == 20 * PROTOCOL.batch_size:
            raise KeyboardInterrupt

    def train(**more: object) -> Fit:
        ask = {"protocol": PROTOCOL, "lr": 1e-3, "seed": 0, "engine": engine(), **more}
        return fit(made("test_vit", drop_path=0.3), data, index[:400], index[400:], **ask)

    want = train()
    with pytest.raises(KeyboardInterrupt):
        train(on_step=end, keeper=keeper)
    got = train(keeper=keeper)
    assert got.resumed == 1
    losses = [[loss for _, loss in found.loss_curve] for found in (got, want)]
    assert np.allclose(*losses, atol=2e-3)


def test_a_batch_that_does_not_fit_into_the_memory_goes_through_in_parts(data, monkeypatch):
    tries: list[int] = []
    backward = Eager._backward

    def scarce(self, images, targets, weight):
        tries.append(len(images))
        if len(images) > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return backward(self, images, targets, weight)

    monkeypatch.setattr(Eager, "_backward", scarce)
    found = trained(made("test_vit"), data, Engine("fp32", GPU))
    assert found.parts == 4
    assert found.step == "graph"
    assert max(tries[3:]) == 4
