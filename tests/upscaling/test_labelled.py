"""Arrays with named axes keep them, their coordinates and their channels."""

from __future__ import annotations

import numpy as np
import pytest

import napari_sr as sr
from napari_sr.methods.interpolation import Interpolation

xarray = pytest.importorskip("xarray", reason="xarray is not installed")

BICUBIC = Interpolation("bicubic", 2)
PIXELS = np.random.default_rng(0).integers(100, 60_000, (8, 2, 3, 10), np.uint16)


def labelled(pixels=PIXELS, dims=("y", "channel", "z", "x")):
    return xarray.DataArray(
        pixels,
        dims=dims,
        coords={
            "y": ("y", 100 + 0.5 * np.arange(8), {"units": "um"}),
            "x": np.arange(10) * 0.25,
            "channel": ["DAPI", "GFP"],
            "z": [1.0, 2.0, 4.0],
        },
        attrs={"made by": "us"},
        name="cells",
    )


def test_a_named_array_keeps_its_names_and_places():
    array = labelled()
    result = sr.upscale(array, BICUBIC)
    assert result.dims == array.dims
    assert result.sizes == {"y": 16, "channel": 2, "z": 3, "x": 20}
    assert (result.name, result.attrs) == ("cells", {"made by": "us"})
    for name in ("channel", "z"):
        assert result[name].equals(array[name])
    np.testing.assert_allclose(result.y, 100 - 0.125 + 0.25 * np.arange(16))
    np.testing.assert_allclose(result.x, -0.0625 + 0.125 * np.arange(20))
    assert result.y.attrs == {"units": "um"}


def test_each_channel_is_done_by_itself():
    few = PIXELS.copy()
    few[:, 1] //= 50
    result = sr.upscale(labelled(few), BICUBIC)
    for channel in range(2):
        planes = few[:, channel].transpose(1, 0, 2)
        own = result.isel(channel=channel).transpose("z", "y", "x")
        np.testing.assert_array_equal(own, sr.upscale(planes, BICUBIC))
