"""Where two curves cross is found where it can be, with an interval that holds it, and left open where it cannot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from bench.analysis.crossover import Crossover, crossover, crossovers
from bench.analysis.curves import Curve
from bench.analysis.power_law import fit_curves
from tests.curve_samples import Law, exact_curve, sampled_curves

SIZES = (40, 100, 200, 400, 1000)
EARLY, LATE = Law(0.13, 1.9), Law(0.05, 3.0)
MEETING = (1.1 / 0.08) ** 2


@dataclass(frozen=True)
class Better(Law):
    """A law that is better than itself at some sizes: never behind, level elsewhere."""

    gap: float = 0.0
    at: tuple[int, ...] = ()

    def accuracy(self, n: float) -> float:
        return super().accuracy(n) + (self.gap if n in self.at else 0.0)


def noisy(name: str, values: tuple[float, ...], sd: float = 0.002, seed: int = 0) -> Curve:
    """A curve with independent noise of this standard error at each size."""
    drawn = np.array(values)[:, None] + np.random.default_rng(seed).normal(0, sd, (len(values), 400))
    return Curve(name, np.array(SIZES[: len(values)]), np.array(values), drawn.astype(np.float32), 1)


def test_two_straight_lines_cross_where_they_do() -> None:
    found = crossover(noisy("up", (0.5, 0.9), seed=1), noisy("flat", (0.7, 0.7), seed=2))
    assert found.state == "crossing"
    assert found.n == pytest.approx((40 * 100) ** 0.5)
    assert found.accuracy == pytest.approx(0.7)
    assert found.low is not None
    assert found.high is not None
    assert 60 < found.low < found.n < found.high < 66
    assert (found.ahead, found.behind) == ("up", "flat")
    assert not found.extrapolated


def test_the_order_of_a_pair_does_not_matter() -> None:
    one, other = noisy("up", (0.5, 0.6, 0.9), seed=1), noisy("flat", (0.7, 0.7, 0.7), seed=2)
    a, b = crossover(one, other), crossover(other, one)
    assert (a.state, a.ahead, a.accuracy) == (b.state, b.ahead, pytest.approx(b.accuracy))
    assert (a.n, a.low, a.high) == pytest.approx((b.n, b.low, b.high))


def test_who_is_ahead_at_every_size_is_said_to_be() -> None:
    found = crossover(noisy("poor", (0.5, 0.6, 0.7), seed=1), noisy("good", (0.6, 0.7, 0.8), seed=2))
    assert (found.state, found.ahead, found.n) == ("none in range", "good", None)


def test_level_at_one_end_is_unresolved_and_names_that_size() -> None:
    found = crossover(noisy("a", (0.5, 0.6, 0.7), seed=1), noisy("b", (0.6, 0.7, 0.7), seed=2))
    assert (found.state, found.reason) == ("unresolved", "they cannot be told apart at n = 200")
    assert (found.ahead, found.behind) == ("", "")


def test_level_everywhere_is_unresolved() -> None:
    found = crossover(noisy("a", (0.5, 0.6), seed=1), noisy("b", (0.5, 0.6), seed=2))
    assert (found.state, found.reason) == ("unresolved", "they cannot be told apart at any train size")


def test_crossing_twice_is_unresolved() -> None:
    found = crossover(noisy("a", (0.5, 0.7, 0.7), seed=1), noisy("b", (0.6, 0.6, 0.8), seed=2))
    assert (found.state, found.reason) == ("unresolved", "they cross more than once")


def test_models_that_both_guess_at_the_smallest_size_can_still_cross_later() -> None:
    found = crossover(noisy("a", (0.1, 0.6, 0.9), seed=1), noisy("b", (0.1, 0.7, 0.8), seed=2))
    assert (found.state, found.ahead) == ("crossing", "a")
    assert found.low is not None
    assert found.low > 100


def test_only_sizes_that_both_have_count() -> None:
    short = noisy("short", (0.5, 0.6), seed=1)
    found = crossover(short, noisy("long", (0.6, 0.7, 0.3), seed=2))
    assert (found.state, found.sizes) == ("none in range", (40, 100))
    alone = Curve("alone", short.sizes[:1], short.values[:1], None, 1)
    assert crossover(short, alone).reason == "fewer than two train sizes in common"


def test_without_replicates_nothing_is_beyond_doubt() -> None:
    found = crossover(noisy("a", (0.5, 0.9)), exact_curve("b", SIZES[:2], (0.7, 0.7)))
    assert (found.state, found.reason) == ("unresolved", "the uncertainty of one is unknown")


def _laws(one: Law, other: Law) -> Crossover:
    names = {"one": one, "other": other}
    curves = sampled_curves(np.random.default_rng(0), names, SIZES, images=20_000, seeds=3, seed_sd=0.005)
    return crossovers(curves, fit_curves(curves))[0]


def test_a_crossing_soon_after_the_largest_size_is_told_and_marked_as_extrapolated() -> None:
    found = _laws(Law(0.12, 1.2), Law(0.03, 1.2 + 0.09 * 1400**0.5))
    assert (found.state, found.extrapolated, found.ahead) == ("crossing", True, "other")
    assert found.low is not None
    assert found.high is not None
    assert 1000 <= found.low <= 1400 <= found.high <= 2000


def test_a_crossing_beyond_twice_the_largest_size_is_never_told() -> None:
    found = _laws(Law(0.12, 1.2), Law(0.03, 1.2 + 0.09 * 2600**0.5))
    assert (found.state, found.ahead, found.n) == ("none in range", "one", None)


def test_nothing_is_extrapolated_from_curves_of_another_shape_or_without_fits() -> None:
    one, other = Law(0.12, 1.2), Law(0.03, 1.2 + 0.09 * 1400**0.5)
    curves = sampled_curves(
        np.random.default_rng(0), {"one": one, "other": other}, SIZES, images=20_000, seeds=3, seed_sd=0.005
    )
    assert crossover(*curves).state == "none in range"
    bent = curves[0].values + np.array([0.02, -0.02, -0.02, 0.0, 0.02])
    shift = (bent - curves[0].values)[:, None].astype(np.float32)
    assert curves[0].replicates is not None
    curves[0] = Curve("one", curves[0].sizes, bent, curves[0].replicates + shift, 3)
    assert not crossovers(curves, fit_curves(curves))[0].extrapolated


def verdicts(one: Law, other: Law, repetitions: int, seeds: int = 3, seed_sd: float = 0.04) -> Counter[str]:
    """How often each verdict falls, and `held`: how often the interval of a crossing holds the true one."""
    rng = np.random.default_rng(11)
    found: Counter[str] = Counter()
    for _ in range(repetitions):
        curves = sampled_curves(rng, {"one": one, "other": other}, SIZES, seeds=seeds, seed_sd=seed_sd)
        result = crossovers(curves, fit_curves(curves))[0]
        found[result.state] += 1
        found["held"] += result.state == "crossing" and (result.low or 0) <= MEETING <= (result.high or 0)
    return found


def test_a_planted_crossover_lies_in_its_interval_at_least_9_times_of_10() -> None:
    found = verdicts(EARLY, LATE, 100)
    assert found["crossing"] >= 40
    assert found["held"] >= 0.90 * found["crossing"]


def test_of_pairs_that_never_cross_at_most_1_in_20_is_called_crossing() -> None:
    """The worst case: one is ahead at a single size and level at all others."""
    level = Law(0.1, 2.0)
    assert verdicts(Better(0.1, 2.0, gap=0.08, at=(40,)), level, 200)["crossing"] <= 10


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "seed_sd"), [(3, 0.04), (3, 0.06), (5, 0.04), (1, 0.0)])
def test_a_planted_crossover_is_recovered_for_few_and_many_seeds(seeds: int, seed_sd: float) -> None:
    found = verdicts(EARLY, LATE, 500, seeds, seed_sd)
    assert found["held"] >= 0.90 * found["crossing"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "seed_sd"), [(3, 0.04), (3, 0.2), (1, 0.0)])
@pytest.mark.parametrize(
    "one",
    [Law(0.1, 2.0), Better(0.1, 2.0, gap=0.08, at=(40,)), Better(0.1, 2.0, gap=0.08, at=(40, 100)), Law(0.1, 1.5)],
)
def test_pairs_that_never_cross_are_seldom_called_crossing(one: Law, seeds: int, seed_sd: float) -> None:
    assert verdicts(one, Law(0.1, 2.0), 600, seeds, seed_sd)["crossing"] <= 30
