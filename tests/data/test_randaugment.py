"""Each operation of RandAugment does what PIL does, with a draw of its own for every image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from bench.data import randaugment as ra
from tests.data.makers import picture

SIDE = 32
CENTRE = (SIDE - 1) / 2


def smooth(seed, channels=3):
    """A picture without the hard edges at which a rounding error would show."""
    small = Image.fromarray(picture(seed, 6, 6, channels) // 2 + 30)
    return small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def applied(image, name, sign=1.0):
    pixels = torch.from_numpy(np.array(image).reshape(SIDE, SIDE, -1)).permute(2, 0, 1)[None]
    got = ra.apply(pixels, torch.tensor([ra.OPERATIONS.index(name)]), torch.tensor([sign]))
    return got[0].permute(1, 2, 0).numpy().reshape(np.asarray(image).shape)


def affine(image, a, b, c, d, e, f):
    """PIL's bilinear resampling by x' = ax + by + c, y' = dx + ey + f about the centre, in pixels."""
    about = (a, b, c + CENTRE - a * CENTRE - b * CENTRE, d, e, f + CENTRE - d * CENTRE - e * CENTRE)
    # PIL's own centres of pixels are at halves
    data = (a, b, about[2] + 0.5 - 0.5 * (a + b), d, e, about[5] + 0.5 - 0.5 * (d + e))
    # as floating point, since PIL cuts off the fraction of a byte, which darkens
    planes = [Image.fromarray(np.asarray(plane, dtype=np.float32)) for plane in image.split()]
    moved = [p.transform(p.size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR) for p in planes]
    return np.stack([np.asarray(p) for p in moved], axis=2).reshape(np.asarray(image).shape)


def geometric(name, sign):
    shift = round(ra.SHIFT * SIDE)
    angle, shear = sign * ra.ANGLE, sign * ra.SHEAR
    return {
        "rotate": (math.cos(angle), -math.sin(angle), 0, math.sin(angle), math.cos(angle), 0),
        "shear_x": (1, shear, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, shear, 1, 0),
        "translate_x": (1, 0, sign * shift, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, sign * shift),
    }[name]


PIL_OPERATIONS = {
    "identity": lambda x, sign: x,
    "brightness": lambda x, sign: ImageEnhance.Brightness(x).enhance(1 + sign * ra.ENHANCE),
    "contrast": lambda x, sign: ImageEnhance.Contrast(x).enhance(1 + sign * ra.ENHANCE),
    "saturation": lambda x, sign: ImageEnhance.Color(x).enhance(1 + sign * ra.ENHANCE),
    "sharpness": lambda x, sign: ImageEnhance.Sharpness(x).enhance(1 + sign * ra.ENHANCE),
    "posterize": lambda x, sign: ImageOps.posterize(x, ra.POSTERIZE_BITS),
    "solarize": lambda x, sign: ImageOps.solarize(x, ra.SOLARIZE_FROM),
    "autocontrast": lambda x, sign: ImageOps.autocontrast(x),
    "equalize": lambda x, sign: ImageOps.equalize(x),
}
EXACT = {"identity", "posterize", "solarize", "equalize"}


def test_there_are_the_fourteen_operations_of_the_paper_each_with_a_reference():
    assert len(ra.OPERATIONS) == len(set(ra.OPERATIONS)) == 14
    assert set(ra.OPERATIONS) == {*ra.GEOMETRIC, *PIL_OPERATIONS}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", PIL_OPERATIONS)
def test_operations_on_values_are_pils(name, sign, channels):
    narrow = 50 + picture(3, SIDE, SIDE, channels) * 0.6  # so that there is contrast to stretch
    image = Image.fromarray(narrow.astype(np.uint8))
    reference = np.asarray(PIL_OPERATIONS[name](image, sign)).astype(int)
    error = np.abs(applied(image, name, sign).astype(int) - reference)
    assert error.max() <= (0 if name in EXACT else 1)
    assert error.mean() < 0.1
    if name == "identity" or (name == "saturation" and channels == 1):
        assert np.array_equal(applied(image, name, sign), np.asarray(image))
    else:
        assert not np.array_equal(applied(image, name, sign), np.asarray(image))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", ra.GEOMETRIC)
def test_operations_on_places_are_pils_away_from_the_border(name, sign, channels):
    image = smooth(4, channels)
    reference = affine(image, *geometric(name, sign))
    got = applied(image, name, sign).astype(int)
    inner = (slice(6, -6), slice(6, -6))
    assert np.abs(got - reference)[inner].max() < 0.51
    assert not np.array_equal(got, np.asarray(image))


@pytest.mark.parametrize("name", ra.GEOMETRIC)
def test_the_two_signs_go_opposite_ways(name):
    image = smooth(5)
    there = Image.fromarray(applied(image, name, 1.0))
    back = applied(there, name, -1.0).astype(int)
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(back - np.asarray(image).astype(int))[inner].mean() < 4


@pytest.mark.parametrize("name", ["translate_x", "translate_y"])
def test_a_translation_is_by_whole_pixels_and_leaves_black_behind(name):
    array = np.asarray(smooth(6)) | 1
    shift = round(ra.SHIFT * SIDE)
    got = np.moveaxis(applied(Image.fromarray(array), name), 1 if name == "translate_x" else 0, 0)
    array = np.moveaxis(array, 1 if name == "translate_x" else 0, 0)
    assert np.array_equal(got[:-shift], array[shift:])
    assert (got[-shift:] == 0).all()


@pytest.mark.parametrize("name", ra.OPERATIONS)
@pytest.mark.parametrize("value", [0, 7, 255])
def test_an_image_of_one_value_stays_within_bytes(name, value):
    array = np.full((SIDE, SIDE, 3), value, dtype=np.uint8)
    got = applied(Image.fromarray(array), name)
    if name in ("autocontrast", "equalize", "contrast", "saturation", "sharpness"):
        assert np.array_equal(got, array)
    if name in PIL_OPERATIONS:
        assert np.abs(got.astype(int) - np.asarray(PIL_OPERATIONS[name](Image.fromarray(array), 1.0))).max() <= 1


def test_an_image_comes_out_the_same_whatever_the_others_in_its_batch():
    pixels = torch.from_numpy(np.stack([picture(k, SIDE, SIDE) for k in range(56)])).permute(0, 3, 1, 2).contiguous()
    drawn, signs = torch.arange(56) % 14, (torch.arange(56) // 14 % 2) * 2.0 - 1
    kept = pixels.clone()
    whole = ra.apply(pixels, drawn, signs)
    assert torch.equal(pixels, kept)
    for k in range(56):
        alone = ra.apply(pixels[k : k + 1], drawn[k : k + 1], signs[k : k + 1])
        assert (whole[k].int() - alone[0].int()).abs().max() <= 1


def test_every_image_draws_its_own_operations():
    images = torch.from_numpy(np.broadcast_to(picture(0, SIDE, SIDE), (500, SIDE, SIDE, 3)).copy())
    got = ra.rand_augment(images, torch.Generator().manual_seed(0))
    assert got.shape == images.shape
    assert got.dtype == torch.uint8
    assert len({image.numpy().tobytes() for image in got}) > 100
    untouched = (got == images).flatten(1).all(1).float().mean()
    assert untouched < 0.05
