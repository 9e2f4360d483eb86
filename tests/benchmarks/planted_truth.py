"""How often the board is right where the truth is known: `python -m tests.benchmarks.planted_truth`.

Simulates studies of models with planted accuracies (tests/analysis/planted.py) and prints, as Markdown, how often
intervals hold the truth, equal models are told apart, and a difference of two points is found.
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.report.words import pipe_table
from tests.analysis.test_simulation import USUAL, covered, declared_different, found_gaps


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies behind each coverage")
    studies = parser.parse_args().studies
    rows = []
    for seeds in (1, 3, 5):
        for points in (USUAL, 1.0):
            single, paired = covered(np.random.default_rng(1), studies, seeds=seeds, images=2000, points=points)
            null = 0.0 if seeds == 1 else points
            alike = declared_different(
                np.random.default_rng(2), studies // 10, seeds=seeds, images=1000, points=null, models=30
            )
            found = found_gaps(np.random.default_rng(3), studies // 4, seeds=seeds, images=10_000, points=points)
            rows.append(
                [str(seeds), f"{points:g}", *(f"{100 * value:.1f}" for value in (single, paired, alike, found))]
            )
    headers = ["seeds", "spread over seeds, points", "accuracy's interval holds, %", "difference's interval holds, %"]
    headers += ["equal models told apart, % of pairs", "two points found, %"]
    print(pipe_table(headers, rows, right=range(6)))


if __name__ == "__main__":
    main()
