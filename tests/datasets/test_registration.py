"""Registration: shifts to a tenth of a pixel, and whether two images are alike."""

from __future__ import annotations

import numpy as np
import pytest
from displaced import recorded
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from scipy import ndimage

from napari_sr.datasets.registration import (
    area_means,
    has_detail,
    likeness,
    phase_spectrum,
    register,
)

KINDS = ["cells", "texture", "filaments"]
FACTORS = [2, 5]
TENTHS = st.integers(-40, 40).map(lambda n: n / 10)


def measured(kind, factor, shift, photons=None, **options):
    low = recorded(kind, 1, shift, photons, **options)
    return register(low, recorded(kind, factor, **options), factor, reach=5)


# ── the shift ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shift", [(1.3, 0), (0, 1.3), (-1.3, 1.3)], ids=str)
def test_a_shift_of_1_3_pixels_is_measured_to_a_tenth(kind, factor, shift):
    assert measured(kind, factor, shift, photons=200).shift == pytest.approx(
        shift, abs=0.1
    )


@pytest.mark.parametrize("kind", KINDS)
@runs(max_examples=8, deadline=None)
@given(y=TENTHS, x=TENTHS, noise=st.integers(0, 9))
def test_any_shift_is_measured_to_a_tenth_in_noise(kind, y, x, noise):
    found = measured(kind, 2, (y, x), photons=200, noise=noise)

    assert found.shift == pytest.approx((y, x), abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
@runs(max_examples=8, deadline=None)
@given(y=TENTHS, x=TENTHS)
def test_without_noise_aliasing_leaves_a_fiftieth(kind, y, x):
    assert measured(kind, 2, (y, x)).shift == pytest.approx((y, x), abs=0.02)


def test_positive_is_down_and_to_the_right_in_the_low_image():
    high = np.zeros((64, 80), np.uint16)
    high[20:24, 40:46] = 1000
    low = np.zeros((32, 40), np.uint16)
    low[10 + 3 : 12 + 3, 20 - 2 : 23 - 2] = 1000

    found = register(low, high, 2, reach=5)

    assert found.shift == pytest.approx((3, -2), abs=0.05)


def test_the_low_image_may_be_blurred_dimmer_and_on_an_offset():
    low = ndimage.gaussian_filter(recorded("cells", 1, (1.3, -0.4)).astype(float), 1)

    found = register(low * 0.1 + 5000, recorded("cells", 2), 2, reach=5)

    assert found.shift == pytest.approx((1.3, -0.4), abs=0.05)


def test_hot_pixels_of_one_image_do_not_outweigh_all_else():
    low, high = recorded("texture", 1, (1.3, -0.4)), recorded("texture", 2)
    untouched = register(low, high, 2, reach=5)
    low[[20, 50, 71], [33, 60, 18]] = 65535

    found = register(low, high, 2, reach=5)

    assert found.shift == pytest.approx((1.3, -0.4), abs=0.02)
    assert found.correlation > 0.9 * untouched.correlation


@pytest.mark.parametrize("kind", KINDS)
def test_what_only_one_image_shows_does_not_count(kind):
    # of 40 pixels, 5 rows and columns of the low image are beyond the high one
    for shift in ((5, -5), (-4.9, 4.6)):
        found = measured(kind, 2, shift, side=40)
        assert found.shift == pytest.approx(shift, abs=0.015)


def test_the_round_border_of_a_reconstruction_does_not_pull_the_shift():
    low, high = recorded("texture", 1, (1.3, -0.4)), recorded("texture", 2)
    for image in (low, high):
        y, x = np.indices(image.shape) - (len(image) - 1) / 2
        image[np.hypot(y, x) > 0.48 * len(image)] = 0

    found = register(low, high, 2, reach=5)

    assert found.shift == pytest.approx((1.3, -0.4), abs=0.05)


def test_of_the_peaks_of_a_lattice_the_one_within_reach_is_taken():
    y, x = np.indices((128, 128)) / 16
    high = np.sin(2 * np.pi * y) * np.sin(2 * np.pi * x) * 1000
    low = area_means(high, 2, (64, 64), (-2 * 1.5, 0.0))

    found = register(low, high, 2, reach=3)

    assert found.shift == pytest.approx((1.5, 0), abs=0.1)


def test_a_shift_beyond_reach_is_found_too():
    assert measured("texture", 2, (5.5, 0)).shift == pytest.approx((5.5, 0), abs=0.1)
    low, high = recorded("texture", 1, (5.5, 0)), recorded("texture", 2)
    assert register(low, high, 2, reach=1).shift == pytest.approx((5.5, 0), abs=0.1)


def test_in_a_large_plane_the_part_with_structure_is_compared():
    low, high = (
        np.full((2000, 1100), 300, np.uint16),
        np.full((4000, 2200), 300, np.uint16),
    )
    low[1850:1946, 950:1046] = recorded("cells", 1, (1.3, -0.4))
    high[3700:3892, 1900:2092] = recorded("cells", 2)

    assert register(low, high, 2, reach=5).shift == pytest.approx((1.3, -0.4), abs=0.1)


# ── how certain it is ───────────────────────────────────────────────────────────────


def test_the_uncertainty_is_the_scatter_of_repeated_measurements():
    found = [
        measured("texture", 2, (1.3, -0.4), photons=30, noise=noise)
        for noise in range(30)
    ]

    scatter = np.std([one.shift for one in found], axis=0).max()
    said = np.median([one.uncertainty for one in found])
    assert scatter / 2 < said < 3 * scatter


@pytest.mark.parametrize("kind", KINDS)
def test_partners_are_alike_and_strangers_are_not(kind):
    low, high = recorded(kind, 1, (1.3, -0.4), 200), recorded(kind, 2)

    partner = register(low, high, 2, reach=5)
    stranger = register(low, recorded(kind, 2, seed=1), 2, reach=5)

    assert partner.correlation > 0.5
    assert partner.significance > 12
    assert stranger.correlation < 0.25
    assert stranger.significance < 8


def test_likeness_does_not_depend_on_the_shift():
    high = phase_spectrum(recorded("texture", 1))

    alike = [
        likeness(phase_spectrum(recorded("texture", 1, (by, -by))), high, reach=5)
        for by in (0, 2, 4)
    ]

    assert alike[0] == pytest.approx(1, abs=1e-3)
    assert min(alike) > 0.8


def test_noise_is_no_variation_across_the_field():
    for noise in range(5):
        found = measured("texture", 2, (1.3, -0.4), photons=30, noise=noise)
        assert found.variation < 0.05


BENT = {
    "turned by 2°": lambda image: ndimage.rotate(image, 2, reshape=False, order=3),
    "magnified by 4 %": lambda image: ndimage.zoom(image, 1.04, order=3)[:192, :192],
}


@pytest.mark.parametrize("bend", BENT.values(), ids=BENT.keys())
def test_a_turn_or_a_magnification_varies_across_the_field(bend):
    low, high = recorded("texture", 1, photons=200), recorded("texture", 2)

    found = register(low, bend(high.astype(float)), 2, reach=5)

    assert found.variation > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_a_specimen_has_detail_and_noise_has_none(kind):
    random = np.random.default_rng(0)

    assert has_detail(recorded(kind, 1, photons=100))
    assert not has_detail(random.poisson(50, (96, 97)))
    assert not has_detail(np.full((32, 32), 7, np.uint16))


# ── averaging over pixels that lie anywhere ─────────────────────────────────────────


def test_area_means_at_whole_positions_are_means_of_blocks():
    high = np.arange(8 * 12).reshape(8, 12) ** 2

    means = area_means(high, 2, (3, 4), (2.0, 4.0))

    assert np.array_equal(means, high[2:8, 4:12].reshape(3, 2, 4, 2).mean((1, 3)))


def test_area_means_weight_the_pixels_that_they_cut():
    row = np.array([0.0, 10, 20, 40, 80, 160])[None].repeat(4, 0)

    means = area_means(row, 2, (1, 2), (0.0, 0.25))

    first = (0.75 * 0 + 10 + 0.25 * 20) / 2
    second = (0.75 * 20 + 40 + 0.25 * 80) / 2
    assert means[0] == pytest.approx([first, second])


def test_areas_beyond_the_edge_are_moved_to_it():
    high = np.arange(6.0)[:, None].repeat(4, 1)

    assert area_means(high, 2, (3, 1), (-3.0, 0.0))[:, 0].tolist() == [0.5, 0.5, 1.5]


WRONG = [
    pytest.param((32, 32), (64, 66), id="sizes differ"),
    pytest.param((8, 32), (16, 64), id="too small"),
]


@pytest.mark.parametrize(("low", "high"), WRONG)
def test_planes_that_cannot_be_compared_are_refused(low, high):
    with pytest.raises(ValueError, match="Planes of at least 16 × 16 pixels"):
        register(np.zeros(low), np.zeros(high), 2, reach=5)
