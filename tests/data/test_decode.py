"""Image files become square uint8 arrays; what does not decode is named."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.data.decode import (
    CHUNK,
    Layout,
    LayoutBroken,
    decode_split,
    difference_hashes,
    probe_layout,
    read_square,
    square_side,
)
from bench.data.examples import Example, Split
from tests.data.makers import file_bytes, picture


def split_of(*contents):
    examples = [Example(f"image {k}", partial(lambda c: c, content)) for k, content in enumerate(contents)]
    return Split(np.zeros(len(examples), dtype=np.int64), lambda: iter(examples))


def square(array, px, channels=3):
    return read_square(file_bytes(array), Layout(px, channels, native=False))


def test_a_square_of_the_wanted_size_is_not_touched():
    assert np.array_equal(square(picture(1), 8), picture(1))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_any_shape_becomes_the_wanted_square(height, width, px):
    assert square(picture(0, height, width), px).shape == (px, px, 3)


@pytest.mark.parametrize(("height", "width"), [(8, 14), (14, 8), (8, 15), (15, 8)])
def test_a_long_image_keeps_its_central_square_unblurred(height, width):
    array = picture(2, height, width)
    top, left = (height - 8) // 2, (width - 8) // 2
    assert np.array_equal(square(array, 8), array[top : top + 8, left : left + 8])


def test_a_long_image_is_cropped_before_it_is_resized():
    middle = np.full((16, 16, 3), 200, dtype=np.uint8)
    array = np.concatenate([np.zeros((16, 24, 3), np.uint8), middle, np.zeros((16, 24, 3), np.uint8)], axis=1)
    assert (square(array, 4) == 200).all()


def test_shrinking_averages_instead_of_picking_pixels():
    board = np.indices((32, 32)).sum(0) % 2 * 255
    small = square(board.astype(np.uint8), 8, channels=1)
    assert np.abs(small.astype(float) - 127.5).max() < 10


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_becomes_three_channels(mode):
    image = Image.fromarray(picture(3)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF" if mode == "CMYK" else "PNG")
    pixels = read_square(buffer.getvalue(), Layout(8, 3, native=True))
    assert pixels.shape == (8, 8, 3)
    assert np.abs(pixels.astype(int).mean() - picture(3).mean()) < 60


def test_sixteen_bits_are_scaled_down_not_cut_off():
    grey = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    assert np.array_equal(square(grey, 8, channels=1)[..., 0], grey >> 8)


def test_a_probe_keeps_one_common_size_and_grey():
    grey = [file_bytes(picture(k, channels=1)) for k in range(3)]
    assert probe_layout(split_of(*grey), 32) == Layout(8, 1, native=True)
    assert probe_layout(split_of(*grey), 4) == Layout(4, 1, native=False)
    assert probe_layout(split_of(*grey, file_bytes(picture(0, 9, 9))), 32) == Layout(32, 3, native=False)
    assert probe_layout(split_of(file_bytes(picture(0, 8, 9))), 32) == Layout(32, 3, native=False)


def test_a_probe_looks_past_images_that_do_not_open():
    assert probe_layout(split_of(b"junk", file_bytes(picture(0))), 32) == Layout(8, 3, native=True)


def test_an_image_that_breaks_the_layout_says_which_one_fits():
    layout = Layout(8, 1, native=True)
    grey, colour, large = (file_bytes(a) for a in (picture(0, channels=1), picture(1), picture(2, 9, 9, 1)))
    for odd, fitting in ((colour, Layout(8, 3, True)), (large, Layout(32, 1, False))):
        with pytest.raises(LayoutBroken) as caught:
            list(decode_split(split_of(grey, odd), layout, 32))
        assert caught.value.layout == fitting


def test_chunks_keep_the_order_and_name_what_does_not_decode(tmp_path):
    broken = {5: b"", 130: b"not an image", 140: file_bytes(picture(7))[:-60], 299: tmp_path / "gone.png"}
    contents = [broken.get(k, file_bytes(picture(k))) for k in range(300)]
    chunks = list(decode_split(split_of(*contents), Layout(8, 3, True), 8))
    assert [name for chunk in chunks for name in chunk.corrupt] == [f"image {k}" for k in broken]
    rows = [row for chunk in chunks for row in chunk.rows]
    assert rows == [k for k in range(300) if k not in broken]
    pixels = np.concatenate([chunk.pixels for chunk in chunks])
    assert np.array_equal(pixels, np.stack([picture(k) for k in rows]))
    assert max(len(chunk.rows) for chunk in chunks) <= CHUNK


def test_a_broken_image_of_another_size_is_corrupt_and_not_a_reason_to_resize_all():
    broken = file_bytes(picture(7, 64, 64), "JPEG")[:-1000]
    assert Image.open(io.BytesIO(broken)).size == (64, 64)
    chunks = list(decode_split(split_of(file_bytes(picture(0)), broken), Layout(8, 3, True), 8))
    assert chunks[0].corrupt == ["image 1"]


def test_equal_pixels_have_equal_digests_whatever_their_file_format(tmp_path):
    (tmp_path / "a.png").write_bytes(file_bytes(picture(1)))
    contents = [file_bytes(picture(1)), file_bytes(picture(1), "BMP"), tmp_path / "a.png", Image.fromarray(picture(1))]
    (chunk,) = decode_split(split_of(*contents, file_bytes(picture(2))), Layout(8, 3, True), 8)
    assert len(set(chunk.digests)) == 2
    assert chunk.formats == {"PNG", "BMP", None}


def reference_hash(grey):
    """dHash by its definition: average over 9 × 8 cells, darker than the right neighbour or not."""
    side = grey.shape[0]
    fine = np.kron(grey.astype(float), np.ones((72, 72)))
    cells = fine.reshape(8, side * 9, 9, side * 8).mean((1, 3))
    return np.packbits((cells[:, :-1] < cells[:, 1:]).ravel())


@pytest.mark.parametrize("side", [8, 13, 32])
def test_difference_hashes_follow_their_definition(side):
    grey = picture(4, side, side, 1)
    got = difference_hashes(grey[None, :, :, None])
    assert np.array_equal(got.view(np.uint8), reference_hash(grey))


def test_near_duplicates_have_equal_hashes_and_others_do_not():
    smooth = Image.fromarray(picture(5, 4, 4)).resize((32, 32), Image.Resampling.BICUBIC)
    same = read_square(file_bytes(np.asarray(smooth), "JPEG", quality=97), Layout(32, 3, True))
    brighter = (np.asarray(smooth) * 0.9).astype(np.uint8)
    other = picture(6, 32, 32)
    hashes = difference_hashes(np.stack([np.asarray(smooth), same, brighter, other]))
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


def test_only_squares_of_one_size_have_a_side():
    assert square_side({(8, 8)}) == 8
    assert square_side({(8, 9)}) is None
    assert square_side({(8, 8), (9, 9)}) is None
    assert square_side(set()) is None


def test_files_are_read_from_their_path(tmp_path):
    (tmp_path / "ä.png").write_bytes(file_bytes(picture(1)))
    assert np.array_equal(read_square(Path(tmp_path / "ä.png"), Layout(8, 3, True)), picture(1))
