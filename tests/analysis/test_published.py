"""The curated figures are those of their sources, and the agreement of two orders is what statistics says it is."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.published import LEAST, best_published, least_p, published, rank_agreement
from bench.models.zoo import ZOO


def test_the_table_is_small_complete_and_about_our_models() -> None:
    rows = published()
    years = {entry.name: entry.year for entry in ZOO}
    assert 0 < len(rows) <= 40
    assert len({(row.model, row.source, row.recipe) for row in rows}) == len(rows)
    for row in rows:
        assert 50 < row.top1_percent < 90
        assert 100 < row.img_size < 600
        assert row.params_m > 0
        assert row.recipe
        assert row.source
        assert row.url.startswith("https://")
        assert row.year == (years[row.model] or row.year)


def test_what_is_said_of_torchvision_is_what_its_own_metadata_says() -> None:
    from torchvision import models

    rows = [row for row in published() if row.source.startswith("torchvision")]
    assert len(rows) > 20
    for row in rows:
        kind, _, version = row.source.partition(", ")[2].partition(".")
        meta = getattr(models, kind)[version].meta
        assert row.top1_percent == meta["_metrics"]["ImageNet-1K"]["acc@1"], row.source
        assert row.gmacs == meta["_ops"]
        assert row.params_m == round(meta["num_params"] / 1e6, 2)
        assert re.match(r"V\d: |ported", row.recipe)


def test_the_table_travels_with_the_package() -> None:
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "analysis/published.csv" in settings["tool"]["setuptools"]["package-data"]["bench"]


def test_of_several_recipes_the_best_without_extra_data_counts() -> None:
    figures = [row for row in published() if row.model == "vit_b16"]
    own = [row.top1_percent for row in figures if not row.extra_data]
    assert best_published("vit_b16") == max(own) < max(row.top1_percent for row in figures)
    assert best_published("vit_ti16") is None
    assert best_published("nobody's model") is None


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=LEAST, max_size=7))
def test_the_correlations_are_those_of_scipy_ties_included(pairs: list[tuple[int, int]]) -> None:
    ours, theirs = zip(*pairs, strict=True)
    found = rank_agreement(ours, theirs)
    if found.kendall is None or found.spearman is None:
        assert len(set(ours)) == 1 or len(set(theirs)) == 1
        return
    assert found.kendall.value == pytest.approx(stats.kendalltau(ours, theirs).statistic)
    assert found.spearman.value == pytest.approx(stats.spearmanr(ours, theirs).statistic)
    assert 0 < found.kendall.p <= 1


@pytest.mark.parametrize("theirs", [(1, 2, 3, 4, 5), (2, 1, 3, 5, 4), (5, 3, 4, 1, 2)])
def test_p_is_exact_for_few_models(theirs: tuple[int, ...]) -> None:
    found = rank_agreement((1, 2, 3, 4, 5), theirs)
    assert found.exact
    assert found.kendall is not None
    assert found.kendall.p == pytest.approx(stats.kendalltau((1, 2, 3, 4, 5), theirs, method="exact").pvalue)


def test_no_two_orders_of_four_models_reach_five_percent() -> None:
    found = rank_agreement((1, 2, 3, 4), (10, 20, 30, 40))
    assert found.kendall is not None
    assert found.kendall.p == pytest.approx(least_p(4)) == pytest.approx(1 / 12)


def test_fewer_than_four_models_or_all_tied_say_nothing() -> None:
    assert rank_agreement((1, 2, 3), (1, 2, 3)).kendall is None
    assert rank_agreement((1, 1, 1, 1), (1, 2, 3, 4)).spearman is None
    with pytest.raises(ValueError, match="3 scores"):
        rank_agreement((1, 2, 3), (1, 2))


def test_for_many_models_p_is_close_to_exact_and_the_same_each_time() -> None:
    rng = np.random.default_rng(3)
    ours = rng.normal(size=14)
    theirs = ours + rng.normal(size=14)
    found = rank_agreement(ours.tolist(), theirs.tolist())
    assert not found.exact
    assert found.kendall is not None
    exact = stats.kendalltau(ours, theirs, method="exact").pvalue
    assert abs(found.kendall.p - exact) < 5 * math.sqrt(exact / 20_000)
    assert rank_agreement(ours.tolist(), theirs.tolist()) == found


def test_intervals_need_ten_models_and_hold_the_true_correlation_as_often_as_they_say() -> None:
    rho, n = 0.6, 15
    assert rank_agreement(range(9), (1, 0, *range(2, 9))).kendall.low is None  # type: ignore[union-attr]
    true_tau = 2 / math.pi * math.asin(rho)
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(60):
        pairs = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=n)
        found = rank_agreement(pairs[:, 0].tolist(), pairs[:, 1].tolist()).kendall
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= true_tau <= found.high
    assert held >= 52
