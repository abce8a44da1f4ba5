"""Statistics of recordings: each is what it says, for any plane."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_sr.instrument.noise_statistics import (
    FLOOR,
    LOG_ENERGIES,
    N_FEATURES,
    WHERE_FLAT,
    noise_statistics,
)

N_FILTERS, N_LEVELS = 7, 5
ENERGIES = slice(0, N_FILTERS * N_LEVELS)
RELATIVE = slice(35, 45)
QUIET = slice(45, 55)
AUTOCORRELATION = slice(55, 60)
LOG_KURTOSIS = 60
MEANS = slice(61, 64)
FLAT_LAGS = slice(169, 177)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def white_noise(sigma, shape=(512, 512), mean=0.5):
    return mean + sigma * torch.randn(shape, generator=seeded())


def statistics_of(plane):
    return noise_statistics(plane[None])[0]


SHAPES = [(1, 1), (2, 2), (3, 3), (5, 7), (8, 40), (15, 16), (16, 16), (17, 100)]
PLANES = {
    "zero": lambda shape: torch.zeros(shape),
    "constant": lambda shape: torch.full(shape, 0.7),
    "negative": lambda shape: torch.full(shape, -0.3),
    "bright": lambda shape: torch.full(shape, 40.0),
    "random": lambda shape: torch.rand(shape, generator=seeded()),
    "one hot pixel": lambda shape: torch.zeros(shape).index_fill(
        0, torch.tensor([0]), 1.0
    ),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", PLANES)
def test_statistics_are_finite_for_any_plane(kind, shape):
    found = statistics_of(PLANES[kind](shape))

    assert found.shape == (N_FEATURES,)
    assert found.isfinite().all()


@pytest.mark.parametrize("shape", [(2, 2), (5, 7), (8, 40)], ids=str)
def test_a_small_plane_is_continued_by_reflection(shape):
    plane = torch.rand(shape, generator=seeded())
    missing = [(0, max(0, 16 - side)) for side in shape]
    larger = torch.from_numpy(np.pad(plane.numpy(), missing, mode="reflect"))

    assert torch.equal(statistics_of(plane), statistics_of(larger))


def test_each_filter_passes_white_noise_at_unit_size():
    sigma = 0.05
    energies = statistics_of(white_noise(sigma))[ENERGIES]

    # half of the blocks lie on either side of the variance, or nearly so
    medians = energies.view(N_FILTERS, N_LEVELS)[:, 3].exp().sqrt()
    assert medians.numpy() == pytest.approx([sigma] * N_FILTERS, rel=0.1)


def test_a_plane_without_noise_has_the_energy_of_the_floor():
    energies = statistics_of(torch.full((64, 64), 0.5))[ENERGIES]

    torch.testing.assert_close(
        energies, torch.full((N_FILTERS * N_LEVELS,), math.log(FLOOR**2))
    )


def test_statistics_relative_to_the_mean_tell_photon_noise():
    dim, bright = (
        torch.poisson(torch.full((256, 256), signal / 0.01), seeded()) * 0.01
        for signal in (0.2, 0.8)
    )

    of_dim, of_bright = statistics_of(dim), statistics_of(bright)

    # four times the light: four times the variance, the same ratio
    difference = (of_bright - of_dim)[ENERGIES].mean().item()
    assert difference == pytest.approx(math.log(4), abs=0.05)
    torch.testing.assert_close(of_bright[RELATIVE], of_dim[RELATIVE], rtol=0, atol=0.15)


def test_the_quiet_energy_of_each_brightness_follows_the_photons():
    steps = torch.tensor([0.1, 0.2, 0.4, 0.6, 0.8]).repeat_interleave(80)
    staircase = steps.expand(160, 400)
    recorded = torch.poisson(staircase / 0.01, seeded()) * 0.01

    energy, mean = statistics_of(recorded)[QUIET].view(5, 2).T

    torch.testing.assert_close(mean[2], torch.tensor(0.4), rtol=0.05, atol=0)
    # variance = gain × signal: twice the brightness, twice the energy
    rise = (energy[-1] - energy[0]).item()
    assert rise == pytest.approx(math.log(8), abs=0.4)


def test_the_autocorrelation_is_that_of_the_laplacian_of_white_noise():
    lags = statistics_of(white_noise(0.1))[AUTOCORRELATION]

    # of (1, -2, 1): -4/6 at one pixel, 1/6 at two
    expected = torch.tensor([-4 / 6, -4 / 6, 16 / 36, 1 / 6, 1 / 6])
    torch.testing.assert_close(lags, expected, rtol=0, atol=0.02)


def test_the_kurtosis_of_normal_noise_is_3():
    kurtosis = statistics_of(white_noise(0.1))[LOG_KURTOSIS].exp().item()

    assert kurtosis == pytest.approx(3, rel=0.03)


def test_the_means_are_percentiles_of_the_brightness():
    ramp = torch.linspace(0, 1, 402).expand(100, 402)

    torch.testing.assert_close(
        statistics_of(ramp)[MEANS],
        torch.tensor([0.1, 0.5, 0.9]),
        rtol=0,
        atol=0.01,
    )


def test_where_there_is_no_light_nothing_is_learnt_about_noise():
    noisy = white_noise(0.1, (128, 128))
    masked = torch.zeros(256, 512)
    masked[64:192, 128:256] = noisy

    alone, surrounded = statistics_of(noisy), statistics_of(masked)

    # the median block, and how the tails are: edges of the mask are a few blocks more
    medians = slice(2, N_FILTERS * N_LEVELS, N_LEVELS)
    torch.testing.assert_close(surrounded[medians], alone[medians], rtol=0, atol=0.3)
    assert statistics_of(torch.zeros(64, 64)).isfinite().all()


# ── of several windows, at several scales, where it is flat ─────────────────────────


def test_windows_are_summarised_each_by_itself():
    windows = torch.rand(4, 64, 48, generator=seeded())
    windows[1, :40] = 0
    windows[2] = 0

    together = noise_statistics(windows)

    alone = torch.cat([noise_statistics(window[None]) for window in windows])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_an_image_that_is_twice_as_strong_has_energies_that_are_four_times_as_large():
    image = white_noise(0.1, (64, 64)) + torch.linspace(0, 1, 64)

    once, twice = statistics_of(image), statistics_of(2 * image)

    rise = (twice - once)[LOG_ENERGIES]
    # of those relative to the mean, which doubles too, the logarithm of two
    is_relative = (rise - math.log(2)).abs() < 0.01
    torch.testing.assert_close(
        rise[~is_relative],
        torch.full_like(rise[~is_relative], math.log(4)),
        rtol=0,
        atol=0.01,
    )
    assert is_relative.sum() == 3 * 10
    assert (twice - once)[WHERE_FLAT].item() == pytest.approx(math.log(4), abs=0.01)


@pytest.mark.parametrize("sigma", [0.0, 0.7, 1.0])
def test_where_it_is_flat_variance_and_autocorrelation_are_those_of_the_noise(sigma):
    noise = np.random.default_rng(0).normal(size=(256, 256))
    noise = ndimage.gaussian_filter(noise, sigma, mode="wrap") if sigma else noise
    noise *= 0.05 / noise.std()
    textured = np.sin(np.arange(256) * 0.3) * np.cos(np.arange(256) * 0.2)[:, None]
    textured[:, :128] = 0

    found = statistics_of(torch.from_numpy(noise + textured).float())

    # Blocks of 8 × 8, out of which a plane was taken, vary a little less.
    assert found[WHERE_FLAT].exp().sqrt().item() == pytest.approx(0.05, rel=0.3)
    right = noise[:, 1:] * noise[:, :-1]
    expected = right.mean() / noise.var()
    assert found[FLAT_LAGS][0].item() == pytest.approx(expected, abs=0.2)


def test_coarse_noise_shows_at_the_coarser_scales():
    fine = torch.randn(256, 256, generator=seeded()) * 0.05
    coarse = torch.nn.functional.interpolate(fine[None, None, :64, :64], scale_factor=4)

    of_fine, of_coarse = statistics_of(fine), statistics_of(coarse[0, 0])

    first, half, quarter = (slice(place + 30, place + 35) for place in (0, 64, 124))
    assert (of_coarse[first] < of_fine[first] - 2).all()
    assert (of_coarse[quarter] > of_fine[quarter] + 1).all()
    # 2 × 2 means of white noise have a quarter of its variance
    drop = (of_fine[first] - of_fine[half])[3].item()
    assert drop == pytest.approx(math.log(4), abs=0.2)
