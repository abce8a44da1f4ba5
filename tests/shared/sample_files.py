"""Four planes, and the ways in which files of other programs hold them."""

from __future__ import annotations

import numpy as np
import zarr

from napari_sr.files import open_stack

RAMP = np.arange(1, 1 + 4 * 60 * 70, dtype=np.uint16).reshape(4, 60, 70)
GRAY = {"photometric": "minisblack"}
PLAIN = {"metadata": None, **GRAY}

# How the same four planes may lie in a file.
LAYOUTS = {
    "contiguous": GRAY,
    "plain": PLAIN,
    "strips": {"rowsperstrip": 7, **PLAIN},
    "tiled": {"tile": (32, 32), **PLAIN},
    "zlib": {"compression": "zlib", **GRAY},
    "lzw": {"compression": "lzw", "predictor": True, **PLAIN},
    "zstd tiles": {"compression": "zstd", "tile": (16, 32), **PLAIN},
    "BigTIFF": {"bigtiff": True, **PLAIN},
    "big endian": {"byteorder": ">", **PLAIN},
    "ImageJ": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "ImageJ zlib": {"imagej": True, "compression": "zlib", "metadata": {"axes": "ZYX"}},
    "OME": {"ome": True, "metadata": {"axes": "ZYX"}},
    "one header": {"truncate": True, **GRAY},
}


def read(stack):
    return np.reshape([stack.plane(index) for index in stack.indices()], stack.shape)


def read_file(path, **options):
    with open_stack(path, **options) as stack:
        return read(stack)


def axes_of(path):
    with open_stack(path) as stack:
        return stack.axes


def write_zarr(path, array, names, scale=None, **attributes):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    level = group.create_array(
        "s0",
        shape=array.shape,
        dtype=array.dtype,
        chunks=(*[1] * (array.ndim - 2), 60, 70),
    )
    level[:] = array
    image = {
        "version": "0.4",
        "axes": [{"name": name} for name in names],
        "datasets": [
            {
                "path": "s0",
                "coordinateTransformations": [
                    {"type": "scale", "scale": scale or [1] * array.ndim}
                ],
            }
        ],
    }
    group.attrs["multiscales"] = [image | attributes]
    return path
