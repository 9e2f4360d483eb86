"""C20: only pairs of models that stand surely the other way speak against a published order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.analysis.board import Board
from bench.analysis.comparisons import compare
from bench.analysis.pairs import Pairs, pairs_of
from bench.analysis.published import LEAST, best_published, published
from bench.analysis.rows import Point
from bench.claims.c20 import CLAIM
from bench.claims.chart import Dots
from bench.claims.claim import Judgement
from bench.claims.judging import judge
from bench.models.info import ModelInfo
from tests.analysis.hand_boards import SIZE, Made, make_board
from tests.analysis.planted import planted as planted_study
from tests.claims.planted_evidence import evidence_of
from tests.claims.test_power import at_most
from tests.samples import make_cell, make_run

RANKED = sorted({row.model for row in published()} - {"vit_ti16"}, key=lambda name: best_published(name) or 0.0)
MODELS = [name for name in RANKED if best_published(name) is not None][::5]
"""Published models whose figures are some way apart, the lowest first."""


def board(top1: dict[str, float], *, seeds: int = 3, images: int = 2000, entropy: int = 0) -> Board:
    """A board of models with planted accuracies, compared as any board compares."""
    rng = np.random.default_rng(entropy)
    hits = planted_study(rng, list(top1.values()), seeds=seeds, images=images, seed_points=0.1).hits
    hits = replace(hits, names=tuple(top1))
    accuracy = dict(zip(top1, (hits.right.mean(axis=1) / images).tolist(), strict=True))
    made = make_board([Made(name, value) for name, value in accuracy.items()])
    rows = []
    for row in made.rows:
        runs = tuple(
            make_run(
                cell=make_cell(model=row.model, train_size=SIZE, seed=seed),
                model=ModelInfo(name=row.model, builder=row.model, family="CNN", params=1),
            )
            for seed in range(seeds)
        )
        value = accuracy[row.model]
        point = Point(SIZE, dict.fromkeys(range(seeds), value), value, value - 0.01, value + 0.01, "bootstrap")
        rows.append(replace(row, runs=runs, points=(point,)))
    return replace(made, rows=tuple(rows), pairs=pairs_of([(SIZE, hits.names, compare(hits))]))


def judged(*boards: Board) -> Judgement:
    """The judgement of an output folder with these boards."""
    return judge(CLAIM, evidence_of({}, boards=boards))


def in_order(gap: float, **setting: Any) -> Board:
    """A board in the published order, neighbours so far apart."""
    return board({name: 0.6 + gap * k for k, name in enumerate(MODELS)}, **setting)


def test_there_are_enough_published_models_to_test_with() -> None:
    assert len(MODELS) >= LEAST


def test_the_published_order_beyond_doubt_refutes_it() -> None:
    found = judged(in_order(0.07, images=20_000))
    tau = found.findings[0]
    assert found.verdict == "refuted"
    assert (tau.low, tau.value, tau.high) == (1, 1, 1)


def test_one_pair_surely_the_other_way_supports_it() -> None:
    top1 = {name: 0.6 + 0.07 * k for k, name in enumerate(MODELS)}
    first, second = MODELS[1:3]
    top1[first], top1[second] = top1[second], top1[first]
    found = judged(board(top1, images=20_000))
    pairs = len(MODELS) * (len(MODELS) - 1) / 2
    assert found.verdict == "supported"
    assert found.findings[0].value == found.findings[0].high == pytest.approx(1 - 2 / pairs)
    assert "1 surely the other way" in found.reason
    assert found.findings[0].p is not None
    assert found.findings[0].p < 0.05


def test_models_that_can_hardly_be_told_apart_do_not_speak_against_the_order() -> None:
    """Some pair stands the wrong way by luck in every run, and in one of five more surely than 5 % taken alone."""
    studies = 200
    found = [judged(in_order(0.0, images=500, entropy=k)) for k in range(studies)]
    assert any(one.findings[0].value < 1 for one in found)
    assert sum(one.verdict == "supported" for one in found) <= at_most(0.05, studies) * studies
    assert found[0].findings[0].high == 1


def test_two_seeds_or_three_models_are_no_board_for_it_and_the_best_one_is_named() -> None:
    two_seeds = in_order(0.05, seeds=2, images=100)
    few = board(dict.fromkeys(MODELS[: LEAST - 1], 0.6), images=100)
    found = judged(two_seeds, few)
    assert found.verdict == "not testable here"
    assert f"the best in the output folder has {LEAST - 1}" in found.reason
    assert "has 0" in judged().reason


def test_models_that_nobody_published_or_that_are_not_from_scratch_do_not_count() -> None:
    whole = in_order(0.05, images=100)
    strangers = board({f"stranger_{k}": 0.6 for k in range(5)}, images=100)
    assert "has 0" in judged(strangers).reason
    rows = tuple(replace(row, weights="pretrained") for row in whole.rows)
    assert "has 0" in judged(replace(whole, rows=rows)).reason


def test_the_board_with_the_most_models_is_taken() -> None:
    few = board(dict.fromkeys(MODELS[:LEAST], 0.6), images=100)
    whole = in_order(0.05, images=100)
    assert f"over {len(MODELS)} models" in judged(few, whole).reason


def test_a_board_without_comparisons_says_nothing() -> None:
    found = judged(replace(in_order(0.05, images=100), pairs=Pairs(())))
    assert found.verdict == "not testable here"
    assert "were not compared" in found.reason


def test_the_chart_lists_models_from_the_highest_published_figure_down() -> None:
    chart = judged(in_order(0.07, images=1000)).chart
    assert isinstance(chart, Dots)
    assert [dot.label.partition(",")[0] for dot in chart.dots] == MODELS[::-1]
