"""Heights and thresholds: by hand, and as others have them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

from napari_sr.metrics import bright_share, levelled, roughness, slope_rmse


def surface(shape=(40, 60), seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def tilted(shape, a, b, c):
    y, x = np.indices(shape)
    return a * y + b * x + c


# ── heights ─────────────────────────────────────────────────────────────────────────


def test_levelling_is_a_fit_of_least_squares():
    heights = surface() + tilted((40, 60), 0.1, -0.2, 3)
    y, x = np.indices(heights.shape)
    terms = np.stack([np.ones(y.size), y.ravel(), x.ravel()], 1)
    fitted = terms @ np.linalg.lstsq(terms, heights.ravel(), rcond=None)[0]

    expected = heights - fitted.reshape(heights.shape)
    np.testing.assert_allclose(levelled(heights), expected, atol=1e-10)


@runs(max_examples=20, deadline=None)
@given(*[st.floats(-100, 100)] * 3)
def test_roughness_knows_no_tilt(a, b, c):
    heights = surface()

    assert roughness(heights + tilted(heights.shape, a, b, c)) == pytest.approx(
        roughness(heights), abs=1e-8
    )


def test_roughness_of_a_wave_by_hand():
    wave = 3 * np.tile(np.sin(2 * np.pi * np.arange(5000) / 50), (20, 1))

    sa, sq = roughness(wave)

    assert sq == pytest.approx(3 / np.sqrt(2), rel=1e-3)
    assert sa == pytest.approx(3 * 2 / np.pi, rel=3e-3)


def test_slopes_by_hand():
    truth = surface()

    assert slope_rmse(truth + 7, truth) == pytest.approx(0, abs=1e-12)
    tipped = truth + tilted(truth.shape, 3, 4, 0)
    assert slope_rmse(tipped, truth, border=4) == pytest.approx(5)


# ── thresholds ──────────────────────────────────────────────────────────────────────


def test_two_phases_are_parted():
    image = np.full((20, 20), 100, np.uint16)
    image[:5] = 900

    share, threshold = bright_share(image)

    assert share == 0.25
    assert 100 <= threshold < 900


def test_the_threshold_has_the_largest_variance_between_the_classes():
    random = np.random.default_rng(0)
    image = np.concatenate([random.normal(0, 1, 6000), random.normal(6, 1, 2000)])
    image = image.reshape(80, 100)

    share, threshold = bright_share(image)

    def between(level):
        above = image > level
        weight = above.mean()
        return weight * (1 - weight) * (image[above].mean() - image[~above].mean()) ** 2

    levels = np.linspace(image.min(), image.max(), 500)[1:-1]
    assert between(threshold) > 0.999 * max(map(between, levels))
    assert share == pytest.approx(0.25, abs=0.01)


def test_a_constant_has_one_phase():
    assert bright_share(np.full((4, 4), 7.0)) == (0.0, 7.0)
