"""The pixels that stand for a large stack.

This module alone knows which planes and pixels a measurement over a whole stack looks
at: always the same ones, evenly spread, and a bounded number of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.image.stack import Stack, Window

_PIXELS = 2**22
"""Pixels to look at, at most (one more per plane where they do not divide)."""
_PLANES = 16
"""Planes to look at, at least, where the stack has as many."""
_EVEN = (0.7548776662466927, 0.5698402909980532)
"""Powers of the inverse of the plastic number, the real root of p³ = p + 1."""


def sample_pixels(stack: Stack) -> NDArray[np.float64]:
    """Gather the finite pixels of evenly spread planes.

    A stack of up to 4 million pixels is taken whole. Of a larger one, planes evenly
    spread from the first to the last are read, one at a time; if they are still too
    many pixels, equidistant ones are taken from each.

    Parameters
    ----------
    stack
        Planes in counts.

    Returns
    -------
    ndarray
        `(n,)` float64, in which the difference of any two pixels fits; empty where no
        pixel looked at is finite.
    """
    plane_pixels = math.prod(stack.plane_shape)
    n_planes = max(_PLANES, _PIXELS // plane_pixels)
    n_planes = min(n_planes, stack.n_planes)
    stride = _stride(n_planes * plane_pixels, stack.plane_shape[1])
    sample = np.empty(n_planes * -(-plane_pixels // stride), np.float64)
    filled = 0
    for index in spread_indices(stack, n_planes):
        pixels = stack.plane(index).reshape(-1)[::stride]
        pixels = pixels[np.isfinite(pixels)]
        sample[filled : filled + pixels.size] = pixels
        filled += pixels.size
    return sample[:filled]


def spread_indices(stack: Stack, n_planes: int) -> list[tuple[int, ...]]:
    """Choose planes evenly spread over a stack, the first and the last included.

    Parameters
    ----------
    stack
        Any stack; nothing is read.
    n_planes
        How many, at most.

    Returns
    -------
    list of tuple of int
        Indices over the leading axes, in order.
    """
    lengths = stack.leading_shape
    chosen = evenly_spread(stack.n_planes, n_planes)
    return [tuple(map(int, np.unravel_index(i, lengths))) for i in chosen]


def spread_windows(
    stack: Stack, n_windows: int, side: int
) -> list[tuple[tuple[int, ...], Window]]:
    """Choose small parts evenly spread over a stack: its planes, and over each plane.

    Parameters
    ----------
    stack
        Any stack; nothing is read.
    n_windows
        How many. One window that is a whole plane is enough of that plane.
    side
        Of a window, in pixels; of a smaller plane all is taken.

    Returns
    -------
    list of tuple
        Which plane, and which part of it; each once.
    """
    indices = spread_indices(stack, n_windows)
    per_plane = -(-n_windows // len(indices))
    chosen: dict[tuple[tuple[int, ...], tuple[int, ...]], Window] = {}
    for number in range(per_plane * len(indices)):
        index = indices[number % len(indices)]
        # The fractions of multiples of these two fill a square evenly.
        places = ((number + 0.5) * _EVEN[0] % 1, (number + 0.5) * _EVEN[1] % 1)
        starts = [
            round(place * max(0, length - side))
            for place, length in zip(places, stack.plane_shape, strict=True)
        ]
        rows, columns = (
            slice(start, min(start + side, length))
            for start, length in zip(starts, stack.plane_shape, strict=True)
        )
        chosen[index, tuple(starts)] = (rows, columns)
    return [(index, part) for (index, _), part in chosen.items()]


def evenly_spread(n: int, n_most: int) -> list[int]:
    """Choose so many of `n` at most, the first and the last included, in order."""
    return [round(i) for i in np.linspace(0, n - 1, min(n, n_most))]


def binned(
    image: NDArray,
    factor: int,
    dtype: str = "float32",
    axes: tuple[int, ...] = (0, 1),
) -> NDArray:
    """Average over factor × factor blocks, leaving out what does not fill one.

    Parameters
    ----------
    image
        `(y, x)`.
    factor
        Side of a block.
    dtype
        Of the means, which are taken in float64.
    axes
        Along which; (0,) averages over `factor` rows, and (1,) over columns.

    Returns
    -------
    ndarray
        `(y // factor, x // factor)`.
    """
    rows, columns = (factor if axis in axes else 1 for axis in (0, 1))
    height, width = image.shape[0] // rows, image.shape[1] // columns
    blocks = image[: height * rows, : width * columns].reshape(
        height, rows, width, columns
    )
    means: NDArray = blocks.mean((1, 3), dtype="float64")
    return means.astype(dtype)


def halved(plane: NDArray) -> NDArray:
    """Take every second pixel of a plane that is smoothed first.

    Pixel (i, j) of the result is centred on pixel (2 i, 2 j) of the plane: that is
    where viewers draw a coarser level. A mean over 2 × 2 would be half a pixel off.

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


def _stride(n_pixels: int, n_columns: int) -> int:
    """Choose a step through flattened planes that meets every column alike."""
    stride = -(-n_pixels // _PIXELS)
    while math.gcd(stride, n_columns) > 1:
        stride += 1
    return stride


def means_between(
    array: NDArray, edges: NDArray[np.float64], axis: int
) -> NDArray[np.float64]:
    """Average along an axis between places that may lie within pixels.

    Parameters
    ----------
    array
        Any axes; beyond its border it goes on as there.
    edges
        `(n + 1,)` rising, in pixels from the outer border of the first.
    axis
        Along which.

    Returns
    -------
    ndarray
        `n` means there, of what lies between each two edges.
    """
    lines = np.moveaxis(array, axis, -1).astype(np.float64)
    n = lines.shape[-1]
    sums = np.concatenate(
        [np.zeros((*lines.shape[:-1], 1)), np.cumsum(lines, axis=-1)], axis=-1
    )
    inside = np.clip(edges, 0, n)
    first = np.minimum(inside.astype(int), n - 1)
    at_edges = sums[..., first] + (inside - first) * lines[..., first]
    at_edges += np.minimum(edges, 0) * lines[..., :1]
    at_edges += np.maximum(edges - n, 0) * lines[..., -1:]
    return np.moveaxis(np.diff(at_edges, axis=-1) / np.diff(edges), -1, axis)
