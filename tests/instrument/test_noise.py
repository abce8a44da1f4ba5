"""Noise: the map a network is told, and the estimator behind `noise="auto"`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from scipy import ndimage

from napari_sr.image.intensity import NoiseLevel
from napari_sr.instrument.noise import (
    FLOOR,
    N_FEATURES,
    NoiseEstimator,
    estimator_loss,
    noise_map,
    noise_statistics,
)
from napari_sr.settings import TrainingSettings
from napari_sr.training.auxiliary.noise_estimator import train_noise_estimator

N_FILTERS, N_LEVELS = 7, 5
LOG_ENERGIES = slice(0, N_FILTERS * N_LEVELS)
RELATIVE = slice(35, 45)
QUIET = slice(45, 55)
AUTOCORRELATION = slice(55, 60)
LOG_KURTOSIS = 60
MEANS = slice(61, 64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def white_noise(sigma, shape=(512, 512), mean=0.5):
    return mean + sigma * torch.randn(shape, generator=seeded())


# ── the map ─────────────────────────────────────────────────────────────────────────

levels = st.floats(0, 0.5)


@runs(max_examples=30, deadline=None)
@given(signal=st.floats(0, 1.5), gain=levels, read=levels, offset=st.floats(-0.1, 0.4))
def test_on_a_flat_field_the_map_is_the_equation(signal, gain, read, offset):
    flat = torch.full((1, 1, 9, 12), signal)

    told = noise_map(flat, gain, read, offset)

    expected = math.sqrt(gain * max(0.0, signal - offset) + read**2)
    assert told.shape == flat.shape
    # Where signal and offset are equal, their rounding is under the root.
    torch.testing.assert_close(
        told, torch.full_like(flat, expected), rtol=1e-4, atol=1e-3
    )


def test_no_noise_is_a_map_of_zeros():
    assert not noise_map(torch.rand(1, 1, 8, 8, generator=seeded()), 0.0, 0.0).any()


def test_the_signal_is_averaged_over_5_by_5_pixels():
    image = torch.rand(1, 1, 20, 17, generator=seeded())

    told = noise_map(image, 1.0, 0.0)

    mean = ndimage.uniform_filter(image[0, 0].double().numpy(), 5, mode="mirror")
    torch.testing.assert_close(told[0, 0], torch.from_numpy(np.sqrt(mean)).float())


def test_below_the_dark_level_there_are_no_photons():
    assert torch.equal(
        noise_map(torch.full((1, 1, 6, 6), 0.1), 1.0, 0.02, offset=0.3),
        torch.full((1, 1, 6, 6), 0.02),
    )


def test_each_image_of_a_batch_has_its_own_level():
    gain, read, offset = (
        torch.tensor(pair).view(2, 1, 1, 1)
        for pair in ([0.0, 0.09], [0.2, 0.0], [0.0, 0.5])
    )

    told = noise_map(torch.full((2, 1, 6, 6), 1.5), gain, read, offset)

    torch.testing.assert_close(told.mean(dim=(1, 2, 3)), torch.tensor([0.2, 0.3]))


@pytest.mark.parametrize("shape", [(2, 2), (2, 9), (3, 3), (1, 4)])
def test_a_plane_smaller_than_the_window_has_a_map(shape):
    told = noise_map(torch.full((1, 1, *shape), 0.25), 1.0, 0.0)

    torch.testing.assert_close(told, torch.full((1, 1, *shape), 0.5))


# ── statistics of a plane ───────────────────────────────────────────────────────────

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
    found = noise_statistics(PLANES[kind](shape))

    assert found.shape == (N_FEATURES,)
    assert found.isfinite().all()


@pytest.mark.parametrize("shape", [(2, 2), (5, 7), (8, 40)], ids=str)
def test_a_small_plane_is_continued_by_reflection(shape):
    plane = torch.rand(shape, generator=seeded())
    missing = [(0, max(0, 16 - side)) for side in shape]
    larger = torch.from_numpy(np.pad(plane.numpy(), missing, mode="reflect"))

    assert torch.equal(noise_statistics(plane), noise_statistics(larger))


def test_each_filter_passes_white_noise_at_unit_size():
    sigma = 0.05
    energies = noise_statistics(white_noise(sigma))[LOG_ENERGIES]

    # half of the blocks lie on either side of the variance, or nearly so
    medians = energies.view(N_FILTERS, N_LEVELS)[:, 3].exp().sqrt()
    assert medians.numpy() == pytest.approx([sigma] * N_FILTERS, rel=0.1)


def test_a_plane_without_noise_has_the_energy_of_the_floor():
    energies = noise_statistics(torch.full((64, 64), 0.5))[LOG_ENERGIES]

    torch.testing.assert_close(
        energies, torch.full((N_FILTERS * N_LEVELS,), math.log(FLOOR**2))
    )


def test_statistics_relative_to_the_mean_tell_photon_noise():
    dim, bright = (
        torch.poisson(torch.full((256, 256), signal / 0.01), seeded()) * 0.01
        for signal in (0.2, 0.8)
    )

    of_dim, of_bright = noise_statistics(dim), noise_statistics(bright)

    # four times the light: four times the variance, the same ratio
    difference = (of_bright - of_dim)[LOG_ENERGIES].mean().item()
    assert difference == pytest.approx(math.log(4), abs=0.05)
    torch.testing.assert_close(of_bright[RELATIVE], of_dim[RELATIVE], rtol=0, atol=0.15)


def test_the_quiet_energy_of_each_brightness_follows_the_photons():
    steps = torch.tensor([0.1, 0.2, 0.4, 0.6, 0.8]).repeat_interleave(80)
    staircase = steps.expand(160, 400)
    recorded = torch.poisson(staircase / 0.01, seeded()) * 0.01

    energy, mean = noise_statistics(recorded)[QUIET].view(5, 2).T

    torch.testing.assert_close(mean[2], torch.tensor(0.4), rtol=0.05, atol=0)
    # variance = gain × signal: twice the brightness, twice the energy
    rise = (energy[-1] - energy[0]).item()
    assert rise == pytest.approx(math.log(8), abs=0.4)


def test_the_autocorrelation_is_that_of_the_laplacian_of_white_noise():
    lags = noise_statistics(white_noise(0.1))[AUTOCORRELATION]

    # of (1, -2, 1): -4/6 at one pixel, 1/6 at two
    expected = torch.tensor([-4 / 6, -4 / 6, 16 / 36, 1 / 6, 1 / 6])
    torch.testing.assert_close(lags, expected, rtol=0, atol=0.02)


def test_the_kurtosis_of_normal_noise_is_3():
    kurtosis = noise_statistics(white_noise(0.1))[LOG_KURTOSIS].exp().item()

    assert kurtosis == pytest.approx(3, rel=0.03)


def test_the_means_are_percentiles_of_the_brightness():
    ramp = torch.linspace(0, 1, 402).expand(100, 402)

    torch.testing.assert_close(
        noise_statistics(ramp)[MEANS],
        torch.tensor([0.1, 0.5, 0.9]),
        rtol=0,
        atol=0.01,
    )


# ── the estimator ───────────────────────────────────────────────────────────────────


def test_the_estimate_of_a_stack_is_the_median_of_its_planes():
    estimator = NoiseEstimator().eval()
    planes = [white_noise(sigma, (32, 32)) for sigma in (0.01, 0.2, 0.05)]
    each = [estimator.estimate([plane]) for plane in planes]

    found = estimator.estimate(planes)

    assert found.gain == sorted(level.gain for level in each)[1]
    assert found.read == sorted(level.read for level in each)[1]
    assert found.offset == 0


def test_even_an_untrained_estimator_gives_a_level_within_bounds():
    estimator = NoiseEstimator()
    wild = torch.tensor([[-1e9, 1e9] * (N_FEATURES // 2)])

    gain, read = estimator(wild)[0].tolist()

    assert NoiseLevel(gain, read)
    assert 0 < gain <= 1
    assert 0 < read <= 1


def smooth_images(n=3, side=200):
    random = np.random.default_rng(0)
    noise = random.normal(size=(n, side, side))
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3), mode="wrap")
    low, high = smooth.min(), smooth.max()
    return list(((smooth - low) / (high - low)).astype(np.float32))


def test_a_trained_estimator_orders_noise_levels():
    images = smooth_images()
    estimator = train_noise_estimator(
        images, None, TrainingSettings(), n_recordings=300, n_epochs=120
    )
    plane = torch.from_numpy(images[0][:128, :128])

    def found(gain):
        photons = torch.poisson(plane / gain, seeded(1)) if gain else plane
        return estimator.estimate([photons * gain if gain else plane])

    def at_white(level):
        return math.sqrt(level.gain + level.read**2)

    sigmas = [at_white(found(gain)) for gain in (0, 0.002, 0.02)]

    assert not estimator.training
    assert sigmas == sorted(sigmas)
    assert sigmas[0] < 0.02
    assert sigmas[2] == pytest.approx(math.sqrt(0.02), rel=0.5)


def test_the_training_of_an_estimator_is_repeatable():
    first, second = (
        train_noise_estimator(
            smooth_images(1), None, TrainingSettings(), n_recordings=9, n_epochs=2
        ).state_dict()
        for _ in range(2)
    )

    assert all(torch.equal(first[name], second[name]) for name in first)


# ── its loss ────────────────────────────────────────────────────────────────────────

SIGNAL = torch.tensor([[0.0, 0.2, 0.7, 1.0], [0.1, 0.3, 0.5, 0.9]])


def test_equal_levels_have_no_loss():
    true = torch.tensor([[0.01, 0.02, 0.0], [0.0, 0.1, 0.0]])

    assert estimator_loss(true[:, :2], true, SIGNAL).tolist() == [0, 0]


def test_the_loss_by_hand():
    predicted = torch.tensor([[0.04, 0.0]])
    true = torch.tensor([[0.0, 0.05, 0.02]])
    signal = torch.tensor([[0.25, 1.0]])

    ratios = [(0.1 + 0.003) / (0.05 + 0.003), (0.2 + 0.003) / (0.05 + 0.003)]
    by_hand = sum(map(math.log, ratios)) / 2
    assert estimator_loss(predicted, true, signal).item() == pytest.approx(
        by_hand, rel=1e-5
    )


def test_the_true_level_counts_from_its_own_dark_level():
    true = torch.tensor([[0.04, 0.0, 0.5]])
    signal = torch.tensor([[0.75]])

    # 0.25 above the dark level: a standard deviation of 0.1
    assert estimator_loss(torch.tensor([[0.0, 0.1]]), true, signal).item() < 1e-4


def test_noise_far_below_a_hundredth_counts_as_none():
    none, hardly = torch.zeros(1, 3), torch.tensor([[0.0, 1e-5]])

    assert estimator_loss(hardly, none, SIGNAL[:1]).item() < 0.01


def test_where_there_is_no_light_nothing_is_learnt_about_noise():
    noisy = white_noise(0.1, (128, 128))
    masked = torch.zeros(256, 512)
    masked[64:192, 128:256] = noisy

    alone, surrounded = noise_statistics(noisy), noise_statistics(masked)

    # the median block, and how the tails are: edges of the mask are a few blocks more
    medians = slice(2, N_FILTERS * N_LEVELS, N_LEVELS)
    torch.testing.assert_close(surrounded[medians], alone[medians], rtol=0, atol=0.3)
    assert (noise_statistics(torch.zeros(64, 64))).isfinite().all()
