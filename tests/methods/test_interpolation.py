"""Interpolations put fine pixels where they belong, and take no part of a border."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from napari_sr.image.factor import FACTORS, check_factor
from napari_sr.image.intensity import IntensityPolicy, IntensityRange, NoiseLevel
from napari_sr.image.stack import Stack
from napari_sr.image.tiling import Mosaic, pad_plane, plan_tiles
from napari_sr.methods.interpolation import Interpolation
from napari_sr.models.upscaler import Prepared
from napari_sr.networks.resampling import kernel_radius, phase_kernel, resample

RADII = {"nearest": 0, "bilinear": 1, "bicubic": 2, "lanczos": 3}
KERNELS = list(RADII)
SHAPES = [(2, 2), (3, 40), (33, 21)]

every_kernel = pytest.mark.parametrize("kernel", KERNELS)
every_factor = pytest.mark.parametrize("factor", FACTORS)


def upscale(plane, kernel, factor, tile=16):
    """Upscale a plane as the flow does, in tiles."""
    upscaler = Interpolation(kernel, factor)
    padded = torch.from_numpy(pad_plane(plane, upscaler.halo))
    mosaic = Mosaic(plane.shape, factor)
    for piece in plan_tiles(plane.shape, tile, upscaler.halo):
        batch = padded[piece.outer][None, None]
        mosaic.add(piece, upscaler(batch)[0, 0].numpy())
    return mosaic.finish()


def random_plane(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def fine_centres(n, factor):
    """Coarse coordinate of every fine pixel: areas aligned, not corner centres."""
    return (np.arange(n * factor) + 0.5) / factor - 0.5


def keys(t):
    """Table of Keys 1981, a = -1/2, expanded by hand."""
    t = abs(t)
    if t <= 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0


def lanczos(t):
    return float(np.sinc(t) * np.sinc(t / 3)) if abs(t) < 3 else 0.0


def triangle(t):
    return max(0.0, 1 - abs(t))


BY_HAND = [
    pytest.param("bilinear", triangle, 1, id="bilinear"),
    pytest.param("bicubic", keys, 2, id="bicubic"),
    pytest.param("lanczos", lanczos, 3, id="lanczos"),
]


def interpolation_matrix(n, factor, weigh, radius):
    """Write out one axis: a row for each fine pixel, taps reflected at the ends."""
    matrix = np.zeros((n * factor, n))
    for row, centre in enumerate(fine_centres(n, factor)):
        first = math.floor(centre) - radius
        taps = range(first, first + 2 * radius + 2)
        weights = np.array([weigh(tap - centre) for tap in taps])
        for tap, weight in zip(taps, weights / weights.sum(), strict=True):
            reflected = abs((tap + n - 1) % (2 * n - 2) - (n - 1))
            matrix[row, reflected] += weight
    return matrix


# ── the filters ─────────────────────────────────────────────────────────────────────


@every_factor
@every_kernel
def test_one_filter_for_each_phase_within_the_radius(kernel, factor):
    filters = phase_kernel(kernel, factor)
    side = 2 * RADII[kernel] + 1
    assert filters.shape == (factor**2, 1, side, side)
    assert filters.dtype == torch.float32
    assert kernel_radius(kernel) == RADII[kernel]
    torch.testing.assert_close(filters.sum(dim=(1, 2, 3)), torch.ones(factor**2))


@every_factor
@every_kernel
def test_opposite_phases_mirror_each_other(kernel, factor):
    filters = phase_kernel(kernel, factor)
    torch.testing.assert_close(filters.flip(0), filters.flip(2, 3))


def test_the_bicubic_weights_at_factor_2_are_the_known_ones():
    # centres at -1/4: Keys' weights are odd multiples of 1/128
    first = torch.tensor([-3, 29, 111, -9, 0]) / 128
    filters = phase_kernel("bicubic", 2)
    torch.testing.assert_close(filters[0, 0], torch.outer(first, first))


@pytest.mark.parametrize("factor", [0, 1, 5, -2, 2.5, "2"])
def test_other_factors_are_refused(factor):
    with pytest.raises(ValueError, match="2, 3, 4 or 8"):
        check_factor(factor)
    with pytest.raises(ValueError, match="2, 3, 4 or 8"):
        Interpolation("bicubic", factor)


def test_other_kernels_are_refused():
    with pytest.raises(ValueError, match=r"no interpolation 'cubic'.*bicubic"):
        Interpolation("cubic", 2)


# ── resample ────────────────────────────────────────────────────────────────────────


def test_channels_and_images_do_not_mix():
    image = torch.from_numpy(random_plane((2, 3, 7, 5)))
    together = resample(image, 3, "bicubic")
    assert together.shape == (2, 3, 21, 15)
    for n in range(2):
        for c in range(3):
            alone = resample(image[n : n + 1, c : c + 1], 3, "bicubic")
            torch.testing.assert_close(together[n : n + 1, c : c + 1], alone)


def test_gradients_pass_through():
    image = torch.ones(1, 1, 9, 9, requires_grad=True)
    resample(image, 2, "bicubic").sum().backward()
    torch.testing.assert_close(
        image.grad[..., 2:-2, 2:-2], torch.full((1, 1, 5, 5), 4.0)
    )


def test_channels_last_gives_the_same_pixels():
    image = torch.from_numpy(random_plane((2, 1, 8, 9)))
    other = image.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        resample(other, 4, "lanczos"), resample(image, 4, "lanczos")
    )


@every_factor
def test_bilinear_is_that_of_torch(factor):
    image = torch.from_numpy(random_plane((1, 1, 12, 9)))
    expected = functional.interpolate(image, scale_factor=factor, mode="bilinear")
    inside = slice(factor, -factor)
    result = resample(image, factor, "bilinear")
    torch.testing.assert_close(
        result[..., inside, inside], expected[..., inside, inside]
    )


@every_factor
@pytest.mark.parametrize(
    ("kernel", "method"),
    [("bicubic", Image.Resampling.BICUBIC), ("lanczos", Image.Resampling.LANCZOS)],
)
def test_inside_the_result_is_that_of_pillow(kernel, method, factor):
    plane = random_plane((16, 13))
    size = (13 * factor, 16 * factor)
    expected = np.asarray(Image.fromarray(plane).resize(size, method))
    result = resample(torch.from_numpy(plane)[None, None], factor, kernel)[0, 0].numpy()
    inside = slice(3 * factor, -3 * factor)
    np.testing.assert_allclose(
        result[inside, inside], expected[inside, inside], atol=2e-5
    )


# ── in the flow: laws 2 and 3 ───────────────────────────────────────────────────────


@every_factor
@pytest.mark.parametrize("shape", SHAPES)
def test_nearest_repeats_pixels_exactly(shape, factor):
    plane = random_plane(shape)
    expected = plane.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_array_equal(upscale(plane, "nearest", factor), expected)


@every_factor
@every_kernel
@pytest.mark.parametrize("shape", SHAPES)
def test_a_constant_plane_stays_constant_to_the_last_border_pixel(
    shape, kernel, factor
):
    plane = np.full(shape, 0.7, np.float32)
    np.testing.assert_allclose(upscale(plane, kernel, factor), 0.7, rtol=1e-6)


@every_kernel
def test_a_constant_plane_keeps_its_count(kernel):
    plane = np.full((9, 11), 54321, np.uint16)
    intensity = IntensityRange(0, 65535)
    result = upscale(intensity.normalize(plane), kernel, 4)
    counts, n_clipped = intensity.denormalize(result, np.uint16)
    np.testing.assert_array_equal(counts, 54321)
    assert n_clipped == 0


@every_factor
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_a_linear_ramp_is_reproduced_inside(kernel, factor):
    rows, columns = np.mgrid[:20, :30].astype(np.float32)
    plane = 0.03 * rows - 0.02 * columns + 0.4
    y, x = fine_centres(20, factor), fine_centres(30, factor)
    expected = 0.03 * y[:, None] - 0.02 * x + 0.4
    inside = slice(2 * factor, -2 * factor)
    result = upscale(plane, kernel, factor)
    np.testing.assert_allclose(
        result[inside, inside], expected[inside, inside], atol=1e-6
    )


@every_factor
def test_bicubic_reproduces_a_parabola_inside(factor):
    plane = np.tile((np.arange(20, dtype=np.float32) / 20) ** 2, (20, 1))
    expected = np.tile((fine_centres(20, factor) / 20) ** 2, (20 * factor, 1))
    inside = slice(2 * factor, -2 * factor)
    result = upscale(plane, "bicubic", factor)
    np.testing.assert_allclose(
        result[inside, inside], expected[inside, inside], atol=1e-6
    )


@every_factor
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kernel", "weigh", "radius"), BY_HAND)
def test_the_whole_plane_agrees_with_a_calculation_by_hand(
    kernel, weigh, radius, shape, factor
):
    plane = random_plane(shape)
    rows = interpolation_matrix(shape[0], factor, weigh, radius)
    columns = interpolation_matrix(shape[1], factor, weigh, radius)
    expected = rows @ plane.astype(np.float64) @ columns.T
    np.testing.assert_allclose(upscale(plane, kernel, factor), expected, atol=2e-6)


@every_kernel
@pytest.mark.parametrize("tile", [9, 13, 20, 512])
def test_the_tile_does_not_matter(kernel, tile):
    plane = random_plane((37, 26))
    whole = upscale(plane, kernel, 3, tile=4096)
    np.testing.assert_allclose(upscale(plane, kernel, 3, tile), whole, atol=1e-6)


# ── what the flow asks ──────────────────────────────────────────────────────────────


@every_kernel
def test_an_interpolation_says_what_it_is(kernel):
    upscaler = Interpolation(kernel, 4)
    assert (upscaler.name, upscaler.factor, upscaler.domain) == (kernel, 4, "any")
    assert upscaler.halo == RADII[kernel]
    assert upscaler.intensity_policy == IntensityPolicy()
    assert upscaler.description.endswith(".")
    assert upscaler.to("cpu") is upscaler


def test_the_network_input_is_the_plane_itself():
    plane = torch.zeros(1, 1, 4, 4)
    assert (
        Interpolation("bicubic", 2).inputs(plane, IntensityRange(0, 1), Prepared())
        is plane
    )


@pytest.mark.parametrize("noise", ["auto", NoiseLevel(), NoiseLevel(offset=100)])
def test_keeping_the_noise_is_what_an_interpolation_does(noise):
    stack = Stack.from_array(np.zeros((4, 4), np.uint16))
    upscaler = Interpolation("bicubic", 2)
    assert upscaler.prepare(stack, IntensityRange(0, 1), noise) == Prepared()


@pytest.mark.parametrize("noise", [NoiseLevel(gain=1), NoiseLevel(read=3)])
def test_noise_that_it_cannot_remove_is_refused(noise):
    stack = Stack.from_array(np.zeros((4, 4), np.uint16))
    with pytest.raises(ValueError, match="cannot remove noise"):
        Interpolation("bicubic", 2).prepare(stack, IntensityRange(0, 1), noise)
