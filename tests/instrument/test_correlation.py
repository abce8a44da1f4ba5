"""Correlated noise: as strong as white noise, and alike where it is said to be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_sr.instrument.correlation import (
    DrawnCorrelation,
    correlated,
    draw_correlation,
)
from napari_sr.instrument.degradation import draw_instrument, record, record_with
from napari_sr.instrument.ranges import Correlation, Instrument


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(*sigmas, ramp=0.0, sampled=0.0):
    sigma = torch.tensor(sigmas).view(-1, 1, 1, 1)
    return DrawnCorrelation(
        sigma, torch.full_like(sigma, sampled), torch.full_like(sigma, ramp)
    )


def white(n=1, shape=(256, 256)):
    return torch.randn(n, 1, *shape, generator=seeded())


def lag(noise, distance, axis):
    """Correlation coefficient of pixels so far from each other."""
    return float((noise * noise.roll(distance, axis)).mean() / noise.square().mean())


@pytest.mark.parametrize("ramp", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(256, 256), (255, 180), (180, 257)], ids=str)
def test_the_variance_stays(shape, ramp):
    for sigma in (0.0, 0.4, 1.0):
        noise = correlated(white(shape=shape), drawn(sigma, ramp=ramp))

        n_independent = noise.numel() / (1 + 4 * math.pi * sigma**2)
        within = 5 * math.sqrt(2 / n_independent)
        assert noise.var().item() == pytest.approx(1, rel=within)


@pytest.mark.parametrize("sigma", [0.5, 0.7, 1.0])
@pytest.mark.parametrize("axis", [2, 3])
def test_neighbours_go_together_as_a_gaussian_says(sigma, axis):
    noise = correlated(white(), drawn(sigma))

    for distance in (1, 2, 3):
        # A pixel's own spectrum ends at its Nyquist frequency: a little above.
        expected = math.exp(-(distance**2) / (4 * sigma**2))
        assert lag(noise, distance, axis) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("sigma", [0.4, 1.0])
def test_a_sampled_gaussian_filters_as_software_does(sigma):
    noise = white(n=2, shape=(64, 97))

    found = correlated(noise, drawn(sigma, sigma, sampled=1.0))

    theirs = ndimage.gaussian_filter(noise.numpy(), (0, 0, sigma, sigma), mode="wrap")
    scaled = torch.from_numpy(theirs * (found.std() / theirs.std()).item())
    torch.testing.assert_close(found, scaled, rtol=0, atol=0.01)
    assert found.var().item() == pytest.approx(1, abs=0.1)


def test_noise_that_was_not_blurred_is_left_alone():
    noise = white(shape=(64, 48))

    torch.testing.assert_close(correlated(noise, drawn(0.0)), noise)


def test_noise_of_a_reconstruction_has_power_that_rises_with_the_frequency():
    noise = correlated(white(n=16, shape=(128, 128)), drawn(*[0.0] * 16, ramp=1.0))

    power = torch.fft.fft2(noise).abs().square().mean((0, 1)).numpy()
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(128)] * 2))
    rings = [(frequency > f) & (frequency < f + 0.05) for f in (0.05, 0.2, 0.4)]
    ratios = [power[ring].mean() / frequency[ring].mean() for ring in rings]
    assert ratios == pytest.approx([ratios[0]] * 3, rel=0.1)
    assert power[0, 0] == pytest.approx(0, abs=1e-6)


def test_each_recording_of_a_batch_is_correlated_in_its_own_way():
    noise = correlated(white(n=2), drawn(0.0, 1.0))

    assert lag(noise[:1], 1, 3) == pytest.approx(0, abs=0.02)
    assert lag(noise[1:], 1, 3) == pytest.approx(0.78, abs=0.03)


# ── in a recording ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ramp", [0.0, 1.0])
def test_a_recording_is_as_noisy_as_gain_and_read_noise_say_up_to_its_border(ramp):
    n = 400
    sharp = torch.full((n, 1, 64, 64), 0.5)

    low = record(
        sharp,
        2,
        gain=0.02,
        read=0.05,
        correlation=drawn(*[1.0] * n, ramp=ramp),
        generator=seeded(),
    )

    variance = 0.02 * 0.5 + 0.05**2
    assert low.shape == (n, 1, 32, 32)
    assert low.mean().item() == pytest.approx(0.5, abs=5e-3)
    for part in (low, low[..., :1], low[..., -1:, :], low[..., :2, :2]):
        assert part.var().item() == pytest.approx(variance, rel=0.15)
    assert low.var().item() == pytest.approx(variance, rel=0.03)
    if not ramp:
        assert lag(low[:, :, :, 8:24] - 0.5, 1, 2) == pytest.approx(0.78, abs=0.04)


def test_borders_are_not_alike_on_opposite_sides():
    low = record(
        torch.zeros(2000, 1, 32, 32),
        2,
        read=0.1,
        correlation=drawn(*[1.0] * 2000),
        generator=seeded(),
    )

    together = (low[..., 0] * low[..., -1]).mean() / 0.01
    assert together.item() == pytest.approx(0, abs=0.03)


def test_a_field_without_noise_stays_exact():
    sharp = torch.rand(2, 1, 16, 16, generator=seeded())

    low = record(sharp, 2, correlation=drawn(0.7, 1.0), generator=seeded())

    torch.testing.assert_close(low, record(sharp, 2), rtol=0, atol=1e-7)


# ── drawn at random ─────────────────────────────────────────────────────────────────


def test_correlations_are_drawn_from_their_range_for_their_share():
    n = 4000
    ranges = Correlation(
        share=0.6, sigma=(0.3, 0.9), sampled=(0.2, 0.4), share_ramp=0.25
    )

    found = draw_correlation(ranges, n, seeded())

    is_correlated = found.sigma > 0
    five_sigma = 5 * math.sqrt(0.25 / n)
    assert is_correlated.float().mean().item() == pytest.approx(0.6, abs=five_sigma)
    assert found.ramp.mean().item() == pytest.approx(0.15, abs=five_sigma)
    assert not found.ramp[~is_correlated].any()
    assert 0.2 <= found.sampled.min() < 0.21 < 0.39 < found.sampled.max() <= 0.4
    sigma = found.sigma[is_correlated]
    assert 0.3 <= sigma.min() < 0.31 < 0.89 < sigma.max() <= 0.9


def test_white_noise_is_the_default_and_draws_nothing():
    random = seeded()
    before = random.get_state()

    assert draw_correlation(Correlation(), 3, random) is None
    assert torch.equal(random.get_state(), before)


def test_an_instrument_records_with_what_it_drew():
    instrument = Instrument(
        photons=None,
        read=(0.1, 0.1),
        share_clean=0,
        share_read=1,
        correlation=Correlation(share=1, sigma=(1, 1)),
    )
    random = seeded()

    low = record_with(
        draw_instrument(instrument, 4, random), torch.zeros(4, 1, 128, 128), 2, random
    )

    assert low.std().item() == pytest.approx(0.1, rel=0.05)
    assert lag(low, 1, 3) == pytest.approx(0.78, abs=0.04)
