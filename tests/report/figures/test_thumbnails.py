"""Thumbnails become PNG files that hold exactly their pixels, the most wanted first."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.analysis.mistakes import mistakes_of
from bench.report.figures.thumbnails import png_of, png_thumbnails
from tests.answer_samples import answered_study, keep_images
from tests.samples import Fake


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_gives_the_pixels_back(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 7, channels), dtype=np.uint8)
    back = np.asarray(Image.open(io.BytesIO(png_of(pixels)))).reshape(7, 7, channels)
    assert (back == pixels).all()


def test_the_most_wanted_come_first_and_those_of_other_boards_last(tmp_path: Path) -> None:
    board, store = answered_study(tmp_path, (Fake("resnet18", 0.9), Fake("deit_ti", 0.7)))
    wanted = keep_images(board, store, but=1)
    kept = store.thumbnails(board.key.data_fingerprint)
    other = next(k for k in range(360) if k not in wanted)
    store.write_thumbnails(board.key.data_fingerprint, {**kept, other: kept[wanted[1]]})
    assert list(png_thumbnails(board, mistakes_of(board, store))) == [*wanted[1:], other]
