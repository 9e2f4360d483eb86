"""C07: the expected order must hold on all three tasks beyond doubt, and a size that was not reached stays unknown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from bench.claims.arms import DISTANT, RESNET, SAME, TEXTURE, VIT
from bench.claims.c07 import CLAIM, FIXED, LEVEL, TASKS
from bench.claims.chart import Lines
from bench.claims.claim import Arm, Finding, Judgement, Missing
from bench.claims.evidence import Seen

SIZES = (100, 1000, 10_000)
EARLY, LATE, NEVER, ALWAYS = (0.6, 0.99, 1.0), (0.5, 0.6, 0.99), (0.5, 0.5, 0.5), (0.99, 1.0, 1.0)
"""Accuracy at each train size."""
EXPECTED = {DISTANT: (EARLY, LATE), SAME: (EARLY, LATE), TEXTURE: (LATE, EARLY)}
"""What the hypothesis predicts: (ViT, CNN) by task."""


@dataclass(frozen=True)
class Planted:
    """Evidence with known accuracies; which images are right is drawn, three seeds of 400 images each."""

    truth: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = field(default_factory=lambda: dict(EXPECTED))

    def sizes(self, arm: Arm) -> tuple[int, ...]:
        return SIZES

    def seen(self, arm: Arm, size: int | None = None) -> Seen:
        size = SIZES[-1] if size is None else size
        accuracy = self.truth[arm.task][arm.model == RESNET.model][SIZES.index(size)] if arm != FIXED else 0.93
        rng = np.random.default_rng((size, len(arm.model), len(arm.task)))
        right = rng.random((3, 400)) < accuracy
        label = np.zeros(400, dtype=np.int64)
        return Seen(size, (0, 1, 2), right, np.where(right, 0, 1), label)


def judged(**changes: tuple[tuple[float, ...], tuple[float, ...]]) -> Judgement:
    """The judgement of the expected outcome with some tasks' (ViT, CNN) curves changed."""
    names = {"distant": DISTANT, "same": SAME, "texture": TEXTURE}
    truth = {**EXPECTED, **{names[name]: curves for name, curves in changes.items()}}
    return CLAIM.judge(Planted(truth))  # type: ignore[arg-type]


def ratio(judgement: Judgement, words: str) -> Finding:
    """The finding that decides a task."""
    (found,) = (f for f in judgement.findings if f.name.endswith(f", {words}"))
    return found


def test_it_is_supported_where_the_expected_order_holds_on_all_three_tasks() -> None:
    found = judged()
    assert found.verdict == "supported"
    for task, words in TASKS.values():
        finding = ratio(found, words)
        assert finding.low is not None
        assert finding.high is not None
        assert finding.high < 1 if task == "ViT" else finding.low > 1


def test_images_needed_are_read_between_train_sizes_in_their_logarithm() -> None:
    """From 0.6 at 100 to 0.99 at 1,000, 0.9 is reached at 100·10^(0.3/0.39) = 588, sampling noise apart."""
    (images,) = (f.value for f in judged().findings if f.name.startswith("ViT, images") and "distant" in f.name)
    assert images == pytest.approx(100 * 10 ** (0.3 / 0.39), rel=0.1)


@pytest.mark.parametrize("task", ["distant", "same", "texture"])
def test_one_task_in_the_surely_opposite_order_refutes_it(task: str) -> None:
    opposite = (EARLY, LATE) if task == "texture" else (LATE, EARLY)
    assert judged(**{task: opposite}).verdict == "refuted"


def test_equal_curves_on_one_task_leave_it_open() -> None:
    found = judged(distant=(EARLY, EARLY))
    assert found.verdict == "inconclusive"
    assert found.needed


def test_one_model_that_gets_there_is_ahead_of_one_that_never_does_and_nothing_is_extrapolated() -> None:
    found = judged(distant=(EARLY, NEVER))
    assert found.verdict == "supported"
    assert "CNN more than there were" in found.reason
    assert judged(distant=(NEVER, EARLY)).verdict == "refuted"


def test_two_models_that_are_there_from_the_smallest_size_cannot_be_ordered() -> None:
    found = judged(texture=(ALWAYS, ALWAYS))
    assert found.verdict == "inconclusive"
    assert "local texture: ViT at most 100, CNN at most 100" in found.reason
    assert math.isnan(ratio(found, "local texture").value)


def test_a_task_that_neither_solves_is_named_and_keeps_it_from_being_supported() -> None:
    found = judged(same=(NEVER, NEVER))
    assert found.verdict == "inconclusive"
    assert "neither gets there on same or different" in found.reason


def test_without_any_solved_task_there_is_nothing_to_judge() -> None:
    with pytest.raises(Missing, match="neither model reaches 90%"):
        judged(distant=(NEVER, NEVER), same=(NEVER, NEVER), texture=(NEVER, NEVER))


def test_it_asks_for_both_models_at_every_size_of_every_task_and_for_the_control() -> None:
    assert {(arm.model, arm.task, arm.sizes) for arm in CLAIM.arms if arm != FIXED} == {
        (arm.model, task, "all") for arm in (VIT, RESNET) for task in TASKS
    }
    assert FIXED in CLAIM.arms


def test_a_vit_with_fixed_positions_stands_beside_it_as_a_control() -> None:
    found = judged(distant=(NEVER, EARLY))
    assert "With fixed positions the ViT is right for 9" in found.reason
    (control,) = (f for f in found.findings if f.control)
    assert control.value == pytest.approx(93, abs=2)
    assert "fixed positions" in control.name


def test_the_chart_has_a_panel_for_each_task_with_both_models_and_the_level() -> None:
    chart = judged().chart
    assert isinstance(chart, Lines)
    assert chart.reference == 100 * LEVEL
    assert chart.log_x
    panels = {words for _, words in TASKS.values()}
    assert {(s.panel, s.label) for s in chart.series} == {(p, name) for p in panels for name in ("ViT", "CNN")}
