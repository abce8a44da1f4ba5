"""Suitability: gain and offset say nothing, and what is of another kind is told."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from scipy import ndimage

from napari_sr.descriptors import (
    DESCRIPTORS,
    SMALLEST,
    describe_plane,
    describe_recording,
    noise_deviation,
)
from napari_sr.stack import Stack
from napari_sr.suitability import Suitability, TrainingStatistics, suitability_of


@cache
def picture(kind="cells", seed=0, side=128):
    """A recording with noise: bright cells on dark, or something of another kind."""
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.random((side, side)), 3)
    if kind == "cells":
        spots = random.random((side, side)) > 0.997
        clean = ndimage.gaussian_filter(spots.astype(float), 3)
    elif kind == "matter":
        clean = ndimage.gaussian_filter((field > np.median(field)).astype(float), 0.7)
    elif kind == "smooth":
        clean = ndimage.gaussian_filter(field, 10)
    else:
        clean = -ndimage.gaussian_filter((abs(field - 0.5) < 0.005).astype(float), 1)
    clean = (clean - clean.min()) / np.ptp(clean)
    return random.poisson(100 * clean + 5).astype(np.float32)


@pytest.fixture(scope="module")
def statistics():
    known = [describe_plane(picture(seed=seed)) for seed in range(60)]
    held_out = [describe_plane(picture(seed=seed)) for seed in range(60, 100)]
    return TrainingStatistics.of(known, 60).with_limit(held_out)


@runs(max_examples=5, deadline=None)
@given(gain=st.floats(0.1, 50), offset=st.floats(-1e3, 1e3))
def test_gain_and_offset_change_nothing(gain, offset):
    plane = picture().astype(np.float64)

    assert describe_plane(gain * plane + offset) == pytest.approx(
        describe_plane(plane), abs=2e-3
    )


def test_every_descriptor_is_finite_even_of_nothing():
    for plane in (np.zeros((SMALLEST, 80)), np.full((70, SMALLEST), 9, np.uint16)):
        found = describe_plane(plane)
        assert list(found) == list(DESCRIPTORS)
        assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize("sigma", [1.0, 30.0])
def test_noise_is_found_under_smooth_structure(sigma):
    random = np.random.default_rng(0)
    smooth = 500 * ndimage.gaussian_filter(random.random((200, 301)), 8)

    noisy = smooth + sigma * random.normal(size=smooth.shape)
    assert noise_deviation(noisy) == pytest.approx(sigma, rel=0.05)


def test_descriptors_follow_what_they_are_named_after():
    plane = picture().astype(np.float64)
    before = describe_plane(plane)
    random = np.random.default_rng(0)

    noisier = describe_plane(plane + 0.1 * np.ptp(plane) * random.normal(
        size=plane.shape))  # fmt: skip
    softer = describe_plane(ndimage.gaussian_filter(plane, 2))
    inverted = describe_plane(-plane)

    assert noisier["noise"] > before["noise"] + 0.1
    assert softer["fall_3"] < before["fall_3"]
    assert inverted["polarity"] == pytest.approx(-before["polarity"], abs=0.01)
    assert inverted["median"] == pytest.approx(1 - before["median"], abs=0.02)


def test_own_images_are_suited_and_others_are_not(statistics):
    own = [suitability_of(describe_plane(picture(seed=s)), statistics)
           for s in range(200, 210)]  # fmt: skip
    other = [
        suitability_of(describe_plane(picture(kind, seed=1)), statistics)
        for kind in ("matter", "smooth", "membranes")
    ]

    assert sum(one.is_suited for one in own) >= 8
    assert not any(one.is_suited for one in other)
    assert all(one.differs for one in other)


def test_what_differs_is_named(statistics):
    inverted = suitability_of(describe_plane(-picture(seed=240)), statistics)

    assert "median" in inverted.differs
    assert "differs in" in inverted.in_words()
    words = {row[0] for row in inverted.rows()}
    assert f"{DESCRIPTORS['median']} (differs)" in words


def test_the_limit_leaves_out_one_in_twenty():
    random = np.random.default_rng(0)

    def draw(n):
        return [
            dict(zip(DESCRIPTORS, row, strict=True))
            for row in random.normal(size=(n, len(DESCRIPTORS)))
        ]

    statistics = TrainingStatistics.of(draw(500), 500).with_limit(draw(800))

    beyond = [statistics.distance(one) > statistics.limit for one in draw(800)]
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.03)


def test_a_stack_is_described_by_its_planes():
    planes = np.stack([picture(seed=seed) for seed in range(3)])

    found = describe_recording(Stack.from_array(planes))

    each = [describe_plane(plane) for plane in planes]
    for name, value in found.items():
        assert value == pytest.approx(np.median([one[name] for one in each]), rel=1e-4)


def test_statistics_survive_a_file(statistics):
    again = TrainingStatistics.model_validate_json(statistics.model_dump_json())

    plane = describe_plane(picture(seed=241))
    assert again.distance(plane) == statistics.distance(plane)
    assert isinstance(suitability_of(plane, again), Suitability)
