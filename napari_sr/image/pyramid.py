"""Coarser copies of a plane, so that a large layer is drawn quickly.

This module alone knows when a layer needs them and how they are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sr.image.sampling import halved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LARGEST_SIDE = 16384
"""Pixels that a texture of today's GPUs holds; a larger plane gets a pyramid."""
COARSE_ENOUGH = 4096
"""Side of the coarsest level, at most."""


def empty_levels(shape: Sequence[int], dtype: str) -> list[NDArray]:
    """Make the arrays of a layer, black, the finest first.

    Parameters
    ----------
    shape
        `(..., y, x)` of the finest level.
    dtype
        Of all levels.

    Returns
    -------
    list of ndarray
        One, unless a plane is larger than a texture. Zeros take no memory until they
        are written.
    """
    *leading, height, width = shape
    levels = [np.zeros(shape, dtype)]
    if max(height, width) > LARGEST_SIDE:
        while max(height, width) > COARSE_ENOUGH:
            height, width = -(-height // 2), -(-width // 2)
            levels.append(np.zeros((*leading, height, width), dtype))
    return levels


def write_plane(
    levels: Sequence[NDArray], index: tuple[int, ...], plane: NDArray
) -> None:
    """Write a plane into all levels.

    Parameters
    ----------
    levels
        From `empty_levels`.
    index
        Over the leading axes.
    plane
        `(y, x)` of the finest level.
    """
    levels[0][index] = plane
    for level in levels[1:]:
        plane = halved(plane)
        level[index] = plane
