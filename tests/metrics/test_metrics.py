"""Metrics: by hand on small arrays, and as scikit-image has them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from scipy import ndimage
from skimage.metrics import structural_similarity

from napari_sr.metrics import (
    gradient_similarity,
    ms_ssim,
    psnr,
    radial_spectrum,
    si_psnr,
    spectrum_error,
    ssim,
)
from napari_sr.training.losses import ms_ssim_loss


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


# ── multi-scale SSIM ────────────────────────────────────────────────────────────────


@runs(max_examples=20, deadline=None)
@given(st.integers(11, 21), st.integers(11, 40), st.integers(0, 99))
def test_at_one_scale_ms_ssim_is_ssim(height, width, seed):
    pair = noisy_pair((height, width), seed)

    assert ms_ssim(*pair, data_range=65535) == pytest.approx(
        ssim(*pair, data_range=65535), abs=1e-9
    )


@pytest.mark.parametrize(("side", "n_scales"), [(43, 2), (44, 3), (180, 5), (600, 5)])
def test_ms_ssim_is_one_minus_the_loss_at_as_many_scales_as_fit(side, n_scales):
    random = np.random.default_rng(side)
    truth = ndimage.gaussian_filter(random.random((side, side)), 2)
    result = truth + 0.02 * random.random((side, side))
    tensors = [torch.from_numpy(image)[None, None] for image in (result, truth)]

    assert ms_ssim(result, truth, data_range=1) == pytest.approx(
        1 - ms_ssim_loss(*tensors, n_scales).item(), abs=2e-5
    )


def test_ms_ssim_knows_no_units():
    result, truth = noisy_pair((60, 50))
    scaled = (image / 65535 for image in (result, truth))

    assert ms_ssim(result, truth, data_range=65535) == pytest.approx(
        ms_ssim(*scaled, data_range=1)
    )


def test_reversed_contrast_is_not_similar_at_all():
    truth = np.random.default_rng(0).normal(size=(60, 50))

    assert ms_ssim(-truth, truth, data_range=1) == 0
    assert ms_ssim(truth, truth, data_range=1) == pytest.approx(1)


# ── scale-invariant PSNR ────────────────────────────────────────────────────────────


def test_si_psnr_by_hand():
    truth = np.array([[0.0, 0.0], [3.0, 3.0]])
    result = np.array([[2.0, 4.0], [8.0, 6.0]])
    # the line through the means: gain 12 / 20, offset 1.5 − 5 × gain
    error = np.mean((12 / 20 * (result - 5) + 1.5 - truth) ** 2)

    assert si_psnr(result, truth, data_range=3) == pytest.approx(
        10 * math.log10(9 / error)
    )


@runs(max_examples=30, deadline=None)
@given(gain=st.floats(0.01, 100) | st.floats(-100, -0.01), offset=st.floats(-1e4, 1e4))
def test_si_psnr_knows_neither_gain_nor_offset(gain, offset):
    result, truth = noisy_pair()

    assert si_psnr(gain * result + offset, truth, data_range=65535) == pytest.approx(
        si_psnr(result, truth, data_range=65535), abs=1e-6
    )


@runs(max_examples=30, deadline=None)
@given(gain=st.floats(-2, 2), offset=st.floats(-5000, 5000))
def test_no_other_gain_and_offset_give_a_better_psnr(gain, offset):
    result, truth = noisy_pair()

    assert si_psnr(result, truth, data_range=65535) >= psnr(
        gain * result + offset, truth, data_range=65535
    )


def test_si_psnr_is_infinite_where_gain_and_offset_explain_everything():
    truth = noisy_pair()[1]

    assert si_psnr(truth, truth, data_range=65535) == math.inf
    assert si_psnr(4 * truth.astype(float), truth, data_range=65535) == math.inf


def test_a_result_without_any_structure_is_as_good_as_the_mean():
    truth = noisy_pair()[1]
    flat = np.full(truth.shape, 17, np.uint16)

    assert si_psnr(flat, truth, data_range=65535) == pytest.approx(
        20 * math.log10(65535 / truth.std())
    )


# ── gradient similarity ─────────────────────────────────────────────────────────────


def gradient_similarity_by_hand(x, y, data_range):
    """Xue et al. 2014, equations 1 to 7, at full resolution."""
    x, y = x.astype(float), y.astype(float)
    height, width = x.shape
    similarities = []
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            magnitudes = []
            for image in (x, y):
                part = image[i - 1 : i + 2, j - 1 : j + 2]
                across = (part[:, 0].sum() - part[:, 2].sum()) / 3
                down = (part[0].sum() - part[2].sum()) / 3
                magnitudes.append(math.sqrt(across**2 + down**2))
            r, d = magnitudes
            c = 170 * (data_range / 255) ** 2
            similarities.append((2 * r * d + c) / (r**2 + d**2 + c))
    mean = sum(similarities) / len(similarities)
    deviation = math.sqrt(
        sum((s - mean) ** 2 for s in similarities) / len(similarities)
    )
    return 1 - deviation


def test_gradient_similarity_by_hand():
    result, truth = noisy_pair()

    found = gradient_similarity(result, truth, data_range=65535)

    assert found == pytest.approx(
        gradient_similarity_by_hand(result, truth, 65535), abs=1e-12
    )
    assert found < 0.999


def test_gradient_similarity_of_identical_images_is_one():
    image = noisy_pair()[1]

    assert gradient_similarity(image, image, data_range=65535) == 1


@runs(max_examples=20, deadline=None)
@given(offset=st.floats(-1e3, 1e3), scale=st.floats(0.01, 100))
def test_gradient_similarity_knows_no_offset_and_no_units(offset, scale):
    result, truth = noisy_pair()
    found = gradient_similarity(result, truth, data_range=65535)

    moved = gradient_similarity(result + offset, truth, data_range=65535)
    rescaled = gradient_similarity(
        scale * result, scale * truth, data_range=65535 * scale
    )

    assert moved == pytest.approx(found, abs=1e-9)
    assert rescaled == pytest.approx(found, abs=1e-9)


def test_gradient_similarity_sees_a_blurred_edge():
    truth = np.zeros((32, 32))
    truth[:, 16:] = 100.0
    found = [
        gradient_similarity(ndimage.gaussian_filter(truth, s), truth, data_range=100)
        for s in (0.5, 1, 2)
    ]

    assert 1 > found[0] > found[1] > found[2] > 0.5


def test_gradients_need_three_pixels():
    image = np.zeros((12, 9))

    assert gradient_similarity(image, image, data_range=1, border=3) == 1
    with pytest.raises(ValueError, match=r"3 × 3 px.*4 × 1 px are left"):
        gradient_similarity(image, image, data_range=1, border=4)


# ── spectra ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(64, 64), (48, 61), (33, 20)])
def test_white_noise_has_its_variance_at_every_frequency(shape):
    random = np.random.default_rng(0)
    spectra = [radial_spectrum(random.normal(100, 3, shape)) for _ in range(100)]

    frequencies, _ = spectra[0]
    power = np.mean([power for _, power in spectra], axis=0)

    # rings of one cycle per shorter side, from the first to Nyquist
    np.testing.assert_allclose(
        frequencies, np.arange(1, min(shape) // 2 + 1) / min(shape)
    )
    np.testing.assert_allclose(power[1:], 9, rtol=0.2)
    assert np.mean(power[1:]) == pytest.approx(9, rel=0.02)


def wave(frequency, angle, shape=(64, 64)):
    y, x = np.indices(shape)
    along = y * math.sin(angle) + x * math.cos(angle)
    return np.cos(2 * np.pi * frequency * along)


@runs(max_examples=30, deadline=None)
@given(frequency=st.floats(0.05, 0.45), angle=st.floats(0, math.pi))
def test_a_wave_is_found_at_its_frequency_in_any_direction(frequency, angle):
    frequencies, power = radial_spectrum(1000 + wave(frequency, angle))

    assert frequencies[power.argmax()] == pytest.approx(frequency, abs=1.01 / 64)
    far = abs(frequencies - frequency) > 6 / 64
    assert power[far].max() < 1e-3 * power.max()


def test_the_spectrum_is_the_fourier_transform_averaged_over_rings():
    image = noisy_pair((9, 11))[1].astype(float)
    window = np.outer(
        *(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in image.shape)
    )
    y, x = np.indices(image.shape)
    windowed = (image - (image * window).sum() / window.sum()) * window
    rings = {ring: [] for ring in range(1, 5)}
    for p in range(9):
        for q in range(11):
            fy, fx = min(p, 9 - p) / 9, min(q, 11 - q) / 11
            amplitude = abs(
                (windowed * np.exp(-2j * np.pi * (p * y / 9 + q * x / 11))).sum()
            )
            for ring, powers in rings.items():
                if abs(math.hypot(fy, fx) * 9 - ring) < 0.5:
                    powers.append(amplitude**2 / (window**2).sum())

    _, power = radial_spectrum(image)

    np.testing.assert_allclose(power, [np.mean(powers) for powers in rings.values()])


def band_limited(low, high, shape=(96, 96), seed=0):
    """Give noise whose frequencies, in cycles per pixel, all lie in a band."""
    noise = np.random.default_rng(seed).normal(0, 1, shape)
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in shape)))
    inside = (low <= frequency) & (frequency < high)
    return np.fft.ifft2(np.fft.fft2(noise) * inside).real


@runs(max_examples=20, deadline=None)
@given(factor=st.sampled_from([2, 3, 4]), amount=st.floats(0.1, 10))
def test_detail_of_another_strength_is_as_many_decades_of_power_off(factor, amount):
    # what lies around the band is the same, and too weak to leak into it
    nyquist = 0.5 / factor
    detail = band_limited(nyquist - 0.03, 2 * nyquist + 0.1)

    error = spectrum_error(amount * detail, detail, factor)

    assert error == pytest.approx(abs(math.log10(amount**2)), abs=1e-9)


@pytest.mark.parametrize(("factor", "low", "high"), [(2, 0, 0.22), (4, 0.28, 0.75)])
def test_detail_outside_the_band_does_not_count(factor, low, high):
    everything = band_limited(0, 0.75)
    more = everything + 3 * band_limited(low, high, seed=1)

    assert spectrum_error(more, everything, factor) < 0.001
    assert spectrum_error(more, everything, {2: 4, 4: 2}[factor]) > 0.1


def test_the_spectrum_error_is_the_same_for_half_and_for_double_the_power():
    truth = noisy_pair((64, 64))[1].astype(float)

    half = spectrum_error(truth * math.sqrt(0.5), truth, 2)
    double = spectrum_error(truth * math.sqrt(2), truth, 2)

    assert half == pytest.approx(double) == pytest.approx(math.log10(2))


def test_identical_images_have_no_spectrum_error():
    image = noisy_pair((40, 33))[1]

    assert spectrum_error(image, image, 2) == 0


def test_no_detail_at_all_is_far_off_and_finite():
    truth = noisy_pair((64, 64))[1]
    flat = np.full(truth.shape, 1000, np.uint16)

    assert 6 < spectrum_error(flat, truth, 2) < 50
    assert spectrum_error(flat, flat, 2) == 0
    assert spectrum_error(0 * flat, 0 * flat, 2) == 0


@pytest.mark.parametrize(("factor", "side"), [(1, 64), (4, 7), (8, 15)])
def test_a_band_that_is_not_there_is_refused(factor, side):
    image = np.zeros((side, 64))

    with pytest.raises(ValueError, match=f"factor of {factor}.*{side} × 64 px"):
        spectrum_error(image, image, factor)


# ── what holds for all ──────────────────────────────────────────────────────────────


def spectrum_error_at_2(result, truth, *, data_range, border=0):
    return -spectrum_error(result, truth, 2, border=border)  # more is better


EVERY = [psnr, si_psnr, ssim, ms_ssim, gradient_similarity, spectrum_error_at_2]


@pytest.mark.parametrize("metric", EVERY)
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


@pytest.mark.parametrize("metric", EVERY)
def test_different_shapes_are_refused(metric):
    result, truth = noisy_pair()

    with pytest.raises(ValueError, match="same dimensions"):
        metric(result[:-1], truth, data_range=65535)
