"""All pairs of a board: mirrored, found by name, in the order of the rows, adjusted over all sizes."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis import pairs as module
from bench.analysis.comparisons import Compared, compare, holm
from bench.analysis.pairs import Pairs, pairs_of
from tests.analysis.planted import as_hits


def _compared(rows: int, seeds: int, *, entropy: int, absent: tuple[int, int] | None = None) -> Compared:
    rng = np.random.default_rng(entropy)
    right = rng.random((rows, seeds, 300)) < np.linspace(0.9, 0.7, rows)[:, None, None]
    present = np.ones((rows, seeds), dtype=bool)
    if absent is not None:
        present[absent] = False
    return compare(as_hits(right, present))


def _names(rows: int) -> tuple[str, ...]:
    return tuple(f"m{k}" for k in range(rows))


@pytest.fixture
def pairs() -> Pairs:
    """Four rows at 100 images of training, three at 1,000; the second of them with one seed there."""
    small, large = _compared(4, 2, entropy=1), _compared(3, 2, entropy=2, absent=(1, 0))
    return pairs_of([(100, _names(4), small), (1000, _names(3), large)])


def test_a_pair_turned_round_is_the_same_with_the_sign_changed(pairs: Pairs) -> None:
    one, other = pairs.between("m0", "m2", 1000), pairs.between("m2", "m0", 1000)
    assert one is not None
    assert other is not None
    assert (one.first, one.second, one.size) == (other.second, other.first, 1000)
    assert (one.difference, one.low, one.high) == (-other.difference, -other.high, -other.low)
    assert (one.p, one.p_holm, one.detectable, one.apart) == (other.p, other.p_holm, other.detectable, other.apart)
    assert one.low < one.difference < one.high


def test_the_test_of_a_pair_follows_from_its_common_seeds(pairs: Pairs) -> None:
    found = {(p.first, p.second): (p.test, p.seeds) for p in pairs.listed(1000)}
    assert found == {
        ("m0", "m1"): ("pooled", 1),
        ("m0", "m2"): ("bootstrap", 2),
        ("m1", "m2"): ("pooled", 1),
    }


def test_where_no_row_has_several_seeds_one_common_seed_is_judged_by_mcnemar() -> None:
    pairs = pairs_of([(100, _names(3), _compared(3, 1, entropy=1))])
    assert {pair.test for pair in pairs.listed(100)} == {"mcnemar"}


def test_what_cannot_be_compared_is_none_and_not_listed() -> None:
    rng = np.random.default_rng(3)
    present = np.array([[True, False], [False, True], [True, True]])
    pairs = pairs_of([(100, _names(3), compare(as_hits(rng.random((3, 2, 50)) < 0.8, present)))])
    assert pairs.between("m0", "m1", 100) is None
    assert pairs.between("m0", "m0", 100) is None
    assert pairs.between("m0", "unheard_of", 100) is None
    assert pairs.between("m0", "m2", 999) is None
    assert [(p.first, p.second) for p in pairs.listed(100)] == [("m0", "m2"), ("m1", "m2")]
    assert list(pairs.listed(999)) == []


def test_p_values_are_adjusted_over_all_pairs_at_all_sizes_together(pairs: Pairs) -> None:
    listed = [pair for at in pairs.at for pair in at.listed()]
    assert len(listed) == 6 + 3
    assert [p.p_holm for p in listed] == pytest.approx(holm(np.array([p.p for p in listed])))


def test_rows_can_be_put_into_another_order_and_left_out(pairs: Pairs) -> None:
    small = pairs.of_size(100)
    assert small is not None
    turned = small.ordered(["m3", "unheard_of", "m0", "m2"])
    assert turned.names == ("m3", "m0", "m2")
    assert turned.between("m0", "m3") == small.between("m0", "m3")
    assert [(p.first, p.second) for p in turned.listed()] == [("m3", "m0"), ("m3", "m2"), ("m0", "m2")]
    assert small.ordered(small.names) is small


def test_the_matrices_of_a_large_board_are_kept_in_half_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _compared(4, 2, entropy=4)
    (exact,) = pairs_of([(100, _names(4), found)]).at
    monkeypatch.setattr(module, "_DOUBLE_ROWS", 3)
    (half,) = pairs_of([(100, _names(4), found)]).at
    assert half.low.nbytes * 2 == exact.low.nbytes
    assert half.low == pytest.approx(exact.low, rel=1e-6, nan_ok=True)
    assert (half.apart == exact.apart).all()


def test_no_records_make_no_pairs() -> None:
    assert pairs_of([]).at == ()
