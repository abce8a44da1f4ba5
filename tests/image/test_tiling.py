"""Tiles go out and come back; nobody can tell where the plane was cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_sr.image.tiling import Mosaic, Tile, pad_plane, plan_tiles

# (shape, tile, halo, overlap)
PLANS = [
    pytest.param((64, 64), 32, 4, 0, id="even"),
    pytest.param((61, 37), 32, 4, 0, id="odd"),
    pytest.param((61, 37), 17, 3, 5, id="odd-overlap"),
    pytest.param((5, 3), 64, 8, 0, id="smaller-than-tile-and-halo"),
    pytest.param((5, 300), 40, 8, 6, id="a-strip"),
    pytest.param((20, 20), 3, 1, 0, id="one-pixel-each"),
    pytest.param((50, 2), 16, 0, 8, id="no-halo"),
    pytest.param((41, 41), 40, 0, 20, id="one-more-than-a-tile"),
    pytest.param((61, 61), 40, 0, 20, id="three-tiles-over-one-pixel"),
]

REFUSED = [
    pytest.param(
        ((99, 99), 42, 21, 0), "Tile 42 px is not larger.*64 px or more", id="no-room"
    ),
    pytest.param(((99, 99), 0, 0, 0), "Tile 0 px.*16 px or more", id="no-tile"),
    pytest.param(((99, 99), 32, -1, 0), "numbers of pixels", id="negative-halo"),
    pytest.param(((99, 99), 32, 1, -1), "numbers of pixels", id="negative-overlap"),
    pytest.param(((99, 99), 32, 6, 11), "at most 10 px", id="too-much-overlap"),
    pytest.param(((0, 99), 32, 1, 0), "at least one row", id="empty"),
    pytest.param(((3, 99, 99), 32, 1, 0), "at least one row", id="a-volume"),
]


@st.composite
def plans(draw, *, max_overlap=10):
    shape = draw(st.tuples(st.integers(1, 45), st.integers(1, 45)))
    halo = draw(st.integers(0, 7))
    tile = draw(st.integers(2 * halo + 1, 2 * halo + 30))
    overlap = draw(st.integers(0, min(max_overlap, (tile - 2 * halo) // 2)))
    return shape, tile, halo, overlap


def ramp(shape):
    """Number every pixel, so that each knows where it belongs."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def repeat(plane, factor):
    return plane.repeat(factor, axis=0).repeat(factor, axis=1)


def upscale(plane, plan, factor, upscaler=repeat):
    """Flow A in five lines."""
    shape, tile, halo, overlap = plan
    padded = pad_plane(plane, halo)
    mosaic = Mosaic(shape, factor, overlap)
    for piece in plan_tiles(shape, tile, halo, overlap):
        mosaic.add(piece, upscaler(padded[piece.outer], factor))
    return mosaic.finish()


# ── padding ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("halo", [0, 1, 3, 4, 7, 23])
def test_padding_reflects_without_repeating_the_border(halo):
    plane = ramp((4, 2))
    cycle = [0, 1, 2, 3, 2, 1]
    rows = [cycle[i % 6] for i in range(-halo, 4 + halo)]
    columns = [i % 2 for i in range(-halo, 2 + halo)]
    np.testing.assert_array_equal(pad_plane(plane, halo), plane[np.ix_(rows, columns)])


def test_padding_keeps_the_dtype():
    assert pad_plane(np.ones((3, 3), np.uint16), 2).dtype == np.uint16


# ── the plan ────────────────────────────────────────────────────────────────────────


@given(plans())
@settings(max_examples=200, deadline=None)
def test_a_plan_covers_the_plane_with_equal_tiles_that_fit(plan):
    shape, tile, halo, overlap = plan
    tiles = plan_tiles(*plan)
    covered = np.zeros(shape, int)
    outer_shapes = set()
    for piece in tiles:
        covered[piece.inner] += 1
        outer_shapes.add(tuple(s.stop - s.start for s in piece.outer))
        for axis in (0, 1):
            outer, inner = piece.outer[axis], piece.inner[axis]
            padded_length = shape[axis] + 2 * halo
            assert 0 <= outer.start < outer.stop <= padded_length
            assert 0 <= inner.start < inner.stop <= shape[axis]
            # the same place, told in two frames
            assert outer.start + piece.margin[axis] == inner.start + halo
            # a whole halo on either side
            assert piece.margin[axis] >= halo
            assert outer.stop - (inner.stop + halo) >= halo
    assert len(outer_shapes) == 1
    assert max(outer_shapes.pop()) <= tile
    assert covered.min() == 1
    if overlap == 0:
        assert covered.max() == 1


