"""Where a model's interval comes from: recordings of which the truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from tiny_models import tiny_fast, tiny_srresnet

import napari_sr as sr
from napari_sr.cards.interval import scale_for
from napari_sr.evaluation.protocol import noise_of, on_scale, recorded
from napari_sr.settings import TrainingSettings
from napari_sr.training.calibration import (
    BORDER,
    Known,
    errors_and_spreads,
    find_interval,
    middle,
    tried,
)

SIDE = 48


def specimens(n, seed=0):
    """Sharp images of one kind, in counts."""
    random = np.random.default_rng(seed)
    for _ in range(n):
        yield on_scale(ndimage.gaussian_filter(random.random((SIDE, SIDE)), 1.5))


def recordings(n, seed=0, photons=(None, 200.0)):
    for number, sharp in enumerate(specimens(n, seed)):
        for level in photons:
            yield Known(number, recorded(sharp, 2, level), sharp, noise_of(level))


@pytest.mark.parametrize("model", [tiny_fast(2), tiny_srresnet(2)])
def test_an_interval_holds_what_it_promises_on_further_images(model):
    def known(n, seed):
        for one in recordings(n, seed):
            noise = one.noise if "noise" in model.conditions else "auto"
            yield Known(one.image, one.low, one.sharp, noise)

    found = find_interval(model, known(12, 1), known(2, 2))
    seen = tried(found, model, known(12, 3))

    assert found.is_guaranteed
    assert found.n_images == 12
    assert found.coverage is None
    assert 0.87 < seen.coverage <= 1
    assert seen.mean_width > 0


def test_each_dataset_of_test_images_has_its_coverage():
    model = tiny_fast(2)
    found = find_interval(model, recordings(12, 1), recordings(2, 2))
    hard = ndimage.gaussian_filter(np.random.default_rng(9).random((SIDE, SIDE)), 0.5)
    further = [replace(one, dataset="soft") for one in recordings(3, 3)]
    low = recorded(on_scale(hard), 2, None)
    further.insert(1, Known(99, low, on_scale(hard), noise_of(None), dataset="hard"))

    seen = tried(found, model, further)
    alone = tried(found, model, [one for one in further if one.dataset == "soft"])

    assert seen.coverage_by_dataset["soft"] == pytest.approx(alone.coverage)
    assert seen.coverage_by_dataset["hard"] < seen.coverage_by_dataset["soft"] - 0.1
    assert "(hard) to" in seen.in_words()
    assert alone.coverage_by_dataset == {}  # the mean says it already


def of_groups(groups, seed=0):
    """Recordings of images that belong together as numbered, one after another."""
    for group, sharp in zip(groups, specimens(len(groups), seed), strict=True):
        yield Known(group, recorded(sharp, 2, 200.0), sharp, noise_of(200.0))


def test_planes_of_one_volume_are_one_image_however_many_and_in_any_order():
    model, learnt = tiny_fast(2), list(recordings(1, 9))

    volumes = find_interval(model, of_groups([0, 1] * 8), learnt)
    assert volumes.n_images == 2
    assert not volumes.is_guaranteed
    assert "on 2 images (all planes of a file or volume are one)" in volumes.in_words()
    assert "at least that share" not in volumes.in_words()

    one_by_one = sorted(of_groups([0, 1] * 8), key=lambda known: known.image)
    assert find_interval(model, one_by_one, learnt) == volumes
    assert find_interval(model, of_groups(range(16)), learnt).is_guaranteed


def test_a_volume_of_many_planes_weighs_no_more_than_a_single_image():
    model = tiny_fast(2)
    errors, spreads = errors_and_spreads(model, of_groups([0, 0, 0, 1]))

    assert [len(one) for one in errors] == [3 * errors[1].size, errors[1].size]
    found = scale_for(errors, [one + 1e-3 for one in spreads])
    shares = [
        np.mean(error <= found.scale * (apart + 1e-3))
        for error, apart in zip(errors, spreads, strict=True)
    ]
    assert np.mean(shares) == pytest.approx(0.9, abs=2e-3)


def test_recordings_of_one_image_count_once():
    found = find_interval(tiny_fast(2), recordings(3), recordings(1, 9))

    assert found.n_images == 3
    assert not found.is_guaranteed


def test_a_training_ends_with_the_interval_of_what_it_held_out():
    images = [np.uint16(sharp) for sharp in specimens(9)]
    settings = TrainingSettings(
        iterations=2,
        patch=16,
        batch=2,
        share_held_out=1 / 3,
        architecture="fast",
        arguments=tiny_fast(2).card.arguments,
    )

    model = sr.finetune(images, tiny_fast(2), settings=settings)

    assert model.card.interval is not None
    assert model.card.interval.n_images == 2  # of three held out one chose the weights
    assert "too few images for a guarantee" in model.card.interval.in_words()
    low = recorded(next(specimens(1, 5)), 2, 200.0)
    result, half = sr.upscale_with_interval(low, model)
    assert result.shape == half.shape
    assert (half > 0).all()


def test_a_training_on_volumes_counts_volumes():
    def volume(seed):
        (first,) = specimens(1, seed)
        random = np.random.default_rng(seed)
        return np.stack([first + random.normal(0, 50, first.shape) for _ in range(6)])

    volumes = [np.uint16(np.clip(volume(seed), 0, 65_535)) for seed in range(4)]
    settings = TrainingSettings(
        iterations=2,
        patch=16,
        batch=2,
        share_held_out=0.3,
        architecture="fast",
        arguments=tiny_fast(2).card.arguments,
    )

    interval = sr.finetune(volumes, tiny_fast(2), settings=settings).card.interval

    assert interval.n_images == 1  # of the four, one with its six planes is kept
    assert not interval.is_guaranteed


def test_only_the_middle_of_large_images_is_looked_at():
    sharp = np.arange(500 * 300).reshape(500, 300)

    cut = middle(sharp)

    assert cut.shape == (192, 192)
    assert (cut[0, 0] // 300) % 4 == 0
    assert (cut[0, 0] % 300) % 4 == 0
    assert middle(sharp[:BORDER, :BORDER]).shape == (BORDER, BORDER)
