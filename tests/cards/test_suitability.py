"""Suitability: gain and offset say nothing, and what is of another kind is told."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from scipy import ndimage

from napari_sr.cards.descriptors import (
    DESCRIPTORS,
    SMALLEST,
    describe_plane,
    describe_recording,
    noise_deviation,
)
from napari_sr.cards.suitability import (
    FEWEST_IMAGES,
    Suitability,
    TrainingStatistics,
    suitability_of,
)
from napari_sr.image.stack import Stack


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
    return TrainingStatistics.of(known, 60).with_limits(held_out)


@pytest.fixture(scope="module")
def comparing():
    """Statistics that know two other kinds of images."""
    known = [describe_plane(picture(seed=seed)) for seed in range(60)]
    held_out = [describe_plane(picture(seed=seed)) for seed in range(60, 100)]
    others = [
        [describe_plane(picture(kind, seed=seed)) for seed in range(10)]
        for kind in ("matter", "membranes")
    ]
    return TrainingStatistics.of(known, 60, others).with_limits(held_out)


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


def test_own_images_are_suited_and_others_are_not(comparing):
    own = [suitability_of(describe_plane(picture(seed=s)), comparing)
           for s in range(200, 210)]  # fmt: skip
    other = [
        suitability_of(describe_plane(picture(kind, seed=20)), comparing)
        for kind in ("matter", "smooth", "membranes")
    ]

    assert sum(one.is_suited for one in own) >= 8
    assert not any(one.is_suited for one in other)
    assert all(one.differs for one in other)


def test_what_differs_is_named(comparing):
    inverted = suitability_of(describe_plane(-picture(seed=240)), comparing)

    assert "median" in inverted.differs
    assert "differs in" in inverted.in_words()
    words = {row[0] for row in inverted.rows()}
    assert f"{DESCRIPTORS['median']} (differs)" in words


def draw(n, random, shift=0.0):
    """Descriptions of which the first descriptor tells a kind apart."""
    rows = random.normal(size=(n, len(DESCRIPTORS)))
    rows[:, 0] += shift
    return [dict(zip(DESCRIPTORS, row, strict=True)) for row in rows]


def test_one_in_twenty_of_the_same_kind_lies_beyond_the_border():
    random = np.random.default_rng(0)
    statistics = TrainingStatistics.of(
        draw(500, random), 500, [draw(100, random, shift=6)]
    ).with_limits(draw(800, random))

    flagged = [
        not suitability_of(one, statistics).is_suited for one in draw(800, random)
    ]
    others = [
        not suitability_of(one, statistics).is_suited
        for one in draw(200, random, shift=6)
    ]

    assert np.mean(flagged) == pytest.approx(0.05, abs=0.03)
    assert np.mean(others) > 0.99


def test_the_descriptor_that_tells_kinds_apart_has_the_weight():
    random = np.random.default_rng(1)
    found = TrainingStatistics.of(draw(500, random), 1, [draw(500, random, shift=4)])

    first, *rest = found.weights.values()
    assert first > 5 * max(abs(weight) for weight in rest)


def test_each_other_kind_counts_the_same_however_many_images_it_has():
    random = np.random.default_rng(2)
    own, few, many = draw(300, random), draw(30, random, 4), draw(900, random, -4)
    found = TrainingStatistics.of(own, 1, [few, many])

    # the two lie on opposite sides, so that no direction tells both
    assert abs(found.weights["dark"]) < 0.3


def test_what_is_like_nothing_is_told_without_other_kinds(statistics):
    assert not statistics.weights
    stripes = np.sin(np.arange(128) / 3)[None].repeat(128, 0) * 100 + 500

    found = suitability_of(describe_plane(stripes), statistics)

    assert not found.is_suited
    assert "is unlike the images" in found.in_words()


def one_kind(n, kinds=("cells",)):
    """Of each of `n` images one recording; the kinds take turns."""
    return [
        [describe_plane(picture(kinds[seed % len(kinds)], seed=seed))]
        for seed in range(n)
    ]


def test_no_training_image_that_is_left_out_would_be_flagged():
    images = one_kind(FEWEST_IMAGES)
    limit = TrainingStatistics.of_one_kind(images).limit

    for at, (left_out,) in enumerate(images):
        rest = [one for image in images[:at] + images[at + 1 :] for one in image]
        others = TrainingStatistics.of(rest, len(rest))
        assert others.distance(left_out) < limit


def test_of_one_kind_other_kinds_are_flagged_and_further_images_are_not():
    found = TrainingStatistics.of_one_kind(one_kind(FEWEST_IMAGES))

    own = [suitability_of(describe_plane(picture(seed=s)), found) for s in (300, 301)]
    others = [
        suitability_of(describe_plane(picture(kind, seed=20)), found)
        for kind in ("matter", "smooth", "membranes")
    ]
    assert all(one.is_suited for one in own)
    assert not any(one.is_suited for one in others)


def test_too_few_images_and_images_of_many_kinds_have_no_statistics():
    assert TrainingStatistics.of_one_kind(one_kind(FEWEST_IMAGES - 1)) is None
    many = one_kind(20, ("cells", "matter", "smooth", "membranes"))
    assert TrainingStatistics.of_one_kind(many) is None


def test_a_stack_is_described_by_its_planes():
    planes = np.stack([picture(seed=seed) for seed in range(3)])

    found = describe_recording(Stack.from_array(planes))

    each = [describe_plane(plane) for plane in planes]
    for name, value in found.items():
        assert value == pytest.approx(np.median([one[name] for one in each]), rel=1e-4)


def test_statistics_survive_a_file(comparing):
    again = TrainingStatistics.model_validate_json(comparing.model_dump_json())

    plane = describe_plane(picture(seed=241))
    assert again.distance(plane) == comparing.distance(plane)
    assert again.otherness(plane) == comparing.otherness(plane)
    assert isinstance(suitability_of(plane, again), Suitability)
