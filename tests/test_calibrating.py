"""Where a model's interval comes from: recordings of which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from tiny_models import tiny_fast, tiny_srresnet

import napari_sr as sr
from napari_sr.calibrating import BORDER, Known, find_interval, middle, tried
from napari_sr.evaluation import noise_of, on_scale, recorded
from napari_sr.settings import TrainingSettings

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
            noise = one.noise if model.is_told_noise else "auto"
            yield Known(one.image, one.low, one.sharp, noise)

    found = find_interval(model, known(12, 1), known(2, 2))
    seen = tried(found, model, known(12, 3))

    assert found.is_guaranteed
    assert found.n_images == 12
    assert found.coverage is None
    assert 0.87 < seen.coverage <= 1
    assert seen.mean_width > 0


def test_recordings_of_one_image_count_once():
    found = find_interval(tiny_fast(2), recordings(3), recordings(1, 9))

    assert found.n_images == 3
    assert not found.is_guaranteed


def test_a_training_ends_with_the_interval_of_what_it_held_out():
    images = [np.uint16(sharp) for sharp in specimens(6)]
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
    assert model.card.interval.n_images == 2
    assert "too few for a guarantee" in model.card.interval.in_words()
    low = recorded(next(specimens(1, 5)), 2, 200.0)
    result, half = sr.upscale_with_interval(low, model)
    assert result.shape == half.shape
    assert (half > 0).all()


def test_only_the_middle_of_large_images_is_looked_at():
    sharp = np.arange(500 * 300).reshape(500, 300)

    cut = middle(sharp)

    assert cut.shape == (192, 192)
    assert (cut[0, 0] // 300) % 4 == 0
    assert (cut[0, 0] % 300) % 4 == 0
    assert middle(sharp[:BORDER, :BORDER]).shape == (BORDER, BORDER)
