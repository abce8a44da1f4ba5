"""Consistency: a result agrees with its recording as far as that can be believed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from scipy import ndimage
from tiny_models import tiny_fast, tiny_srresnet

import napari_sr as sr
from napari_sr.image.intensity import NoiseLevel
from napari_sr.image.sampling import binned
from napari_sr.instrument.data_consistency import (
    alike,
    fitted_sigma,
    make_consistent,
    recorded_again,
    with_mean_of,
)
from napari_sr.instrument.ranges import Instrument
from napari_sr.models.sr_model import SRModel
from napari_sr.phantoms import make_phantom
from napari_sr.upscaling.plan import make_plan


def specimen(name="nuclei", side=256):
    truth = make_phantom(name, n_planes=1, size=side, seed=1).truth
    truth = truth.reshape(truth.shape[-2:]).astype(np.float32)
    return truth / truth.max()


def photon_noise(image, photons, seed=0):
    random = np.random.default_rng(seed)
    return (random.poisson(image * photons) / photons).astype(np.float32)


def error(result, truth):
    return float(np.sqrt(np.mean((result - truth) ** 2)))


# ── without noise ───────────────────────────────────────────────────────────────────


@runs(max_examples=20, deadline=None)
@given(st.sampled_from([2, 3, 4]), st.integers(9, 40), st.integers(0, 99))
def test_without_noise_a_result_agrees_to_rounding(factor, side, seed):
    random = np.random.default_rng(seed)
    low = random.random((side, side + 3), np.float32)
    high = random.random((side * factor, (side + 3) * factor), np.float32)

    found = make_consistent(high, low, None, factor)

    np.testing.assert_allclose(binned(found, factor), low, atol=2e-6)


def test_what_no_recording_can_hold_stays():
    random = np.random.default_rng(0)
    low, high = random.random((20, 20)), random.random((40, 40))

    found = make_consistent(high, low, None, 2)

    added = (found - high).reshape(20, 2, 20, 2)
    assert np.ptp(added, axis=(1, 3)).max() < 1e-6  # whole recorded pixels


def test_a_result_that_agrees_is_not_changed():
    truth = specimen()

    found = make_consistent(truth, binned(truth, 2), None, 2)

    np.testing.assert_allclose(found, truth, atol=1e-6)


# ── with noise ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("photons", [20, 200, 2000])
def test_noise_is_not_put_back_into_the_truth(photons):
    truth = specimen()
    clean = binned(truth, 2)
    low = photon_noise(clean, photons)

    found = make_consistent(truth, low, clean / photons, 2)

    put_back = error(low, clean)
    assert error(found, truth) < 0.1 * put_back


@pytest.mark.parametrize("photons", [200, 2000])
def test_what_a_result_has_lost_comes_back(photons):
    truth = specimen()
    low = photon_noise(binned(truth, 2), photons)
    spoiled = truth.copy()
    spoiled[100:140, 100:140] = truth.mean()  # a nucleus, or what lies between them

    found = make_consistent(spoiled, low, binned(truth, 2) / photons, 2)

    lost = (slice(100, 140), slice(100, 140))
    assert error(found[lost], truth[lost]) < 0.6 * error(spoiled[lost], truth[lost])


def test_the_mean_is_that_of_the_recording():
    truth = specimen()
    low = photon_noise(binned(truth, 2), 50)

    found = make_consistent(truth * 1.02 + 0.01, low, binned(truth, 2) / 50, 2)

    assert found.mean() == pytest.approx(low.mean(), abs=1e-6)


# ── blur ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sigma", [0.0, 0.4, 0.8])
def test_the_blur_of_the_instrument_is_found(sigma):
    truth = specimen("filaments")
    low = recorded_again(truth, 2, sigma)

    assert fitted_sigma(truth, low, 2, (0, 1)) == pytest.approx(sigma, abs=0.11)


def test_agreement_does_not_blur_what_has_been_sharpened():
    truth = specimen("filaments")
    low = recorded_again(truth, 2, 0.8)

    found = make_consistent(truth, low, None, 2, 0.8)
    as_if_sharp = make_consistent(truth, low, None, 2)

    assert error(found, truth) < 0.1 * error(as_if_sharp, truth)


def test_agreement_with_a_blurred_recording_is_approached():
    truth = specimen("filaments")
    low = recorded_again(truth, 2, 0.8)
    high = ndimage.zoom(low, 2, order=1, grid_mode=True, mode="nearest")

    found = make_consistent(high, low, None, 2, 0.8)

    before = error(recorded_again(high, 2, 0.8), low)
    assert error(recorded_again(found, 2, 0.8), low) < 0.3 * before
    assert error(found, truth) < error(high, truth)


def with_blur(psf_sigma):
    model = tiny_fast(tail=0)
    card = model.card.model_copy(update={"instrument": Instrument(psf_sigma=psf_sigma)})
    return SRModel(card, model.weights)


def plan_of(model, pixels):
    settings = sr.UpscaleSettings(noise=NoiseLevel(), device="cpu")
    return make_plan(sr.Stack.from_array(pixels), model, settings)


def test_the_plan_holds_the_blur_of_the_stack():
    sharp = np.random.default_rng(0).random((3, 40, 50), np.float32)
    smooth = ndimage.gaussian_filter(sharp, (0, 2, 2))

    assert plan_of(with_blur((0, 0)), sharp).psf_sigma == 0
    assert plan_of(with_blur((0.7, 0.7)), sharp).psf_sigma == 0.7
    # What bicubic makes of white noise is smoother than its recording, not sharper.
    assert plan_of(with_blur((0, 1)), sharp).psf_sigma == 0
    assert 0 <= plan_of(with_blur((0, 1)), smooth).psf_sigma <= 1


# ── in the flow ─────────────────────────────────────────────────────────────────────


def recording(name="nuclei", side=64):
    low = make_phantom(name, n_planes=1, size=2 * side).recorded
    return low.reshape(low.shape[-2:])


def upscaled(low, **options):
    options = {"noise": NoiseLevel(), **options}
    return sr.upscale(low, tiny_fast(tail=0.3), dtype="float32", **options)


def test_without_noise_a_result_bins_to_the_recording():
    low = make_phantom("nuclei", n_planes=2, size=64).recorded

    for found, plane in zip(upscaled(low), low, strict=True):
        assert np.abs(binned(found, 2) - plane).max() < 0.01
    off = upscaled(low, consistency="off")
    assert np.abs(binned(off[0], 2) - low[0]).max() > 10


def test_exact_agrees_with_the_noise_too():
    low = recording()

    found = upscaled(low, noise=NoiseLevel(gain=5.0), consistency="exact")

    assert np.abs(binned(found, 2) - low).max() < 0.01


def test_agreement_does_not_depend_on_the_tile():
    low = recording(side=96)

    found = [upscaled(low, tile=tile, noise=NoiseLevel(gain=5)) for tile in (24, 96)]

    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=0.01)


@pytest.mark.parametrize("name", ["srresnet", "bicubic"])
def test_exact_agreement_needs_no_known_noise(name):
    low = recording()
    bicubic = sr.load_model("bicubic", factor=2)
    model = bicubic if name == "bicubic" else tiny_srresnet()

    exact = sr.upscale(low, model, consistency="exact", dtype="float32")

    assert np.abs(binned(exact, 2) - low).max() < 0.01


def test_interpolations_are_left_alone():
    low, bicubic = recording(), sr.load_model("bicubic", factor=2)

    auto, off = (sr.upscale(low, bicubic, consistency=how) for how in ("auto", "off"))

    assert np.array_equal(auto, off)


def test_who_is_not_told_the_noise_keeps_the_mean_and_its_own_texture():
    low, model = recording(), tiny_srresnet()
    model.weights["faithful"]["tail.bias"] += 0.1  # a network that is too bright

    auto, off = (
        sr.upscale(low, model, consistency=how, dtype="float32")
        for how in ("auto", "off")
    )

    span = np.ptp(low)
    assert abs(off.mean() - low.mean()) > 1e-2 * span
    assert abs(auto.mean() - low.mean()) < 1e-3 * span
    added = binned(auto - off, 2)  # smooth: nothing of the recording's noise
    assert np.abs(np.diff(added, axis=0)).max() < 0.02 * np.ptp(low - binned(off, 2))


def test_gaps_do_not_spoil_their_surroundings():
    low = recording("surface").astype(np.float32)
    low[10:14, 20:24] = np.nan

    found = upscaled(low)

    assert np.isnan(found).sum() == 4 * 16
    difference = (binned(found, 2) - low)[np.isfinite(low)]
    assert np.abs(difference).max() < 0.02 * np.nanmax(low)


@pytest.mark.parametrize("width", [1.5, 6.0])
def test_pixels_that_are_alike_make_a_sum_in_a_window_vary_more(width):
    blurred = ndimage.gaussian_filter(
        np.random.default_rng(0).normal(size=(400, 400)), 1, mode="wrap"
    )
    impulse = np.zeros((101, 101))
    impulse[50, 50] = 1
    window = ndimage.gaussian_filter(impulse, width)
    summed = ndimage.gaussian_filter(blurred / blurred.std(), width, mode="wrap")

    of_white = np.sqrt(np.sum(window**2))
    assert summed.std() / of_white == pytest.approx(alike(1.0, width), rel=0.15)
    assert alike(0.0, width) == alike(1.0, 0.0) == 1


def test_correlated_noise_is_not_put_back_where_chance_gathers_it():
    truth = np.full((512, 512), 0.5, np.float32)
    noise = np.random.default_rng(0).normal(size=(256, 256))
    noise = ndimage.gaussian_filter(noise, 1, mode="wrap")
    low = (0.5 + 0.1 * noise / noise.std()).astype(np.float32)
    variance = np.full(low.shape, 0.01, np.float32)

    as_white, as_it_is = (
        np.std(make_consistent(truth, low, variance, 2, correlation=sigma) - truth)
        for sigma in (0.0, 1.0)
    )

    mean_alone = np.std(with_mean_of(low, truth, 2) - truth)
    assert as_it_is == pytest.approx(mean_alone, rel=0.05)
    assert as_white > 1.2 * mean_alone
