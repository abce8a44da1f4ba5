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

from napari_sr.instrument.noise import (
    NoiseEstimator,
    estimator_for,
    estimator_loss,
    noise_map,
)
from napari_sr.instrument.noise_statistics import WHERE_FLAT
from napari_sr.instrument.older_noise_estimator import OlderNoiseEstimator
from napari_sr.instrument.ranges import Correlation, Instrument
from napari_sr.settings import TrainingSettings
from napari_sr.training.auxiliary.noise_estimator import train_noise_estimator


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


# ── the estimator ───────────────────────────────────────────────────────────────────


class Knowing(NoiseEstimator):
    """Says of each window what its variance is, as if there were nothing but noise."""

    correlation, spread = 0.0, 0.5

    def forward(self, statistics):
        log_sigma = 0.5 * statistics[:, WHERE_FLAT, None]
        told = torch.tensor([self.correlation, self.spread])
        rest = told.expand(len(statistics), 2)
        return torch.cat([log_sigma, log_sigma, rest], 1)


def staircase(noise_of, steps=(0.1, 0.3, 0.5, 0.8)):
    """Flat fields of several brightnesses side by side, with their noise."""
    light = torch.tensor(steps).repeat_interleave(64).expand(256, -1)
    return light + noise_of(light) * torch.randn(light.shape, generator=seeded())


LEVELS = [
    pytest.param(0.01, 0.0, id="photons alone"),
    pytest.param(0.0, 0.06, id="read noise alone"),
    pytest.param(0.006, 0.04, id="both"),
]


@pytest.mark.parametrize(("gain", "read"), LEVELS)
def test_gain_and_read_noise_are_told_apart_by_the_brightness_of_windows(gain, read):
    plane = staircase(lambda light: torch.sqrt(gain * light + read**2))

    level = Knowing().estimate([plane])

    for light in (0.1, 0.8):
        expected = gain * light + read**2
        found = level.gain * light + level.read**2
        assert found == pytest.approx(expected, rel=0.25)
    if gain == 0:
        assert level.gain * 0.45 < 0.1 * level.read**2
    if read == 0:
        assert level.read**2 < 0.15 * level.gain * 0.45
    assert level.offset == 0


def test_a_window_that_is_less_sure_counts_less():
    class Doubtful(Knowing):
        def forward(self, statistics):
            found = super().forward(statistics)
            loud = found[:, :1] > -2.5
            told = torch.where(loud, 20.0, 0.1)
            return torch.cat([found[:, :2], loud.float(), told], 1)

    plane = white_noise(0.05, (64, 128))
    plane[:, 64:] = white_noise(0.2, (64, 64))

    level = Doubtful().estimate([plane])

    assert level.read == pytest.approx(0.05, rel=0.15)
    assert level.correlation < 0.02


@pytest.mark.parametrize(("more", "factor"), [(1.0, 1.28), (0.0, 1.0), (-1.0, 0.78)])
def test_uncertain_correlated_noise_is_taken_for_more_or_less(more, factor):
    estimator, plane = Knowing(), white_noise(0.05, (256, 256))
    estimator.correlation = 0.5  # times the spread: a quarter
    plain = estimator.estimate([plane]).read

    estimator.rather_more.fill_(more)

    found = estimator.estimate([plane]).read
    assert found / plain == pytest.approx(factor, rel=0.01)


def test_a_dark_part_does_not_hide_the_noise_of_the_bright_ones():
    gain = 0.01
    light = torch.full((256, 256), 0.001)
    light[:, 64:] = 0.7
    plane = torch.poisson(light / gain, seeded()) * gain

    level = Knowing().estimate([plane])

    assert level.gain * 0.7 + level.read**2 == pytest.approx(0.007, rel=0.3)


def test_what_is_seen_in_the_dark_is_not_drawn_out_to_what_is_bright():
    dark = 0.002 + 0.01 * torch.randn(256, 256, generator=seeded()).abs()

    level = Knowing().estimate([dark * 0.1])

    assert math.sqrt(level.gain + level.read**2) < 0.03


def test_dead_windows_say_nothing():
    plane = torch.zeros(256, 256)
    plane[:64, :64] = white_noise(0.05, (64, 64))

    alone = Knowing().estimate([plane[:64, :64]])

    assert Knowing().estimate([plane]) == alone
    assert Knowing().estimate([torch.zeros(70, 90)]).read < 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (64, 64), (65, 200), (999, 70)])
def test_any_plane_has_a_level(shape):
    level = NoiseEstimator().estimate([torch.rand(shape, generator=seeded())])

    assert np.isfinite([level.gain, level.read, level.correlation]).all()


@pytest.mark.parametrize("kind", [NoiseEstimator, OlderNoiseEstimator])
def test_even_an_untrained_estimator_gives_a_level_within_bounds(kind):
    estimator = kind().eval()
    n_statistics = len(estimator.mean)
    wild = torch.tensor([[-1e9, 1e9] * n_statistics])[:, :n_statistics]

    found = estimator(wild)[0]

    assert (found[:2] <= 1).all()
    assert found.isfinite().all()
    level = estimator.estimate([1e4 * white_noise(1.0, (64, 64))])
    assert 0 <= level.gain <= 1.1
    assert 0 <= level.read <= 1.1


def older(bright, dark):
    """An older estimator that says the same of every window."""
    estimator = OlderNoiseEstimator()
    with torch.no_grad():
        for parameter in estimator.parameters():
            parameter.zero_()
        estimator.layers[-1].bias.copy_(
            torch.tensor([math.log(bright), math.log(dark)])
        )
    return estimator


