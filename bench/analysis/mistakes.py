"""All that is known of a board's mistakes beyond the counts in its records: who agrees, who is sure, what was shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.agreement import Agreement, Disagreement, agreement, disagreements
from bench.analysis.answers import MOST_ROWS, Answers, read_answers
from bench.analysis.board import Board
from bench.analysis.calibration import Calibration, calibration, recorded_calibration
from bench.analysis.rows import Row
from bench.store import Store


@dataclass(frozen=True)
class Mistakes:
    """The mistakes of the best rows of one board at the largest train size."""

    answers: Answers
    """What each row answered to each test image."""
    agreement: Agreement
    """Error consistency of the rows with each other."""
    disagreements: tuple[Disagreement, ...]
    """The best row against those after it."""
    calibrations: Mapping[str, Calibration]
    """By row name, in the order of the board."""
    images: Mapping[int, NDArray[np.uint8]]
    """Small copies uint8 [px, px, channels] of test images, by position in the test split, as far as they were kept."""

    @property
    def curves(self) -> dict[str, Calibration]:
        """The calibrations that have a curve."""
        return {name: found for name, found in self.calibrations.items() if found.reliability is not None}


def mistakes_of(board: Board, store: Store) -> Mistakes:
    """Read the predictions of a board's best rows and judge them; what is not there is left out."""
    answers = read_answers(board, store)
    rows = [row for row in board.rows if row.of_size(row.largest)][:MOST_ROWS]
    return Mistakes(
        answers=answers,
        agreement=agreement(answers),
        disagreements=tuple(disagreements(answers)),
        calibrations={row.name: _calibration(row, answers) for row in rows},
        images=store.thumbnails(board.key.data_fingerprint),
    )


def _calibration(row: Row, answers: Answers) -> Calibration:
    """From the logits where they are, else from the row's records."""
    answered = answers.of(row.name)
    if answered is not None and answered.scores:
        return calibration(answered.scores)
    tests = [run.test for run in row.of_size(row.largest) if run.test is not None]
    return recorded_calibration([test.ece for test in tests], [test.nll for test in tests])
