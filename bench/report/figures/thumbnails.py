"""Thumbnails of test images as PNG files, for pages that show them."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from bench.analysis.agreement import wanted_images
from bench.analysis.board import Board
from bench.analysis.mistakes import Mistakes


def png_thumbnails(board: Board, mistakes: Mistakes) -> dict[int, bytes]:
    """The kept thumbnails of a board as PNG, by position in the test split, the most wanted first.

    Images that were kept for another board of the same dataset come last.
    """
    wanted = [k for k in wanted_images(mistakes.answers, len(board.data.classes)) if k in mistakes.images]
    order = dict.fromkeys([*wanted, *mistakes.images])
    return {index: png_of(mistakes.images[index]) for index in order}


def png_of(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 [px, px, channels], with one channel or three, as the content of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
