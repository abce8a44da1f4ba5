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


def volume(**coordinates):
    pixels = np.random.default_rng(0).integers(100, 60_000, (5, 8, 10), np.uint16)
    coords = {"z": ("z", 3 + 0.8 * np.arange(5), {"units": "um"})}
    for name, n in (("y", 8), ("x", 10)):
        coords[name] = (name, 0.2 * np.arange(n), {"units": "um"})
    return xarray.DataArray(pixels, dims=("z", "y", "x"), coords=coords | coordinates)


@pytest.mark.parametrize("z", [2, 3.5, "isotropic"])
def test_coordinates_along_z_become_finer_with_it(z):
    array, ratio = volume(), 4 if z == "isotropic" else z
    result = sr.upscale(array, BICUBIC, z=z, factor=1)
    expected = sr.upscale(array.values, BICUBIC, z=ratio, factor=1)
    np.testing.assert_array_equal(result, expected)
    step = 0.8 / ratio
    places = 3 - 0.4 + step * (np.arange(len(expected)) + 0.5)
    np.testing.assert_allclose(result.z, places, atol=1e-9 * 4)
    assert result.z.attrs == {"units": "um"}
    for name in ("y", "x"):
        np.testing.assert_allclose(result[name], array[name])
    assert sr.upscale(array, BICUBIC, z=2).sizes == {"z": 10, "y": 16, "x": 20}


def test_z_is_known_by_its_name_wherever_it_stands():
    times = xarray.concat([volume(), volume() + np.uint16(9)], "time")
    turned = times.transpose("y", "z", "time", "x")
    result = sr.upscale(turned, BICUBIC, z=2, factor=1, intensity_range=(0, 65_535))
    assert result.dims == turned.dims
    assert result.sizes == {"y": 8, "z": 10, "time": 2, "x": 10}
    options = {"z": 2, "factor": 1, "intensity_range": (0, 65_535)}
    for number in range(2):
        own = result.isel(time=number).transpose("z", "y", "x")
        expected = sr.upscale(times.values[number], BICUBIC, **options)
        np.testing.assert_array_equal(own, expected)


def test_what_cannot_become_finer_along_z_is_refused_by_name():
    uneven = volume(z=[0.0, 1, 2, 3, 5]).rename("cells")
    with pytest.raises(sr.StackError, match="cells has planes at uneven distances"):
        sr.upscale(uneven, BICUBIC, z=2)
    assert sr.upscale(uneven, BICUBIC).sizes["z"] == 5
    pytest.importorskip("dask", reason="dask is not installed")
    with pytest.raises(ValueError, match=r"array\.compute"):
        sr.upscale(volume().chunk(), BICUBIC, z=2)
