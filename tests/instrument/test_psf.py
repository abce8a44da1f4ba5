"""Point-spread functions: unit sum, a known centre, and no light lost at the border."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from scipy import ndimage

from napari_sr.instrument.psf import (
    blur,
    convolve,
    gaussian_psf,
    measured_psf,
    mirrored,
)


def random_image(n=1, height=40, width=31):
    random = torch.Generator().manual_seed(0)
    return torch.rand(n, 1, height, width, generator=random, dtype=torch.float64)


def gaussian(sigma, ratio=1.0, angle=0.0):
    values = (
        torch.tensor([value], dtype=torch.float64) for value in (sigma, ratio, angle)
    )
    return gaussian_psf(*values)


def second_moments(psf):
    """Variances along x and y, and their covariance."""
    y, x = (torch.arange(side) - side // 2 for side in psf.shape[-2:])
    y, x = y.view(-1, 1).double(), x.double()
    return [float((psf * moment).sum()) for moment in (x**2, y**2, x * y)]


# ── Gaussians ───────────────────────────────────────────────────────────────────────


@runs(max_examples=20, deadline=None)
@given(st.floats(0.8, 3), st.floats(0.5, 2), st.floats(0, 180))
def test_a_gaussian_has_its_two_widths_at_its_angle(sigma, ratio, angle):
    sigma = max(sigma, 0.8 / ratio)  # narrower ones are too coarse on whole pixels

    xx, yy, xy = second_moments(gaussian(sigma, ratio, angle))

    first, second = sigma**2, (sigma * ratio) ** 2
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    expected = [
        first * c**2 + second * s**2,
        first * s**2 + second * c**2,
        (first - second) * c * s,
    ]
    assert [xx, yy, xy] == pytest.approx(expected, abs=0.01 * max(first, second))


@pytest.mark.parametrize("sigma", [0.0, 0.3, 2.0])
def test_gaussians_have_unit_sum(sigma):
    assert gaussian(sigma, 0.5, 30).sum().item() == pytest.approx(1)


def test_a_width_of_zero_is_a_point():
    image = random_image()

    assert torch.equal(convolve(image, gaussian(0.0)), image)


def test_a_round_gaussian_is_the_same_both_ways():
    image = random_image(2)
    psf = gaussian_psf(torch.tensor([1.3, 1.3]).double(), torch.ones(2), torch.zeros(2))

    torch.testing.assert_close(convolve(image, psf), blur(image, 1.3))


def test_each_image_has_its_own():
    images = random_image(2)
    sigma = torch.tensor([0.7, 1.9]).double()
    psf = gaussian_psf(sigma, torch.ones(2), torch.zeros(2))

    blurred = convolve(images, psf)

    for image, one, width in zip(images, blurred, sigma.tolist(), strict=True):
        torch.testing.assert_close(one, blur(image[None], width)[0], rtol=0, atol=1e-4)


# ── measured ones ───────────────────────────────────────────────────────────────────

SHAPES = [(1, 1), (3, 3), (4, 4), (5, 4), (2, 7)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_point_of_light_becomes_the_point_spread_function(shape):
    psf = measured_psf(np.arange(1.0, 1 + np.prod(shape)).reshape(shape).tolist())
    rows, columns = shape
    image = torch.zeros(1, 1, 21, 23)
    image[..., 10, 11] = 1

    seen = convolve(image, psf)

    top, left = 10 - rows // 2, 11 - columns // 2
    torch.testing.assert_close(seen[..., top : top + rows, left : left + columns], psf)
    assert seen.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_convolution_is_that_of_scipy(shape):
    image = random_image()[0, 0].numpy()
    kernel = np.random.default_rng(0).random(shape)

    ours = convolve(
        torch.from_numpy(image)[None, None], torch.from_numpy(kernel)[None, None]
    )

    theirs = ndimage.convolve(image, kernel, mode="reflect")
    np.testing.assert_allclose(ours[0, 0].numpy(), theirs)


def test_measured_ones_have_unit_sum():
    assert measured_psf([[1, 2], [3, 6]]).flatten().tolist() == pytest.approx(
        [1 / 12, 2 / 12, 3 / 12, 6 / 12]
    )


# ── at the border ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "psf",
    [gaussian(2.0, 0.5, 30), measured_psf([[0, 3, 1], [0, 1, 0]]).double()],
    ids=["turned", "lopsided"],
)
def test_a_flat_field_stays_flat(psf):
    image = torch.full((1, 1, 9, 12), 0.7, dtype=torch.float64)

    torch.testing.assert_close(convolve(image, psf), image, rtol=1e-6, atol=0)


@pytest.mark.parametrize("angle", [0, 90])
def test_a_symmetric_one_keeps_all_light(angle):
    image = random_image()
    image[..., -1] += 5

    seen = convolve(image, gaussian(2.0, 0.4, angle))

    assert seen.sum().item() == pytest.approx(image.sum().item(), rel=1e-9)


@pytest.mark.parametrize("far", [1, 5, 23])
def test_the_border_is_a_mirror_between_two_pixels_however_far(far):
    image = random_image(1, 4, 5)

    ours = mirrored(image, (far, 2), (0, far))

    plane = image[0, 0].numpy()  # np.pad is wrong there before NumPy 2
    for axis, places in ((0, range(-far, 4 + 2)), (1, range(5 + far))):
        both = np.concatenate([plane, np.flip(plane, axis)], axis)
        plane = both.take(places, axis, mode="wrap")
    np.testing.assert_array_equal(ours[0, 0].numpy(), plane)
