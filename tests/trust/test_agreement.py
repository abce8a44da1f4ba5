"""Agreement: noise is no difference, and what was planted is one, where it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sr.image.intensity import NoiseLevel
from napari_sr.instrument.data_consistency import recorded_again
from napari_sr.trust.agreement import BEYOND, check, in_words, level_of

NOISE = NoiseLevel(gain=40.0, read=12.0, offset=100.0)


def specimen(side=256, seed=0):
    spots = np.random.default_rng(seed).random((side, side)) > 0.999
    cells = ndimage.gaussian_filter(spots.astype(float), 4)
    return (4000 * cells / cells.max() + 150).astype(np.float32)


def recorded(truth, noise=NOISE, sigma=0.0, seed=1):
    random = np.random.default_rng(seed)
    clean = recorded_again(truth, 2, sigma)
    photons = random.poisson((clean - noise.offset) / noise.gain)
    counts = photons * noise.gain + noise.offset
    counts = counts + random.normal(0, noise.read, clean.shape)
    return np.clip(np.rint(counts), 0, 65_535).astype(np.uint16)


@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_the_truth_differs_by_its_noise_and_no_more(sigma):
    truth = specimen()

    found = check(truth, recorded(truth, sigma=sigma), NOISE, 2, sigma)

    assert found.chi_square == pytest.approx(1, abs=0.05)
    assert found.share_beyond < 1e-3
    assert level_of(found.chi_square, found.share_beyond, 30) == "agrees"


def test_the_residual_is_what_was_recorded_too_much():
    truth = specimen()
    low = recorded_again(truth, 2)

    found = check(truth + 5, low, NOISE, 2)

    np.testing.assert_allclose(found.residual, 5, atol=1e-3)
    assert found.deviations.min() > 0


def test_deviations_of_pure_noise_have_the_spread_of_noise():
    low = 1000 + 20 * np.random.default_rng(0).normal(size=(300, 300))
    level = NoiseLevel(read=20)

    found = check(np.full((600, 600), 1000.0), low.astype(np.float32), level, 2)

    # the largest of four scales, at most four independent numbers
    assert 1.0 < found.deviations.std() < 1.8
    assert np.abs(found.deviations).max() < 6


PLANTED = {
    "cell": (slice(100, 116), slice(60, 76)),
    "line": (slice(128, 130), slice(20, 60)),
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_lights_up_where_it_is(what):
    truth = specimen()
    low = recorded(truth)
    planted = truth.copy()
    planted[PLANTED[what]] += 300

    found = check(planted, low, NOISE, 2)

    place = tuple(slice(one.start // 2, one.stop // 2) for one in PLANTED[what])
    assert found.deviations[place].max() > BEYOND
    is_far = np.ones(low.shape, bool)
    rows, columns = (slice(max(0, one.start - 80), one.stop + 80) for one in place)
    is_far[rows, columns] = False
    assert np.mean(np.abs(found.deviations[is_far]) > BEYOND) < 1e-3


def test_a_gain_of_two_percent_is_seen():
    truth = specimen() + 2000
    low = recorded(truth)

    found = check(truth * 1.02, low, NOISE, 2)

    assert found.chi_square < 1.3  # no single pixel tells
    assert found.share_beyond > 0.5
    assert level_of(found.chi_square, found.share_beyond, 30) == "differs"


def test_without_noise_rounding_alone_is_no_difference():
    random = np.random.default_rng(0)
    truth = random.uniform(1000, 20_000, (80, 80)).astype(np.float32)
    low = np.rint(recorded_again(truth, 2)).astype(np.uint16)

    found = check(np.rint(truth).astype(np.uint16), low, NoiseLevel(), 2)

    assert found.share_beyond == 0
    assert found.chi_square < 1.1


@pytest.mark.parametrize(
    ("chi_square", "share", "db", "level", "words"),
    [
        (0.9, 0.0, 30, "agrees", "no more than its noise"),
        (9.0, 0.3, 51, "agrees", "51.0 dB; at 30.0%"),
        (0.9, 0.02, 30, "mostly", "at 2.0% of the field, averaged"),
        (0.9, 0.02, 30, "mostly", "(0.3% of single pixels)"),
        (2.0, 0.0, 30, "mostly", "check these places"),
        (3.0, 0.4, 30, "differs", "contradicts the recording"),
    ],
)
def test_the_badge_says_it_in_words(chi_square, share, db, level, words):
    assert level_of(chi_square, share, db) == level
    assert words in in_words(level, share, db, 0.003)


def test_the_share_of_pixels_that_differ_is_not_that_of_their_neighbourhoods():
    truth = np.full((200, 200), 1000.0, np.float32)
    low = recorded_again(truth, 2).astype(np.float32)
    low[50, 50] += 5000  # a single pixel of 10,000, 50 deviations away

    found = check(truth, low, NoiseLevel(read=100.0), 2)

    assert found.share_of_pixels == pytest.approx(1 / 10_000)
    assert found.share_beyond > 10 * found.share_of_pixels


def test_a_wide_faint_difference_is_in_the_averaged_share_alone():
    truth = np.full((200, 200), 1000.0, np.float32)
    low = recorded_again(truth, 2).astype(np.float32) + 100

    found = check(truth, low, NoiseLevel(read=100.0), 2)

    assert (found.share_of_pixels, found.share_beyond) == (0, 1)


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_blurred_noise_is_no_difference_at_any_scale_once_that_is_said(sigma):
    noise = np.random.default_rng(0).normal(size=(300, 300))
    blurred = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    low = (1000 + 20 * blurred / blurred.std()).astype(np.float32)
    flat = np.full((600, 600), 1000.0)

    white, correlated = (
        check(flat, low, NoiseLevel(read=20, correlation=given), 2)
        for given in (0.0, sigma)
    )

    assert 1.0 < correlated.deviations.std() < 1.8
    assert correlated.share_beyond < 1e-3 < white.share_beyond