def test_an_estimator_of_an_older_file_knows_gain_and_read_noise_alone():
    level = older(0.2, 0.05).estimate([torch.rand(128, 128, generator=seeded())])

    assert level.gain == pytest.approx(0.04)
    assert level.read == pytest.approx(0.05)
    assert level.correlation == 0


@pytest.mark.parametrize("kind", [NoiseEstimator, OlderNoiseEstimator])
def test_weights_choose_the_estimator_that_they_are_of(kind):
    weights = kind().state_dict()

    estimator = estimator_for(weights)

    estimator.load_state_dict(weights)
    assert type(estimator) is kind


def smooth_images(n=3, side=200):
    random = np.random.default_rng(0)
    noise = random.normal(size=(n, side, side))
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3), mode="wrap")
    low, high = smooth.min(), smooth.max()
    return list(((smooth - low) / (high - low)).astype(np.float32))


def blurred_noise(shape, sigma):
    noise = np.random.default_rng(1).normal(size=shape)
    noise = ndimage.gaussian_filter(noise, sigma, mode="wrap") if sigma else noise
    return torch.from_numpy(noise / noise.std()).float()


def test_a_trained_estimator_finds_white_and_correlated_noise():
    images = smooth_images()
    instrument = Instrument(
        share_clean=0.3,
        share_read=1,
        correlation=Correlation(share=0.6, sampled=(0, 1)),
    )
    estimator = train_noise_estimator(
        images, None, TrainingSettings(instrument=instrument), 1500, 40
    )
    plane = torch.from_numpy(images[0][:192, :192])

    def found(read, sigma):
        level = estimator.estimate([plane + read * blurred_noise(plane.shape, sigma)])
        return math.sqrt(level.gain * 0.5 + level.read**2), level.correlation

    assert not estimator.training
    assert found(0, 0)[0] < 0.01
    for sigma in (0, 0.5, 0.7, 1.0):
        assert found(0.05, sigma)[0] == pytest.approx(0.05, rel=0.5)
    assert found(0.05, 0)[1] < 0.2
    assert found(0.05, 0.7)[1] == pytest.approx(0.7, abs=0.25)


def test_the_training_of_an_estimator_is_repeatable():
    first, second = (
        train_noise_estimator(
            smooth_images(1), None, TrainingSettings(), n_recordings=9, n_epochs=2
        ).state_dict()
        for _ in range(2)
    )

    assert all(torch.equal(first[name], second[name]) for name in first)


# ── its loss ────────────────────────────────────────────────────────────────────────

SURE = 1.0  # a spread whose logarithm is nothing


def loss_of(sigma, true, *, correlation=(0.0, 0.0), signal=(0.25, 1.0), detail=0.0):
    """Loss of one estimate, beside that of a perfect one."""
    true = torch.tensor([true])
    signal, detail = torch.tensor([signal]), torch.tensor([detail])
    drawn = true[:, :1] * (signal - true[:, 2:]).clamp_min(0) + true[:, 1:2] ** 2
    right = torch.cat([0.5 * torch.log(drawn + 1e-12), torch.tensor([[0.0, SURE]])], 1)
    given = torch.tensor([[*map(math.log, sigma), correlation[0], SURE]])
    drawn_correlation = torch.tensor(correlation[1:])
    return tuple(
        estimator_loss(found, true, drawn_correlation, signal, detail).item()
        for found in (given, right)
    )


def test_an_estimate_that_is_right_has_no_loss():
    assert loss_of((0.1, 0.2), [0.04, 0.0, 0.0]) == pytest.approx((0, 0), abs=1e-9)


def test_the_loss_is_the_squared_logarithm_of_the_ratio():
    found, _ = loss_of((0.3, 0.3), [0.0, 0.1, 0.0])

    ratio = 0.5 * math.log((0.3**2 + 0.003**2) / (0.1**2 + 0.003**2))
    assert found == pytest.approx(ratio**2 * 1.1, rel=1e-3)


def test_the_true_level_counts_from_its_own_dark_level():
    # 0.25 above the dark level: a standard deviation of 0.1
    found, _ = loss_of((0.1, 0.1), [0.04, 0.0, 0.5], signal=(0.75, 0.75))

    assert found == pytest.approx(0, abs=1e-6)


def test_what_detail_hides_costs_less():
    hidden, seen = (
        loss_of((0.02, 0.02), [0.0, 1e-5, 0.0], detail=detail)[0]
        for detail in (0.1, 0.001)
    )

    assert hidden < 0.01 * seen


def test_noise_far_below_a_hundredth_counts_as_none():
    assert loss_of((1e-5, 1e-5), [0.0, 0.0, 0.0])[0] < 1e-6


def test_a_wrong_correlation_costs_where_there_is_noise():
    noisy, clean = (
        loss_of((sigma, sigma), [0.0, sigma, 0.0], correlation=(0.0, 0.5))[0]
        for sigma in (0.1, 1e-4)
    )

    assert noisy == pytest.approx(0.3 * 0.5 * 0.1 / 0.11, rel=1e-3)
    assert clean < 0.02 * noisy


def test_to_be_sure_pays_only_for_who_is_right():
    true = torch.tensor([[0.0, 0.1, 0.0]]).expand(2, 3)

    def best(log_sigma):
        spreads = torch.tensor([0.05, 0.5])
        found = torch.tensor([[log_sigma, log_sigma, 0.0, 1.0]]).repeat(2, 1)
        found[:, 3] = spreads
        flat = torch.full((2, 2), 0.5)
        loss = estimator_loss(found, true, torch.zeros(2), flat, torch.zeros(2))
        return spreads[loss.argmin()].item()

    assert best(math.log(0.1)) == pytest.approx(0.05)
    assert best(math.log(0.2)) == pytest.approx(0.5)
