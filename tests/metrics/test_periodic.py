"""Stripes and rings are found by their strength, and nothing where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sr.metrics import rings, stripes

MIDDLE = (127.5, 127.5)


def specimen(seed=0, noise=200.0, side=256):
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=(side, side)), 4)
    return 10_000 + 500 * smooth / smooth.std() + random.normal(0, noise, smooth.shape)


def profile(strength, n=400):
    return strength * np.random.default_rng(7).choice([-1.0, 1.0], n)


def ringed(strength, centre=MIDDLE):
    y, x = np.indices((256, 256))
    radius = np.hypot(y - centre[0], x - centre[1]).astype(int)
    return specimen() + profile(strength)[radius]


@pytest.mark.parametrize("strength", [60, 200])
def test_stripes_are_found_along_their_axis_with_their_strength(strength):
    along_y = specimen() + profile(strength, 256)
    along_x = specimen() + profile(strength, 256)[:, None]

    assert stripes(along_y) == (pytest.approx(strength, rel=0.25), 0)
    assert stripes(along_x) == (0, pytest.approx(strength, rel=0.25))


@pytest.mark.parametrize("centre", [MIDDLE, (100.0, 150.0), (0.0, 0.0)], ids=str)
@pytest.mark.parametrize("strength", [60, 200])
def test_rings_are_found_around_their_middle_with_their_strength(strength, centre):
    if centre == (0.0, 0.0):  # one quadrant: no two parts that do not touch
        assert rings(ringed(strength, centre), centre) == 0
        return
    assert rings(ringed(strength, centre), centre) == pytest.approx(strength, rel=0.25)
    assert stripes(ringed(strength, centre)) == (0, 0)


def test_nothing_is_found_where_nothing_is():
    found = [
        (*stripes(image), rings(image, MIDDLE)) for image in map(specimen, range(20))
    ]
    assert np.count_nonzero(found) == 0


def test_an_edge_or_a_bright_spot_is_no_stripe():
    image = specimen()
    image[:100, 60:] += 5_000
    image[30:50, 30:50] += 20_000

    assert stripes(image) == (0, 0)


def test_of_small_and_even_images_nothing_is_said():
    assert stripes(np.ones((40, 300))) == (0, 0)
    assert stripes(np.ones((200, 200))) == (0, 0)
    assert rings(np.ones((200, 200)), (99.5, 99.5)) == 0
    assert rings(specimen(side=40), (19.5, 19.5)) == 0
