"""Dask arrays in, dask arrays out: nothing is computed before it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from stacks_on_disk import counts
from tiny_models import tiny_fast

import napari_sr as sr
from napari_sr.methods.interpolation import Interpolation
from napari_sr.upscaling import dask_arrays as lazily

dask_array = pytest.importorskip("dask.array", reason="dask is not installed")
NEAREST = Interpolation("nearest", 2)


@pytest.mark.parametrize("shape", [(40, 36), (3, 40, 36), (2, 3, 20, 24)])
def test_a_lazy_result_has_the_pixels_of_one_in_memory(shape):
    array = counts(shape)

    lazy = sr.upscale(dask_array.from_array(array, chunks=17), tiny_fast(), tile=32)

    assert isinstance(lazy, dask_array.Array)
    assert lazy.shape == (*shape[:-2], 2 * shape[-2], 2 * shape[-1])
    expected = sr.upscale(array, tiny_fast(), tile=32)
    assert lazy.dtype == expected.dtype
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), expected)


def test_only_what_is_asked_for_is_computed():
    array, read = counts((9, 40, 36)), []

    def plane(block, block_id=()):
        read.append(block_id[0])
        return block

    source = dask_array.from_array(array, chunks=(1, 40, 36)).map_blocks(
        plane, dtype=array.dtype, meta=array[:0]
    )
    lazy = sr.upscale(source, NEAREST, intensity_range=(0, 60_000), dtype="float32")
    assert read == []

    fifth = lazy[5].compute(scheduler="synchronous")

    assert read == [5]
    np.testing.assert_allclose(fifth, array[5].repeat(2, 0).repeat(2, 1), rtol=1e-6)


@pytest.mark.parametrize("consistency", ["auto", "off"])
def test_parts_of_large_planes_fit_together(monkeypatch, consistency):
    monkeypatch.setattr(lazily, "SIDE", 260)
    array, options = (
        counts((410, 300), seed=3),
        {"tile": 64, "consistency": consistency},
    )

    lazy = sr.upscale(dask_array.from_array(array), tiny_fast(), **options)

    assert lazy.chunks == ((204, 206, 204, 206), (200, 200, 200))
    expected = sr.upscale(array, tiny_fast(), **options).astype(int)
    found = lazy.compute(scheduler="synchronous").astype(int)
    assert np.abs(found - expected).max() <= 1


def test_a_wrong_option_is_told_at_once():
    with pytest.raises(ValueError, match="tile"):
        sr.upscale(dask_array.from_array(counts((40, 36))), NEAREST, tile=0)
