"""What the file of a layer says and the layer does not: pixel size, and channels.

napari's own reader takes the pixels of a TIFF and leaves the rest. This module alone
knows which layers lack what their file says.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sr._napari.layers.geometry import NOT_CALIBRATED, placement_of
from napari_sr.interactive.pixel_size import channels_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sr.image.axis import Axis

OURS = "napari-sr"
"""The reader that keeps what a file says."""


def file_behind(layer: Image) -> str | None:
    """Find the file that may know the pixel size that a layer lacks."""
    has_size = any(str(unit) != NOT_CALIBRATED for unit in layer.units)
    return None if has_size or not np.all(layer.scale == 1) else _of_others(layer)


def file_of(layer: Image) -> str | None:
    """Find the file that a layer was opened from; None where there is none."""
    path = layer.source.path
    return str(path) if path and Path(path).exists() else None


def _of_others(layer: Image) -> str | None:
    """Find the file of a layer that another reader made."""
    return None if layer.source.reader_plugin == OURS else file_of(layer)


def channels_along_an_axis(layer: Image) -> int:
    """Count the channels that lie along an axis of a layer, by what its file says.

    Parameters
    ----------
    layer
        Of any reader.

    Returns
    -------
    int
        0 where the file has one channel, or the layer is one of several.
    """
    path = _of_others(layer)
    stacks = channels_in(path) if path and not layer.rgb else []
    held = layer.data[0].shape if layer.multiscale else layer.data.shape
    n_pixels = sum(math.prod(stack.shape) for stack in stacks)
    return len(stacks) if len(stacks) > 1 and math.prod(held) == n_pixels else 0


def split_channels(viewer: ViewerModel, together: Image) -> list[Any]:
    """Put its channels in the place of a layer, by the reader that keeps it all.

    napari's own way to split it loses units, names and colours.
    """
    layers: list[Any] = viewer.open(str(together.source.path), plugin=OURS)
    viewer.layers.remove(together)
    viewer.reset_view()
    return layers


def use_axes(layer: Image, axes: Sequence[Axis]) -> None:
    """Give a layer the pixel size of axes; where it begins stays."""
    place = placement_of(axes)
    layer.scale, layer.units = place["scale"], place["units"]
