"""C06: what a ViT shares over patches is exact; that it is less than a CNN shares is measured, on common seeds."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.claims.arms import FAMILIES
from bench.claims.c06 import BARE, CLAIM, PATCH_PX, SHIFTS, UNTRAINED, WITH_POSITIONS
from bench.claims.chart import Lines
from bench.claims.claim import Finding, Judgement, Look, Missing
from bench.claims.evidence import Evidence

EXPECTED = {"CNN": 0.9, "ViT": 0.7, "Swin": 0.8, "CvT": 0.8, "LSTM": 0.6}
"""Part of the images that keep their answer under each shift."""
EXACT = {BARE: {"whole_patch": 1e-14, "half_patch": 0.4}, WITH_POSITIONS: {"whole_patch": 0.1, "half_patch": 0.4}}


class Planted(Evidence):
    """Answers kept with given chances; images that keep theirs are right."""

    def __init__(
        self,
        kept: Mapping[str, float] = EXPECTED,
        exact: Mapping[Look, Mapping[str, float]] = EXACT,
        seeds: Mapping[str, tuple[int, ...]] | None = None,
        images: int = 500,
        stays_at_patch: bool = False,
    ) -> None:
        object.__setattr__(self, "_kept", kept)
        object.__setattr__(self, "_exact", exact)
        object.__setattr__(self, "_seeds", dict.fromkeys(FAMILIES, (0, 1, 2)) | dict(seeds or {}))
        object.__setattr__(self, "_images", images)
        object.__setattr__(self, "_stays", stays_at_patch)

    def values(self, look: Look) -> Mapping[str, Any]:
        return self._exact[look]  # type: ignore[attr-defined, no-any-return]

    def found(self, look: Look) -> Any:
        looks = SHIFTS if look.arm is not None else UNTRAINED
        family = next(name for name, asked in looks.items() if asked == look)
        seeds = self._seeds[family]  # type: ignore[attr-defined]
        return [SimpleNamespace(spec=SimpleNamespace(seed=seed), family=family, look=look) for seed in seeds]

    def arrays(self, record: Any) -> dict[str, NDArray[np.generic]]:
        chance = self._kept[record.family] if record.look.arm is not None else 0.99  # type: ignore[attr-defined]
        rng = np.random.default_rng((record.spec.seed, list(FAMILIES).index(record.family)))
        same = rng.random((PATCH_PX + 1, self._images)) < chance  # type: ignore[attr-defined]
        same[0] = True
        if self._stays:  # type: ignore[attr-defined]
            same[PATCH_PX] = True
        return {"same": same, "right": same.copy()}


def judged(*args: Any, **changes: Any) -> Judgement:
    return CLAIM.judge(Planted(*args, **changes))


def finding(judgement: Judgement, name: str) -> Finding:
    (found,) = (f for f in judgement.findings if f.name == name)
    return found


def test_it_is_supported_where_the_statements_hold_and_the_cnn_keeps_more_answers() -> None:
    found = judged()
    assert found.verdict == "supported"
    assert found.p is not None
    assert found.p < 0.01
    assert "fewer" in found.meaning


def test_a_vit_that_keeps_more_refutes_it_and_equal_ones_leave_it_open() -> None:
    more = judged({**EXPECTED, "CNN": 0.6, "ViT": 0.9})
    assert more.verdict == "refuted"
    assert more.p is not None
    assert more.p > 0.9  # nothing speaks for the hypothesis
    assert "keeps more" in more.meaning
    alike = judged(dict.fromkeys(EXPECTED, 0.8))
    assert alike.verdict == "inconclusive"
    assert alike.needed


@pytest.mark.parametrize(
    ("look", "name", "value"),
    [(BARE, "whole_patch", 1e-3), (BARE, "half_patch", 1e-9), (WITH_POSITIONS, "whole_patch", 1e-9)],
)
def test_each_exact_statement_refutes_it_when_it_fails(look: Look, name: str, value: float) -> None:
    found = judged(exact={**EXACT, look: {**EXACT[look], name: value}})
    (failed,) = (check for check in found.checks if not check.holds)
    assert found.verdict == "refuted"
    assert failed.statement in found.reason


def test_the_number_tested_is_the_mean_over_all_shifts_up_to_a_patch() -> None:
    """Every fourth shift, the one by a whole patch, keeps all answers: 0.9·3/4 + 1/4 minus 0.7·3/4 − 1/4."""
    plain, stays = judged(images=4000), judged(images=4000, stays_at_patch=True)
    name = "CNN minus ViT, answers kept under shifts of 1 to 4 px"
    assert finding(plain, name).value == pytest.approx(20, abs=1)
    assert finding(stays, name).value == pytest.approx(15, abs=1)


def test_the_worst_case_asks_for_every_shift_at_once() -> None:
    found = finding(judged(images=4000), "ViT, answers kept under each of these shifts")
    assert found.value == pytest.approx(100 * 0.7**4, abs=2)


def test_accuracy_lost_stands_beside_since_a_constant_answer_is_kept() -> None:
    assert finding(judged(images=4000), "ViT, accuracy lost under shifts of 1 to 4 px").value == pytest.approx(
        30, abs=2
    )


def test_untrained_models_are_controls() -> None:
    found = judged()
    controls = [f for f in found.findings if f.control]
    assert len(controls) == 2
    assert all("untrained" in f.name and f.value == pytest.approx(99, abs=1) for f in controls)
    assert isinstance(found.chart, Lines)
    assert [series.label for series in found.chart.series if series.control] == ["CNN untrained", "ViT untrained"]


def test_models_are_compared_on_common_seeds_only() -> None:
    same = judged(seeds=dict.fromkeys(FAMILIES, (1, 2, 3)))
    other = judged(seeds={**dict.fromkeys(FAMILIES, (1, 2, 3)), "CNN": (0, 1, 2, 3), "ViT": (1, 2, 3, 4)})
    name = "CNN minus ViT, answers kept under shifts of 1 to 4 px"
    assert finding(other, name) == finding(same, name)


def test_seeds_in_common_are_needed_and_two_are_too_few() -> None:
    with pytest.raises(Missing, match="no seed in common"):
        judged(seeds={"CNN": (7, 8, 9)})
    with pytest.raises(Missing, match="needs 3 seeds"):
        judged(seeds=dict.fromkeys(FAMILIES, (0, 1)))


def test_every_measured_number_has_an_interval_and_the_smallest_effect_it_could_show() -> None:
    for found in judged().findings:
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high
        assert found.detectable is not None


def test_it_is_confirmatory_and_asks_for_every_family_and_the_untrained_controls() -> None:
    assert CLAIM.confirmatory
    assert set(CLAIM.arms) == set(FAMILIES.values())
    assert {look for look in CLAIM.looks if look.probe == "shift_consistency"} == {
        *SHIFTS.values(),
        *UNTRAINED.values(),
    }
    assert {look.seeds for look in (*SHIFTS.values(), *UNTRAINED.values())} == {"each"}
