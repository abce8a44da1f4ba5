"""Law 5: a super-resolved layer covers exactly the field of its recording."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image

from napari_sr._napari.layers.geometry import (
    placement_of,
    upscaled_look,
    upscaled_placement,
)
from napari_sr.image.axis import Axis

# napari shows a stack that is turned out of its planes only roughly, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")

TOLERANCE = 1e-9
"""Of the extent of the field in the world."""

UM = ("um", "um", "um")
AFFINE = [[0.9, -0.3, 0, 5], [0.2, 1.1, 0.1, -7], [0, -0.4, 1.2, 11], [0, 0, 0, 1]]

CASES = {
    "2D": ((12, 17), {}),
    "2D, anisotropic": ((12, 17), {"scale": (0.5, 0.2), "translate": (3, -4)}),
    "2D, rotated": ((12, 17), {"rotate": 30, "scale": (2, 3), "translate": (1, 2)}),
    "2D, sheared": ((12, 17), {"shear": [0.4], "scale": (2, 0.3)}),
    "2D, flipped": ((12, 17), {"scale": (-2, 3), "translate": (1, 2)}),
    "z stack": ((4, 12, 17), {"scale": (2, 0.3, 0.3), "units": UM}),
    "t stack": (
        (3, 12, 17),
        {
            "scale": (120, 0.65, 0.65),
            "units": ("s", "um", "um"),
            "axis_labels": ("t", "y", "x"),
        },
    ),
    "z stack, turned, sheared and moved": (
        (4, 12, 17),
        {
            "scale": (3, 0.5, 0.7),
            "rotate": (20, -35, 50),
            "shear": (0.1, -0.2, 0.3),
            "translate": (100, -50, 25),
            "units": UM,
        },
    ),
    "z stack, affine": ((4, 12, 17), {"affine": AFFINE, "scale": (3, 0.5, 0.7)}),
    "z stack, everything": (
        (4, 12, 17),
        {
            "affine": AFFINE,
            "scale": (3, 0.5, 0.7),
            "rotate": (20, -35, 50),
            "shear": (0.1, -0.2, 0.3),
            "translate": (1e4, -50, 25),
            "units": UM,
        },
    ),
    "t and z": (
        (2, 3, 12, 17),
        {
            "scale": (60, 2, 0.1, 0.1),
            "translate": (0, 8, -1, 2),
            "units": ("s", "um", "um", "um"),
            "axis_labels": ("t", "z", "y", "x"),
        },
    ),
}
FACTORS = (2, 3, 4, 8)


def layer_of(shape, keywords) -> Image:
    return Image(np.zeros(shape, np.uint16), **keywords)


def upscaled(layer: Image, factor: int) -> Image:
    *leading, y, x = layer.data.shape
    pixels = np.zeros((*leading, factor * y, factor * x), np.uint16)
    return Image(pixels, **upscaled_placement(layer, factor))


def world_corners(layer: Image) -> np.ndarray:
    """Outer corners of the corner pixels of the first and last planes."""
    *leading, y, x = layer.data.shape
    ends = [*((0, n - 1) for n in leading), (-0.5, y - 0.5), (-0.5, x - 0.5)]
    return np.array([layer.data_to_world(corner) for corner in product(*ends)])


def assert_same_field(source: Image, result: Image) -> None:
    expected, came = world_corners(source), world_corners(result)
    extent = np.ptp(expected, axis=0).max()
    assert np.abs(came - expected).max() <= TOLERANCE * extent


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_corners_stay_where_they_are(case, factor):
    source = layer_of(*CASES[case])

    assert_same_field(source, upscaled(source, factor))


@settings(max_examples=40, deadline=None)
@given(
    scale=st.tuples(*[st.floats(1e-3, 1e3)] * 3),
    rotate=st.tuples(*[st.floats(-180, 180)] * 3),
    shear=st.tuples(*[st.floats(-1, 1)] * 3),
    translate=st.tuples(*[st.floats(-1e3, 1e3)] * 3),
    factor=st.sampled_from(FACTORS),
)
def test_corners_stay_where_they_are_anywhere(scale, rotate, shear, translate, factor):
    source = layer_of(
        (3, 5, 7),
        {"scale": scale, "rotate": rotate, "shear": shear, "translate": translate},
    )

    assert_same_field(source, upscaled(source, factor))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_planes_keep_their_place_and_axes_their_names(case):
    source = layer_of(*CASES[case])
    result = upscaled(source, 2)

    np.testing.assert_allclose(result.scale[:-2], source.scale[:-2], rtol=1e-12)
    assert result.units == source.units
    assert result.axis_labels == source.axis_labels
    np.testing.assert_array_equal(
        result.affine.affine_matrix, source.affine.affine_matrix
    )


def test_the_pixel_under_a_point_is_the_repeated_one():
    rng = np.random.default_rng(0)
    keywords = {"scale": (2, 3), "rotate": 30, "shear": [0.2], "translate": (5, -8)}
    source = Image(rng.integers(0, 60000, (9, 11)).astype(np.uint16), **keywords)
    repeated = source.data.repeat(3, 0).repeat(3, 1)
    result = Image(repeated, **upscaled_placement(source, 3))

    inside = rng.uniform(-0.49, (8.49, 10.49), (200, 2))
    for point in [source.data_to_world(place) for place in inside]:
        assert result.get_value(point, world=True) == source.get_value(
            point, world=True
        )


def test_the_source_is_not_changed():
    source = layer_of(*CASES["z stack, everything"])
    before = world_corners(source)

    upscaled(source, 4).affine = np.eye(4)

    np.testing.assert_array_equal(world_corners(source), before)


def test_the_result_looks_as_the_recording_does():
    source = Image(
        np.arange(64, dtype=np.uint16).reshape(8, 8),
        colormap="magma",
        contrast_limits=(5, 40),
        gamma=0.7,
        blending="additive",
    )

    result = Image(np.zeros((16, 16), np.uint16), **upscaled_look(source))

    assert result.colormap == source.colormap
    assert result.contrast_limits == source.contrast_limits
    assert (result.gamma, result.blending) == (source.gamma, source.blending)


def test_axes_of_a_stack_place_a_layer():
    axes = (Axis("p"), Axis("y", 0.5, "um", -3.0), Axis("x", 0.25, "um", 7.0))

    layer = layer_of((2, 6, 6), placement_of(axes))

    assert [str(unit) for unit in layer.units] == ["pixel", "micrometer", "micrometer"]
    assert layer.axis_labels == ("p", "y", "x")
    np.testing.assert_array_equal(layer.data_to_world((1, 2, 4)), (1, -2, 8))
