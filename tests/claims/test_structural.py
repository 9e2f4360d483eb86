"""Claims with exact statements: they hold on sound models, and each is refuted by a model broken in that place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from bench.claims import c09, c10, c11, c12, c13, c14, c15, c18
from bench.claims.arms import CVT, DISTANT, SWIN, VIT, on
from bench.claims.claim import Arm, Claim, Judgement, Look, Missing
from bench.claims.evidence import Evidence, Seen
from bench.claims.judging import judge
from bench.probes.registry import find
from tests import broken_structures as broken

CLAIMS = {module.CLAIM.id: module.CLAIM for module in (c09, c10, c11, c12, c13, c14, c15, c18)}
STILL, CVT_MINI = c12.STILL, Look("readout", "cvt_mini")
IMAGES = 20_000


class Planted(Evidence):
    """Evidence whose arms have a planted accuracy, and whose looks have given values."""

    def __init__(
        self, looks: Mapping[Look, Mapping[str, Any]], accuracies: Mapping[Arm, float], images: int = IMAGES
    ) -> None:
        object.__setattr__(self, "_looks", looks)
        object.__setattr__(self, "_accuracies", accuracies)
        object.__setattr__(self, "_images", images)

    def values(self, look: Look) -> Mapping[str, Any]:
        return self._looks[look]  # type: ignore[attr-defined, no-any-return]

    def seen(self, arm: Arm, size: int | None = None) -> Seen:
        """Three seeds; arms of equal accuracy are right on the same images if there are many, on others if few."""
        if arm not in self._accuracies:  # type: ignore[attr-defined]
            raise Missing(f"{arm.words} was not asked for")
        images = self._images  # type: ignore[attr-defined]
        number = 0 if images == IMAGES else list(self._accuracies).index(arm)  # type: ignore[attr-defined]
        luck: NDArray[np.float64] = np.random.default_rng(number).random((3, images))
        right = luck < self._accuracies[arm]  # type: ignore[attr-defined]
        label = np.zeros(images, dtype=np.int64)
        return Seen(1000, (0, 1, 2), right, (~right).astype(np.int64), label)


@cache
def sound(look: Look) -> dict[str, Any]:
    """What a look finds on the model it asks for."""
    subject = broken.subject_of(look.model, look.img_size or 32, look.num_classes or 10)
    return dict(find(look.probe).load()(subject, **dict(look.options)).values)


def ruling(claim: Claim, accuracies: Mapping[Arm, float], images: int = IMAGES, **found: Any) -> Judgement:
    """The judgement on sound models, or where `look` and `values` say so, on what another one shows."""
    looks = {look: sound(look) for look in claim.looks}
    if found:
        looks[found["look"]] = found["values"]
    return judge(claim, Planted(looks, accuracies, images))


AS_EXPECTED: dict[str, dict[Arm, float]] = {
    "C09": {VIT: 0.7, c09.MEAN: 0.7},
    "C10": {},
    "C11": {},
    "C12": {SWIN: 0.7, STILL: 0.6, on(SWIN, DISTANT): 0.8, on(STILL, DISTANT): 0.6},
    "C13": {SWIN: 0.7, c13.ABSOLUTE: 0.69, c13.NONE: 0.6},
    "C14": {CVT: 0.7, c14.FULL: 0.7},
    "C15": {VIT: 0.7, c15.OVERLAP: 0.7},
    "C18": {},
}
CONTRARY: dict[str, dict[Arm, float]] = {
    "C09": {VIT: 0.7, c09.MEAN: 0.75},
    "C12": {SWIN: 0.7, STILL: 0.6, on(SWIN, DISTANT): 0.6, on(STILL, DISTANT): 0.8},
    "C13": {SWIN: 0.65, c13.ABSOLUTE: 0.69, c13.NONE: 0.6},
    "C14": {CVT: 0.65, c14.FULL: 0.7},
    "C15": {VIT: 0.7, c15.OVERLAP: 0.75},
}


@pytest.mark.parametrize("name", AS_EXPECTED)
def test_on_sound_models_every_statement_holds(name: str) -> None:
    found = ruling(CLAIMS[name], AS_EXPECTED[name])
    assert [check.statement for check in found.checks if not check.holds] == []
    assert found.verdict == ("by structure" if CLAIMS[name].kind == "S" else "supported")
    assert found.chart is not None


@pytest.mark.parametrize("name", CONTRARY)
def test_where_every_statement_holds_accuracy_decides(name: str) -> None:
    found = ruling(CLAIMS[name], CONTRARY[name])
    assert all(check.holds for check in found.checks)
    assert found.verdict == "refuted"
    assert "Expected, and not found" not in found.reason


@pytest.mark.parametrize("name", CONTRARY)
def test_few_images_leave_it_open_and_it_is_said_what_is_needed(name: str) -> None:
    alike = dict.fromkeys(AS_EXPECTED[name], 0.7)
    found = ruling(CLAIMS[name], alike, images=100)
    assert found.verdict == "inconclusive"
    assert found.needed


@pytest.mark.parametrize("name", CONTRARY)
def test_an_arm_that_was_not_trained_is_named(name: str) -> None:
    *kept, gone = AS_EXPECTED[name]
    found = ruling(CLAIMS[name], dict.fromkeys(kept, 0.7))
    assert found.verdict == "not testable here"
    assert gone.words in found.reason


@pytest.mark.parametrize("name", CONTRARY)
def test_every_measured_difference_has_an_interval_and_the_smallest_effect_it_could_show(name: str) -> None:
    found = ruling(CLAIMS[name], AS_EXPECTED[name])
    differences = [finding for finding in found.findings if finding.unit == "points"]
    assert differences
    for finding in differences:
        assert finding.low is not None
        assert finding.high is not None
        assert finding.low <= finding.value <= finding.high
        assert finding.detectable is not None


def test_the_arms_asked_for_are_the_arms_that_are_judged() -> None:
    for name, accuracies in AS_EXPECTED.items():
        assert set(CLAIMS[name].arms) == set(accuracies)


BROKEN: list[tuple[str, Look, Callable[[], nn.Module], set[str]]] = [
    ("C09", c09.LOOKS["vit"], broken.class_token_that_is_not_read, {"ViT's head reads the class token alone"}),
    ("C09", c09.LOOKS["swin"], broken.swin_that_reads_one_cell, {"Swin has no class token and reads the mean"}),
    ("C09", c09.LOOKS["cvt"], broken.cvt_with_early_class_token, {"CvT has a class token in its last stage only"}),
    ("C10", c10.LOOKS[0], broken.class_token_of_the_image, {"vit_mini: the class token is the same for every image"}),
    ("C10", c10.LOOKS[0], broken.class_token_that_is_fixed, {"vit_mini: it is learned"}),
    (
        "C10",
        c10.LOOKS[0],
        broken.class_token_that_is_not_read,
        {"vit_mini: the logits are head(norm(", "vit_mini: the head reads what became of it"},
    ),
    ("C10", c10.LOOKS[0], broken.class_token_that_bypasses_the_blocks, {"vit_mini: it differs between images"}),
    ("C11", c11.PLAN, lambda: broken.swin_at_224_px(window_size=14), {"every block attends in windows of 7×7"}),
    (
        "C11",
        c11.PLAN,
        lambda: broken.swin_at_224_px(patch_size=8),
        {"every block attends", "merging makes patches", "on grids of"},
    ),
    ("C12", c12.MOVING_REACH, lambda: broken.swin_that_leaks(0), {"in a block attention never leaves its window"}),
    ("C12", c12.MOVING_REACH, lambda: broken.swin_that_leaks(1), {"they are the first ones moved by half a window"}),
    ("C12", c12.MOVING_REACH, broken.swin_that_wraps_around, {"they are the first ones moved by half a window"}),
    (
        "C12",
        c12.MOVING_REACH,
        lambda: broken.built(STILL.model),
        {"the next block's windows lie across", "they are the first ones moved", "information has crossed"},
    ),
    ("C12", c12.STILL_REACH, lambda: broken.swin_that_leaks(2, STILL.model), {"without the shift it never does"}),
    ("C13", c13.BIAS, lambda: broken.swin_with_bias_in("scores and values"), {"B acts on the weights alone"}),
    ("C13", c13.BIAS, lambda: broken.swin_with_bias_in("values"), {"weights are", "and not", "B acts on"}),
    ("C13", c13.BIAS, lambda: broken.swin_with_bias_in("weights"), {"weights are", "and not", "B acts on"}),
    ("C13", c13.BIAS, lambda: broken.swin_with_bias_in("nothing"), {"weights are", "and not", "B acts on"}),
    (
        "C14",
        c14.REDUCTION,
        lambda: broken.built(c14.FULL.model),
        {"there are four times fewer keys", "by a depthwise convolution of stride 2"},
    ),
    ("C14", c14.REDUCTION, broken.cvt_with_dense_keys, {"by a depthwise convolution", "multiply-accumulates fall"}),
    ("C14", c14.REDUCTION, broken.cvt_that_spares_nothing, {"multiply-accumulates fall by what the shapes say"}),
    (
        "C15",
        c15.PLAIN,
        lambda: broken.embedding_with_padding("vit_ti16", 1, 224, 1000),
        {"vit_ti16: the formula holds for kernel 16, stride 16, padding 0"},
    ),
    (
        "C15",
        list(c15.LOOKS)[1],
        lambda: broken.embedding_with_padding("cvt_13", 3, 64, 10),
        {"cvt_13: the formula holds for kernel 7, stride 4, padding 2"},
    ),
    (
        "C18",
        c18.LOOKS[0],
        broken.vit_with_norm_after_embedding,
        {"vit_mini: what enters the first block is patches"},
    ),
    ("C18", c18.LOOKS[0], broken.vit_with_positions_twice, {"vit_mini: what enters the first block is patches"}),
    (
        "C18",
        c18.LOOKS[0],
        broken.vit_that_normalises_after,
        {"vit_mini: every block normalises before its attention"},
    ),
    (
        "C18",
        c18.LOOKS[0],
        lambda: broken.vit_without_norm_before(3),
        {"vit_mini: every block normalises before its attention"},
    ),
    ("C18", c18.LOOKS[0], broken.vit_without_final_norm, {"vit_mini: what leaves the last block is not normalised"}),
]


@pytest.mark.parametrize(
    ("name", "look", "make", "failing"), BROKEN, ids=[f"{name}-{k}" for k, (name, *_) in enumerate(BROKEN)]
)
def test_a_broken_model_fails_the_statement_about_that_place_and_refutes_the_claim(
    name: str, look: Look, make: Callable[[], nn.Module], failing: set[str]
) -> None:
    subject = broken.subject_of(make(), look.img_size or 32, look.num_classes or 10)
    values = dict(find(look.probe).load()(subject, **dict(look.options)).values)
    found = ruling(CLAIMS[name], AS_EXPECTED[name], look=look, values=values)
    failed = [check for check in found.checks if not check.holds]
    assert found.verdict == "refuted"
    assert len(failed) == len(failing)
    for start in failing:
        assert any(check.statement.startswith(start) for check in failed), start
    assert all(check.statement in found.reason for check in failed)
    assert "not built as the hypothesis says" in found.meaning


@pytest.mark.parametrize("name", AS_EXPECTED)
def test_what_a_probe_finds_fits_into_a_record(name: str) -> None:
    for look in CLAIMS[name].looks:
        assert json.loads(json.dumps(sound(look))) == sound(look)
