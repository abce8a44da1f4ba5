"""The instrument behind recordings: found again, or said not to be determined."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage

from napari_sr.image.intensity import IntensityRange
from napari_sr.instrument.degradation import draw_instrument, record
from napari_sr.instrument.estimation import (
    InstrumentEstimator,
    draw_estimate,
    estimate_instrument,
)
from napari_sr.instrument.estimation.blocks import (
    N_BANDS,
    recorded_blocks,
    simulated_blocks,
    white_noise_left,
)

BLACK, WHITE = 500, 8500
RANGE = WHITE - BLACK
INTENSITY = IntensityRange(BLACK, WHITE)


@lru_cache(maxsize=100)
def specimen(seed, side=224, detail=0.8, n_cells=60):
    """Cells of many sizes, with texture in the light; 0 to about 1."""
    random = np.random.default_rng(seed)
    image = np.zeros((side, side))
    y, x = np.mgrid[:side, :side]
    for _ in range(n_cells):
        cy, cx = random.uniform(0, side, 2)
        radius = random.uniform(4, 25)
        inside = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
        image[inside] += random.uniform(0.05, 0.3)
    texture = ndimage.gaussian_filter(random.normal(size=image.shape), detail)
    image = image * (1 + 0.3 * texture / texture.std())
    return ndimage.gaussian_filter(image, 0.5).clip(0) / 1.2


def in_counts(signal):
    return (signal * RANGE + BLACK).astype(np.float32)


def recorded(seeds, sigma, photons=math.inf, read=0.0, factor=2, **looks):
    """Record specimens with known settings, as uint16."""
    planes = []
    for seed in seeds:
        low = record(
            torch.from_numpy(specimen(seed, **looks))[None, None],
            factor,
            psf_sigma=sigma,
            gain=1 / photons,
            read=read,
            generator=torch.Generator().manual_seed(seed),
        )
        counts = np.rint(in_counts(low[0, 0].numpy()))
        planes.append(counts.clip(0, 65_535).astype(np.uint16))
    return planes


SHARP = range(100, 112)
LOW = range(6)


@pytest.fixture(scope="module")
def estimator():
    return InstrumentEstimator([in_counts(specimen(seed)) for seed in SHARP])


@pytest.fixture(scope="module")
def common(estimator):
    """One ordinary estimate, to look at from all sides."""
    low = recorded(LOW, sigma=1.0, photons=300, read=0.01)
    return estimator.estimate(low, intensity=INTENSITY)


# ── what is there is found ──────────────────────────────────────────────────────────

SETTINGS = [
    pytest.param(0.6, 1000, 0.0, id="sharp"),
    pytest.param(0.8, 300, 0.02, id="read noise"),
    pytest.param(1.2, 60, 0.0, id="few photons"),
    pytest.param(2.0, 2000, 0.005, id="blurred"),
]


@pytest.mark.parametrize(("sigma", "photons", "read"), SETTINGS)
def test_blur_and_photons_are_found_again(estimator, sigma, photons, read):
    low = recorded(LOW, sigma, photons, read)

    found = estimator.estimate(low, intensity=INTENSITY)

    assert found.psf_sigma.value == pytest.approx(sigma, rel=0.15)
    assert found.photons.value == pytest.approx(photons, rel=0.2)
    assert found.psf_sigma.low <= sigma <= found.psf_sigma.high
    assert found.photons.low <= photons <= found.photons.high
    assert found.photons.determined
    assert found.same_kind


def test_a_common_instrument_is_determined(common):
    assert common.psf_sigma.determined
    assert common.photons.determined
    assert common.gain.value == pytest.approx(RANGE / common.photons.value)


def test_read_noise_is_told_from_photon_noise_once_black_is_known(estimator):
    low = recorded(LOW, sigma=1.0, photons=300, read=0.02)

    found = estimator.estimate(low, black=BLACK)

    assert found.black == BLACK
    assert found.read.determined
    assert found.read.value == pytest.approx(0.02 * RANGE, rel=0.1)


def test_heights_have_one_noise(estimator):
    low = recorded(LOW, sigma=1.0, read=0.03)

    found = estimator.estimate(low, photon_noise=False)

    assert found.read.value == pytest.approx(0.03 * RANGE, rel=0.05)
    assert found.psf_sigma.value == pytest.approx(1.0, rel=0.15)
    assert found.gain.value == 0
    assert found.photons.value == math.inf
    assert found.instrument.photons is None


def test_another_factor_has_its_own_scale():
    low = recorded(LOW, sigma=2.0, photons=300, factor=4, detail=1.6)
    sharp = [in_counts(specimen(seed, detail=1.6)) for seed in SHARP[:8]]

    found = estimate_instrument(low, sharp, factor=4, intensity=INTENSITY)

    assert found.psf_sigma.value == pytest.approx(2.0, rel=0.15)
    assert found.photons.value == pytest.approx(300, rel=0.2)


# ── whatever the recordings are ─────────────────────────────────────────────────────


def test_recordings_and_sharp_images_need_not_share_their_counts(estimator, common):
    low = recorded(LOW, sigma=1.0, photons=300, read=0.01)

    found = estimator.estimate([plane * 0.01 - 300.0 for plane in low])

    assert found.psf_sigma.value == pytest.approx(common.psf_sigma.value, rel=0.01)
    assert found.gain.value == pytest.approx(0.01 * common.gain.value, rel=0.02)
    white = (WHITE * 0.01 - 300, BLACK * 0.01 - 300)
    assert (found.intensity.high, found.intensity.low) == pytest.approx(white, abs=15)


def test_files_are_as_good_as_arrays(estimator, common, tmp_path):
    low = recorded(LOW, sigma=1.0, photons=300, read=0.01)
    for i, plane in enumerate(low):
        tifffile.imwrite(tmp_path / f"{i}.tif", plane)

    found = estimator.estimate(tmp_path, intensity=INTENSITY)

    assert found.psf_sigma == common.psf_sigma
    assert found.photons == common.photons


def test_gaps_bad_and_saturated_pixels_do_not_count(estimator, common):
    random = np.random.default_rng(0)
    low = recorded(LOW, sigma=1.0, photons=300, read=0.01)
    for plane in low:
        bad = random.random(plane.shape) < 5e-4
        plane[bad] = random.integers(0, 40_000, np.count_nonzero(bad))
        plane[:30, :40] = 65_535
        plane[60:66] = 0
    gappy = [plane.astype(np.float64) for plane in low[3:]]
    for plane in gappy:
        plane[:30, :40] = np.nan
        plane[60:66] = np.nan

    found = estimator.estimate([*low[:3], *gappy], intensity=INTENSITY)

    assert found.psf_sigma.value == pytest.approx(common.psf_sigma.value, rel=0.1)
    assert found.photons.value == pytest.approx(common.photons.value, rel=0.1)
    assert found.read.value == pytest.approx(common.read.value, rel=0.15)


def test_gaps_of_sharp_images_do_not_count(common):
    sharp = [in_counts(specimen(seed)) for seed in SHARP]
    for plane in sharp:
        plane[20:60, 30:70] = np.nan
    low = recorded(LOW, sigma=1.0, photons=300, read=0.01)

    found = estimate_instrument(low, sharp, intensity=INTENSITY)

    assert found.psf_sigma.value == pytest.approx(common.psf_sigma.value, rel=0.05)


def test_noise_of_the_sharp_images_themselves_is_told(common):
    random = np.random.default_rng(0)
    sharp = [in_counts(specimen(seed)) for seed in SHARP]
    noisy = [plane + random.normal(0, 0.02 * RANGE, plane.shape) for plane in sharp]
    low = recorded(LOW, sigma=1.0, photons=300, read=0.01)

    found = estimate_instrument(low, noisy, intensity=INTENSITY)

    assert common.own_noise < 0.01
    assert found.own_noise == pytest.approx(0.02, rel=0.15)
    # Whether the instrument has blurred it too is open: σ may be either.
    assert found.psf_sigma.low <= 1.0 <= found.psf_sigma.high


def test_the_same_images_give_the_same_estimate(estimator, common):
    low = recorded(LOW, sigma=1.0, photons=300, read=0.01)

    again = estimator.estimate(low, intensity=INTENSITY)

    assert again.psf_sigma == common.psf_sigma
    assert again.misfit == common.misfit


# ── what is not there is said ───────────────────────────────────────────────────────


def test_noise_that_hides_the_detail_leaves_the_blur_open(estimator):
    low = recorded(LOW, sigma=1.0, photons=1.5)

    found = estimator.estimate(low)

    assert not found.psf_sigma.determined
    assert found.psf_sigma.low <= 1.0 <= found.psf_sigma.high
    assert "Blur: not determined" in found.describe()
    assert "noise hides the fine detail" in found.describe()


def test_a_blur_without_end_is_said_to_be_one(estimator):
    low = recorded(LOW, sigma=6.0, photons=20)

    found = estimator.estimate(low)

    assert found.psf_sigma.high == found.widest == 3.6
    assert not found.psf_sigma.determined
    assert f"σ is {found.psf_sigma.low:.2f} sharp pixels or more" in found.describe()


@pytest.mark.parametrize("read", [0.0, 0.02], ids=["clean", "read noise"])
def test_without_photon_noise_there_is_only_a_bound(estimator, read):
    low = recorded(LOW, sigma=1.0, read=read)

    found = estimator.estimate(low, intensity=INTENSITY)

    assert not found.photons.determined
    assert found.photons.low > 2000
    assert found.photons.high > 1e6
    assert f"at least {found.photons.low:.3g}" in found.describe()
    assert found.psf_sigma.value == pytest.approx(1.0, rel=0.15)


def test_a_narrow_range_of_light_leaves_the_photons_open():
    def dim(signal):
        return 0.5 + 0.02 * signal

    sharp = [in_counts(dim(specimen(seed))) for seed in SHARP]
    low = []
    for seed in LOW:
        light = record(torch.from_numpy(dim(specimen(seed)))[None, None], 2)
        seen = record(
            light, 1, gain=1 / 300, generator=torch.Generator().manual_seed(seed)
        )
        low.append(in_counts(seen[0, 0].numpy()))

    found = estimate_instrument(low, sharp, intensity=INTENSITY)

    assert not found.photons.determined
    assert found.photons.low <= 300 <= found.photons.high
    assert "Photons: not determined" in found.describe()


def test_sharp_images_of_another_kind_are_noticed(estimator):
    random = np.random.default_rng(0)
    stripes = 0.5 + 0.3 * np.sin(np.arange(112) * 2.2)
    low = [
        in_counts(stripes * random.uniform(0.5, 1, (112, 1)) + 0.001 * i)
        for i in range(6)
    ]

    found = estimator.estimate(low)

    assert not found.same_kind
    assert not found.psf_sigma.determined
    assert not found.photons.determined
    assert "Check that they show the same kind" in found.describe()


def test_sharp_images_that_differ_leave_the_blur_open():
    looks = [{"detail": 0.5}, {"detail": 2.5}, {"detail": 1.0, "n_cells": 5}]
    sharp = [
        in_counts(ndimage.gaussian_filter(specimen(seed, **looks[i % 3]), i % 3))
        for i, seed in enumerate(SHARP)
    ]

    found = estimate_instrument(recorded(LOW[:1], 1.0, 300), sharp)

    assert not found.psf_sigma.determined
    assert "differ too much from each other" in found.describe()


def test_few_sharp_images_are_said_to_tell_little():
    sharp = in_counts(specimen(100, side=320))

    found = estimate_instrument(recorded(LOW, 1.0, 300), sharp)

    assert found.n_sharp == 1
    assert "Give at least 4" in found.describe()


GRAINY = np.random.default_rng(0).random((400, 400))


@pytest.mark.parametrize(
    ("low", "sharp", "why"),
    [
        pytest.param(
            GRAINY[:40, :40], GRAINY, r"recordings hold 4 usable .* 32 are", id="small"
        ),
        pytest.param(
            GRAINY, GRAINY[:70, :40], r"sharp images hold 2 usable", id="small sharp"
        ),
        pytest.param(np.ones((200, 200)), GRAINY, "hold 0 usable", id="constant"),
        pytest.param(
            np.indices((200, 200)).sum(0) % 2,
            GRAINY,
            r"equally bright.*dark and bright",
            id="equally bright",
        ),
        pytest.param(GRAINY > 0, GRAINY, "real numbers, not bool", id="bool"),
    ],
)
def test_images_that_tell_nothing_are_refused(low, sharp, why):
    with pytest.raises(ValueError, match=why):
        estimate_instrument(low, sharp)


# ── what is made of it ──────────────────────────────────────────────────────────────


def test_the_sentences_name_the_figures(common):
    blur, photons, dark = common.describe().splitlines()

    assert f"σ = {common.psf_sigma.value:.2f} sharp pixels" in blur
    assert f"{common.photons.value:.3g} at white" in photons
    assert "give the counts without light" in dark


def test_the_instrument_to_train_for_is_the_intervals(common):
    instrument = common.instrument

    assert instrument.psf_sigma == (common.psf_sigma.low, common.psf_sigma.high)
    assert instrument.photons == (common.photons.low, common.photons.high)
    assert instrument.share_clean == 0
    drawn = draw_instrument(instrument, 50, torch.Generator().manual_seed(0))
    assert 1 / common.photons.high <= drawn.gain.min() * 1.0001
    assert (drawn.read > 0).all()


def test_simulated_curves_lie_on_the_recorded_ones(common):
    for curve in (common.spectrum, common.noise_curve):
        apart = np.log(curve.simulated / curve.recorded)
        assert np.abs(apart).mean() < 0.15
        assert (curve.noise <= curve.simulated).all()


def test_the_curves_are_drawn(common, tmp_path):
    figure = draw_estimate(common)
    figure.savefig(tmp_path / "curves.png")

    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == f"σ = {common.psf_sigma.value:.2f} sharp pixels"
    assert titles[1].endswith("photons at white")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


# ── energies of blocks ──────────────────────────────────────────────────────────────


def test_white_noise_has_its_variance_in_every_band():
    noise = np.random.default_rng(0).normal(10, 3, (800, 800))

    found = recorded_blocks([noise])

    np.testing.assert_allclose(found.energy[0].mean(0), np.full(N_BANDS, 9), rtol=0.03)
    assert found.level.mean() == pytest.approx(10, abs=0.05)


def test_noise_where_the_light_is_is_seen_as_the_bands_weigh_it():
    # light in the middle of each block only: the finest band sees more of its noise
    middle = np.zeros((16, 16))
    middle[4:12, 4:12] = 100.0
    light = np.tile(middle, (60, 60))
    noise = np.random.default_rng(0).normal(size=light.shape) * np.sqrt(light)

    of_noise, of_light = recorded_blocks([noise]), recorded_blocks([light + noise])

    energy, seen = of_noise.energy[0].mean(0), of_light.seen.mean(0)
    np.testing.assert_allclose(energy, seen, rtol=0.04)
    assert seen[-1] > 1.3 * of_light.level.mean()


@pytest.mark.parametrize("factor", [2, 3])
def test_what_recording_leaves_of_white_noise(factor):
    noise = np.random.default_rng(0).normal(size=(240 * factor, 240 * factor))

    seen = simulated_blocks([noise], factor).energy.mean(1)

    left = white_noise_left(factor)
    np.testing.assert_allclose(left[0], np.full(N_BANDS, 1 / factor**2))
    np.testing.assert_allclose(left, seen, rtol=0.15, atol=1e-6)


def test_one_or_two_sharp_images_are_cut_into_pieces():
    planes = [specimen(seed) for seed in range(3)]

    n_parts = [len(np.unique(simulated_blocks(planes[:n], 2).part)) for n in (1, 2, 3)]

    assert n_parts == [4, 4, 3]
