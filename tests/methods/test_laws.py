"""The laws that every upscaler obeys, and what each method alone promises."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from upscalers import BLUR, EVERY, WEIGHTLESS

from napari_sr.catalogue.lookup import load_model
from napari_sr.cli.arguments import read_options
from napari_sr.image.intensity import IntensityRange, NoiseLevel
from napari_sr.image.regions import Region
from napari_sr.image.sampling import binned
from napari_sr.image.stack import Stack
from napari_sr.instrument.psf import convolve, gaussian_psf
from napari_sr.methods.deconvolution import blur_of, pixel_area, wiener_filter
from napari_sr.methods.names import METHODS
from napari_sr.models.upscaler import Prepared
from napari_sr.phantoms import make_phantom
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import region_steps, upscale, upscale_plane
from napari_sr.upscaling.plan import Plan, make_plan
from napari_sr.upscaling.provenance import provenance_of

DECONVOLUTIONS = ["richardson-lucy", "wiener"]
every_upscaler = pytest.mark.parametrize("upscaler", EVERY)
every_method = pytest.mark.parametrize("upscaler", WEIGHTLESS)


@cache
def specimen(size=120):
    """A sharp plane in counts, without noise."""
    truth = make_phantom("filaments", n_planes=1, size=size, seed=3).truth
    return truth.reshape(truth.shape[-2:]).astype(np.float32)


# ── laws of all upscalers ───────────────────────────────────────────────────────────


@every_upscaler
@runs(max_examples=2, deadline=None)
@given(data=st.data())
def test_nobody_can_tell_the_tile_size(upscaler, data):
    sides = st.integers(20, 40)
    shape = data.draw(st.tuples(sides, sides))
    tile = data.draw(st.integers(2 * upscaler.halo + 8, 2 * upscaler.halo + 30))
    counts = np.random.default_rng(0).uniform(100, 60_000, shape).astype("uint16")
    floats = counts.astype("float32") / 7 - 100
    for array, allowed in ((counts, 1.0), (floats, 1e-5 * np.ptp(floats))):
        whole = upscale(array, upscaler, tile=1000)
        tiled = upscale(array, upscaler, tile=tile)
        assert np.abs(tiled.astype(float) - whole.astype(float)).max() <= allowed


@every_upscaler
def test_a_region_is_as_in_the_whole_plane(upscaler):
    counts = np.random.default_rng(1).uniform(100, 60_000, (70, 60)).astype("float32")
    stack = Stack.from_array(counts)
    plan = make_plan(stack, upscaler, UpscaleSettings(dtype="float32", device="cpu"))
    region = Region((), slice(50, 70), slice(0, 20))
    *_, step = region_steps(stack, upscaler, plan, [region])
    f = upscaler.factor
    whole = upscale_plane(counts, upscaler, plan)[50 * f : 70 * f, : 20 * f]
    assert np.abs(step.plane - whole).max() <= 1e-5 * np.ptp(counts)


@every_method
@pytest.mark.parametrize("value", [0, 77, 65_535])
def test_a_flat_field_stays_flat_to_the_last_border_pixel(upscaler, value):
    flat = np.full((9, 14), value, np.uint16)
    result = upscale(flat, upscaler, tile=2 * upscaler.halo + 5)
    sides = (9 * upscaler.factor, 14 * upscaler.factor)
    np.testing.assert_array_equal(result, np.full(sides, value, np.uint16))


@every_method
def test_the_flux_is_that_of_the_recording(upscaler):
    sharp = specimen(120)
    low = binned(sharp, upscaler.factor)
    result = upscale(low, upscaler, dtype="float32")
    assert abs(result.mean() - low.mean()) < 2e-3 * np.ptp(low)


@every_method
def test_a_mirrored_recording_gives_the_mirrored_result(upscaler):
    """What were shifted by part of a pixel would be shifted the other way."""
    low = np.random.default_rng(1).uniform(0, 1, (24, 31)).astype("float32")
    if upscaler.options.get("psf_angle"):
        turned = low[::-1, ::-1]  # an oblique blur is only alike when turned
        expected = upscale(low, upscaler)[::-1, ::-1]
        np.testing.assert_allclose(upscale(turned, upscaler), expected, atol=2e-5)
        return
    for axis in (0, 1):
        expected = np.flip(upscale(low, upscaler), axis)
        found = upscale(np.flip(low, axis).copy(), upscaler)
        np.testing.assert_allclose(found, expected, atol=2e-5)


@every_method
def test_more_light_is_a_larger_count_and_nothing_else(upscaler):
    low = np.random.default_rng(2).uniform(0, 1, (24, 20)).astype("float32")
    once, twice = upscale(low, upscaler), upscale(3 * low + 7, upscaler)
    np.testing.assert_allclose(twice, 3 * once + 7, atol=1e-4)


@every_upscaler
def test_the_plan_says_what_is_needed_to_make_it_again(upscaler):
    low = np.random.default_rng(4).integers(0, 9999, (2, 30, 30), np.uint16)
    stack = Stack.from_array(low)
    plan = make_plan(stack, upscaler, UpscaleSettings())
    said = Plan.model_validate(provenance_of(stack, plan)["plan"])
    assert (said.model, said.factor) == (upscaler.name, upscaler.factor)
    if upscaler.name in METHODS:
        again = load_model(said.model, factor=said.factor, **said.options)
        np.testing.assert_array_equal(upscale(low, again), upscale(low, upscaler))


@every_method
def test_a_method_says_what_it_is_and_keeps_the_noise(upscaler):
    assert upscaler.description == METHODS[upscaler.name].description
    assert upscaler.description.endswith(".")
    stack, whole = Stack.from_array(np.zeros((4, 4), np.uint16)), IntensityRange(0, 1)
    assert upscaler.prepare(stack, whole, NoiseLevel(offset=100)) == Prepared()
    with pytest.raises(ValueError, match="cannot remove noise"):
        upscaler.prepare(stack, whole, NoiseLevel(read=3))


# ── names and options ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("bicubic", {"psf_sigma": 1.0}, "'bicubic' cannot be made.*psf_sigma"),
        ("wiener", {"sigma": 1.0}, "'wiener' cannot be made.*sigma"),
        ("wiener", {"balance": 0.0}, "balance is from"),
        ("wiener", {"psf_sigma": -1.0}, "psf_sigma is a standard deviation from 0"),
        ("wiener", {"psf_sigma": 40.0}, "from 0 to 4 pixels .* bin the recordings"),
        ("wiener", {"psf_sigma": "wide"}, "'wiener' cannot be made"),
        ("richardson-lucy", {"n_iterations": 0}, "1 to 100 steps"),
        ("richardson-lucy", {"n_iterations": 2.5}, "1 to 100 steps"),
        ("richardson-lucy", {"psf_ratio": 0.0}, "psf_ratio"),
        ("exemplar", {"amount": 1.0}, "needs the option example"),
    ],
)
def test_options_that_a_method_cannot_use_are_refused(name, options, words):
    with pytest.raises(ValueError, match=words):
        load_model(name, factor=2, **options)


def test_what_is_typed_becomes_options():
    typed = [["psf_sigma", "1.5"], ["example", "sand.tif"], ["psf_sigma", "2"]]
    assert read_options(typed) == {"psf_sigma": 2.0, "example": "sand.tif"}


# ── deconvolution ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_the_area_of_a_pixel_is_centred_and_has_unit_sum(factor):
    area = pixel_area(factor)
    assert area.shape[-1] % 2 == 1
    assert float(area.sum()) == pytest.approx(1)
    torch.testing.assert_close(area, area.flip(2, 3))


def test_the_blur_is_that_of_the_instrument_and_the_pixel():
    sigma, ratio, angle = 1.2, 0.5, 40.0
    blur = blur_of(2, sigma, ratio, angle)
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    psf = gaussian_psf(*(torch.tensor([one]) for one in (sigma, ratio, angle)))
    expected = convolve(convolve(point, psf), pixel_area(2))
    margin = (41 - blur.shape[-1]) // 2
    inside = slice(margin, 41 - margin)
    torch.testing.assert_close(blur, expected[..., inside, inside])


def test_the_wiener_filter_is_that_of_a_calculation_on_a_ring():
    blur = blur_of(2, 1.0, 1.0, 0.0)
    found = wiener_filter(blur, 0.1)[0, 0].double()
    n, reach = 256, blur.shape[-1] // 2
    field = torch.zeros(n, n, dtype=torch.float64)
    place = torch.arange(-reach, reach + 1) % n
    field[place[:, None], place] = blur[0, 0].double()
    laplacian = torch.zeros(n, n, dtype=torch.float64)
    laplacian[0, 0] = 4
    laplacian[[0, 0, 1, -1], [1, -1, 0, 0]] = -1
    h, rough = torch.fft.fft2(field), torch.fft.fft2(laplacian)
    exact = torch.fft.ifft2(h.conj() / (h.abs() ** 2 + 0.1 * rough.abs() ** 2)).real
    radius = found.shape[-1] // 2
    place = torch.arange(-radius, radius + 1) % n
    # Bringing what is left to unit sum makes up for what was cut off.
    allowed = 2e-3 * float(exact.max())
    expected = exact[place[:, None], place]
    torch.testing.assert_close(found, expected, atol=allowed, rtol=0)
    assert float(found.sum()) == pytest.approx(1)


@pytest.mark.parametrize("name", DECONVOLUTIONS)
@pytest.mark.parametrize("factor", [2, 4])
def test_deconvolution_undoes_the_pixel(name, factor):
    sharp = specimen()
    low = binned(sharp, factor)
    error = {
        one: np.mean((upscale(low, one_of(one, factor)) - sharp)[8:-8, 8:-8] ** 2)
        for one in ("bicubic", name)
    }
    assert error[name] < 0.9 * error["bicubic"]


@pytest.mark.parametrize("name", DECONVOLUTIONS)
def test_telling_the_blur_of_the_instrument_helps(name):
    sharp = specimen()
    psf = gaussian_psf(*(torch.tensor([one]) for one in BLUR.values()))
    blurred = convolve(torch.from_numpy(sharp)[None, None], psf)[0, 0].numpy()
    low = binned(blurred, 2)
    told, untold = (
        np.mean((upscale(low, load_model(name, factor=2, **options)) - sharp) ** 2)
        for options in (BLUR, {})
    )
    assert told < 0.97 * untold


def test_noise_below_black_is_kept_by_richardson_lucy():
    """No light is no reason to change the mean of read noise."""
    low = np.random.default_rng(5).normal(0, 1, (200, 200)).astype("float32")
    method = load_model("richardson-lucy", factor=2)
    result = upscale(low, method, intensity_range=(0, 4))
    assert result.mean() == pytest.approx(low.mean(), abs=0.03)


def one_of(name, factor):
    return load_model(name, factor=factor)
