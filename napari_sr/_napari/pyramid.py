"""Coarser copies of a plane, so that a large layer is drawn quickly.

This module alone knows when a layer needs them and how they are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
        plane = halve(plane)
        level[index] = plane


def halve(plane: NDArray) -> NDArray:
    """Take every second pixel of a plane that is smoothed first.

    Pixel (i, j) of the result is centred on pixel (2 i, 2 j) of the plane: that is
    where napari draws a coarser level. A mean over 2 × 2 would be half a pixel off.

    Parameters
    ----------
    plane
        `(y, x)` of any dtype.

    Returns
    -------
    ndarray
        `(⌈y/2⌉, ⌈x/2⌉)` of the same dtype; means with weights 1, 2, 1 along both axes.
    """
    both = _thin(_thin(plane.astype(np.float32)).T).T
    return (np.rint(both) if plane.dtype.kind in "iu" else both).astype(plane.dtype)


def _thin(rows: NDArray) -> NDArray:
    """Smooth along the first axis and take every second row."""
    n = len(rows)
    padded = np.pad(rows, [(1, 1), (0, 0)], mode="edge")
    thin: NDArray = padded[:n:2] + 2 * padded[1 : n + 1 : 2] + padded[2 : n + 2 : 2]
    return thin / 4
