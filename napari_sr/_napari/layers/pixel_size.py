"""The pixel size of a layer as text, and from its file where the layer lacks it.

napari's own reader takes the pixels of a TIFF and leaves its pixel size. This module
alone knows which layers lack what their file says, and which axis of it is which.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sr._napari.layers.geometry import NOT_CALIBRATED, placement_of
from napari_sr.files import open_channels
from napari_sr.image.stack import Axis, StackError
from napari_sr.image.units import find_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

_SPACE = "\u00a0"
"""At which no line is broken."""
_TIMES = f"{_SPACE}×{_SPACE}"
OURS = "napari-sr"
"""The reader that keeps what a file says."""


def file_behind(layer: Image) -> str | None:
    """Find the file that may know the pixel size that a layer lacks."""
    source = layer.source
    has_size = any(str(unit) != NOT_CALIBRATED for unit in layer.units)
    if source.reader_plugin == OURS or has_size or not np.all(layer.scale == 1):
        return None
    return source.path if source.path and Path(source.path).exists() else None


def axes_in_file(path: str, shape: Sequence[int]) -> tuple[Axis, ...]:
    """Read the pixel size of a file, for a layer that was made of it.

    Parameters
    ----------
    path
        A file that this package can read, or any other.
    shape
        Of the layer, which may have the channels along an axis of its own.

    Returns
    -------
    tuple of Axis
        One per dimension of the layer; empty where the file does not say how large its
        pixels are, or the layer is not what is in the file.
    """
    try:
        stacks = open_channels(path)
    except (StackError, OSError):
        return ()
    for stack in stacks:
        stack.close()
    axes, wanted = stacks[0].axes, tuple(shape)
    lengths = stacks[0].shape
    if any(axis.unit is None for axis in axes[-2:]):
        return ()
    if lengths == wanted:
        return axes
    for place in range(len(wanted) - 2 if len(stacks) > 1 else 0):
        if (*lengths[:place], len(stacks), *lengths[place:]) == wanted:
            return (*axes[:place], Axis("c"), *axes[place:])
    return ()


def use_axes(layer: Image, axes: Sequence[Axis]) -> None:
    """Give a layer the pixel size of axes; where it begins stays."""
    place = placement_of(axes)
    layer.scale, layer.units = place["scale"], place["units"]


def lengths_of(axes: Sequence[Axis]) -> list[Axis]:
    """Keep the axes along which something has a length: time has none."""
    return [axis for axis in axes if find_unit(axis.unit, "length")]


def size_in_words(axes: Sequence[Axis]) -> str:
    """Say how large pixels or voxels are, the last axis first.

    Parameters
    ----------
    axes
        One or more; z, y and x for a voxel.

    Returns
    -------
    str
        Such as "0.2 µm" or "0.2 × 0.2 × 0.7 µm".
    """
    units = [find_unit(axis.unit, "length") for axis in axes[::-1]]
    sizes = [f"{axis.spacing:.3g}" for axis in axes[::-1]]
    names = [unit.ome if unit else "px" for unit in units]
    if len(set(names)) > 1:
        return _TIMES.join(map(_SPACE.join, zip(sizes, names, strict=True)))
    shown = sizes[:1] if len(axes) == 2 and len(set(sizes)) == 1 else sizes
    return f"{_TIMES.join(shown)}{_SPACE}{names[0]}"
