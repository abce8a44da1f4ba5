"""Where a super-resolved layer lies in the world.

This module alone knows how napari places pixels: scale, then shear, then rotation, then
translation, then the layer's own affine. Smaller pixels keep the outer border where it
is, so the first pixel's centre moves by half a recorded pixel less half a new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_sr.image.axis import Axis

NOT_CALIBRATED = "pixel"


def upscaled_placement(
    layer: Image, factor: float | Sequence[float], first: Sequence[int] | None = None
) -> dict[str, Any]:
    """Say where a layer lies once there are `factor` times as many pixels.

    Parameters
    ----------
    layer
        The recording.
    factor
        Along y and x, or one number per dimension.
    first
        Recorded pixel that the result begins with, where it is a part: one index per
        dimension. All zero when not given.

    Returns
    -------
    dict
        Keywords of a napari image layer: scale, translate, rotate, shear, affine,
        units and axis_labels.
    """
    # Of the first new pixel, in recorded pixels.
    factors = np.ones(layer.ndim)
    factors[-2 if np.ndim(factor) == 0 else 0 :] = factor
    centre = (0 if first is None else np.array(first)) + (1 / factors - 1) / 2
    scale = np.array(layer.scale, dtype=float)
    rotate, shear = np.array(layer.rotate), np.array(layer.shear)
    placed = Affine(scale=scale, translate=layer.translate, rotate=rotate, shear=shear)
    return {
        "scale": scale / factors,
        "translate": placed(centre),
        "rotate": rotate,
        "shear": shear,
        "affine": np.array(layer.affine.affine_matrix),
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def upscaled_look(layer: Image) -> dict[str, Any]:
    """Say how a super-resolved layer looks: as the recording, whose counts it keeps.

    Parameters
    ----------
    layer
        The recording.

    Returns
    -------
    dict
        Keywords of a napari image layer: colormap, contrast_limits, gamma, blending.
    """
    return {
        "colormap": layer.colormap,
        "contrast_limits": list(layer.contrast_limits),
        "gamma": layer.gamma,
        "blending": layer.blending,
    }


def placement_of(axes: Sequence[Axis]) -> dict[str, Any]:
    """Say where a stack lies, from its axes.

    Parameters
    ----------
    axes
        One per dimension.

    Returns
    -------
    dict
        Keywords of a napari image layer: scale, translate, units and axis_labels.
    """
    return {
        "scale": [axis.spacing for axis in axes],
        "translate": [axis.origin for axis in axes],
        "units": [axis.unit or NOT_CALIBRATED for axis in axes],
        "axis_labels": [axis.name for axis in axes],
    }