@given(plans())
@settings(max_examples=200, deadline=None)
def test_neighbours_overlap_by_exactly_what_was_asked_for(plan):
    overlap = plan[3]
    for axis in (0, 1):
        inners = {(t.inner[axis].start, t.inner[axis].stop) for t in plan_tiles(*plan)}
        ordered = sorted(inners)
        for (_, stop), (start, _) in pairwise(ordered):
            assert stop - start == overlap


def test_a_plane_of_any_size_is_divided_without_a_list():
    side = 10**12
    tiles = plan_tiles((side, side), 768, 8)

    n = -(-side // (768 - 16))
    assert len(tiles) == n**2
    assert tiles[-1].inner[0].stop == tiles[-1].inner[1].stop == side
    assert tiles[n].inner[0].start == tiles[0].inner[0].stop


@given(plans())
@settings(max_examples=100, deadline=None)
def test_no_tile_is_wasted(plan):
    shape, tile, halo, overlap = plan
    tiles = plan_tiles(*plan)
    room = tile - 2 * halo
    least = [1 if n <= room else -(-(n - overlap) // (room - overlap)) for n in shape]
    assert len(tiles) == least[0] * least[1]
    for axis in (0, 1):
        if shape[axis] <= room:
            assert tiles[0].outer[axis] == slice(0, shape[axis] + 2 * halo)
            assert tiles[0].inner[axis] == slice(0, shape[axis])


def test_a_tile_larger_than_the_padded_plane_is_the_padded_plane():
    assert tuple(plan_tiles((30, 20), 512, 8)) == (
        Tile((slice(0, 46), slice(0, 36)), (slice(0, 30), slice(0, 20)), (8, 8)),
    )


def test_the_end_gets_no_sliver():
    tiles = plan_tiles((10, 101), tile=58, halo=4)  # 50 + 50 + 1 would do
    widths = [t.inner[1].stop - t.inner[1].start for t in tiles]
    assert sorted(widths) == [33, 34, 34]


def test_tiles_come_in_reading_order():
    starts = [tuple(s.start for s in t.inner) for t in plan_tiles((9, 9), 5, 1)]
    assert starts == sorted(starts)
    assert len(starts) == 9


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_a_plan_that_cannot_be_is_refused_with_a_cure(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan_tiles(*arguments)


# ── laws 2 and 4: there and back ────────────────────────────────────────────────────


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize(("shape", "tile", "halo", "overlap"), PLANS)
def test_repeating_tiles_repeats_the_plane(shape, tile, halo, overlap, factor):
    plane = ramp(shape)
    result = upscale(plane, (shape, tile, halo, overlap), factor)
    assert result.dtype == np.float32
    if overlap:
        np.testing.assert_allclose(result, repeat(plane, factor), rtol=1e-6)
    else:
        np.testing.assert_array_equal(result, repeat(plane, factor))


@given(plans(max_overlap=0), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_repeating_is_exact_for_any_plan_without_overlap(plan, factor):
    plane = ramp(plan[0])
    np.testing.assert_array_equal(upscale(plane, plan, factor), repeat(plane, factor))


@given(plans(), st.integers(1, 4), st.integers(0, 2**16))
@settings(max_examples=150, deadline=None)
def test_blending_reproduces_any_plane(plan, factor, seed):
    plane = np.random.default_rng(seed).normal(size=plan[0]).astype(np.float32)
    result = upscale(plane, plan, factor)
    np.testing.assert_allclose(result, repeat(plane, factor), rtol=2e-6, atol=1e-7)


@given(plans(), st.integers(1, 4), st.sampled_from([1.0, -0.3, 65535.0]))
@settings(max_examples=100, deadline=None)
def test_blending_keeps_a_constant_to_the_last_border_pixel(plan, factor, value):
    plane = np.full(plan[0], value, np.float32)
    np.testing.assert_allclose(upscale(plane, plan, factor), value, rtol=1e-6)


@given(plans(), st.integers(0, 5), st.integers(1, 3), st.integers(0, 2**16))
@settings(max_examples=100, deadline=None)
def test_with_a_halo_of_the_radius_no_tile_differs_from_the_whole(
    plan, radius, factor, seed
):
    shape, _, halo, _ = plan
    assume(radius <= halo)
    random = np.random.default_rng(seed)
    weights = random.normal(size=(2 * radius + 1, 2 * radius + 1))
    plane = random.normal(size=shape)

    def network(outer, factor):
        # zeros beyond its border, as a convolution sees it
        return repeat(ndimage.convolve(outer, weights, mode="constant"), factor)

    whole = network(pad_plane(plane, halo), factor)
    cut = factor * halo
    expected = whole[cut : whole.shape[0] - cut, cut : whole.shape[1] - cut]
    result = upscale(plane, plan, factor, network)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-5)


def test_with_too_small_a_halo_tiles_do_differ():
    plane = np.random.default_rng(0).normal(size=(40, 40))

    def blur(outer, factor):
        return repeat(ndimage.uniform_filter(outer, 7, mode="constant"), factor)

    few, many = (upscale(plane, ((40, 40), tile, 2, 0), 2, blur) for tile in (64, 16))
    assert np.abs(few - many).max() > 0.01


def test_a_seam_fades_linearly():
    plan = ((1, 12), 8, 0, 4)
    mosaic = Mosaic((1, 12), factor=2, overlap=4)
    for piece, value in zip(plan_tiles(*plan), (0.0, 1.0), strict=True):
        mosaic.add(piece, np.full((2, 16), value, np.float32))
    expected = np.clip((np.arange(24) - 8 + 0.5) / 8, 0, 1)
    np.testing.assert_allclose(mosaic.finish()[0], expected, atol=1e-6)


# ── a mosaic never guesses ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("overlap", [0, 4])
def test_a_pixel_that_no_tile_covered_is_an_error(overlap):
    mosaic = Mosaic((30, 30), 2, overlap)
    for piece in plan_tiles((30, 30), 16, 2, overlap)[:-1]:
        mosaic.add(piece, repeat(np.ones((30 + 4, 30 + 4))[piece.outer], 2))
    with pytest.raises(ValueError, match=r"No tile covered \d+ of 900 low pixels"):
        mosaic.finish()


@pytest.mark.parametrize("shape", [(16, 16), (32, 31), (1, 32, 32), (24, 24)])
def test_a_tile_of_another_shape_is_refused_and_both_are_named(shape):
    (piece,) = plan_tiles((12, 12), 16, 2)
    mosaic = Mosaic((12, 12), 2)
    with pytest.raises(ValueError, match=r"\(32, 32\)") as refusal:
        mosaic.add(piece, np.zeros(shape, np.float32))
    assert str(shape) in str(refusal.value)


@pytest.mark.parametrize("overlap", [0, 3])
def test_finishing_twice_gives_the_same_pixels(overlap):
    plane = ramp((20, 20))
    mosaic = Mosaic((20, 20), 2, overlap)
    for piece in plan_tiles((20, 20), 10, 1, overlap):
        mosaic.add(piece, repeat(pad_plane(plane, 1)[piece.outer], 2))
    once = mosaic.finish().copy()
    np.testing.assert_array_equal(mosaic.finish(), once)


@pytest.mark.parametrize("overlap", [0, 3])
def test_laying_down_a_tile_again_changes_nothing(overlap):
    plane = ramp((20, 20))
    mosaic = Mosaic((20, 20), 2, overlap)
    tiles = plan_tiles((20, 20), 10, 1, overlap)
    for piece in (*tiles, tiles[3]):
        mosaic.add(piece, repeat(pad_plane(plane, 1)[piece.outer], 2))
    np.testing.assert_allclose(mosaic.finish(), repeat(plane, 2), rtol=1e-6)
