"""Lattices: by closed form, by value, and beside structure that is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from scipy import ndimage

from napari_sr.metrics import lattice, spectrum_error
from napari_sr.phantoms import make_phantom

FACTORS = [2, 3, 4, 8]


def tiled(pattern, shape):
    """Repeat a pattern over an image."""
    height, width = shape
    return np.tile(pattern, (height, width))[:height, :width]


def pattern_of(factor, seed=0):
    return np.random.default_rng(seed).normal(0, 100, (factor, factor))


def specimen(name, side=320, seed=0):
    truth = make_phantom(name, n_planes=1, size=side, seed=seed).truth
    return np.squeeze(truth).astype(np.float64)


@runs(max_examples=40, deadline=None)
@given(
    factor=st.sampled_from(FACTORS),
    more=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    offset=st.floats(-1e5, 1e5),
    border=st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_a_pure_lattice_is_found_by_its_exact_deviation(
    factor, more, offset, border, seed
):
    pattern = pattern_of(factor, seed)
    shape = [3 * factor - 2 + 2 * border + side for side in more]

    found = lattice(tiled(pattern, shape) + offset, factor, border=border)

    assert found == pytest.approx(pattern.std(), rel=1e-9)


@pytest.mark.parametrize("factor", FACTORS)
def test_constants_slopes_and_parabolas_have_none(factor):
    y, x = np.indices((70, 90), dtype=float)

    assert lattice(np.full((70, 90), 65_535, np.uint16), factor) == 0
    assert lattice(300 * y - 200 * x + 5, factor) == pytest.approx(0, abs=1e-7)
    assert lattice(9 * y * y - x * y + x * x, factor) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_white_noise_leaves_what_averaging_leaves(factor):
    random = np.random.default_rng(factor)
    n_blocks = 30
    side = n_blocks * factor + 2 * (factor - 1)

    found = [
        lattice(random.normal(0, 50, (side, side)), factor) ** 2 for _ in range(400)
    ]

    expected = 50 / n_blocks * np.sqrt(1 - 1 / factor**2)
    # the smooth part of what lies at the ends of the image adds a little
    assert np.sqrt(np.mean(found)) == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", ["nuclei", "filaments", "foam", "mammogram"])
def test_a_lattice_on_an_image_is_found_to_a_few_per_cent(name, factor):
    image = specimen(name)
    pattern = pattern_of(factor)

    found = lattice(image + tiled(pattern, image.shape), factor, border=8)

    # what the image has by chance adds to it at random, so mostly by its square
    assert lattice(image, factor, border=8) < 0.15 * pattern.std()
    assert found == pytest.approx(pattern.std(), rel=0.05)


@pytest.mark.parametrize("factor", FACTORS)
def test_shifts_by_whole_periods_change_nothing_of_a_periodic_image(factor):
    random = np.random.default_rng(1)
    image = np.tile(random.random((5 * factor, 5 * factor)), (3, 3))
    window = slice(0, 10 * factor + 2 * (factor - 1))

    shifts = [(0, 0), (factor, 0), (0, 2 * factor), (3 * factor, 4 * factor)]
    found = [
        lattice(np.roll(image, shift, (0, 1))[window, window], factor)
        for shift in shifts
    ]

    assert found == pytest.approx([found[0]] * 4, rel=1e-9)


@pytest.mark.parametrize("factor", [2, 4])
def test_interpolated_pixels_have_no_lattice_and_uneven_ones_have(factor):
    recorded = np.random.default_rng(2).normal(1000, 100, (96, 96))
    smooth = ndimage.zoom(recorded, factor, order=1, grid_mode=True, mode="reflect")
    uneven = smooth.copy()
    uneven[::factor] *= 1.01

    assert lattice(smooth, factor, border=8) < 1
    expected = 10 * np.sqrt((factor - 1) / factor**2)  # one row of each period
    assert lattice(uneven, factor, border=8) == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize(
    ("shape", "factor", "border"),
    [((9, 40), 4, 0), ((40, 25), 4, 8), ((40, 40), 1, 0), ((40, 40), 4, -1)],
)
def test_what_holds_no_period_is_refused(shape, factor, border):
    with pytest.raises(ValueError, match="at least 2, and"):
        lattice(np.zeros(shape), factor, border=border)


def test_one_period_between_its_neighbours_is_enough():
    pattern = pattern_of(4)

    assert lattice(tiled(pattern, (10, 10)), 4) == pytest.approx(pattern.std())


# ── the spectrum error does not take it for detail ──────────────────────────────────


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("name", ["nuclei", "foam"])
def test_a_lattice_is_no_detail_that_was_missing(name, factor):
    truth = specimen(name, side=240)
    smooth = ndimage.gaussian_filter(truth, 0.3 * factor)
    pattern = 3 * pattern_of(factor)

    before = spectrum_error(smooth, truth, factor, border=8)
    after = spectrum_error(
        smooth + tiled(pattern, truth.shape), truth, factor, border=8
    )

    assert before > 0.3
    assert after == pytest.approx(before, rel=1e-3)


@pytest.mark.parametrize("side", range(16, 40, 3))
def test_even_small_images_have_more_than_a_lattice(side):
    random = np.random.default_rng(side)
    detail, other = random.normal(size=(2, side, side + 5))

    for factor in (2, 3, 4, 8):
        assert 0 < spectrum_error(detail, other, factor) < 2
