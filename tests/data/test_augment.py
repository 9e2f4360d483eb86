"""Augmentation draws anew for every image, keeps labels true, and says in its targets what can be seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data.augment import CROP_FRACTION, ERASE_PROBABILITY, MIX_PROBABILITY, Augment, crop_and_flip, erase, mix
from tests.data.makers import picture

SIDE = 16
REACH = round(SIDE * CROP_FRACTION)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(n=64, side=SIDE, channels=3):
    return torch.from_numpy(np.stack([picture(k, side, side, channels) for k in range(n)])).view(n, side, side, -1)


def one_colour(values):
    """Float [n, 1, SIDE, SIDE]: images of one value each."""
    return torch.as_tensor(values, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE).clone()


def windows(image):
    """Every window that pad-and-crop can cut out of one image, edges reflected, not mirrored."""
    padded = np.pad(image, ((REACH, REACH), (REACH, REACH), (0, 0)), mode="reflect")
    span = range(2 * REACH + 1)
    return {padded[y : y + SIDE, x : x + SIDE].tobytes(): (y, x) for y in span for x in span}


def test_none_changes_nothing():
    images, labels = batch(), torch.arange(64) % 4
    recipe, before = Augment("none", flip=True, classes=4), generator().get_state()
    g = generator()
    assert recipe.on_pixels(images, g) is images
    floats = images.float()
    assert recipe.on_normalised(floats, labels, g) == (floats, labels)
    assert torch.equal(g.get_state(), before)


def test_light_gives_reflected_windows_and_mirror_images_and_leaves_labels_alone():
    images, labels = batch(), torch.arange(64)
    recipe = Augment("light", flip=True, classes=64)
    got = recipe.on_pixels(images, generator())
    mirrored = 0
    for image, out in zip(images.numpy(), got.numpy(), strict=True):
        plain = out.tobytes() in windows(image)
        mirrored += not plain
        assert plain or out[:, ::-1].tobytes() in windows(image)
    assert 16 < mirrored < 48
    assert recipe.on_normalised(got.float(), labels, generator())[1] is labels


def test_every_image_has_its_own_shift_and_all_shifts_occur():
    images = batch(1).expand(2000, -1, -1, -1)
    got = crop_and_flip(images, generator(), flip=False)
    places = windows(images[0].numpy())
    assert {places[out.tobytes()] for out in got.numpy()} == set(places.values())


def test_nothing_is_mirrored_where_that_would_change_the_label():
    images = batch(200)
    got = Augment("light", flip=False, classes=2).on_pixels(images, generator())
    assert all(o.tobytes() in windows(i) for i, o in zip(images.numpy(), got.numpy(), strict=True))


@pytest.mark.parametrize("name", ["none", "light", "heavy"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [1, 2, 9])
def test_shape_and_type_are_kept_however_small_the_image(name, channels, side):
    images, labels = batch(8, side, channels), torch.arange(8)
    recipe = Augment(name, flip=True, classes=8)
    got = recipe.on_pixels(images, generator())
    assert (got.shape, got.dtype) == (images.shape, torch.uint8)
    floats = got.permute(0, 3, 1, 2).float()
    mixed, targets = recipe.on_normalised(floats, labels, generator())
    assert (mixed.shape, mixed.dtype) == (floats.shape, torch.float32)
    assert (targets.shape, targets.dtype) == (((8, 8), torch.float32) if name == "heavy" else ((8,), torch.int64))


@pytest.mark.parametrize("name", ["light", "heavy"])
def test_equal_seeds_give_equal_images_and_the_input_is_left_alone(name):
    images, labels = batch(), torch.arange(64)
    kept, recipe = images.clone(), Augment(name, flip=True, classes=64)

    def whole(seed):
        g = generator(seed)
        pixels = recipe.on_pixels(images, g)
        return recipe.on_normalised(pixels.permute(0, 3, 1, 2).float(), labels, g)

    first, again, other = whole(3), whole(3), whole(4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert torch.equal(images, kept)


def test_targets_of_a_mixture_add_up_and_equal_the_visible_share():
    """Of images of one value each, the mean of a mixture is the mean of its two values by their shares."""
    n = 512
    values = torch.arange(n, dtype=torch.float32)
    mixed, targets = mix(one_colour(values), torch.arange(n), n, generator())
    assert torch.allclose(targets.sum(1), torch.ones(n), atol=1e-6)
    assert targets.min() >= 0
    assert (targets > 0).sum(1).max() <= 2
    assert torch.allclose(mixed.mean((1, 2, 3)), targets @ values, atol=1e-2)


def test_mixup_and_cutmix_each_take_their_part_of_the_images():
    n = 4000
    mixed, targets = mix(one_colour(torch.arange(n)), torch.arange(n), n, generator())
    cut = torch.tensor([len(x.unique()) == 2 for x in mixed])
    blended = ~cut & (targets.amax(1) < 1)
    assert abs(cut.float().mean() - MIX_PROBABILITY / 2) < 0.05
    assert abs(blended.float().mean() - MIX_PROBABILITY / 2) < 0.05
    whole = ~cut & ~blended
    assert torch.equal(mixed[whole], one_colour(torch.arange(n))[whole])


def test_cutmix_takes_one_rectangle_from_the_partner_at_its_own_place():
    n = 400
    images = torch.rand(n, 1, SIDE, SIDE, generator=generator(9)) + torch.arange(n).view(-1, 1, 1, 1)
    mixed, _ = mix(images, torch.arange(n), n, generator())
    cuts = 0
    for k in range(n):
        source = mixed[k, 0].floor().long()
        others = source.unique()
        if len(others) != 2 or not torch.equal(mixed[k], images[source, 0, *np.indices((SIDE, SIDE))][None]):
            continue
        cuts += 1
        rows, columns = np.nonzero((source != k).numpy())
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert cuts > n / 5


def test_a_batch_of_one_mixes_with_itself():
    image, targets = mix(one_colour([3.0]), torch.tensor([1]), 2, generator())
    assert torch.allclose(image, one_colour([3.0]))
    assert torch.allclose(targets, torch.tensor([[0.0, 1.0]]))


def test_erasing_hides_one_rectangle_of_some_images_behind_the_mean():
    n = 4000
    got = erase(torch.ones(n, 3, SIDE, SIDE), generator())
    hidden = got[:, 0] == 0
    assert torch.equal(got, (~hidden)[:, None].expand(-1, 3, -1, -1).float())
    touched = hidden.flatten(1).any(1)
    assert abs(touched.float().mean() - ERASE_PROBABILITY) < 0.04
    for mask in hidden[touched][:200].numpy():
        rows, columns = np.nonzero(mask)
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert hidden.float().mean((1, 2)).max() <= 0.45
    assert 0.05 < hidden[touched].float().mean() < 0.25


def test_heavy_uses_all_of_its_parts():
    images = torch.full((256, SIDE, SIDE, 3), 100, dtype=torch.uint8)
    recipe, g = Augment("heavy", flip=True, classes=256), generator()
    pixels = recipe.on_pixels(images, g)
    assert (pixels != 100).flatten(1).any(1).float().mean() > 0.3
    mixed, targets = recipe.on_normalised(torch.ones(256, 3, SIDE, SIDE), torch.arange(256), g)
    assert (mixed == 0).any()
    assert (targets.amax(1) < 1).any()
