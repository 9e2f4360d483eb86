"""How many times the data is needed: known figures come out, and intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.curves import Curve
from bench.analysis.sample_ratio import ratios_against, sample_ratios
from tests.curve_samples import Law, exact_curve, sampled_curves

SIZES = (40, 100, 200, 400, 1000)


def test_the_published_curves_of_deit_and_convit_give_the_published_ratios() -> None:
    """d'Ascoli et al. 2021 (ConViT, arXiv:2103.10697): ImageNet top-1 from 5, 10, 30, 50 and 100 % of the images."""
    percent = (5, 10, 30, 50, 100)
    deit = exact_curve("DeiT-S", percent, (0.348, 0.480, 0.661, 0.746, 0.799))
    convit = exact_curve("ConViT-S", percent, (0.478, 0.596, 0.737, 0.782, 0.814))
    found = sample_ratios(deit, convit)
    assert [round(ratio.value, 2) for ratio in found[:4]] == [1.98, 2.02, 1.58, 1.60]
    assert [ratio.bound for ratio in found] == ["=", "=", "=", "=", ">"]
    assert found[4].value == 1.0
    assert [(r.size, r.accuracy) for r in found] == list(zip(percent, convit.values.tolist(), strict=True))


def test_what_the_smallest_subset_already_exceeds_is_a_limit_from_above() -> None:
    good, poor = exact_curve("good", (50, 100), (0.7, 0.8)), exact_curve("poor", (50, 100, 200), (0.5, 0.7, 0.75))
    found = sample_ratios(good, poor)
    assert [r.bound for r in found] == ["<", "=", "="]
    assert [r.value for r in found] == pytest.approx([1.0, 0.5, 2**0.5 / 4])


def test_a_dip_is_passed_over() -> None:
    dips = exact_curve("dips", (10, 20, 40, 80), (0.5, 0.7, 0.6, 0.8))
    flat = exact_curve("flat", (10,), (0.65,))
    (found,) = sample_ratios(dips, flat)
    assert found.value == pytest.approx(2**0.75)


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5), st.floats(0.25, 8))
def test_a_curve_shifted_in_log_n_needs_that_many_times_the_data(values: list[float], times: float) -> None:
    rising = np.maximum.accumulate(np.array(values)) + 0.01 * np.arange(5)
    base = exact_curve("base", SIZES, rising.tolist())
    moved = Curve("moved", base.sizes * times, base.values, None, 1)
    for found in sample_ratios(moved, base):
        assert found.bound == "="
        assert found.value == pytest.approx(times, rel=1e-6)


def test_without_replicates_the_interval_is_unknown_and_not_open() -> None:
    (found,) = sample_ratios(exact_curve("a", (10, 20), (0.5, 0.7)), exact_curve("b", (10,), (0.6,)))
    assert not found.known
    assert (found.low, found.high) == (None, None)


def test_an_end_out_of_range_is_open_and_the_other_stays() -> None:
    curves = sampled_curves(np.random.default_rng(0), {"a": Law(0.1, 2.02), "b": Law(0.1, 2.0)}, SIZES, images=500)
    first, *_, last = sample_ratios(*curves)
    assert first.known
    assert last.known
    assert first.low is None
    assert first.high is not None
    assert last.low is not None
    assert last.high is None


def test_many_models_together_are_what_they_are_alone_whatever_their_sizes_and_seeds() -> None:
    rng = np.random.default_rng(1)
    (best,) = sampled_curves(rng, {"best": Law(0.05, 2.0)}, SIZES, images=200, draws=100)
    models = [
        *sampled_curves(rng, {"a": Law(0.1, 2.2), "b": Law(0.1, 3.0)}, SIZES, images=200, draws=100),
        *sampled_curves(rng, {"c": Law(0.1, 2.2)}, SIZES[1:4], images=200, draws=100),
        *sampled_curves(rng, {"d": Law(0.1, 2.2)}, SIZES, images=200, draws=100, seeds=2),
        exact_curve("e", SIZES, [Law(0.1, 2.2).accuracy(n) for n in SIZES]),
    ]
    assert ratios_against(best, models) == [sample_ratios(model, best) for model in models]


def covered(repetitions: int, seeds: int, seed_sd: float, images: int = 1000) -> float:
    """How often the interval holds a planted ratio of 2, where that is within the sizes."""
    law, behind = Law(0.05, 3.0), Law(0.05, 3.0 * 2**0.5)
    rng = np.random.default_rng(7)
    inside = []
    for _ in range(repetitions):
        pair = sampled_curves(rng, {"behind": behind, "law": law}, SIZES, images=images, seeds=seeds, seed_sd=seed_sd)
        inside += [(found.low or 0) <= 2 <= (found.high or np.inf) for found in sample_ratios(*pair)[:4]]
    return float(np.mean(inside))


def test_a_planted_ratio_lies_in_its_interval_at_least_9_times_of_10() -> None:
    assert covered(100, seeds=3, seed_sd=0.04) >= 0.90


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "seed_sd", "images"), [(3, 0.04, 1000), (3, 0.1, 1000), (5, 0.04, 1000), (1, 0.0, 1000), (3, 0.04, 4000)]
)
def test_a_planted_ratio_lies_in_its_interval_for_few_and_many_seeds(seeds: int, seed_sd: float, images: int) -> None:
    assert covered(400, seeds, seed_sd, images) >= 0.90
