"""Processes that train a model together: each has its part of what one would have alone."""

from __future__ import annotations

import multiprocessing
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, nn

from bench.data.share import ALONE, Share
from bench.protocol import Protocol
from bench.training.evaluate import predict
from bench.training.fit import Fit, fit
from bench.training.step import Engine
from tests.benchmarks.training_floor import made_up_images

CPU = torch.device("cpu")
PROTOCOL = Protocol(batch_size=8, samples_seen=80, lr_trials=1, bn_samples=16, augment="heavy", img_size=16)


class Norms(nn.Module):
    """All kinds of BatchNorm that models have, timm's with an activation too; no bias that these would take away."""

    def __init__(self) -> None:
        from timm.layers import BatchNormAct2d

        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.more, self.act = nn.Conv2d(8, 8, 3, bias=False), BatchNormAct2d(8)
        self.flat, self.head = nn.BatchNorm1d(8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Any:
        x = self.act(self.more(self.norm(self.conv(x)).relu()))
        return self.head(self.flat(x.mean((2, 3))))


def _trained(share: Share, parts: int = 1, augment: str = "heavy") -> tuple[Fit, dict[str, Tensor], np.ndarray]:
    from dataclasses import replace

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, data, index = Norms(), made_up_images(16, CPU), np.arange(60)
    engine = Engine("fp32", CPU, share=share, parts=parts)
    protocol = replace(PROTOCOL, augment=augment)
    found = fit(model, data, index[:48], index[48:], protocol=protocol, lr=2e-3, seed=0, engine=engine)
    logits = predict(model, data, "test", np.arange(37), share=share)
    return found, model.state_dict(), logits


def _work(share: Share, meeting: str, answers: Any, options: dict[str, Any]) -> None:
    distributed.init_process_group("gloo", f"file://{meeting}", rank=share.rank, world_size=share.ranks)
    found, weights, logits = _trained(share, **options)
    answers.put((share.rank, found, {name: value.numpy() for name, value in weights.items()}, logits))
    distributed.destroy_process_group()


def _of_two(tmp_path: Path, **options: Any) -> list[Any]:
    """What two processes found, by rank."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    shares = [Share(rank, 2) for rank in range(2)]
    ask = str(tmp_path / "meeting"), answers, options
    processes = [context.Process(target=_work, args=(share, *ask)) for share in shares]
    for process in processes:
        process.start()
    found = sorted((answers.get(timeout=120) for _ in processes), key=lambda answer: answer[0])
    for process in processes:
        process.join(60)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"augment": "light"}], ids=["heavy", "light"])
def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path, options: dict[str, Any]) -> None:
    want, weights, logits = _trained(ALONE, **options)
    (_, first, first_weights, first_logits), (_, second, second_weights, second_logits) = _of_two(tmp_path, **options)
    assert np.allclose([loss for _, loss in first.loss_curve], [loss for _, loss in want.loss_curve], atol=1e-3)
    assert first.dev_loss == pytest.approx(want.dev_loss, abs=1e-3)
    assert first.bn_samples == want.bn_samples == 16
    assert first.loss_curve == second.loss_curve
    assert first.dev_loss == second.dev_loss
    for name, value in first_weights.items():
        assert np.array_equal(value, second_weights[name])
        assert np.allclose(value, weights[name], atol=2e-3), name
    assert np.array_equal(first_logits, second_logits)
    assert np.allclose(first_logits, logits, atol=2e-3)


@pytest.mark.slow
def test_two_processes_in_parts_take_a_step_together_too(tmp_path: Path) -> None:
    (_, first, weights, _), (_, second, others, _) = _of_two(tmp_path, parts=2)
    assert first.parts == second.parts == 2
    assert first.loss_curve == second.loss_curve
    assert all(np.array_equal(weights[name], others[name]) for name in weights)


@pytest.mark.parametrize(("count", "ranks"), [(10, 3), (2, 4), (8, 2)])
def test_shares_cover_everything_once(count: int, ranks: int) -> None:
    parts = [list(range(count))[Share(rank, ranks).of(count)] for rank in range(ranks)]
    assert list(chain.from_iterable(parts)) == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("augment", ["none", "light", "heavy"])
def test_a_share_of_a_batch_is_what_it_is_in_the_whole(augment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = made_up_images(16, CPU)
    ask: dict[str, Any] = {"steps": 3, "batch_size": 6, "seed": 3, "augment": augment}
    whole = list(data.train_batches(np.arange(40), **ask))
    gathered = [list(data._splits["train"].walk(part for part in _orders()))[k] for k in range(3)]
    for rank in range(2):
        share, pixels = Share(rank, 2), iter(_augmented(data, gathered))
        monkeypatch.setattr(Share, "whole", lambda self, part, pixels=pixels: next(pixels))
        for (images, targets), (own, theirs) in zip(
            whole, data.train_batches(np.arange(40), share=share, **ask), strict=True
        ):
            assert torch.equal(images[share.of(6)], own)
            assert torch.equal(targets[share.of(6)], theirs)


def _orders() -> Any:
    from bench.data.batches import epochs

    return epochs(np.arange(40), 3, 6, 3)


def _augmented(data: Any, batches: list[Tensor]) -> Any:
    """The whole batches after what is done to pixels, as all processes together would have them."""
    from bench.data.augment import Augment
    from bench.data.batches import augmentation

    recipe, generator = Augment("heavy", flip=data.info.flip, classes=len(data.info.classes)), augmentation(3)
    for pixels in batches:
        yield recipe.on_pixels(pixels, generator)
        shown = torch.zeros(len(pixels), 3, 16, 16), torch.zeros(len(pixels), dtype=torch.int64)
        recipe.on_normalised(*shown, generator)
