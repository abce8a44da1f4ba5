"""Sampling: which pixels stand for a large stack."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

from napari_sr.image import sampling
from napari_sr.image.sampling import (
    binned,
    sample_pixels,
    spread_indices,
    spread_windows,
)
from napari_sr.image.stack import Stack


class Watched:
    """An array that remembers which planes were read, and holds where they lie."""

    dtype = np.dtype(np.uint16)

    def __init__(self, shape):
        self.shape, self.ndim, self.read = shape, len(shape), []

    def __getitem__(self, index):
        self.read.append(index[0])
        y, x = np.indices(self.shape[-2:])
        return ((index[0] * 7 + y * 3 + x) % 65536).astype(np.uint16)


@pytest.fixture
def small_bound(monkeypatch):
    """Look at no more than 256 pixels, so that small stacks are large ones."""
    monkeypatch.setattr(sampling, "_PIXELS", 256)


@pytest.mark.parametrize(
    ("shape", "n_planes", "expected"),
    [
        ((4, 4), 8, [()]),
        ((3, 4, 4), 8, [(0,), (1,), (2,)]),
        ((9, 4, 4), 3, [(0,), (4,), (8,)]),
        ((9, 4, 4), 1, [(0,)]),
        ((2, 3, 4, 4), 3, [(0, 0), (0, 2), (1, 2)]),
    ],
    ids=str,
)
def test_planes_are_spread_evenly(shape, n_planes, expected):
    assert spread_indices(Stack.from_array(np.zeros(shape, np.uint8)), n_planes) == (
        expected
    )


@runs(max_examples=60, deadline=None)
@given(n=st.integers(1, 500), wanted=st.integers(2, 40))
def test_planes_are_distinct_and_include_the_first_and_the_last(n, wanted):
    stack = Stack.from_array(np.zeros((n, 2, 2), np.uint8))

    chosen = [index[0] for index in spread_indices(stack, wanted)]

    assert len(chosen) == min(n, wanted)
    assert (chosen[0], chosen[-1]) == (0, n - 1)
    gaps = np.diff(chosen)
    assert (gaps > 0).all()
    assert np.ptp(gaps) <= 1 if gaps.size else True


def test_a_small_stack_is_taken_whole():
    ramp = np.arange(3 * 5 * 7, dtype=np.uint16).reshape(3, 5, 7)

    assert np.array_equal(np.sort(sample_pixels(Stack.from_array(ramp))), ramp.ravel())


def test_pixels_that_hold_no_number_are_left_out():
    plane = np.array([[1, np.nan], [np.inf, 4]], np.float32)

    assert sample_pixels(Stack.from_array(plane)).tolist() == [1, 4]
    assert sample_pixels(Stack.from_array(plane * np.nan)).size == 0


def test_differences_of_the_extreme_counts_fit():
    extremes = np.array([[0, 65535], [65535, 0]], np.uint16)

    assert np.ptp(sample_pixels(Stack.from_array(extremes))) == 65535


@pytest.mark.usefixtures("small_bound")
def test_of_a_large_stack_few_planes_are_read_and_each_once():
    source = Watched((1000, 8, 8))

    sample = sample_pixels(Stack.from_array(source))

    assert len(source.read) == len(set(source.read)) == 16
    assert {0, 999} <= set(source.read)
    assert sample.size <= 256 + 16


@pytest.mark.usefixtures("small_bound")
@runs(max_examples=25, deadline=None)
@given(n=st.integers(1, 30), height=st.integers(2, 60), width=st.integers(2, 60))
def test_the_number_of_pixels_is_bounded(n, height, width):
    stack = Stack.from_array(Watched((n, height, width)))

    sample = sample_pixels(stack)

    assert 0 < sample.size <= max(256, 16) + n
    assert np.array_equal(sample, sample_pixels(stack))


@pytest.mark.usefixtures("small_bound")
def test_every_column_is_looked_at_alike():
    # columns of a detector differ: a stride that divides the width sees only some
    columns = np.tile(np.arange(32, dtype=np.uint16), (64, 1))

    seen = np.bincount(sample_pixels(Stack.from_array(columns)).astype(int))

    assert seen.size == 32
    assert np.ptp(seen) <= 1


@pytest.mark.usefixtures("small_bound")
def test_the_sample_has_the_percentiles_of_the_stack():
    pixels = np.random.default_rng(0).normal(3000, 400, (40, 50, 50)).astype(np.uint16)

    sample = sample_pixels(Stack.from_array(pixels))

    error = 400 * 5 * math.sqrt(math.pi / 2 / sample.size)
    assert np.median(sample) == pytest.approx(np.median(pixels), abs=error)


@given(st.integers(1, 4), st.integers(4, 20), st.integers(4, 20))
def test_binning_averages_whole_blocks(factor, height, width):
    image = np.arange(height * width, dtype=np.uint16).reshape(height, width)

    found = binned(image, factor)

    assert found.shape == (height // factor, width // factor)
    for y, x in np.ndindex(found.shape):
        block = image[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
        assert found[y, x] == pytest.approx(block.mean())


@given(
    leading=st.lists(st.integers(1, 5), max_size=2),
    sides=st.tuples(st.integers(2, 90), st.integers(2, 90)),
    n_windows=st.integers(1, 12),
)
def test_windows_are_parts_of_planes_each_once(leading, sides, n_windows):
    stack = Stack.from_array(np.zeros((*leading, *sides), np.uint16))
    windows = spread_windows(stack, n_windows, 16)
    assert 1 <= len(windows) <= n_windows + stack.n_planes
    assert len({str(window) for window in windows}) == len(windows)
    for index, part in windows:
        expected = tuple(min(16, side) for side in sides)
        assert stack.window(index, part).shape == expected


def test_windows_are_spread_over_planes_and_within_them():
    stack = Stack.from_array(np.zeros((4, 320, 320), np.uint16))
    windows = spread_windows(stack, 16, 16)
    assert {index for index, _ in windows} == {(0,), (1,), (2,), (3,)}
    cells = {
        (rows.start // 160, columns.start // 160) for _, (rows, columns) in windows
    }
    assert cells == {(0, 0), (0, 1), (1, 0), (1, 1)}
