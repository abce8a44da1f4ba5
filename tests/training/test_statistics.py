"""What training images are like: their model warns of other kinds, or says nothing."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from tiny_models import tiny_fast

from napari_sr.cards.descriptors import describe_plane
from napari_sr.cards.suitability import FEWEST_IMAGES, suitability_of
from napari_sr.image.sampling import binned
from napari_sr.instrument.ranges import Instrument
from napari_sr.phantoms import make_phantom
from napari_sr.settings import ForZ
from napari_sr.training.presets import settings_for
from napari_sr.training.session import Training

DIM = Instrument(photons=(100.0, 400.0), share_clean=0.0, share_read=0.0)
N_GIVEN = 15
"""Of which a fifth is held out, so that `FEWEST_IMAGES` are left."""


@cache
def sharp(name="nuclei", seed=0):
    """A sharp image without noise, `(192, 192)` uint16."""
    truth = make_phantom(name, n_planes=1, size=192, seed=seed).truth
    return np.squeeze(truth).astype(np.uint16)


def recording(name, seed):
    """Binned, with the noise of 200 photons at its brightest."""
    low = binned(sharp(name, seed), 2)
    photons = np.random.default_rng(seed).poisson(low * 200 / low.max())
    return photons.astype(np.float32)


def nuclei(n=N_GIVEN):
    return [sharp(seed=seed) for seed in range(n)]


def training(images, base=None, **options):
    """A training that has not taken a step."""
    base = base or tiny_fast()
    chosen = {"iterations": 1, "batch": 1, "patch": 16, "device": "cpu"}
    chosen["instrument"] = DIM
    chosen |= {name: options.pop(name) for name in ("for_z",) if name in options}
    return Training(images, settings_for(base, **chosen), base=base, **options)


def statistics_of(images, **options):
    return training(images, **options).model.card.training_statistics


def flags(statistics, name, seeds):
    return [
        not suitability_of(describe_plane(recording(name, seed)), statistics).is_suited
        for seed in seeds
    ]


def test_a_training_on_nuclei_flags_foam_and_not_nuclei_left_out():
    statistics = statistics_of(nuclei(20))

    assert statistics.n_images == 16  # a fifth is held out
    assert sum(flags(statistics, "nuclei", range(50, 54))) <= 1
    assert all(flags(statistics, "foam", range(2)))


def test_the_same_images_give_the_same_statistics():
    assert statistics_of(nuclei()) == statistics_of(nuclei())


def test_of_too_few_images_nothing_is_written():
    assert statistics_of(nuclei(FEWEST_IMAGES)) is None  # some are held out


def test_planes_of_a_stack_are_one_image():
    assert statistics_of(np.stack(nuclei(20))) is None


@pytest.mark.parametrize(
    "options",
    [{"domain": "general"}, {"for_z": ForZ(ratio=2.0)}],
    ids=lambda given: next(iter(given)),
)
def test_a_model_of_all_kinds_or_for_z_has_none(options):
    assert statistics_of(nuclei(), **options) is None


def test_recordings_too_small_to_be_described_are_left_out():
    assert statistics_of([image[:120, :120] for image in nuclei()]) is None


def test_of_pairs_the_recordings_are_described_as_they_are():
    seeds = range(N_GIVEN)
    low = [recording("nuclei", seed).astype(np.uint16) for seed in seeds]

    found = training(nuclei(), low_images=low)
    statistics = found.model.card.training_statistics

    names = [image.file for image in found.model.card.training_images]
    assert statistics.n_images == len(names) == FEWEST_IMAGES
    assert statistics.quantiles["noise"][6] == pytest.approx(
        np.median([describe_plane(one)["noise"] for one in low]), abs=0.05
    )


def test_of_recordings_alone_they_are_described_as_they_are():
    low = [recording("nuclei", seed).astype(np.uint16) for seed in range(N_GIVEN)]

    statistics = statistics_of(low, recordings_only=True)

    assert statistics.n_images == FEWEST_IMAGES
    assert statistics.quantiles["noise"][6] == pytest.approx(
        np.median([describe_plane(one)["noise"] for one in low]), abs=0.05
    )
