"""Steps: what is recorded once serves every training of a model; what cannot be recorded is launched."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import bench.training.step as step
from bench.protocol import Protocol
from bench.training.step import COMPILE_PAYS_S, Eager, Engine

CPU = torch.device("cpu")
PROTOCOL = Protocol(batch_size=8)
IMAGES, TARGETS = torch.randn(8, 3, 4, 4), torch.arange(8) % 2


class Replayed(Eager):
    """Stands for a recorded step on a CPU: it has a model of its own, and a speed that is made up."""

    made: ClassVar[list[Replayed]] = []
    step_s: ClassVar = {False: 1.0, True: 0.5}

    def __init__(
        self, model: nn.Module, *more: Any, compiled: bool, images: Tensor, targets: Tensor, parts: int = 1
    ) -> None:
        super().__init__(model, *more, parts=parts)
        self.kind = "compiled" if compiled else "graph"
        self.images = images
        self.made.append(self)

    fits, load = step.Recorded.fits, step.Recorded.load  # type: ignore[assignment]

    def seconds_per_step(self) -> float:
        return self.step_s[self.kind == "compiled"]


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[Replayed]:
    Replayed.made = []
    monkeypatch.setattr(step, "Recorded", Replayed)
    monkeypatch.setattr(step, "_recover", lambda device: None)
    return Replayed


def engine(images_left: int = 0) -> Engine:
    made = Engine("fp32", CPU, images_left)
    made._unfit = False
    return made


def model(seed: int = 0, width: int = 4) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 2)]
    return nn.Sequential(*layers)


def train(given: Engine, net: nn.Module) -> str:
    with given.training(net, PROTOCOL, IMAGES, TARGETS) as one_step:
        one_step.model.train()
        for _ in range(5):
            one_step(IMAGES, TARGETS, 1e-2)
        return one_step.kind


def same(first: nn.Module, second: nn.Module) -> bool:
    states = first.state_dict(), second.state_dict()
    return all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


def test_a_cpu_records_nothing() -> None:
    assert train(Engine("fp32", CPU, 10**9), model()) == "eager"
    assert not Replayed.made


def test_every_training_is_as_if_it_were_alone_and_one_recording_serves_them() -> None:
    shared = engine()
    for seed in (0, 1, 0):
        together, alone = model(seed), model(seed)
        assert train(shared, together) == "graph"
        train(Engine("fp32", CPU), alone)
        assert same(together, alone)
        assert not same(together, model(seed))
    assert len(Replayed.made) == 1


def test_what_a_recording_was_made_on_is_its_own() -> None:
    given = engine()
    train(given, model())
    assert Replayed.made[0].images is not IMAGES


def test_another_model_is_recorded_anew() -> None:
    shared = engine()
    train(shared, model())
    train(shared, model(width=6))
    assert len(Replayed.made) == 2


def test_a_training_that_fails_leaves_the_model_as_it_was() -> None:
    net = model()

    def diverge() -> None:
        with engine().training(net, PROTOCOL, IMAGES, TARGETS) as one_step:
            one_step(IMAGES, TARGETS, 1e-2)
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        diverge()
    assert same(net, model())


def test_a_model_that_cannot_be_recorded_is_launched_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(*_: Any, **__: Any) -> None:
        tried.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(step, "Recorded", refuse)
    shared = engine()
    assert [train(shared, model(seed)) for seed in (0, 1)] == ["eager", "eager"]
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("seconds_left", "compiled_s", "kind"),
    [
        (COMPILE_PAYS_S / 2, 0.5, "graph"),
        (COMPILE_PAYS_S * 2, 0.5, "compiled"),
        (COMPILE_PAYS_S * 2, 1.5, "graph"),
    ],
    ids=["not enough left", "pays", "slower"],
)
def test_a_model_is_compiled_where_that_pays(
    seconds_left: float, compiled_s: float, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replayed, "step_s", {False: 1.0, True: compiled_s})
    assert train(engine(int(seconds_left * len(IMAGES))), model()) == kind
    assert len(Replayed.made) == (1 if seconds_left < COMPILE_PAYS_S else 2)


def test_a_model_that_does_not_compile_is_recorded_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_plain(*more: Any, compiled: bool, **named: Any) -> Replayed:
        if compiled:
            raise RuntimeError("no compiler")
        return Replayed(*more, compiled=compiled, **named)

    monkeypatch.setattr(step, "Recorded", only_plain)
    assert train(engine(10**9), model()) == "graph"


def test_batchnorm_statistics_are_replaced_in_place() -> None:
    """A recorded step goes on writing where they were when it was recorded."""
    from bench.training.evaluate import reestimate_batchnorm
    from tests.training.test_fit import Squares

    net = model()
    norm = net[1]
    where = norm.running_mean.data_ptr(), norm.running_var.data_ptr()
    before = norm.running_mean.clone()
    reestimate_batchnorm(net, Squares(), torch.arange(48).numpy(), 32, 8)  # type: ignore[arg-type]
    assert (norm.running_mean.data_ptr(), norm.running_var.data_ptr()) == where
    assert not torch.equal(norm.running_mean, before)


class Hungry(nn.Module):
    """Runs out of memory with more than so many images."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.head = most, nn.Linear(48, 2)

    def forward(self, images: Tensor) -> Any:
        if len(images) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return self.head(images.flatten(1))


@pytest.mark.parametrize(("most", "parts"), [(8, 1), (4, 2), (3, 4), (1, 8), (0, 8)])
def test_a_batch_goes_through_in_as_few_parts_as_fit(most: int, parts: int) -> None:
    given = Engine("fp32", CPU)
    given._parts = None  # as on a GPU
    net = Hungry(most)
    before = copy.deepcopy(net.state_dict())
    with given.training(net, PROTOCOL, IMAGES, TARGETS) as one_step:
        assert one_step.parts == parts
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    if most:
        assert train(given, Hungry(most)) == "eager"


def test_an_error_of_another_kind_is_not_taken_for_a_lack_of_memory() -> None:
    given = Engine("fp32", CPU)
    given._parts = None
    with given.training(nn.Linear(1, 1), PROTOCOL, IMAGES, TARGETS) as one_step:
        assert one_step.parts == 1
