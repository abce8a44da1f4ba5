"""Metrics: by hand on small arrays, and as scikit-image has them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import structural_similarity

from napari_sr.metrics import psnr, ssim


def noisy_pair(shape=(24, 31), seed=0):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 60_000, shape).astype(np.uint16)
    result = (truth + random.integers(0, 3000, shape)).astype(np.uint16)
    return result, truth


def by_the_paper(x, y, data_range):
    """Wang et al. 2004, equation 13, with weights that sum to one."""
    x, y = x.astype(float), y.astype(float)

    def mean(image):
        return ndimage.gaussian_filter(image, 1.5, truncate=3.5)

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mx, my = mean(x), mean(y)
    vx, vy = mean(x * x) - mx**2, mean(y * y) - my**2
    covariance = mean(x * y) - mx * my
    similarity = ((2 * mx * my + c1) * (2 * covariance + c2)) / (
        (mx**2 + my**2 + c1) * (vx + vy + c2)
    )
    return similarity[5:-5, 5:-5].mean()


def test_psnr_by_hand():
    truth = np.zeros((4, 5))
    result = truth.copy()
    result[1, 2] = 10.0  # mean square error 100 / 20 = 5

    assert psnr(result, truth, data_range=255) == pytest.approx(
        10 * math.log10(255**2 / 5), abs=1e-9
    )


def test_psnr_does_not_wrap_around_in_integers():
    dark, bright = np.zeros((3, 3), np.uint16), np.full((3, 3), 65535, np.uint16)

    assert psnr(dark, bright, data_range=65535) == pytest.approx(0)
    assert psnr(bright, dark, data_range=65535) == pytest.approx(0)


def test_psnr_of_identical_images_is_infinite():
    image = noisy_pair()[1]

    assert psnr(image, image, data_range=65535) == math.inf


def test_psnr_depends_on_the_stated_range_and_on_no_other():
    result, truth = noisy_pair()

    difference = psnr(result, truth, data_range=60_000) - psnr(
        result, truth, data_range=6_000
    )

    assert difference == pytest.approx(20)


def test_ssim_is_that_of_the_paper():
    result, truth = noisy_pair()

    assert ssim(result, truth, data_range=65535) == pytest.approx(
        by_the_paper(result, truth, 65535), abs=1e-9
    )


def test_ssim_is_that_of_scikit_image():
    result, truth = noisy_pair()
    theirs = structural_similarity(
        truth.astype(float),
        result.astype(float),
        data_range=65535,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )

    assert ssim(result, truth, data_range=65535) == theirs


def test_ssim_of_identical_images_is_one():
    image = noisy_pair()[1]

    assert ssim(image, image, data_range=65535) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_a_border_does_not_count(metric):
    result, truth = noisy_pair()
    spoiled = result.copy()
    spoiled[:3], spoiled[-3:], spoiled[:, :3], spoiled[:, -3:] = 0, 0, 0, 0

    inner = metric(result[3:-3, 3:-3], truth[3:-3, 3:-3], data_range=65535)

    assert metric(spoiled, truth, data_range=65535, border=3) == inner
    assert metric(spoiled, truth, data_range=65535) < inner


@pytest.mark.parametrize("border", [-1, 12, 40])
def test_a_border_that_leaves_nothing_is_refused(border):
    result, truth = noisy_pair()

    with pytest.raises(
        ValueError, match=f"border of {border} px leaves nothing.*24 × 31"
    ):
        psnr(result, truth, data_range=65535, border=border)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_different_shapes_are_refused(metric):
    result, truth = noisy_pair()

    with pytest.raises(ValueError, match="same dimensions"):
        metric(result[:-1], truth, data_range=65535)
