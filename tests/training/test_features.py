"""Training of content features: what is learnt from, and that it can be repeated."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from napari_sr.cards.model_card import Instrument
from napari_sr.instrument.degradation import blur, record
from napari_sr.networks.resampling import resample
from napari_sr.training.auxiliary import features as feature_training
from napari_sr.training.auxiliary.features import (
    FeatureSettings,
    FeatureTraining,
    bring_level,
    degraded,
    train_features,
)
from napari_sr.training.losses import content_loss
from napari_sr.training.patches import PatchSource

SMALL = FeatureSettings(iterations=4, batch=3, patch=24)
NO_NOISE = {"share_clean": 1.0}
NO_LIGHT_CHANGE = {"_SPAN": (0.0, 0.0), "_BLACK": (0.0, 0.0)}
FLOOR = 0.003
"""Noise that counts as none."""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def textures(n=3, side=60):
    """Images with structure of several widths."""
    random = np.random.default_rng(0)
    images = [
        gaussian_filter(random.normal(size=(side, side)), 0.7 * (1 + i))
        for i in range(n)
    ]
    return [(0.4 + 0.2 * one / one.std()).astype(np.float32) for one in images]


@pytest.fixture
def with_instrument(monkeypatch):
    """Record with one instrument, and without a change of light."""

    def choose(factor=1, psf_sigma=0.0, **others):
        instrument = Instrument(psf_sigma=(psf_sigma, psf_sigma), **others)
        monkeypatch.setattr(feature_training, "INSTRUMENT", instrument)
        monkeypatch.setattr(feature_training, "BINNING", (factor,))
        for name, value in NO_LIGHT_CHANGE.items():
            monkeypatch.setattr(feature_training, name, value)

    return choose


# ── what is learnt from ─────────────────────────────────────────────────────────────


def test_a_perfect_instrument_gives_the_sharp_patches(with_instrument):
    with_instrument(**NO_NOISE)
    sharp = torch.rand(5, 1, 24, 24, generator=seeded())

    seen, recorded = degraded(sharp, seeded())

    assert torch.equal(seen, sharp)
    torch.testing.assert_close(recorded, torch.tensor([[0.0, math.log(FLOOR)]] * 5))


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_what_is_seen_lies_on_the_grid_of_the_sharp_patch(with_instrument, factor):
    with_instrument(factor, **NO_NOISE)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    ramp = (0.01 * x + 0.002 * y)[None, None]

    seen, _ = degraded(ramp, seeded())

    inner = (..., slice(12, -12), slice(12, -12))
    torch.testing.assert_close(seen[inner], ramp[inner], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("factor", "psf_sigma"),
    [(1, 1.5), (2, 0.0), (3, 0.0), (4, 0.0), (2, 1.2), (4, 2.0)],
)
def test_the_width_told_is_that_of_a_point(with_instrument, factor, psf_sigma):
    with_instrument(factor, psf_sigma, **NO_NOISE)
    # a point in each place that it can have within a pixel of the recording
    shifts = range(24, 24 + factor)
    points = torch.zeros(factor, 1, 48, 48)
    for point, place in zip(points, shifts, strict=True):
        point[0, place, place] = 1.0

    seen, recorded = degraded(points, seeded())

    x = torch.arange(48.0)
    second = [
        (one[0].sum(0) * (x - place) ** 2).sum()
        for one, place in zip(seen, shifts, strict=True)
    ]
    measured = torch.stack(second).mean().sqrt()
    torch.testing.assert_close(recorded[0, 0], measured, rtol=0.03, atol=0)


def test_the_noise_told_is_that_of_a_flat_field(with_instrument):
    with_instrument(photons=(200, 200), read=(0.02, 0.02), share_clean=0.0)
    flat = torch.full((40, 1, 48, 48), 0.5)

    seen, recorded = degraded(flat, seeded())

    measured = seen.std((1, 2, 3))
    assert measured.unique().numel() > 1  # with and without read noise
    told = recorded[:, 1].exp() - FLOOR
    torch.testing.assert_close(told, measured, rtol=0.08, atol=0)


def test_noise_of_larger_pixels_counts_for_less(with_instrument):
    flat, told = torch.full((4, 1, 24, 24), 0.5), {}
    for factor in (1, 2, 4):
        with_instrument(factor, read=(0.02, 0.02), share_clean=0.0)
        told[factor] = degraded(flat, seeded())[1][:, 1].exp() - FLOOR

    torch.testing.assert_close(told[2], told[1] / 2)
    torch.testing.assert_close(told[4], told[1] / 4)


def test_patches_differ_in_blur_noise_and_light():
    sharp = torch.rand(1, 1, 24, 24, generator=seeded()).expand(64, -1, -1, -1)

    seen, recorded = degraded(sharp, seeded())

    assert seen.shape == sharp.shape
    assert recorded[:, 0].unique().numel() == 16  # each shared by four
    assert recorded[:, 1].unique().numel() > 40
    assert seen.mean((1, 2, 3)).std() > 0.02


def test_the_same_seed_gives_the_same_recordings():
    sharp = torch.rand(8, 1, 24, 24, generator=seeded())

    first, second, other = (degraded(sharp, seeded(seed)) for seed in (1, 1, 2))

    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


# ── the two tasks ───────────────────────────────────────────────────────────────────


def test_only_the_difference_between_two_recordings_is_asked():
    training = FeatureTraining(SMALL)
    features = training.network(torch.rand(6, 1, 24, 24, generator=seeded()))
    recorded = torch.rand(6, 2, generator=seeded(1))
    alike, unlike = recorded + 0.3, recorded.clone()
    unlike[:3] += 0.3

    loss = training.recording_loss(features, recorded)

    torch.testing.assert_close(training.recording_loss(features, alike), loss)
    assert training.recording_loss(features, unlike) != loss


def test_two_equal_images_are_told_to_be_recorded_alike():
    training = FeatureTraining(SMALL)
    image = torch.rand(3, 1, 24, 24, generator=seeded()).repeat(2, 1, 1, 1)

    loss = training.recording_loss(training.network(image), torch.ones(6, 2))

    assert loss.item() == pytest.approx(0, abs=1e-10)


def test_the_detail_asked_is_what_a_blur_removes_at_unit_size():
    training = FeatureTraining(SMALL)
    for parameter in training.detail_heads.parameters():
        torch.nn.init.zeros_(parameter)
    sharp = torch.rand(2, 1, 24, 24, generator=seeded())
    sharp[1] *= 0.1

    loss = training.detail_loss(training.network(sharp), sharp)

    detail = sharp - blur(sharp, 2.0)
    by_hand = [(one / (one.std() + 0.02)).abs().mean() for one in detail]
    # nothing was told by any of the three blocks that are asked
    assert loss.item() == pytest.approx(3 * sum(by_hand).item() / 2, rel=1e-5)


def test_the_detail_is_asked_pixel_by_pixel():
    training = FeatureTraining(SMALL)
    sharp = torch.rand(1, 1, 24, 24, generator=seeded())
    features = {
        name: one.detach().requires_grad_()
        for name, one in training.network(sharp).items()
    }

    training.detail_loss(features, sharp).backward()

    asked = {name for name, one in features.items() if one.grad is not None}
    assert asked == {"2_2", "3_2", "4_2"}
    for name in asked:  # the gradient differs from place to place
        assert features[name].grad.std((2, 3)).max() > 0


# ── training ────────────────────────────────────────────────────────────────────────


def weights_after(n_steps, seed=0):
    training = FeatureTraining(SMALL.model_copy(update={"seed": seed}))
    steps = list(islice(train_features(training, textures()), n_steps))
    return training, steps


def test_the_same_seed_trains_the_same_network():
    first, second, other = (weights_after(4, seed)[0].network for seed in (5, 5, 6))

    states = [one.state_dict() for one in (first, second, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["stack.0.weight"], states[2]["stack.0.weight"])


def test_a_training_that_was_stopped_goes_on_where_it_stood():
    straight, _ = weights_after(4)
    stopped, _ = weights_after(2)

    rest = list(train_features(stopped, textures()))

    assert [step.iteration for step in rest] == [3, 4]
    for name, weight in straight.network.state_dict().items():
        assert torch.equal(stopped.network.state_dict()[name], weight)


def test_steps_say_where_the_training_stands():
    _, steps = weights_after(4)

    assert [step.iteration for step in steps] == [1, 2, 3, 4]
    assert steps[-1].seconds_left == 0
    assert steps[0].seconds_left > 0


def test_a_short_training_learns_to_tell_recordings_apart(monkeypatch):
    blurred = Instrument(psf_sigma=(0.0, 2.0), share_clean=1.0)
    monkeypatch.setattr(feature_training, "INSTRUMENT", blurred)
    monkeypatch.setattr(feature_training, "BINNING", (1,))
    settings = FeatureSettings(iterations=60, batch=8, patch=24, learning_rate=5e-3)
    training = FeatureTraining(settings)
    sharp = PatchSource(textures(), 24, seed=99).batch(0, 32).repeat(2, 1, 1, 1)
    seen, recorded = degraded(sharp, seeded(99))

    @torch.no_grad()
    def loss():
        return training.recording_loss(training.network(seen), recorded).item()

    before = loss()
    list(train_features(training, textures()))

    assert loss() < 0.6 * before


REFUSED = [
    pytest.param({"patch": 50}, "multiple of 24", id="patch"),
    pytest.param({"patch": 0}, "greater than or equal to 24", id="no patch"),
    pytest.param({"iterations": 0}, "greater than or equal to 1", id="no steps"),
    pytest.param({"temperature": 0.2}, "Extra inputs", id="unknown"),
]


@pytest.mark.parametrize(("settings", "why"), REFUSED)
def test_settings_that_make_no_sense_are_refused(settings, why):
    with pytest.raises(ValidationError, match=why):
        FeatureSettings(**settings)


# ── one level for all layers ────────────────────────────────────────────────────────


def test_the_content_loss_of_each_layer_is_the_mean_squared_error():
    network = FeatureTraining(SMALL).network
    sharp = torch.rand(4, 1, 48, 48, generator=seeded())
    bring_level(network, sharp)

    low = torch.nn.functional.pad(record(sharp, 2), (2,) * 4, mode="replicate")
    smooth = resample(low, 2, "bicubic")[..., 4:-4, 4:-4]

    error = (smooth - sharp).square().mean()
    found, wanted = network(smooth), network(sharp)
    for name in network.layers:
        loss = content_loss({name: found[name]}, {name: wanted[name]})
        torch.testing.assert_close(loss, error, rtol=1e-3, atol=0)


def test_bringing_to_a_level_changes_nothing_but_the_scale_of_each_layer():
    training = FeatureTraining(SMALL)
    list(train_features(training, textures()))  # so that biases are not zero
    image = torch.rand(2, 1, 24, 24, generator=seeded())

    before = training.network(image)
    bring_level(training.network, torch.rand(4, 1, 24, 24, generator=seeded(1)))
    after = training.network(image)

    for name, maps in before.items():
        scale = after[name].norm() / maps.norm()
        assert not 0.99 < scale < 1.01
        torch.testing.assert_close(after[name], maps * scale, rtol=1e-3, atol=1e-4)
