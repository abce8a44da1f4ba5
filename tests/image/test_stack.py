"""What a stack is: planes with axes, read on demand, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_sr
from napari_sr.image.stack import Axis, Stack, StackError
from napari_sr.image.units import convert, normalize_unit

RAMP = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)

UNITS = {
    "micro sign": ("\u00b5m", "um"),
    "Greek mu": ("\u03bcm", "um"),
    "escaped by ImageJ": (r"\u00B5m", "um"),
    "word": ("micron", "um"),
    "long word": ("Micrometer", "um"),
    "British": ("millimetres", "mm"),
    "UTF-8 as Latin-1": ("\u00c2\u00b5m", "um"),
    "Greek mu, UTF-8 as Latin-1": ("\u00ce\u00bcm", "um"),
    "one and the other": ("\u00c2\u03bcm", "um"),
    "twice": ("\u00c3\u201a\u00c2\u00b5m", "um"),
    "as on a Mac": ("\u00ac\u00b5m", "um"),
    "as on a console": ("\u2561m", "um"),
    "not shown": ("?m", "um"),
    "replaced": ("\ufffdm", "um"),
    "of a page": ("&#181;m", "um"),
    "microseconds as Latin-1": ("\u00c2\u00b5s", "us"),
    "angstrom as Latin-1": ("\u00c3\u0085", "angstrom"),
    "as it is": ("nm", "nm"),
    "case matters": ("Mm", "Mm"),
    "unknown": ("furlong", "furlong"),
    "seconds": ("sec", "s"),
    "pixel": ("pixel", None),
    "empty": (" ", None),
    "none": (None, None),
}

USABLE = ["uint8", "uint16", "int16", "float32"]
CURES = {
    "bool": "uint8",
    "int32": "uint16 if the values fit, else to float32",
    "int64": "uint16 if the values fit, else to float32",
    "uint32": "uint16 if the values fit, else to float32",
    "uint64": "uint16 if the values fit, else to float32",
    "complex64": "magnitude",
    "complex128": "magnitude",
}

BAD_SHAPES = {
    "no plane": ((7,), "y and x"),
    "empty axis": ((0, 8, 8), "holds no image"),
    "one pixel": ((1, 1), "at least 2 x 2"),
    "one row": ((3, 1, 8), "at least 2 x 2"),
}

BAD_AXES = {
    "too few": ("yx", "3 dimensions but 2 axes"),
    "x before y": ("zxy", "y, x last"),
    "twice the same": ("yyx", "different letters"),
    "channels": ("cyx", "one channel"),
}


@pytest.mark.parametrize(("said", "unit"), UNITS.values(), ids=UNITS)
def test_a_unit_has_one_spelling(said, unit):
    assert normalize_unit(said) == unit
    assert Axis("x", unit=said).unit == unit


def test_units_convert_within_their_kind():
    assert convert(2.5, "mm", "um") == 2500
    assert convert(0.1, "furlong", "furlong") == 0.1
    assert convert(1, "s", "um") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Z"},
        {"name": "zz"},
        {"name": "x", "spacing": 0},
        {"name": "x", "spacing": float("nan")},
        {"name": "x", "origin": float("inf")},
    ],
    ids=str,
)
def test_an_axis_refuses_what_is_no_place(wrong):
    with pytest.raises(StackError):
        Axis(**wrong)


@given(
    spacing=st.floats(1e-6, 1e6),
    origin=st.floats(-1e6, 1e6),
    factor=st.integers(1, 8),
    n=st.integers(2, 5000),
)
@settings(max_examples=50, deadline=None)
def test_upscaling_an_axis_keeps_its_outer_border(spacing, origin, factor, n):
    low = Axis("x", spacing, "um", origin)
    high = low.upscaled(factor)
    extent = spacing * n
    for side, n_high in ((-0.5, -0.5), (n - 0.5, n * factor - 0.5)):
        border_low = low.origin + low.spacing * side
        border_high = high.origin + high.spacing * n_high
        assert border_high == pytest.approx(
            border_low, abs=1e-9 * (extent + abs(origin))
        )
    assert (high.name, high.unit) == ("x", "um")


def test_a_stack_gives_its_planes_in_c_order():
    stack = Stack.from_array(RAMP, name="ramp")
    assert "".join(axis.name for axis in stack.axes) == "tzyx"
    assert (stack.leading_shape, stack.plane_shape, stack.n_planes) == (
        (2, 3),
        (4, 5),
        6,
    )
    planes = [stack.plane(index) for index in stack.indices()]
    assert np.array_equal(np.reshape(planes, RAMP.shape), RAMP)
    assert repr(stack) == "Stack('ramp', tzyx (2, 3, 4, 5) uint16)"


def test_one_plane_has_the_empty_index():
    stack = Stack.from_array(RAMP[0, 0])
    assert list(stack.indices()) == [()]
    assert np.array_equal(stack.plane(()), RAMP[0, 0])


def test_the_users_array_is_neither_copied_nor_writable():
    array = RAMP.copy()
    plane = Stack.from_array(array).plane((1, 2))
    assert np.shares_memory(plane, array)
    with pytest.raises(ValueError, match="read-only"):
        plane[0, 0] = 7
    array[0, 0, 0, 0] = 9  # the array itself stays writable


@pytest.mark.parametrize("dtype", ["<u2", ">u2", ">i2", ">f4"])
def test_planes_are_contiguous_in_native_byte_order(dtype):
    array = RAMP.astype(dtype).transpose(1, 0, 3, 2)
    stack = Stack.from_array(array)
    plane = stack.plane((2, 1))
    assert plane.dtype == stack.dtype
    assert stack.dtype.isnative
    assert plane.flags.c_contiguous
    assert np.array_equal(plane, RAMP[1, 2].T)


def test_only_the_plane_that_is_asked_for_is_computed():
    asked = []

    class Lazy:
        shape, dtype = (3, 4, 5), np.dtype(np.float32)

        def __getitem__(self, index):
            asked.append(index)
            return np.full((4, 5), index[0], np.float32)

    stack = Stack.from_array(Lazy())
    assert asked == []
    assert stack.plane((2,)).max() == 2
    assert asked == [(2,)]


def test_dask_arrays_are_stacks():
    dask = pytest.importorskip("dask.array")
    stack = Stack.from_array(dask.from_array(RAMP, chunks=(1, 1, 4, 5)))
    assert np.array_equal(stack.plane((1, 0)), RAMP[1, 0])


def test_a_source_that_breaks_its_word_is_refused():
    def read(index):
        return np.zeros((4, 5), np.float64)

    axes = [Axis("y"), Axis("x")]
    stack = Stack(
        read, axes=axes, shape=(4, 5), dtype=np.dtype(np.float32), name="liar"
    )
    with pytest.raises(StackError, match=r"float64; expected \(4, 5\) float32"):
        stack.plane(())


@pytest.mark.parametrize("index", [(), (0,), (0, 3), (-1, 0), (0, 0, 0)], ids=str)
def test_a_plane_that_is_not_there_is_an_index_error(index):
    with pytest.raises(IndexError):
        Stack.from_array(RAMP).plane(index)


@pytest.mark.parametrize("dtype", USABLE)
def test_usable_pixels(dtype):
    assert Stack.from_array(np.ones((4, 4), dtype)).dtype == dtype


@pytest.mark.parametrize(("dtype", "cure"), CURES.items(), ids=CURES)
def test_other_pixels_are_refused_with_their_cure(dtype, cure):
    with pytest.raises(StackError, match=f"cells holds {dtype} pixels.*{cure}"):
        Stack.from_array(np.ones((4, 4), dtype), name="cells")


@pytest.mark.parametrize(("shape", "why"), BAD_SHAPES.values(), ids=BAD_SHAPES)
def test_shapes_without_an_image_are_refused(shape, why):
    with pytest.raises(StackError, match=why):
        Stack.from_array(np.ones(shape, np.uint16))


@pytest.mark.parametrize(("names", "why"), BAD_AXES.values(), ids=BAD_AXES)
def test_axes_that_do_not_fit_are_refused(names, why):
    with pytest.raises(StackError, match=why):
        Stack.from_array(RAMP[0], axes=[Axis(name) for name in names])


@pytest.mark.parametrize("samples", [3, 4])
def test_surely_rgb_is_refused_unless_the_axes_are_named(samples):
    colour = np.zeros((20, 20, samples), np.uint8)
    with pytest.raises(StackError, match=r"RGB.*array\[\.\.\., 0\]"):
        Stack.from_array(colour)
    named = Stack.from_array(colour, axes=[Axis(name) for name in "zyx"])
    assert named.plane_shape == (20, samples)


def test_what_only_may_be_rgb_is_taken():
    assert Stack.from_array(np.zeros((20, 20, 3), np.uint16)).n_planes == 20
    assert Stack.from_array(np.zeros((9, 9, 3), np.uint8)).n_planes == 9


def test_upscaled_axes_change_only_in_the_plane():
    axes = [Axis("z", 2, "um", 5), Axis("y", 0.5, "um"), Axis("x", 0.4, "um", 1)]
    z, y, x = Stack.from_array(RAMP[0], axes=axes).upscaled_axes(2)
    assert z == axes[0]
    assert y == Axis("y", 0.25, "um", -0.125)
    assert x == Axis("x", 0.2, "um", 0.9)


def test_a_closed_stack_says_so_and_closes_once():
    closed = []
    stack = Stack(
        lambda index: RAMP[0, 0],
        axes=[Axis("y"), Axis("x")],
        shape=(4, 5),
        dtype=RAMP.dtype,
        name="file",
        close=lambda: closed.append(1),
    )
    with stack as same:
        assert same is stack
        assert same.plane(()).shape == (4, 5)
    stack.close()
    assert closed == [1]
    with pytest.raises(StackError, match="file is closed"):
        stack.plane(())


@pytest.mark.parametrize("what", [None, 3, [1, 2], {"a": 1}, ["a", 1]])
def test_what_is_no_stack_is_told_in_one_sentence(what):
    with pytest.raises(StackError, match="expected"):
        napari_sr.upscale(what, "general-x2")


def test_what_is_masked_is_a_gap():
    planes = np.ma.masked_greater(np.ones((8, 9), np.uint16) * [*range(9)], 5)
    stack = Stack.from_array(planes)
    assert np.array_equal(np.isnan(stack.plane(())), np.ma.getmaskarray(planes))
    assert np.array_equal(stack.plane(())[:, :6], planes.data[:, :6])


@pytest.mark.parametrize(
    "taken", [torch.tensor, lambda a: a.tolist(), lambda a: a.astype(np.float16)]
)
def test_what_can_be_taken_as_float32_is(taken):
    values = np.arange(72.0).reshape(8, 9)
    stack = Stack.from_array(taken(values))
    assert stack.dtype == stack.plane(()).dtype == np.float32
    assert np.array_equal(stack.plane(()), values)
    assert Stack.from_array([[1, 2], [3, 4]]).dtype == np.uint16
    assert Stack.from_array([[-1, 2], [3, 4]]).dtype == np.float32
    with pytest.raises(StackError, match="uneven lengths"):
        Stack.from_array([[1.0, 2.0], [3.0]])
