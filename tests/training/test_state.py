"""A training that is ended goes on from its kept state, bit for bit on a CPU."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench.data.batches import ImageData
from bench.protocol import Protocol
from bench.training.fit import Fit, fit
from bench.training.state import Keeper
from bench.training.step import Engine
from tests.benchmarks.training_floor import made_up_images

CPU = torch.device("cpu")
PROTOCOL = Protocol(batch_size=8, samples_seen=160, lr_trials=1, bn_samples=16, augment="heavy", img_size=16)


class Ended(Exception):
    """The process was ended."""


class Memory:
    """A keeper's storage."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.written = 0

    def write(self, data: bytes) -> None:
        self.data = data
        self.written += 1

    def keeper(self, every_s: float = 0.0) -> Keeper:
        return Keeper(lambda: self.data, self.write, every_s)


def _model() -> nn.Module:
    torch.manual_seed(0)
    first = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(8, 10))


def _fit(model: nn.Module, memory: Memory | None = None, ends_at: int | None = None, **changes: object) -> Fit:
    seen = 0

    def on_step(images: int) -> None:
        nonlocal seen
        seen += images
        if seen // PROTOCOL.batch_size == ends_at:
            raise Ended

    settings = {"protocol": PROTOCOL, "lr": 1e-2, "seed": 0, "engine": Engine("fp32", CPU), **changes}
    keeper = memory.keeper() if memory is not None else None
    index = np.arange(60)
    return fit(model, _images(), index[:48], index[48:], on_step=on_step, keeper=keeper, **settings)  # type: ignore[arg-type]


def _images() -> ImageData:
    return made_up_images(16, CPU)


def _without_times(found: Fit) -> Fit:
    return replace(found, train_s=0, eval_s=0, throughput_img_per_s=0, setup_s=0, resumed=0)


@pytest.mark.parametrize("ends", [(1,), (7, 5), (18, 1), (19,)], ids=str)
def test_ended_wherever_it_ends_as_if_it_had_not_been(ends: tuple[int, ...]) -> None:
    whole, pieces = _model(), _model()
    want = _fit(whole)
    memory = Memory()
    for steps in ends:
        pieces = _model()
        with pytest.raises(Ended):
            _fit(pieces, memory, ends_at=steps)
    got = _fit(pieces := _model(), memory)
    assert got.resumed == len(ends)
    assert _without_times(got) == _without_times(want)
    assert all(torch.equal(a, b) for a, b in zip(*(m.state_dict().values() for m in (whole, pieces)), strict=True))


def test_a_pass_is_gone_on_with_in_its_middle() -> None:
    """48 images are six batches: step 7 stands in the second pass, whose other images come next."""
    memory = Memory()
    with pytest.raises(Ended):
        _fit(_model(), memory, ends_at=7)
    state = memory.keeper().earlier(1e-2, 20)
    assert state is not None
    assert len(state["losses"]) == 7
    seen = _images()
    ask = {"steps": 20, "batch_size": 8, "seed": 0, "augment": "light"}
    every = list(seen.train_batches(np.arange(48), **ask))  # type: ignore[arg-type]
    rest = list(seen.train_batches(np.arange(48), first=7, **ask))  # type: ignore[arg-type]
    assert len(rest) == 13
    assert torch.equal(torch.cat([labels for _, labels in every[7:]]), torch.cat([labels for _, labels in rest]))


@pytest.mark.parametrize("change", [{"lr": 2e-2}, {"protocol": replace(PROTOCOL, samples_seen=24)}], ids=str)
def test_the_state_of_another_training_is_not_used(change: dict[str, object]) -> None:
    memory = Memory()
    with pytest.raises(Ended):
        _fit(_model(), memory, ends_at=7)
    assert _fit(_model(), memory, **change).resumed == 0


def test_a_state_that_cannot_be_read_is_told_and_the_training_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory()
    memory.data = b"half a state"
    got = _fit(_model(), memory)
    assert got.resumed == 0
    assert "cannot be read, so it begins anew" in caplog.text


def test_states_are_kept_no_more_often_than_asked_for() -> None:
    memory = Memory()
    index = np.arange(60)
    settings = {"protocol": PROTOCOL, "lr": 1e-2, "seed": 0, "engine": Engine("fp32", CPU)}
    fit(_model(), _images(), index[:48], index[48:], keeper=memory.keeper(3600), **settings)  # type: ignore[arg-type]
    assert memory.written == 0


def test_keeping_a_state_changes_nothing() -> None:
    memory = Memory()
    want, got = _fit(_model()), _fit(_model(), memory)
    assert memory.written == 19
    assert _without_times(got) == _without_times(want)


def test_in_parts_the_gradients_are_those_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    split = copy.deepcopy(plain)
    want, got = _fit(plain), _fit(split, engine=Engine("fp32", CPU, parts=3))
    assert (want.parts, got.parts) == (1, 3)
    assert np.allclose([loss for _, loss in got.loss_curve], [loss for _, loss in want.loss_curve], atol=1e-5)
    assert got.dev_loss == pytest.approx(want.dev_loss, abs=1e-5)
