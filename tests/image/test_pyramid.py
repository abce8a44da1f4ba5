"""Coarser levels lie where napari draws them, and hold the same counts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sr.image import pyramid
from napari_sr.image.pyramid import empty_levels, halved, write_plane


def test_most_results_have_one_level():
    (only,) = empty_levels((3, 4096, 16384), "uint16")

    assert only.shape == (3, 4096, 16384)


def test_a_plane_larger_than_a_texture_is_halved_until_it_is_small(monkeypatch):
    monkeypatch.setattr(pyramid, "LARGEST_SIDE", 40)
    monkeypatch.setattr(pyramid, "COARSE_ENOUGH", 12)

    levels = empty_levels((2, 21, 41), "uint16")

    assert [level.shape for level in levels] == [(2, 21, 41), (2, 11, 21), (2, 6, 11)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_a_constant_stays_constant(dtype):
    coarse = halved(np.full((7, 10), 77, dtype))

    assert coarse.dtype == dtype
    np.testing.assert_array_equal(coarse, np.full((4, 5), 77))


def test_a_ramp_is_met_at_every_second_pixel():
    ramp = np.add.outer(100 * np.arange(9), 10 * np.arange(11)).astype(np.uint16)

    inside = halved(ramp)[1:-1, 1:-1]

    np.testing.assert_array_equal(inside, ramp[::2, ::2][1:-1, 1:-1])


def test_a_plane_is_written_into_every_level(monkeypatch):
    monkeypatch.setattr(pyramid, "LARGEST_SIDE", 8)
    monkeypatch.setattr(pyramid, "COARSE_ENOUGH", 8)
    levels = empty_levels((2, 12, 12), "uint16")
    plane = np.arange(144, dtype=np.uint16).reshape(12, 12)

    write_plane(levels, (1,), plane)

    np.testing.assert_array_equal(levels[0][1], plane)
    np.testing.assert_array_equal(levels[1][1], halved(plane))
    assert not levels[0][0].any()
