"""Recordings alone: what stands for sharp images, the noise, the check, the gain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from tiny_models import tiny_fast, tiny_srresnet

import napari_sr as sr
from napari_sr.datasets import gather_images
from napari_sr.image.intensity import IntensityPolicy, NoiseLevel
from napari_sr.instrument.degradation import record
from napari_sr.instrument.ranges import Instrument
from napari_sr.metrics import psnr
from napari_sr.phantoms import make_phantom
from napari_sr.settings import AdversarialSettings, TrainingSettings
from napari_sr.training.self_supervised import (
    agreement,
    coarser_images,
    doubt_about,
    fields_of,
    split,
    variance_of_flattest,
    with_noise_of,
)
from napari_sr.training.session import Training


class Finds:
    """An estimator that finds always the same."""

    def __init__(self, level):
        self.level = level

    def estimate(self, planes):
        return self.level


def noisy(level, shape=(96, 96), seed=0):
    """Counts around 10,000, with a dark and a bright pixel for the range."""
    noise = np.random.default_rng(seed).normal(0, level, shape)
    counts = (10_000 + noise).astype(np.float32)
    counts[0, :2] = 0, 20_000
    return counts


def fields(*arrays, estimator):
    images = gather_images(list(arrays), IntensityPolicy())
    return fields_of(images, estimator)


# ── what stands for sharp images ────────────────────────────────────────────────────


def test_results_are_seen_with_larger_pixels_and_the_same_mean():
    found = fields(noisy(200), estimator=Finds(NoiseLevel(read=0.01)))
    bicubic = tiny_fast(tail=0.0)

    (coarse,) = coarser_images(found, bicubic.network, 2)

    assert coarse.shape == (128, 128)  # of 192
    assert coarse.stack == found[0].image.stack
    mean = float(found[0].low.mean())
    assert coarse[:, :].mean() == pytest.approx(mean, abs=1e-3)


def test_of_large_and_of_many_recordings_parts_are_taken():
    one = fields(noisy(9, (800, 400)), estimator=Finds(NoiseLevel()))
    many = fields(*[noisy(9, (64, 64), seed) for seed in range(40)],
                  estimator=Finds(NoiseLevel()))  # fmt: skip

    assert len(one) == 6
    assert sum(np.prod(field.image.shape) for field in one) == 800 * 400
    assert len(many) == 32


def test_recordings_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match=r"least 12 × 12"):
        fields(noisy(9, (11, 200)), estimator=Finds(NoiseLevel()))

    mixed = fields(noisy(9, (8, 200)), noisy(9), estimator=Finds(NoiseLevel(read=0.01)))
    network = tiny_fast().network
    settings = TrainingSettings(instrument=Instrument())
    assert len(mixed) == len(coarser_images(mixed, network, 2)) == 1
    assert agreement(network, network, mixed, settings).mean == 0


# ── the noise ───────────────────────────────────────────────────────────────────────


def test_what_is_simulated_holds_the_noise_that_was_found_and_keeps_the_blur():
    arrays = [noisy(9, seed=seed) for seed in range(3)]
    level = NoiseLevel(gain=1 / 200, read=0.02)
    found = fields(*arrays, estimator=Finds(level))

    instrument = with_noise_of(found, Instrument(psf_sigma=(1.4, 1.6)))

    assert instrument.psf_sigma == (1.4, 1.6)
    assert instrument.photons[0] < 200 < instrument.photons[1]
    assert instrument.read[0] < 0.02 < instrument.read[1]
    assert instrument.correlation.share == 0


def test_correlated_noise_is_simulated_where_it_was_found():
    level = NoiseLevel(read=0.02, correlation=0.7)
    found = fields(noisy(9), estimator=Finds(level))

    instrument = with_noise_of(found, Instrument())

    assert instrument.photons is None
    assert instrument.correlation.share == 1
    low, high = instrument.correlation.sigma
    assert low < 0.7 < high


# ── the check ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "level",
    [
        NoiseLevel(read=0.05),
        NoiseLevel(gain=0.004),
        NoiseLevel(read=0.05, correlation=0.7),
    ],
    ids=["read noise", "photons", "correlated"],
)
def test_halves_have_independent_noise_of_twice_the_variance(level):
    clean = torch.full((1, 1, 256, 256), 0.5)
    low = record(
        clean,
        1,
        gain=level.gain,
        read=level.read,
        generator=torch.Generator().manual_seed(1),
    )
    if level.correlation:  # what the other half of the noise looks like
        low = split(clean, level, torch.Generator().manual_seed(1))[0]

    first, second = split(low, level, torch.Generator().manual_seed(2))

    torch.testing.assert_close((first + second) / 2, low)
    noise, other, own = first - clean, second - clean, low - clean
    assert float(noise.var() / own.var()) == pytest.approx(2, rel=0.05)
    correlation = float((noise * other).mean() / own.var())
    assert abs(correlation) < 0.05


def test_a_result_that_is_off_agrees_less_with_noise_that_was_not_seen():
    class Off(torch.nn.Module):
        def __init__(self, network, by):
            super().__init__()
            self.network, self.by = network, by
            self.halo, self.factor = network.halo, 2
            self.in_channels = network.in_channels

        def forward(self, batch):
            return self.network(batch) + self.by

    arrays = [noisy(300, seed=seed) for seed in range(3)]
    found = fields(*arrays, estimator=Finds(NoiseLevel(read=0.015)))
    base = tiny_fast(tail=0.0).network
    settings = TrainingSettings(instrument=Instrument())

    worse = agreement(Off(base, 0.02), base, found, settings)
    same = agreement(base, base, found, settings)
    better = agreement(base, Off(base, 0.02), found, settings)

    assert worse.high < 0 < better.low
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def test_to_keep_noise_is_no_agreement_where_it_is_found_a_fifth_too_weak():
    class Smooth(torch.nn.Module):
        halo, factor, in_channels = 2, 2, 2

        def __init__(self, keeps):
            super().__init__()
            self.keeps = torch.nn.Parameter(torch.tensor(keeps))

        def forward(self, batch):
            low = batch[:, :1]
            mean = torch.nn.functional.avg_pool2d(low, 5, 1, 2)
            kept = mean + self.keeps * (low - mean)
            return torch.nn.functional.interpolate(kept, scale_factor=2)

    arrays = [noisy(300, (192, 192), seed) for seed in range(3)]
    for array in arrays:
        array[0], array[-1] = 0, 20_000  # more than the tails that a range leaves out
    intensity = gather_images(arrays, IntensityPolicy())[0].intensity
    span = intensity.high - intensity.low
    weak = NoiseLevel(read=0.8**0.5 * 300 / span)
    found = fields(*arrays, estimator=Finds(weak))
    settings = TrainingSettings(instrument=Instrument())

    keeping = agreement(Smooth(0.08), Smooth(0.0), found, settings)

    assert keeping.high < 0


# ── what is not to be believed ──────────────────────────────────────────────────────


def test_the_flattest_parts_of_noise_alone_vary_as_the_noise_does():
    (found,) = fields(noisy(300, (256, 256)), estimator=Finds(NoiseLevel(read=1.0)))
    span = 300 / (found.image.intensity.high - found.image.intensity.low)
    right, weak = (
        replace(found, noise=NoiseLevel(read=times * span)) for times in (1.0, 0.5)
    )
    # a tenth of chi-squared of 61 degrees lies below 0.77
    assert variance_of_flattest(right) == pytest.approx(0.77, abs=0.05)
    assert variance_of_flattest(weak) == pytest.approx(4 * 0.77, abs=0.2)


@pytest.mark.parametrize(
    ("share", "correlation", "is_doubted"),
    [(1.0, 0.7, False), (0.2, 0.7, True), (0.2, 0.0, False)],
    ids=["found", "found far too weak", "white"],
)
def test_a_training_is_doubted_where_correlated_noise_is_found_too_weak(
    share, correlation, is_doubted
):
    white = np.random.default_rng(0).normal(0, 1, (256, 256))
    noise = gaussian_filter(white, correlation) if correlation else white
    counts = (10_000 + 300 * noise / noise.std()).astype(np.float32)
    counts[0], counts[-1] = 0, 20_000
    (found,) = fields(counts, estimator=Finds(NoiseLevel()))
    span = found.image.intensity.high - found.image.intensity.low
    level = NoiseLevel(read=share * 300 / span, correlation=correlation)
    base = tiny_fast()
    blurred = Instrument(psf_sigma=(3.0, 3.0))  # new to the base

    said = doubt_about(base, blurred, [replace(found, noise=level)])

    assert ("estimate may be too low" in said) == is_doubted


# ── the whole ───────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def blurred():
    """Sharp foam, and recordings of it whose blur no shipped model was trained for."""
    sharp, low = [], []
    for seed in range(3):
        truth = make_phantom("foam", n_planes=1, size=256, seed=seed).truth
        plane = torch.from_numpy(truth.astype(np.float32)).reshape(1, 1, 256, 256)
        random = torch.Generator().manual_seed(seed)
        span = float(plane.max())
        recorded = record(
            plane / span, 2, psf_sigma=1.5, gain=1 / 500, generator=random
        )
        sharp.append(plane[0, 0].numpy())
        low.append((recorded[0, 0] * span).numpy())
    return sharp, low


def test_recordings_alone_teach_a_blur_that_the_base_does_not_know(blurred):
    sharp, low = blurred
    base = sr.load_model("general-x2").at_dial(0.0)

    settings = sr.settings_for(
        "general-x2", iterations=30, batch=4, patch=32, psf_sigma=1.5, device="cpu"
    )
    model = sr.finetune(recordings_only=low, base="general-x2", settings=settings)

    assert model.card.is_better
    assert "Evaluated without ground truth" in model.card.verdict
    assert model.card.interval is None  # no truth, no promise

    def decibels(upscaler):
        results = [sr.upscale(plane, upscaler, dtype="float32") for plane in low]
        pairs = zip(results, sharp, strict=True)
        return np.mean([psnr(a, b, data_range=20_000, border=8) for a, b in pairs])

    assert decibels(model) > decibels(base) + 0.5


def test_recordings_that_the_base_was_trained_for_teach_nothing(blurred):
    _, low = blurred
    settings = sr.settings_for(
        "general-x2", iterations=1, batch=2, patch=16, device="cpu"
    )

    training = Training(low, settings, base="general-x2", recordings_only=True)
    list(training)

    assert any(
        "was already trained for this blur and noise" in note for note in training.notes
    )
    assert not training.model.card.is_better


def test_it_goes_on_from_a_checkpoint_to_the_same_weights(tmp_path):
    arrays = [noisy(300, seed=seed) for seed in range(3)]
    base = tiny_fast()
    settings = sr.settings_for(
        base, iterations=4, batch=2, patch=16, validate_every=2, device="cpu"
    )

    def begin(checkpoint=None):
        return Training(
            arrays, settings, base=base, checkpoint=checkpoint, recordings_only=True
        )

    whole = begin()
    list(whole)
    path = tmp_path / "a.checkpoint"
    first = begin(path)
    for _, _step in zip(range(2), first, strict=False):
        pass
    first.save()
    second = begin(path)
    list(second)

    for name, weights in whole.model.weights["faithful"].items():
        torch.testing.assert_close(second.model.weights["faithful"][name], weights)


REFUSED = [
    pytest.param(
        {"base": tiny_srresnet()},
        "noise-conditioned model",
        id="a base that is not told",
    ),
    pytest.param(
        {"adversarial": AdversarialSettings(iterations=2)},
        "without sharp images",
        id="texture",
    ),
    pytest.param({"low_images": [noisy(9)]}, "Leave out", id="pairs"),
    pytest.param({"images": [noisy(9)]}, "either", id="sharp images too"),
    pytest.param({"recordings_only": None}, "either", id="nothing"),
    pytest.param({"psf_sigma": -1.0}, "from 0 to 4", id="a blur below 0"),
]


@pytest.mark.parametrize(("more", "why"), REFUSED)
def test_what_cannot_go_with_recordings_alone_is_refused(more, why):
    options = {"recordings_only": [noisy(9)], "base": tiny_fast(), "iterations": 1}

    with pytest.raises(ValueError, match=why):
        sr.finetune(**(options | more))
