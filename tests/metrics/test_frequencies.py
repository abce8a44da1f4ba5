"""Bands, rings and resolution: by hand, by closed form and by counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from scipy import ndimage

from napari_sr.metrics import (
    local_resolution,
    out_of_band_share,
    resolution_of,
    ring_correlation,
    split_bands,
    split_pixels,
)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def wave(shape, frequency, angle=0.3):
    y, x = np.indices(shape)
    return np.cos(2 * np.pi * frequency * (np.cos(angle) * x + np.sin(angle) * y))


# ── bands ───────────────────────────────────────────────────────────────────────────


@runs(max_examples=20, deadline=None)
@given(st.sampled_from([1, 2, 3, 4]), st.integers(3, 20), st.integers(0, 99))
def test_both_bands_are_the_image_and_do_not_mix(factor, side, seed):
    image = noise(side * factor, (side + 2) * factor, seed=seed) + 5

    inside, outside = split_bands(image, factor)

    np.testing.assert_allclose(inside + outside, image, atol=1e-5)
    assert float(np.mean(inside * outside)) == pytest.approx(0, abs=1e-5)
    again, nothing = split_bands(inside, factor)
    np.testing.assert_allclose(again, inside, atol=1e-5)
    np.testing.assert_allclose(nothing, 0, atol=1e-5)


def test_bands_are_those_of_the_mirrored_image():
    image = noise(24, 36)
    inside, _ = split_bands(image, 3)

    mirrored = np.block([[image, image[:, ::-1]], [image[::-1], image[::-1, ::-1]]])
    y, x = (np.abs(np.fft.fftfreq(n)) for n in mirrored.shape)
    kept = np.multiply.outer(y < 0.5 / 3, x < 0.5 / 3)
    expected = np.fft.ifft2(np.fft.fft2(mirrored) * kept).real[:24, :36]

    np.testing.assert_allclose(inside, expected, atol=1e-5)


@pytest.mark.parametrize(("frequency", "share"), [(0.1, 0.0), (0.2, 0.0), (0.4, 1.0)])
def test_a_wave_is_on_one_side_of_the_recorded_nyquist(frequency, share):
    image = wave((256, 256), frequency, angle=0)

    assert out_of_band_share(image, 2) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_of_white_noise_all_but_one_share_is_out_of_band(factor):
    image = noise(288, 288) + 1000

    expected = 1 - 1 / factor**2
    assert out_of_band_share(image, factor) == pytest.approx(expected, abs=0.01)


def test_a_constant_has_nothing_out_of_band():
    assert out_of_band_share(np.full((12, 12), 7, np.uint16), 2) == 0


def test_sides_that_are_no_multiples_are_refused():
    with pytest.raises(ValueError, match=r"30 × 31 px.*2 times finer"):
        split_bands(noise(30, 31), 2)


# ── rings ───────────────────────────────────────────────────────────────────────────


def correlation_by_loops(one, other):
    """Every coefficient by itself, from the definition."""
    y, x = (np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in one.shape)
    window = np.outer(y, x)
    spectra = [
        np.fft.fft2((image - (image * window).sum() / window.sum()) * window)
        for image in (one, other)
    ]
    side, found = min(one.shape), []
    for ring in range(1, side // 2 + 1):
        sums = np.zeros(3)
        for place in np.ndindex(one.shape):
            fy, fx = (
                np.fft.fftfreq(n)[i] for n, i in zip(one.shape, place, strict=True)
            )
            if np.rint(np.hypot(fy, fx) * side) == ring:
                a, b = spectra[0][place], spectra[1][place]
                sums += (a * b.conjugate()).real, abs(a) ** 2, abs(b) ** 2
        found.append(sums[0] / np.sqrt(sums[1] * sums[2]))
    return found


def test_rings_are_those_of_the_definition():
    one = noise(16, 20)
    other = one + noise(16, 20, seed=1)

    frequencies, found = ring_correlation(one, other)

    np.testing.assert_allclose(frequencies, np.arange(1, 9) / 16)
    np.testing.assert_allclose(found, correlation_by_loops(one, other), atol=1e-12)


@pytest.mark.parametrize("snr", [0.1, 1.0, 10.0])
def test_of_two_recordings_it_is_the_share_of_the_signal(snr):
    signal = np.sqrt(snr) * noise(400, 400)

    frequencies, found = ring_correlation(
        signal + noise(400, 400, seed=1), signal + noise(400, 400, seed=2)
    )

    mean = np.average(found, weights=frequencies)  # as many coefficients in each ring
    assert mean == pytest.approx(snr / (snr + 1), abs=0.01)


@runs(max_examples=20, deadline=None)
@given(gain=st.floats(0.01, 100), offset=st.floats(-1e3, 1e3))
def test_gain_and_offset_change_nothing(gain, offset):
    image = noise(32, 40)

    _, found = ring_correlation(gain * image + offset, image)

    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match="Crop or resample"):
        ring_correlation(noise(8, 8), noise(8, 9))


# ── resolution ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cutoff", [0.1, 0.2, 0.4])
def test_the_resolution_is_where_the_signal_ends(cutoff):
    shape = (256, 256)
    fy, fx = (np.fft.fftfreq(n) for n in shape)
    passed = np.hypot(fy[:, None], fx) < cutoff
    signal = np.fft.ifft2(np.fft.fft2(noise(*shape)) * passed).real
    pair = (signal + 0.3 * noise(*shape, seed=seed) for seed in (1, 2))

    assert resolution_of(*ring_correlation(*pair)) == pytest.approx(
        1 / cutoff, rel=0.08
    )


def test_what_agrees_everywhere_has_no_crossing():
    image = noise(64, 64)

    assert resolution_of(*ring_correlation(image, image)) is None


def test_what_agrees_nowhere_has_the_coarsest_resolution():
    found = ring_correlation(noise(64, 64), -noise(64, 64))

    assert resolution_of(*found) == pytest.approx(64 / 2)


def test_the_halves_of_an_image_lie_at_one_place_and_share_no_noise():
    y, x = np.indices((40, 50))
    falling, rising = split_pixels((3 * y + 2 * x).astype(np.uint16))
    np.testing.assert_array_equal(falling, rising)

    falling, rising = split_pixels(noise(400, 400))
    assert np.corrcoef(falling.ravel(), rising.ravel())[0, 1] == pytest.approx(
        0, abs=0.01
    )


def test_one_image_tells_where_its_noise_begins():
    fy = fx = np.fft.fftfreq(256)
    passed = np.hypot(fy[:, None], fx) < 0.1
    signal = np.fft.ifft2(np.fft.fft2(noise(256, 256)) * passed).real
    image = signal + 0.1 * noise(256, 256, seed=1)

    frequencies, correlation = ring_correlation(*split_pixels(image))

    period = resolution_of(frequencies, correlation)
    assert 2 * period == pytest.approx(10, rel=0.1)  # pixels of the image


# ── where it is resolved ────────────────────────────────────────────────────────────


def half_blurred(sigma=4.0, shape=(160, 256)):
    """Texture that is blurred in its right half, and a noisy copy of it."""
    random = np.random.default_rng(3)
    texture = random.normal(size=shape)
    blurred = ndimage.gaussian_filter(texture, sigma)
    half = shape[1] // 2
    image = np.hstack([texture[:, :half], blurred[:, half:] / blurred.std()])
    return image, image + 0.3 * random.normal(size=shape)


def test_what_is_blurred_is_resolved_less_there_and_there_alone():
    image, noisy = half_blurred()

    found = local_resolution(image, noisy)

    assert found.shape == (5, 8)
    np.testing.assert_array_equal(found[:, :3], 2)
    # √(S / (S + N)) is 1/7 where S = 4πσ² exp(−(2πfσ)²) is N / 48: at 7.4 px per cycle;
    # the window of a part lets a little of coarser detail leak into finer rings
    assert np.median(found[:, 5:]) == pytest.approx(7.4, rel=0.2)


def test_halves_of_one_image_are_resolved_to_four_pixels_at_best():
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(64, 96)), 2)

    found = local_resolution(smooth)

    assert found.shape == (2, 3)
    assert (found >= 4).all()
    assert np.median(local_resolution(smooth, smooth)) == 2


def test_a_part_of_a_block_is_looked_at_too():
    image, noisy = half_blurred(shape=(70, 90))
    assert local_resolution(image, noisy).shape == (3, 3)
